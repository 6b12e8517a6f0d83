// The record of who looked at whom and who changed what, searched by the auditor; the search itself stands on it.
import { Button, Select, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";

import { api, told } from "../api/client";
import { useNames } from "../api/me";
import { usePaged } from "../api/paged";
import { DataTable } from "../parts/DataTable";
import { Empty, Page, State } from "../parts/Page";
import { moment, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { Reason } from "./Reason";

const PAGE = 50;

interface Sought {
  subject: string;
  actor: string;
  act: string;
  category: string;
  outcome: string;
  since: string;
  until: string;
}
const NOTHING: Sought = { subject: "", actor: "", act: "", category: "", outcome: "", since: "", until: "" };

/** Every page that is asked for is a search of its own on the record, with the same reason. */
export function Record() {
  useLanguage();
  const name = useNames();
  const [sought, setSought] = useState(NOTHING);
  const [reason, setReason] = useState("");
  const [asked, setAsked] = useState<(Sought & { reason: string }) | null>(null);
  const found = usePaged({
    key: ["desk", "record", asked],
    page: (after: string | null) => told(api.POST("/api/desk/openings", { body: { ...wanted(asked ?? NOTHING), reason: asked?.reason ?? "", after, limit: PAGE } })),
    rows: (page) => page.openings,
    end: (page) => page.after,
    // What is on the record is asked for by whoever presses the button: nothing that has changed elsewhere asks again.
    options: { enabled: asked !== null, staleTime: "static", refetchOnWindowFocus: false, refetchOnReconnect: false },
  });
  const field = (of: keyof Sought, label: string, more: { type?: string; description?: string } = {}) => (
    <TextInput size="sm" label={label} {...more} value={sought[of]} onChange={(event) => setSought({ ...sought, [of]: event.currentTarget.value })} />
  );
  const search = (event: FormEvent) => {
    event.preventDefault();
    setAsked({ ...sought, reason });
  };
  return (
    <Page wide title={t("Record")} lead={t("Who looked at whom, for what and when. Reasons stay sealed; that you searched stands here too.")}>
      <form className="stack" onSubmit={search}>
        <div className="grid-2">
          {field("subject", t("Person (id)"), { description: t("empty: everybody") })}
          {field("actor", t("By whom"), { description: t("such as staff:ID") })}
          {field("act", t("Act"), { description: t("such as “grant credit”") })}
          {field("category", t("Category"), { description: t("as the policy names it") })}
          <Select
            size="sm"
            label={t("Outcome")}
            description={t("what became of it")}
            value={sought.outcome}
            onChange={(value) => setSought({ ...sought, outcome: value ?? "" })}
            data={[
              { value: "", label: t("any") },
              { value: "opened", label: t("opened") },
              { value: "refused", label: t("refused") },
              { value: "done", label: t("done") },
            ]}
          />
          {field("since", t("From"), { type: "date", description: t("empty: from the first") })}
          {field("until", t("Until before"), { type: "date", description: t("empty: until now") })}
        </div>
        <Reason value={reason} set={setReason} isOfPlatform />
        <div>
          <Button type="submit" loading={found.isFetching && !found.more.isComing} disabled={!reason.trim()}>
            {t("Search the record")}
          </Button>
        </div>
      </form>
      {asked !== null && (
        <DataTable
          label={t("Record")}
          of={found}
          id={(row) => row.id}
          none={<Empty title={t("Nothing on the record fits")}>{t("Leave a field empty, and search again.")}</Empty>}
          columns={[
            { title: t("When"), isWhole: true, of: (row) => moment(row.at) },
            {
              title: t("Who"),
              of: (row) => (
                <>
                  {name("role", row.role)}
                  <code className="cell-note" title={row.actor}>
                    {short(row.actor)}
                  </code>
                </>
              ),
            },
            { title: t("What"), of: (row) => (row.act ? <span lang="en">{row.act}</span> : t("opened {count}", { count: number(row.count) })) },
            { title: t("Category"), of: (row) => name("category", row.category) },
            { title: t("For"), of: (row) => name("purpose", row.purpose) },
            { title: t("Outcome"), of: (row) => (row.outcome === "refused" ? <State tone="bad">{t("refused")}</State> : row.outcome === "done" ? t("done") : t("opened")) },
            { title: t("Person"), of: (row) => <code title={row.subject_id}>…{row.subject_id.slice(-8)}</code> },
          ]}
        />
      )}
    </Page>
  );
}

function short(actor: string): string {
  const [kind, id = ""] = actor.split(":");
  return id.length > 12 ? `${kind}:…${id.slice(-8)}` : actor;
}

function wanted(sought: Sought) {
  const time = (day: string) => (day ? `${day}T00:00:00Z` : null);
  const { subject, actor, act, category, outcome } = sought;
  return {
    subject: subject.trim() || null,
    actor: actor.trim() || null,
    act: act.trim() || null,
    category: category.trim() || null,
    outcome: outcome || null,
    since: time(sought.since),
    until: time(sought.until),
  };
}
