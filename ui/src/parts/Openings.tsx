// Who opened one's data or changed one's account, for what, and why.
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";

import { api, told } from "../api/client";
import { useNames } from "../api/me";
import { moment, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { Empty, Loaded, Section, State } from "./Page";

const PAGE = 10;

const WHO: Record<string, () => string> = {
  subject: () => t("you"),
  key: () => t("your API key"),
  staff: () => t("staff"),
  system: () => t("the system"),
};

const ACTS: Record<string, () => string> = {
  "create key": () => t("Key created"),
  "change key": () => t("Key changed"),
  "rotate key": () => t("Key rotated"),
  "revoke key": () => t("Key revoked"),
  "delete content": () => t("Content deleted"),
  rectify: () => t("Account rectified"),
  "change password": () => t("Password changed"),
  "end sessions": () => t("Sessions ended"),
  "open account": () => t("Account opened"),
  "confirm address": () => t("Address confirmed"),
  "ask to keep": () => t("Keeping of content changed"),
  "add second factor": () => t("Second factor added"),
  "remove second factor": () => t("Second factor removed"),
  "add passkey": () => t("Passkey added"),
  "remove passkey": () => t("Passkey removed"),
  "reset password": () => t("Password reset"),
};

export function Openings() {
  useLanguage();
  const name = useNames();
  const found = useInfiniteQuery({
    queryKey: ["openings"],
    queryFn: ({ pageParam }) => told(api.GET("/api/me/openings", { params: { query: { limit: PAGE, ...(pageParam ? { after: pageParam } : {}) } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.after,
  });
  const lines = found.data?.pages.flatMap((page) => page.openings);
  return (
    <Section title={t("Who opened your data")} note={t("Every opening is written down before anything is shown, with its purpose; staff must give a reason.")}>
      <Loaded of={{ ...found, data: lines }}>
        {(all) =>
          all.length === 0 ? (
            <Empty title={t("Nobody has")} />
          ) : (
            <ul className="rows">
              {all.map((line) => (
                <li className="row" key={line.id}>
                  <div className="row-main">
                    <p className="row-title">
                      {line.act ? (ACTS[line.act]?.() ?? <span lang="en">{line.act}</span>) : name("category", line.category)}
                      {!line.act && line.count > 1 && ` × ${number(line.count)}`}
                    </p>
                    <p className="row-note">
                      <span>{moment(line.at)}</span>
                      <span>
                        {WHO[line.who]?.() ?? line.who}
                        {line.who === "staff" && ` (${name("role", line.role)})`}
                      </span>
                      <span>{line.purpose === "access" ? t("to show it to you") : name("purpose", line.purpose)}</span>
                      {line.reason && <bdi>“{line.reason}”</bdi>}
                    </p>
                  </div>
                  {line.outcome === "refused" && (
                    <div className="row-end">
                      <State tone="bad">{t("refused")}</State>
                    </div>
                  )}
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      {found.hasNextPage && (
        <div>
          <Button variant="default" size="xs" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
            {t("Show more")}
          </Button>
        </div>
      )}
    </Section>
  );
}
