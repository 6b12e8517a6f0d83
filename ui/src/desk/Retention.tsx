// Whether what is stored goes in its time, and what the probes found last.
import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";

import { api, told } from "../api/client";
import { useMay, useNames } from "../api/me";
import type { components } from "../api/schema";
import { DataTable } from "../parts/DataTable";
import { Empty, Figure, Loaded, Page, Problem, Section, State, type Tone } from "../parts/Page";
import { away, moment, number, period } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { useAct } from "./act";

type Ends = components["schemas"]["Ends"];
const LOOK_MS = 15_000;

const VERDICTS: Record<string, Tone> = { proved: "good", attested: "good", failed: "bad", unproved: "open" };
const RANK = ["failed", "unproved", "attested", "proved"];

export function Retention() {
  useLanguage();
  const found = useQuery({ queryKey: ["desk", "retention"], queryFn: () => told(api.GET("/api/desk/retention")), refetchInterval: LOOK_MS });
  return (
    <Page wide title={t("Retention and proof")} lead={t("The oldest record of each category beside its period, as the keeper saw it seconds ago, and what each probe found last.")}>
      <Loaded of={found} lines={2}>
        {(all) => (
          <dl className="figures">
            <Figure of={t("Last sweep")} note={all.swept_at ? moment(all.swept_at) : undefined}>
              {all.swept_at ? away(all.swept_at) : t("none yet")}
            </Figure>
            <Figure of={t("Latest that something stayed beyond its end")}>{t("{count} s", { count: number(Math.round(all.late_s)) })}</Figure>
            <Figure of={t("The clock")} note={all.clock_refused ? "avow sweep --confirm-clock" : undefined}>
              {all.clock_refused ? t("is not believed: no key is destroyed") : t("is believed")}
            </Figure>
          </dl>
        )}
      </Loaded>
      <Section title={t("Categories")}>
        <Categories of={{ ...found, data: found.data?.categories }} />
      </Section>
      <Probes />
    </Page>
  );
}

function Categories({ of: found }: { of: { data: Ends[] | undefined; error: unknown; refetch: () => unknown } }) {
  const name = useNames();
  return (
    <DataTable
      label={t("Categories")}
      of={found}
      id={(row) => row.category}
      none={<Empty title={t("The policy knows no category")} />}
      columns={[
        { title: t("Category"), of: (row) => name("category", row.category) },
        { title: t("Period"), of: (row) => rule(row) },
        { title: t("Oldest record"), of: (row) => (row.oldest_at ? <span className="amount" title={moment(row.oldest_at)}>{away(row.oldest_at)}</span> : t("none")) },
        {
          title: t("State"),
          of: (row) => (row.late ? <State tone="bad">{t("should be gone")}</State> : <State tone={row.oldest_at ? "good" : "plain"}>{row.oldest_at ? t("within its period") : t("nothing to end")}</State>),
        },
      ]}
    />
  );
}

function rule(row: Ends): string {
  if (row.keep === "life") return t("as long as the account");
  return row.keep === "never" ? t("not stored") : period(row.amount, row.unit);
}

function Probes() {
  const name = useNames();
  const may = useMay();
  const queries = useQueryClient();
  const found = useQuery({ queryKey: ["desk", "probes"], queryFn: () => told(api.GET("/api/evidence")), refetchInterval: LOOK_MS });
  const looking = useAct(
    () => told(api.POST("/api/desk/probes")),
    () => queries.invalidateQueries({ queryKey: ["desk"] }),
  );
  const rows = found.data?.toSorted((one, other) => RANK.indexOf(one.verdict) - RANK.indexOf(other.verdict) || one.probe.localeCompare(other.probe));
  return (
    <Section
      title={t("Probes and canaries")}
      note={t("What was looked at more than a day ago counts as not proved.")}
      act={
        may("POST /api/desk/probes") && (
          <Button variant="default" size="xs" loading={looking.isPending} disabled={looking.isSuccess} onClick={() => looking.run()}>
            {looking.isSuccess ? t("They look now") : t("Look now")}
          </Button>
        )
      }
    >
      <Problem error={looking.error} />
      <DataTable
        label={t("Probes and canaries")}
        of={{ ...found, data: rows }}
        id={(row) => row.probe}
        none={<Empty title={t("No probe has looked yet")}>{t("They look by themselves soon after the start, then every hour or every day.")}</Empty>}
        columns={[
          { title: t("Probe"), of: (row) => <Looks at={row.probe} /> },
          { title: t("Verdict"), of: (row) => <State tone={VERDICTS[row.verdict] ?? "plain"}>{name("verdict", row.verdict)}</State> },
          { title: t("Found"), of: (row) => <span lang="en">{row.figure}</span> },
          { title: t("Looked"), of: (row) => <span className="amount" title={moment(row.at)}>{away(row.at)}</span> },
        ]}
      />
    </Section>
  );
}

/** A probe by its name; one that looks at each category has the category behind a point. */
function Looks({ at: probe }: { at: string }) {
  const name = useNames();
  const [what = "", about] = probe.split(".");
  return (
    <>
      {name("probe", what)}
      {about && <span className="cell-note">{name("category", about)}</span>}
    </>
  );
}
