// Sign-ins to one's account and attempts that were refused; only where the policy keeps a record of them.
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";

import { api, told } from "../api/client";
import { useNames } from "../api/me";
import { moment } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { Empty, Loaded, Section, State } from "./Page";

const PAGE = 10;

const WAYS: Record<string, () => string> = {
  password: () => t("With the password"),
  passkey: () => t("With a passkey"),
  provider: () => t("Through the identity provider"),
  step_up: () => t("Shown once more while signed in"),
};

const OUTCOMES: Record<string, () => string> = {
  entered: () => t("signed in"),
  entered_with_factor: () => t("signed in with a second factor"),
  factor_missing: () => t("the password was right, no second factor was given"),
  factor_refused: () => t("the code was wrong"),
  refused: () => t("refused"),
};

export function SignIns() {
  useLanguage();
  const name = useNames();
  const found = useInfiniteQuery({
    queryKey: ["sign-ins"],
    queryFn: ({ pageParam }) => told(api.GET("/api/me/sign-ins", { params: { query: { limit: PAGE, ...(pageParam ? { after: pageParam } : {}) } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.after,
  });
  const lines = found.data?.pages.flatMap((page) => page.sign_ins);
  if (!found.error && !lines?.length && !found.data?.pages[0]?.kept) return null;
  return (
    <Section title={t("Sign-ins and refused attempts")} note={t("Kept as long as the policy says. What was typed is never kept.")}>
      <Loaded of={{ ...found, data: lines }}>
        {(all) =>
          all.length === 0 ? (
            <Empty title={t("Nothing yet")} />
          ) : (
            <ul className="rows">
              {all.map((line) => (
                <li className="row" key={line.id}>
                  <div className="row-main">
                    <p className="row-title">{WAYS[line.event]?.() ?? moment(line.at)}</p>
                    <p className="row-note">
                      <span>{moment(line.at)}</span>
                      {Object.entries(line.seen).map(([field, value]) => (
                        <span key={field}>
                          {name("field", field)}: {String(value)}
                        </span>
                      ))}
                    </p>
                  </div>
                  <div className="row-end">
                    <State tone={line.outcome.startsWith("entered") ? "good" : "bad"}>{OUTCOMES[line.outcome]?.() ?? line.outcome}</State>
                  </div>
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
