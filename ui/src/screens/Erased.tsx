// What becomes of an erasure: it needs no account any more. While it runs, how far each store is; in the end the signed
// receipt, which can be kept and checked.
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { type Erasure, type Progress as Running, type Receipt, type ReceiptStore, begun, progress, receipt } from "../api/erasure";
import { useNames } from "../api/me";
import { Entrance } from "../parts/Entrance";
import { Problem, State } from "../parts/Page";
import { save } from "../parts/save";
import { day, number, records } from "../words/figures";
import { t, useLanguage } from "../words/language";

const LOOK_MS = 700;

export function Erased() {
  useLanguage();
  const erasure = begun();
  const found = useQuery({
    queryKey: ["erasure", erasure?.id],
    queryFn: () => (erasure ? receipt(erasure) : null),
    enabled: erasure !== null,
    refetchInterval: (query) => (query.state.data ? false : LOOK_MS),
  });
  if (!erasure) {
    return (
      <Entrance title={t("Nothing is being erased here")}>
        <a href="/">{t("Go to the start")}</a>
      </Entrance>
    );
  }
  if (!found.data) {
    return (
      <Entrance title={t("Your data is being erased")} lead={t("Rows are deleted in every store, then the keys are destroyed. This takes seconds; it goes on if you leave.")}>
        <Progress of={erasure} />
        <Problem error={found.error} />
      </Entrance>
    );
  }
  return <Done text={found.data} id={erasure.id} />;
}

/** Each store that holds something, and how far it is; the keys come last. */
function Progress({ of: erasure }: { of: Erasure }) {
  const found = useQuery({ queryKey: ["erasure", erasure.id, "progress"], queryFn: () => progress(erasure), refetchInterval: LOOK_MS });
  const name = useNames();
  const held = (found.data?.stores ?? []).filter((each) => each.planned > 0);
  const isOver = found.data?.state === "succeeded"; // then the steps are forgotten, and the receipt is there to be fetched
  const done = held.filter((each) => isOver || each.done_at).length;
  return (
    <>
      <div className="progress" role="status" aria-label={held.length ? t("{done} of {count} stores are through", { done, count: held.length }) : t("Your data is being erased")} />
      {held.length > 0 && (
        <ul className="rows">
          {held.map((each) => (
            <li className="row" key={each.store}>
              <div className="row-main">
                <p className="row-title">{each.categories.map((category) => name("category", category)).join(", ")}</p>
                <p className="note">{t("{through} of {count}", { through: number(isOver ? each.planned : each.through), count: records(each.planned) })}</p>
              </div>
              <Step of={each} isDone={isOver || each.done_at != null} />
            </li>
          ))}
          <li className="row">
            <p className="row-main row-title">{t("Keys")}</p>
            {isOver || found.data?.keys_at ? <State tone="good">{t("destroyed")}</State> : <State tone="plain">{t("waiting")}</State>}
          </li>
        </ul>
      )}
    </>
  );
}

function Step({ of: store, isDone }: { of: Running["stores"][number]; isDone: boolean }) {
  if (!isDone) return store.through > 0 ? <State tone="open">{t("running")}</State> : <State tone="plain">{t("waiting")}</State>;
  return <State tone="good">{store.ending === "hold" ? t("kept by law") : t("erased")}</State>;
}

function Done({ text, id }: { text: string; id: string }) {
  const name = useNames();
  const { stores } = JSON.parse(text) as Receipt;
  return (
    <Entrance title={t("Your account is gone")} lead={t("This is the signed receipt. Keep the file: anybody can check it, and it names nobody.")}>
      <div>
        <Button onClick={() => save(`receipt-${id}.json`, "application/json", text)}>{t("Save the receipt")}</Button>
      </div>
      <ul className="rows">
        {byCategory(stores).map((each) => (
          <li className="row" key={each.store}>
            <div className="row-main">
              <p className="row-title">{each.categories.map((category) => name("category", category)).join(", ")}</p>
              <p className="note">{each.ending === "hold" ? t("kept by law until {day}", { day: each.kept_until ? day(each.kept_until) : "–" }) : t("erased")}</p>
            </div>
            <p className="row-end">{records(each.facts)}</p>
          </li>
        ))}
      </ul>
    </Entrance>
  );
}

/** What stores of the same kind held, and what became of it; the file names each store. */
function byCategory(stores: readonly ReceiptStore[]): ReceiptStore[] {
  const found = new Map<string, ReceiptStore>();
  for (const each of stores.filter(({ facts }) => facts > 0)) {
    const kind = [...each.categories, each.ending === "hold" ? each.kept_until : "erased"].join(" ");
    const known = found.get(kind);
    found.set(kind, known ? { ...known, facts: known.facts + each.facts } : each);
  }
  return [...found.values()];
}
