// The first screen: money, use, what is stored about the person right now, and whether the promises hold.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { api, told } from "../api/client";
import { useMay, useMe, wallet } from "../api/me";
import { stored } from "../api/stored";
import { byDay, usageSince } from "../api/usage";
import { Bars } from "../parts/Bars";
import { DataMap } from "../parts/DataMap";
import { Empty, Figure, Loaded, Page, Section } from "../parts/Page";
import { lastDays } from "../words/days";
import { away, day as said, money, number } from "../words/figures";
import { t, useLanguage } from "../words/language";

const DAYS = 30;

export function Home() {
  useLanguage();
  const { confirmed, facts } = useMe();
  const may = useMay();
  const held = useQuery(stored);
  const name = facts.name || facts.username;
  return (
    <Page title={name ? t("Hello, {name}", { name }) : t("Hello")} lead={t("What you have, what you used, and what is stored about you right now.")}>
      {!confirmed && (
        <aside className="notice">
          <p>{t("Your address is not confirmed yet. Follow the link in the message that was sent at sign-up.")}</p>
        </aside>
      )}
      {may("GET /api/usage") && <Spent />}
      <Section title={t("Stored about you right now")} act={<Link to="/privacy">{t("Privacy centre")}</Link>}>
        <Loaded of={held} lines={6}>{(found) => <DataMap of={found.filter((each) => each.facts > 0)} />}</Loaded>
      </Section>
      <Evidence />
    </Page>
  );
}

/** The organisation's money, and what was used of it. */
function Spent() {
  const days = lastDays(DAYS);
  const purse = useQuery(wallet);
  const use = useQuery(usageSince(days[0] ?? ""));
  const currency = purse.data?.currency ?? "USD";
  const sums = byDay(use.data?.days ?? []);
  const total = [...sums.values()].reduce((all, each) => ({ requests: all.requests + each.requests, cost: all.cost + each.cost }), { requests: 0, cost: 0 });
  return (
    <>
      <dl className="figures">
        <Figure of={t("Balance")} note={purse.data && Number(purse.data.held) > 0 ? t("{amount} held by running requests", { amount: money(purse.data.held, currency) }) : undefined}>
          {purse.data ? money(purse.data.available, currency) : "–"}
        </Figure>
        <Figure of={t("Spent in {days} days", { days: DAYS })}>{use.data ? money(String(total.cost), currency) : "–"}</Figure>
        <Figure of={t("Requests in {days} days", { days: DAYS })}>{use.data ? number(total.requests) : "–"}</Figure>
      </dl>
      <Loaded of={use} lines={5}>
        {() =>
          total.requests === 0 ? (
            <Empty title={t("Nothing has been asked yet")} act={<Link to="/playground">{t("Ask a model something")}</Link>}>
              {t("The playground needs no key and no code.")}
            </Empty>
          ) : (
            <div className="pair">
              <Bars title={t("Spending per day")} bars={days.map((day) => ({ label: said(day), value: sums.get(day)?.cost ?? 0, said: money(String(sums.get(day)?.cost ?? 0), currency) }))} />
              <Bars title={t("Requests per day")} bars={days.map((day) => ({ label: said(day), value: sums.get(day)?.requests ?? 0, said: number(sums.get(day)?.requests ?? 0) }))} />
            </div>
          )
        }
      </Loaded>
    </>
  );
}

function Evidence() {
  useLanguage();
  const found = useQuery({ queryKey: ["evidence"], queryFn: () => told(api.GET("/api/evidence")), staleTime: 60_000 });
  return (
    <Section title={t("Whether that is true")} act={<a href="/proof">{t("All evidence")}</a>}>
      <Loaded of={found} lines={2}>
        {(all) => {
          if (all.length === 0) return <p className="note">{t("The first round of checks is running; its results appear within minutes.")}</p>;
          const proved = all.filter((each) => each.verdict === "proved" || each.verdict === "attested").length;
          const newest = all.reduce((latest, each) => (each.at > latest ? each.at : latest), "");
          return (
            <dl className="figures">
              <Figure of={t("Checks that hold")} note={t("last one {when}", { when: away(newest) })}>
                {t("{proved} of {count}", { proved, count: all.length })}
              </Figure>
              {all.some((each) => each.verdict === "failed") && (
                <Figure of={t("Checks that failed")}>{number(all.filter((each) => each.verdict === "failed").length)}</Figure>
              )}
            </dl>
          );
        }}
      </Loaded>
    </Section>
  );
}
