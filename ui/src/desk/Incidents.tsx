// What the operator has to look into: connections that were refused, and documents that stand behind their claims no more.
import { Button, Switch } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMay } from "../api/me";
import { usePaged } from "../api/paged";
import type { components } from "../api/schema";
import { DataTable } from "../parts/DataTable";
import { Ask } from "../parts/Dialog";
import { Empty, Page, State } from "../parts/Page";
import { moment, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { Reason } from "./Reason";

type Incident = components["schemas"]["Incident"];
const PAGE = 50;

const KINDS: Record<Incident["kind"], () => string> = {
  egress: () => t("A connection was refused"),
  evidence: () => t("A document holds no more"),
};

export function Incidents() {
  useLanguage();
  const may = useMay();
  const [isOpenOnly, setOpenOnly] = useState(true);
  const [closing, setClosing] = useState<Incident | null>(null);
  const found = usePaged({
    key: ["desk", "incidents", isOpenOnly],
    page: (after: string | null) => told(api.GET("/api/desk/incidents", { params: { query: { open: isOpenOnly, limit: PAGE, after } } })),
    rows: (page) => page.incidents,
    end: (page) => page.after,
  });
  return (
    <Page wide title={t("Incidents")} lead={t("What happens again while an incident is open is counted, not listed anew.")}>
      <Switch label={t("Open ones only")} checked={isOpenOnly} onChange={(event) => setOpenOnly(event.currentTarget.checked)} />
      <DataTable
        label={t("Incidents")}
        of={found}
        id={(row) => row.id}
        none={<Empty title={t("Nothing to look into")}>{t("A refused connection or a lapsed document appears here by itself.")}</Empty>}
        columns={[
          {
            title: t("What"),
            of: (row) => (
              <>
                {KINDS[row.kind]()}
                <span className="cell-note">{row.part}</span>
              </>
            ),
          },
          { title: t("About"), of: (row) => <code>{row.about}</code> },
          { title: t("First"), isWhole: true, of: (row) => moment(row.first_at) },
          { title: t("Last"), isWhole: true, of: (row) => moment(row.last_at) },
          { title: t("Times"), isNumber: true, of: (row) => number(row.count) },
          {
            title: t("State"),
            of: (row) =>
              row.closed_at ? (
                <State tone="plain">{t("closed {time}", { time: moment(row.closed_at) })}</State>
              ) : !may("POST /api/desk/incidents/{id}/close") ? (
                <State tone="open">{t("open")}</State>
              ) : (
                <Button variant="default" size="xs" onClick={() => setClosing(row)} aria-label={t("Close the incident about {what}", { what: row.about })}>
                  {t("Close it")}
                </Button>
              ),
          },
        ]}
      />
      {closing && <Close of={closing} close={() => setClosing(null)} />}
    </Page>
  );
}

function Close({ of: incident, close }: { of: Incident; close: () => void }) {
  const queries = useQueryClient();
  const [reason, setReason] = useState("");
  return (
    <Ask
      title={t("Close this incident?")}
      go={t("Close it")}
      close={close}
      isReady={reason.trim() !== ""}
      run={() => told(api.POST("/api/desk/incidents/{id}/close", { params: { path: { id: incident.id } }, body: { reason } }))}
      done={() => queries.invalidateQueries({ queryKey: ["desk"] })}
    >
      <p>{t("If it happens again, a new incident opens.")}</p>
      <Reason value={reason} set={setReason} isOfPlatform />
    </Ask>
  );
}
