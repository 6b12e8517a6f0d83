// The providers: what is declared of each, whether the policy lets it see content, and how it does now.
import { Button } from "@mantine/core";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMay } from "../api/me";
import { usePaged } from "../api/paged";
import type { components } from "../api/schema";
import { DataTable } from "../parts/DataTable";
import { Empty, Page, State } from "../parts/Page";
import { day, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { UpstreamForm } from "./UpstreamForm";

type Upstream = components["schemas"]["Upstream"];
const PAGE = 50;
const LOOK_MS = 5000;
const MS_OF_S = 1000;

export function Upstreams() {
  useLanguage();
  const canChange = useMay()("PATCH /api/desk/upstreams");
  const [changing, setChanging] = useState<Upstream | null>(null);
  const found = usePaged({
    key: ["desk", "upstreams"],
    page: (after: string | null) => told(api.GET("/api/desk/upstreams", { params: { query: { limit: PAGE, after } } })),
    rows: (page) => page.upstreams,
    end: (page) => page.after,
    options: { refetchInterval: LOOK_MS },
  });
  return (
    <Page wide title={t("Upstreams")} lead={t("Where models run. One that the policy does not let see content gets none, whatever it costs. They are added and removed at the terminal.")}>
      <DataTable
        label={t("Upstreams")}
        of={found}
        id={(row) => row.name}
        none={<Empty title={t("No upstream yet")}>{t("avow upstream add NAME URL adds one.")}</Empty>}
        columns={[
          {
            title: t("Name"),
            of: (row) => (
              <>
                <span className="row-title">{row.name}</span>
                <span className="cell-note">{row.kind === "engine" ? t("an engine of this house") : row.kind}</span>
              </>
            ),
          },
          { title: t("May see content"), of: (row) => <Admitted of={row} /> },
          {
            title: t("Region"),
            of: (row) => row.region ?? (row.processor ? t("not known") : t("this house")),
          },
          { title: t("Keeps"), of: (row) => (!row.processor ? t("nothing") : row.retention_h === null || row.retention_h === undefined ? t("not known") : t("{hours} h", { hours: number(row.retention_h) })) },
          { title: t("Trains"), of: (row) => (!row.processor || row.trains === false ? t("no") : row.trains ? <State tone="bad">{t("yes")}</State> : t("not known")) },
          { title: t("Health"), of: (row) => <Health of={row} /> },
          { title: t("In flight"), isNumber: true, of: (row) => number(row.running) },
          ...(canChange ? [{ title: t("Act"), of: (row: Upstream) => <Act of={row} change={setChanging} /> }] : []),
        ]}
      />
      {changing && <UpstreamForm of={changing} close={() => setChanging(null)} />}
    </Page>
  );
}

/** An engine is this house's own: the settings say which one runs. */
function Act({ of: row, change }: { of: Upstream; change: (row: Upstream) => void }) {
  if (row.kind === "engine") return <>–</>;
  return (
    <Button variant="default" size="xs" onClick={() => change(row)} aria-label={t("Change {name}", { name: row.name })}>
      {t("Change")}
    </Button>
  );
}

function Admitted({ of: row }: { of: Upstream }) {
  if (row.refused)
    return (
      <>
        <State tone="bad">{t("no")}</State>
        <span className="cell-note" lang="en">
          {row.refused}
        </span>
      </>
    );
  return (
    <>
      <State tone="good">{t("yes")}</State>
      {row.evidence_until && <span className="cell-note">{t("evidence until {day}", { day: day(row.evidence_until) })}</span>}
    </>
  );
}

function Health({ of: row }: { of: Upstream }) {
  return (
    <>
      {row.state === "draining" ? <State tone="plain">{t("draining")}</State> : row.open > 0 ? <State tone="bad">{t("breaker open in {count}", { count: number(row.open) })}</State> : <State tone="good">{t("answers")}</State>}
      {row.call_s ? <span className="cell-note">{t("{ms} ms on average", { ms: number(Math.round(row.call_s * MS_OF_S)) })}</span> : null}
    </>
  );
}
