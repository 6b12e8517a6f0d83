// What the operator has to look into: connections that were refused, and documents that stand behind their claims no more.
import { Button, Switch } from "@mantine/core";
import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMe } from "../api/me";
import type { components } from "../api/schema";
import { Confirm } from "../parts/Confirm";
import { DataTable } from "../parts/DataTable";
import { Empty, Page, State } from "../parts/Page";
import { moment, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { Reason } from "./Reason";

type Incident = components["schemas"]["Incident"];
const PAGE = 50;

const KINDS: Record<string, () => string> = {
  egress: () => t("A connection was refused"),
  evidence: () => t("A document holds no more"),
};

export function Incidents() {
  useLanguage();
  const { staff } = useMe();
  const [isOpenOnly, setOpenOnly] = useState(true);
  const [closing, setClosing] = useState<Incident | null>(null);
  const found = useInfiniteQuery({
    queryKey: ["desk", "incidents", isOpenOnly],
    queryFn: ({ pageParam }) =>
      told(api.GET("/api/desk/incidents", { params: { query: { open: isOpenOnly, limit: PAGE, ...(pageParam ? { after: pageParam } : {}) } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.after,
  });
  return (
    <Page wide title={t("Incidents")} lead={t("What happens again while an incident is open is counted, not listed anew.")}>
      <Switch label={t("Open ones only")} checked={isOpenOnly} onChange={(event) => setOpenOnly(event.currentTarget.checked)} />
      <DataTable
        label={t("Incidents")}
        of={{ ...found, data: found.data?.pages.flatMap((page) => page.incidents) }}
        id={(row) => row.id}
        pages={found}
        none={<Empty title={t("Nothing to look into")}>{t("A refused connection or a lapsed document appears here by itself.")}</Empty>}
        columns={[
          {
            title: t("What"),
            of: (row) => (
              <>
                {KINDS[row.kind]?.() ?? row.kind}
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
              ) : staff === "auditor" ? (
                <State tone="open">{t("open")}</State>
              ) : (
                <Button variant="default" size="xs" onClick={() => setClosing(row)} aria-label={t("Close the incident about {what}", { what: row.about })}>
                  {t("Close it")}
                </Button>
              ),
          },
        ]}
      />
      {closing && <Close of={closing} done={() => setClosing(null)} />}
    </Page>
  );
}

function Close({ of: incident, done }: { of: Incident; done: () => void }) {
  const queries = useQueryClient();
  const [reason, setReason] = useState("");
  return (
    <Confirm
      opened
      title={t("Close this incident?")}
      go={t("Close it")}
      close={done}
      ready={reason.trim() !== ""}
      run={async () => {
        await told(api.POST("/api/desk/incidents/{id}/close", { params: { path: { id: incident.id } }, body: { reason } }));
        await queries.invalidateQueries({ queryKey: ["desk"] });
      }}
    >
      <p>{t("If it happens again, a new incident opens.")}</p>
      <Reason value={reason} set={setReason} isOfPlatform />
    </Confirm>
  );
}
