// The models and what they cost; each price is a version that stays, and charges name the one they were made by.
import { Button, Group, TextInput } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMay } from "../api/me";
import { usePaged } from "../api/paged";
import type { components } from "../api/schema";
import { DataTable } from "../parts/DataTable";
import { Dialog } from "../parts/Dialog";
import { Empty, Page, Problem, State } from "../parts/Page";
import { moment, number, rate } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { useAct } from "./act";
import { Routes } from "./Routes";

type Model = components["schemas"]["Model"];
type Price = components["schemas"]["PriceVersion"];
const PAGE = 50;

const PER = 1_000_000;
/** The images that have no price of their own, among the sizes and qualities of a price. */
const OTHERS = ",";

/** What a model that is not paid by tokens is paid by, and what one of it costs. */
const COUNTED: Record<NonNullable<Price["counts"]>, { one: () => string; cost: (price: Price) => number }> = {
  images: { one: () => t("an image"), cost: (price) => Number(price.image) / PER },
  seconds: { one: () => t("a minute of sound"), cost: (price) => (Number(price.audio) * 60) / PER },
  characters: { one: () => t("a character"), cost: (price) => Number(price.input) / PER },
};

export function Models() {
  useLanguage();
  const may = useMay();
  const [shown, setShown] = useState<Model | null>(null);
  const [routed, setRouted] = useState<string | null>(null);
  const found = usePaged({
    key: ["desk", "models"],
    page: (after: string | null) => told(api.GET("/api/desk/models", { params: { query: { limit: PAGE, after } } })),
    rows: (page) => page.models,
    end: (page) => page.after,
  });
  const routedModel = found.data?.find((row) => row.id === routed);
  return (
    <Page wide title={t("Models and prices")} lead={t("A price holds from the moment in which it is set; what runs is charged by the one under which it was reserved.")}>
      <DataTable
        label={t("Models")}
        of={found}
        id={(row) => row.id}
        none={<Empty title={t("No model yet")}>{t("avow model add MODEL --upstream NAME offers one.")}</Empty>}
        columns={[
          {
            title: t("Model"),
            of: (row) => (
              <>
                <span className="row-title">{row.id}</span>
                <span className="cell-note">{t("{count} tokens of context", { count: number(row.context_tokens) })}</span>
              </>
            ),
          },
          { title: t("Runs at"), of: (row) => (row.routes.length ? row.routes.map((route) => route.upstream).join(", ") : <State tone="bad">{t("nowhere")}</State>) },
          { title: t("Input"), isNumber: true, of: (row) => (row.price ? <Cost of={row.price} what="input" /> : <State tone="bad">{t("no price")}</State>) },
          { title: t("Output"), isNumber: true, of: (row) => row.price && <Cost of={row.price} what="output" /> },
          {
            title: t("Act"),
            of: (row) => (
              <Group gap="xs">
                <Button variant="default" size="xs" onClick={() => setShown(row)} aria-label={t("Prices of {name}", { name: row.id })}>
                  {t("Prices")}
                </Button>
                <Button variant="default" size="xs" onClick={() => setRouted(row.id)} aria-label={t("Routes of {name}", { name: row.id })}>
                  {t("Routes")}
                </Button>
              </Group>
            ),
          },
        ]}
      />
      {shown && (
        <Dialog title={shown.id} size="xl" close={() => setShown(null)}>
          <Prices of={shown} canSet={may("POST /api/desk/prices")} />
        </Dialog>
      )}
      {routedModel && <Routes of={routedModel} close={() => setRouted(null)} />}
    </Page>
  );
}

function Cost({ of: price, what }: { of: Price; what: "input" | "cached" | "output" }) {
  const counted = price.counts ? COUNTED[price.counts] : undefined;
  if (!counted)
    return (
      <>
        {rate(Number(price[what]), price.currency)}
        <span className="cell-note">{t("a million tokens")}</span>
      </>
    );
  if (what !== "input") return null;
  const one = counted.cost(price);
  const { [OTHERS]: others = 1, ...sizes }: Record<string, number> = price.sizes ?? {};
  return (
    <>
      {rate(one * others, price.currency)}
      <span className="cell-note">{counted.one()}</span>
      {Object.entries(sizes).map(([name, units]) => (
        <span className="cell-note" key={name}>
          {name.split(",").filter(Boolean).join(", ")}: {rate(one * units, price.currency)}
        </span>
      ))}
    </>
  );
}

function Prices({ of: model, canSet }: { of: Model; canSet: boolean }) {
  const found = useQuery({ queryKey: ["desk", "prices", model.id], queryFn: () => told(api.GET("/api/desk/prices", { params: { query: { model: model.id } } })) });
  return (
    <div className="stack">
      {canSet && (model.price?.counts ? <p className="note">{t("What is not paid by tokens is priced at the terminal: avow model add.")}</p> : <SetPrice of={model} />)}
      <DataTable
        label={t("Versions of the price")}
        of={found}
        id={(row) => row.valid_from}
        none={<Empty title={t("No price yet, so nobody can call it")} />}
        columns={[
          { title: t("Holds from"), isWhole: true, of: (row) => moment(row.valid_from) },
          { title: t("Input"), isNumber: true, of: (row) => <Cost of={row} what="input" /> },
          { title: t("Cached input"), isNumber: true, of: (row) => <Cost of={row} what="cached" /> },
          { title: t("Output"), isNumber: true, of: (row) => <Cost of={row} what="output" /> },
        ]}
      />
    </div>
  );
}

function SetPrice({ of: model }: { of: Model }) {
  const queries = useQueryClient();
  const [input, setInput] = useState("");
  const [cached, setCached] = useState("");
  const [output, setOutput] = useState("");
  const setting = useAct(
    () => told(api.POST("/api/desk/prices", { body: { model: model.id, input, output, cached: cached || null } })),
    async () => {
      setInput("");
      setCached("");
      setOutput("");
      await queries.invalidateQueries({ queryKey: ["desk"] });
    },
  );
  const field = (label: string, value: string, set: (value: string) => void, note: string, isNeeded = true) => (
    <TextInput size="sm" label={label} description={note} inputMode="decimal" required={isNeeded} withAsterisk={false} value={value} onChange={(event) => set(event.currentTarget.value)} />
  );
  return (
    <form className="stack" onSubmit={setting.submit}>
      <div className="grid-2">
        {field(t("Input"), input, setInput, t("of a million, such as 0.15"))}
        {field(t("Cached input"), cached, setCached, t("empty: as it is"), false)}
        {field(t("Output"), output, setOutput, t("of a million, such as 0.60"))}
      </div>
      <Problem error={setting.error} />
      <Group justify="flex-end">
        <Button type="submit" loading={setting.isPending} disabled={!input || !output}>
          {t("Set this price from now on")}
        </Button>
      </Group>
    </form>
  );
}
