// Who opened one's data or changed one's account, for what, and why.
import { api, told } from "../api/client";
import { useNames } from "../api/me";
import { usePaged } from "../api/paged";
import type { components } from "../api/schema";
import { moment, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { Empty, Section, State } from "./Page";
import { Row, Rows } from "./Rows";

type Opening = components["schemas"]["Opening"];
const PAGE = 10;

const WHO: Record<Opening["who"], () => string> = {
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
  const found = usePaged({
    key: ["openings"],
    page: (after: string | null) => told(api.GET("/api/me/openings", { params: { query: { limit: PAGE, after } } })),
    rows: (page) => page.openings,
    end: (page) => page.after,
  });
  return (
    <Section title={t("Who opened your data")} note={t("Every opening is written down before anything is shown, with its purpose; staff must give a reason.")}>
      <Rows
        of={found}
        none={<Empty title={t("Nobody has")} />}
        row={(line) => (
          <Row
            key={line.id}
            title={
              <>
                {line.act ? (ACTS[line.act]?.() ?? <span lang="en">{line.act}</span>) : name("category", line.category)}
                {!line.act && line.count > 1 && ` × ${number(line.count)}`}
              </>
            }
            note={
              <>
                <span>{moment(line.at)}</span>
                <span>
                  {WHO[line.who]()}
                  {line.who === "staff" && ` (${name("role", line.role)})`}
                </span>
                <span>{line.purpose === "access" ? t("to show it to you") : name("purpose", line.purpose)}</span>
                {line.reason && <bdi>“{line.reason}”</bdi>}
              </>
            }
            end={line.outcome === "refused" && <State tone="bad">{t("refused")}</State>}
          />
        )}
      />
    </Section>
  );
}
