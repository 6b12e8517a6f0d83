// Where a model runs, and what chooses between its routes; a change is made to the state of a route that was looked at.
import { Button, NumberInput, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMay } from "../api/me";
import type { components } from "../api/schema";
import { DataTable } from "../parts/DataTable";
import { Ask, Dialog } from "../parts/Dialog";
import { Empty } from "../parts/Page";
import { number } from "../words/figures";
import { t } from "../words/language";

type Model = components["schemas"]["Model"];
type Route = components["schemas"]["Route"];
type Fields = Pick<Route, "their_name" | "rank" | "weight" | "cost">;

const NUMBER_MAX = 2_147_483_647;
const ROUTING: Record<string, () => string> = {
  finish: () => t("Lower ranks are tried first; of one rank the one that is expected to end first, by its weight."),
  weight: () => t("Lower ranks are tried first; of one rank each gets a share of the requests, by its weight."),
  price: () => t("Lower ranks are tried first; of one rank the one that costs you least."),
};

export function Routes({ of: model, close }: { of: Model; close: () => void }) {
  const canChange = useMay()("PATCH /api/desk/models/routes");
  const [changing, setChanging] = useState<Route | null>(null);
  if (changing) return <RouteForm model={model.id} of={changing} close={() => setChanging(null)} />;
  return (
    <Dialog title={model.id} size="xl" close={close}>
      <div className="stack">
        <p className="note">{ROUTING[model.routing]?.()}</p>
        <DataTable
          label={t("Routes of {name}", { name: model.id })}
          of={{ data: model.routes, error: null, refetch: () => undefined }}
          id={(row) => row.upstream}
          none={<Empty title={t("It runs nowhere, so nobody can call it")} />}
          columns={[
            {
              title: t("Upstream"),
              of: (row) => (
                <>
                  <span className="row-title">{row.upstream}</span>
                  {row.their_name !== model.id && <span className="cell-note">{row.their_name}</span>}
                </>
              ),
            },
            { title: t("Rank"), isNumber: true, of: (row) => number(row.rank) },
            { title: t("Weight"), isNumber: true, of: (row) => number(row.weight) },
            { title: t("Cost of a million"), isNumber: true, of: (row) => short(row.cost) },
            ...(canChange ? [{ title: t("Act"), of: (row: Route) => <Act of={row} change={setChanging} /> }] : []),
          ]}
        />
      </div>
    </Dialog>
  );
}

function Act({ of: row, change }: { of: Route; change: (row: Route) => void }) {
  return (
    <Button variant="default" size="xs" onClick={() => change(row)} aria-label={t("Change {name}", { name: row.upstream })}>
      {t("Change")}
    </Button>
  );
}

function RouteForm({ model, of: route, close }: { model: string; of: Route; close: () => void }) {
  const queries = useQueryClient();
  const [before] = useState<Fields>(() => ({ their_name: route.their_name, rank: route.rank, weight: route.weight, cost: short(route.cost) }));
  const [now, setNow] = useState(before);
  const set = (more: Partial<Fields>) => setNow({ ...now, ...more });
  const changed = Object.fromEntries(Object.entries(now).filter(([field, value]) => value !== before[field as keyof Fields]));
  const count = (field: "rank" | "weight", label: string, description: string, min: number) => (
    <NumberInput label={label} description={description} min={min} max={NUMBER_MAX} allowDecimal={false} value={now[field]} onChange={(value) => set({ [field]: value === "" ? before[field] : Number(value) })} />
  );
  return (
    <Ask
      title={t("{model} at {upstream}", { model, upstream: route.upstream })}
      size="lg"
      go={t("Save")}
      close={close}
      isReady={Object.keys(changed).length > 0 && now.their_name !== "" && now.cost !== ""}
      run={() => told(api.PATCH("/api/desk/models/routes", { body: { model, upstream: route.upstream, revision: route.revision, ...changed } }))}
      done={() => queries.invalidateQueries({ queryKey: ["desk"] })}
    >
      <p className="note">{t("It holds from the next request on. What clients pay stays as it is.")}</p>
      <TextInput label={t("Name there")} description={t("what the upstream calls this model")} autoComplete="off" maxLength={200} value={now.their_name} onChange={(event) => set({ their_name: event.currentTarget.value.trim() })} />
      <div className="grid-2">
        {count("rank", t("Rank"), t("lower ranks are tried first"), 0)}
        {count("weight", t("Weight"), t("its share, or its speed"), 1)}
        <TextInput label={t("Cost of a million")} description={t("what a million tokens cost you there, such as 0.15")} inputMode="decimal" autoComplete="off" maxLength={40} value={now.cost} onChange={(event) => set({ cost: event.currentTarget.value.trim() })} />
      </div>
    </Ask>
  );
}

/** A decimal without the zeros at its end. */
function short(decimal: string): string {
  return decimal.replace(/\.?0+$/, "") || "0";
}
