// Consents, each with the text that it is given to; those about cookies hold for this browser too. Below, what was said
// about them, and the signed receipt of each.
import { Switch } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";

import { api, told } from "../api/client";
import { useNames } from "../api/me";
import { usePaged } from "../api/paged";
import { moment } from "../words/figures";
import { type Language, t, useLanguage } from "../words/language";
import { useOnce } from "./once";
import { Loaded, Problem, Section } from "./Page";
import { Row, Rows } from "./Rows";

const PER_PAGE = 50;
const KEYS = ["consents", "cookies", "consent-records", "standing"];

/** The switches of all consents: one for each, in the account or, where it is about cookies, in this browser as well. */
export function ConsentSwitches() {
  const language: Language = useLanguage();
  const name = useNames();
  const queries = useQueryClient();
  const asked = useQuery({ queryKey: ["consents"], queryFn: () => told(api.GET("/api/privacy/consents")) });
  const cookies = useQuery({ queryKey: ["cookies"], queryFn: () => told(api.GET("/api/cookies")) });
  const say = useOnce({
    mutationFn: (change: () => Promise<unknown>) => change(),
    onSettled: () => Promise.all(KEYS.map((key) => queries.invalidateQueries({ queryKey: [key] }))),
  });
  const consent = (consentName: string, hash: string, given: boolean) => () => {
    const params = { path: { name: consentName }, query: { notice: hash } };
    return given ? told(api.PUT("/api/privacy/consents/{name}", { params })) : told(api.DELETE("/api/privacy/consents/{name}", { params }));
  };
  const choose = (kind: string, on: boolean) => () => {
    const before = cookies.data?.asked.filter((each) => each.allowed).map((each) => each.kind) ?? [];
    const allowed = on ? [...before, kind] : before.filter((each) => each !== kind);
    return told(api.PUT("/api/cookies", { body: { allowed, personal: cookies.data?.personal ?? false, locale: language } }));
  };
  const both = asked.data && cookies.data ? { consents: asked.data, cookies: cookies.data } : undefined;
  return (
    <>
      <Loaded of={{ data: both, error: asked.error ?? cookies.error, refetch: () => Promise.all([asked.refetch(), cookies.refetch()]) }}>
        {(found) => (
          <>
            {found.cookies.gpc && <p className="note">{t("Your browser says Global Privacy Control, and that is honoured: what it refuses stays off.")}</p>}
            {found.consents.length > 0 && (
              <ul className="rows switches">
                {found.consents.map((each) => {
                  const kind = found.cookies.asked.find((cookie) => cookie.consent === each.name);
                  return (
                    <li key={each.name}>
                      <Switch
                        label={kind ? kind.title[language] : name("consent", each.name)}
                        description={each.text[language]}
                        checked={!each.refused_by_signal && (kind ? kind.allowed : each.given === true)}
                        disabled={say.isPending || each.refused_by_signal}
                        onChange={(event) =>
                          say.run(
                            kind
                              ? choose(kind.kind, event.currentTarget.checked)
                              : consent(each.name, each.hash[language] ?? "", event.currentTarget.checked),
                          )
                        }
                      />
                    </li>
                  );
                })}
              </ul>
            )}
          </>
        )}
      </Loaded>
      <Problem error={say.error} />
    </>
  );
}

/** What was said about consents, newest first. */
export function ConsentRecords() {
  useLanguage();
  const name = useNames();
  const found = usePaged({
    key: ["consent-records"],
    page: (before: string | null) => told(api.GET("/api/privacy/consent-records", { params: { query: { before } } })),
    rows: (page) => page,
    end: (page) => (page.length < PER_PAGE ? null : page.at(-1)?.id),
  });
  if (found.data?.length === 0) return null;
  return (
    <Section
      title={t("Your consents on record")}
      note={t("Each with the text that you were shown. A receipt is signed; anybody can check it.")}
      act={<a href="/cookies">{t("All cookies")}</a>}
    >
      <Rows
        of={found}
        row={(line) => (
          <Row
            key={line.id}
            title={`${name("consent", line.name)}: ${line.given ? t("consented") : t("refused or taken back")}`}
            note={`${moment(line.at)}${line.how === "signal" ? ` · ${t("by your browser's signal")}` : ""}`}
            end={
              <a href={`/api/privacy/consent-records/${line.id}/receipt`} download>
                {t("Receipt")}
              </a>
            }
          />
        )}
      />
    </Section>
  );
}
