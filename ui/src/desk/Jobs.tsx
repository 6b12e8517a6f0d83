// The keeper's queue: what waits, runs or failed, and the way to have it tried again.
import { Button, Select } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMay } from "../api/me";
import { usePaged } from "../api/paged";
import type { components } from "../api/schema";
import { DataTable } from "../parts/DataTable";
import { Empty, Figure, Loaded, Page, Problem, State, type Tone } from "../parts/Page";
import { away, moment, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { useAct } from "./act";

const PAGE = 50;
const LOOK_MS = 5000;

type Queued = components["schemas"]["Queued"];

const STATES: Record<Queued["state"], readonly [Tone, () => string]> = {
  queued: ["open", () => t("waits")],
  picked: ["good", () => t("runs")],
  failed: ["bad", () => t("failed")],
};

const KINDS: Record<string, () => string> = {
  "privacy.erase": () => t("Erasure of a person"),
  "privacy.copy": () => t("Copy of somebody's data"),
  "privacy.answer_outsider": () => t("Answer to somebody without an account"),
  "privacy.look_again": () => t("Second look after an erasure"),
  "policy.wish": () => t("Plan, approval or application of a policy"),
  "policy.carry_out": () => t("Shorter periods for what is stored"),
  "policy.carry_out_late": () => t("Shorter periods, second look"),
  "policy.tell": () => t("Telling people of a change"),
  "billing.sum": () => t("Sums over many organisations"),
  "proof.look": () => t("All probes"),
};

export function Jobs() {
  useLanguage();
  const may = useMay();
  const queries = useQueryClient();
  const [state, setState] = useState<Queued["state"] | "">("");
  const found = usePaged({
    key: ["desk", "jobs", state],
    page: (before: number | null) => told(api.GET("/api/desk/jobs", { params: { query: { limit: PAGE, state: state || null, before } } })),
    rows: (page) => page.jobs,
    end: (page) => page.before,
    options: { refetchInterval: LOOK_MS },
  });
  const retrying = useAct(
    (id: number) => told(api.POST("/api/desk/jobs/retry", { body: { id } })),
    () => queries.invalidateQueries({ queryKey: ["desk", "jobs"] }),
  );
  return (
    <Page wide title={t("Jobs")} lead={t("Work that goes on after a request. A job that failed five times waits here for somebody; a kill loses none.")}>
      <Loaded of={{ ...found, data: found.first?.counts }} lines={2}>
        {(all) => (
          <dl className="figures">
            {Object.entries(STATES).map(([each, [, said]]) => (
              <Figure key={each} of={said()}>
                {number(Number(all[each] ?? 0))}
              </Figure>
            ))}
          </dl>
        )}
      </Loaded>
      <div className="cluster">
        <Select
          size="sm"
          aria-label={t("State")}
          value={state}
          onChange={(value) => setState((value ?? "") as Queued["state"] | "")}
          data={[{ value: "", label: t("All states") }, ...Object.entries(STATES).map(([value, [, said]]) => ({ value, label: said() }))]}
        />
      </div>
      <Problem error={retrying.error} />
      <DataTable
        label={t("Jobs")}
        of={found}
        id={(row) => row.id}
        none={<Empty title={t("The queue is empty")}>{t("A job appears here while it waits, runs, or has failed.")}</Empty>}
        columns={[
          { title: t("Job"), of: (row) => KINDS[row.kind]?.() ?? <code>{row.kind}</code> },
          {
            title: t("State"),
            of: (row) => {
              const [tone, said] = STATES[row.state];
              return <State tone={tone}>{said()}</State>;
            },
          },
          { title: t("Tries"), isNumber: true, of: (row) => number(row.tries) },
          { title: t("Put in"), isWhole: true, of: (row) => moment(row.put_at) },
          { title: t("Due"), of: (row) => <span title={moment(row.due_at)}>{away(row.due_at)}</span> },
          {
            title: t("Act"),
            of: (row) =>
              row.state === "failed" && may("POST /api/desk/jobs/retry") ? (
                <Button variant="default" size="xs" disabled={retrying.isPending} onClick={() => retrying.run(row.id)} aria-label={t("Try job {id} again", { id: row.id })}>
                  {t("Try again")}
                </Button>
              ) : (
                "–"
              ),
          },
        ]}
      />
    </Page>
  );
}
