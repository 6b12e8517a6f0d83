// The queue of rights requests, what is due first at the top; each is opened with a reason, read and answered.
import { Button, Select, Switch } from "@mantine/core";
import { useState } from "react";

import { api, told } from "../api/client";
import type { Waiting } from "../api/desk";
import { useNames } from "../api/me";
import { usePaged } from "../api/paged";
import { DataTable } from "../parts/DataTable";
import { Dialog } from "../parts/Dialog";
import { Empty, Page, State } from "../parts/Page";
import { away, day, moment } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { BY_PEOPLE, STATES, isOpen } from "../words/rights";
import { Answer } from "./Answer";
import { KINDS } from "./rights";

type Kind = Waiting["kind"];
type Place = Pick<Waiting, "due_at" | "id">;
const PAGE = 50;

export function Requests() {
  useLanguage();
  const name = useNames();
  const [isOpenOnly, setOpenOnly] = useState(true);
  const [kind, setKind] = useState<Kind | "">("");
  const [shown, setShown] = useState<Waiting | null>(null);
  const found = usePaged({
    key: ["desk", "requests", isOpenOnly, kind],
    page: (after: Place | null) => told(api.POST("/api/desk/requests", { body: { open: isOpenOnly, kind: kind || null, after, limit: PAGE } })),
    rows: (page) => page.requests,
    end: (page) => page.after,
  });
  return (
    <Page wide title={t("Rights requests")} lead={t("What people ask about their data, by the date by which the policy promises an answer. There is no extension of it.")}>
      <div className="cluster">
        <Select
          size="sm"
          aria-label={t("Kind")}
          value={kind}
          onChange={(value) => setKind((value ?? "") as Kind | "")}
          data={[{ value: "", label: t("All kinds") }, ...Object.entries(KINDS).map(([value, said]) => ({ value, label: said() }))]}
        />
        <Switch label={t("Open ones only")} checked={isOpenOnly} onChange={(event) => setOpenOnly(event.currentTarget.checked)} />
      </div>
      <DataTable
        label={t("Rights requests")}
        of={found}
        id={(row) => row.id}
        none={<Empty title={t("Nobody waits for an answer")}>{t("A request appears here with its due date as soon as somebody makes it.")}</Empty>}
        columns={[
          { title: t("Due"), of: (row) => <Due of={row} /> },
          {
            title: t("Kind"),
            of: (row) => (
              <>
                {said(row.kind)}
                {row.purpose && <span className="cell-note">{name("purpose", row.purpose)}</span>}
              </>
            ),
          },
          { title: t("State"), of: (row) => <Stands of={row} /> },
          { title: t("Received"), isWhole: true, of: (row) => moment(row.received_at) },
          { title: t("Person"), of: (row) => <code title={row.subject_id}>…{row.subject_id.slice(-8)}</code> },
          {
            title: t("Act"),
            of: (row) => (
              <Button variant="default" size="xs" onClick={() => setShown(row)} aria-label={t("Open {what} of {id}", { what: said(row.kind), id: row.id.slice(-8) })}>
                {t("Open")}
              </Button>
            ),
          },
        ]}
      />
      {shown && (
        <Dialog title={said(shown.kind)} size="lg" close={() => setShown(null)}>
          <Answer of={shown} />
        </Dialog>
      )}
    </Page>
  );
}

const said = (kind: Kind) => KINDS[kind]();

function Due({ of: row }: { of: Waiting }) {
  if (!isOpen(row)) return <>{day(row.due_at)}</>;
  return (
    <>
      <State tone={row.overdue ? "bad" : "open"}>{row.overdue ? t("overdue {when}", { when: away(row.due_at) }) : away(row.due_at)}</State>
      <span className="cell-note">{moment(row.due_at)}</span>
    </>
  );
}

function Stands({ of: row }: { of: Waiting }) {
  const [tone, word] = STATES[row.state];
  return (
    <>
      <State tone={tone}>{word()}</State>
      {isOpen(row) && <span className="cell-note">{BY_PEOPLE.includes(row.kind) ? t("for you to answer") : t("carried out by the platform")}</span>}
      {row.reason && <span className="cell-note" lang="en">{row.reason.replaceAll("_", " ")}</span>}
    </>
  );
}
