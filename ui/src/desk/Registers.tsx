// Who gets what on which ground: the entries of the register, those that were refused too, and what was seen to go out.
import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMay, useNames } from "../api/me";
import { usePaged } from "../api/paged";
import type { components } from "../api/schema";
import { DataTable } from "../parts/DataTable";
import { Empty, Loaded, Page, Problem, Section, State } from "../parts/Page";
import { day, moment, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { useAct } from "./act";
import { GROUNDS } from "./grounds";
import { NewEntry } from "./NewEntry";

type Listed = components["schemas"]["ListedEntry"];
const PAGE = 50;

export function Registers() {
  useLanguage();
  const may = useMay();
  const [writing, setWriting] = useState(false);
  const found = usePaged({
    key: ["desk", "register"],
    page: (after: string | null) => told(api.GET("/api/desk/register", { params: { query: { limit: PAGE, after } } })),
    rows: (page) => page.entries,
    end: (page) => page.after,
  });
  return (
    <Page
      wide
      title={t("Registers")}
      lead={t("Nothing goes to anybody without an entry that holds. One that breaks a rule is refused, and the refusal stays.")}
      act={may("POST /api/desk/register") && <Button onClick={() => setWriting(true)}>{t("Make an entry")}</Button>}
    >
      <Section title={t("Entries")}>
        <DataTable
          label={t("Entries")}
          of={found}
          id={(row) => row.id}
          none={<Empty title={t("No entry yet")}>{t("Processors that the policy names, and upstreams of our own, need none; everybody else does.")}</Empty>}
          columns={[
            {
              title: t("Recipient"),
              of: (row) => (
                <>
                  <span className="row-title">{row.entry.recipient}</span>
                  <code className="cell-note">{row.entry.name}</code>
                </>
              ),
            },
            { title: t("Ground"), of: (row) => <Ground of={row} /> },
            { title: t("What goes"), of: (row) => <What of={row} /> },
            { title: t("Made"), isWhole: true, of: (row) => day(row.made_at) },
            { title: t("Sent"), isNumber: true, of: (row) => number(row.sent) },
            { title: t("State"), of: (row) => <Stands of={row} canApprove={may("POST /api/desk/register/{name}/approve")} /> },
          ]}
        />
      </Section>
      <Observed />
      {writing && <NewEntry close={() => setWriting(false)} />}
    </Page>
  );
}

function Ground({ of: row }: { of: Listed }) {
  const { basis, region, process } = row.entry;
  return (
    <>
      {GROUNDS[basis]?.() ?? basis}
      <span className="cell-note">
        {region}
        {row.about_a_person && ` · ${t("about one person")}`}
      </span>
      {process && <span className="cell-note">{t("{authority}, until {day}", { authority: process.authority, day: day(process.valid_until) })}</span>}
    </>
  );
}

function What({ of: row }: { of: Listed }) {
  const name = useNames();
  const kinds = Object.entries(row.entry.fields);
  if (kinds.length === 0) return <>{t("nothing of a person")}</>;
  return (
    <>
      {kinds.map(([category, fields]) => (
        <span className="cell-note" key={category}>
          {name("category", category)}: {fields.map((each) => name("field", each)).join(", ")}
        </span>
      ))}
    </>
  );
}

function Stands({ of: row, canApprove }: { of: Listed; canApprove: boolean }) {
  const queries = useQueryClient();
  const approving = useAct(
    () => told(api.POST("/api/desk/register/{name}/approve", { params: { path: { name: row.entry.name } } })),
    () => queries.invalidateQueries({ queryKey: ["desk", "register"] }),
  );
  if (row.refused)
    return (
      <>
        <State tone="bad">{t("refused")}</State>
        <span className="cell-note" lang="en">
          {row.refused.replaceAll("_", " ")}
        </span>
      </>
    );
  if (row.ended) return <State tone="plain">{t("ended")}</State>;
  if (row.approved >= row.needed) return <State tone="good">{t("holds")}</State>;
  return (
    <>
      <State tone="open">{t("{count} of {needed} approve", { count: number(row.approved), needed: number(row.needed) })}</State>
      {canApprove && (
        <span className="cell-note">
          <Button variant="default" size="compact-xs" loading={approving.isPending} onClick={() => approving.run()} aria-label={t("Approve {name}", { name: row.entry.name })}>
            {t("Approve")}
          </Button>
        </span>
      )}
      <Problem error={approving.error} />
    </>
  );
}

/** What the records of processing (GDPR Art. 30) say of the ways out, as far as this screen tells it. */
interface Ropa {
  observed: { part: string; host: string; entry: string; last_at: string }[];
  drift: string[];
}

function Observed() {
  const found = useQuery({ queryKey: ["desk", "ropa"], queryFn: async () => (await told(api.GET("/api/desk/ropa"))) as unknown as Ropa });
  return (
    <Section title={t("What was seen to go out")} note={t("Each host that a part of the platform has spoken with, under which entry.")}>
      <Loaded of={found} lines={3}>
        {({ drift }) =>
          drift.length > 0 && (
            <div className="problem" role="alert">
              {t("Spoken with under an entry that does not hold now: {hosts}", { hosts: drift.join(", ") })}
            </div>
          )
        }
      </Loaded>
      <DataTable
        label={t("What was seen to go out")}
        of={{ ...found, data: found.data?.observed }}
        id={(row) => `${row.part} ${row.host}`}
        none={<Empty title={t("Nothing has left this house")} />}
        columns={[
          { title: t("Part"), of: (row) => row.part },
          { title: t("Host"), of: (row) => <code>{row.host}</code> },
          { title: t("Entry"), of: (row) => <code>{row.entry}</code> },
          { title: t("Last"), isWhole: true, of: (row) => moment(row.last_at) },
        ]}
      />
    </Section>
  );
}
