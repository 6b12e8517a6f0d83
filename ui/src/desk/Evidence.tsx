// The claims that a document stands behind, and the documents, those first that end first.
import { Button, FileInput, TagsInput, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMay } from "../api/me";
import { usePaged } from "../api/paged";
import type { components } from "../api/schema";
import { DataTable } from "../parts/DataTable";
import { Ask } from "../parts/Dialog";
import { Empty, Page, Section, State, type Tone } from "../parts/Page";
import { Row, Rows } from "../parts/Rows";
import { away, day, moment } from "../words/figures";
import { spoken, t, useLanguage } from "../words/language";
import { content } from "./content";
import { Reason } from "./Reason";

type Claim = components["schemas"]["Resting"];
type Document = components["schemas"]["Document"];
const PAGE = 50;
const MONTH_MS = 30 * 24 * 3600 * 1000;

const BECAME: Record<Document["became"], readonly [Tone, () => string]> = {
  valid: ["good", () => t("valid")],
  early: ["open", () => t("not valid yet")],
  lapsed: ["bad", () => t("lapsed")],
  missing: ["bad", () => t("its file is missing")],
  changed: ["bad", () => t("its file was changed")],
  withdrawn: ["plain", () => t("withdrawn")],
};

export function Evidence() {
  useLanguage();
  const may = useMay();
  const [adding, setAdding] = useState<string[] | null>(null);
  const [leaving, setLeaving] = useState<string | null>(null);
  const found = usePaged({
    key: ["desk", "evidence"],
    page: (after: string | null) => told(api.GET("/api/desk/evidence", { params: { query: { limit: PAGE, after } } })),
    rows: (page) => page.documents,
    end: (page) => page.after,
  });
  const claims = found.first?.claims;
  return (
    <Page
      wide
      title={t("Evidence")}
      lead={t("What people do and code cannot show stands on the page while a document behind it is valid, and not a moment longer.")}
      act={may("POST /api/desk/evidence") && <Button onClick={() => setAdding([])}>{t("Add a document")}</Button>}
    >
      <Section title={t("Claims")}>
        <Rows
          of={{ ...found, data: claims?.toSorted(bySoonest), more: undefined }}
          lines={4}
          none={<Empty title={t("The policy makes no claim that rests on a document")} />}
          row={(claim) => <Stands key={claim.name} of={claim} add={may("POST /api/desk/evidence") ? () => setAdding([claim.name]) : undefined} />}
        />
      </Section>
      <Section title={t("Documents")}>
        <DataTable
          label={t("Documents")}
          of={found}
          id={(row) => row.id}
          none={<Empty title={t("No document yet")}>{t("A document is kept sealed beside the database, with who issued it and from when until when it holds.")}</Empty>}
          columns={[
            { title: t("Name"), of: (row) => <code>{row.name}</code> },
            { title: t("Issued by"), of: (row) => <bdi>{row.issuer}</bdi> },
            {
              title: t("Until"),
              of: (row) => (
                <>
                  {day(row.valid_until)}
                  <span className="cell-note">{t("from {day}", { day: day(row.valid_from) })}</span>
                </>
              ),
            },
            {
              title: t("State"),
              of: (row) => {
                const [tone, said] = BECAME[row.became];
                return <State tone={tone}>{said()}</State>;
              },
            },
            { title: "SHA-256", of: (row) => <code title={row.sha256}>{row.sha256.slice(0, 12)}…</code> },
            {
              title: t("Act"),
              of: (row) =>
                may("POST /api/desk/evidence/withdraw") ? (
                  <Button variant="default" size="xs" onClick={() => setLeaving(row.name)} aria-label={t("Withdraw {name}", { name: row.name })}>
                    {t("Withdraw")}
                  </Button>
                ) : (
                  "–"
                ),
            },
          ]}
        />
      </Section>
      {adding && <Add names={adding} known={claims?.map((each) => each.name) ?? []} close={() => setAdding(null)} />}
      {leaving && <Withdraw name={leaving} close={() => setLeaving(null)} />}
    </Page>
  );
}

/** What ends soonest first; what has no document at all stands behind. */
function bySoonest(one: Claim, other: Claim): number {
  return (one.until ?? "9").localeCompare(other.until ?? "9");
}

function Stands({ of: claim, add }: { of: Claim; add: (() => void) | undefined }) {
  const isSoon = claim.until !== null && claim.until !== undefined && new Date(claim.until).getTime() - Date.now() < MONTH_MS;
  return (
    <Row
      title={<code>{claim.name}</code>}
      end={
        <div className="row-end">
          <State tone={!claim.valid ? "plain" : isSoon ? "open" : "good"}>{claim.valid ? t("on the page") : t("not published")}</State>
          {claim.until && (
            <p className="note" title={moment(claim.until)}>
              {t("lapses {when}", { when: away(claim.until) })}
            </p>
          )}
          {!claim.valid && add && (
            <p>
              <button type="button" className="link note" onClick={add}>
                {t("Add its document")}
              </button>
            </p>
          )}
        </div>
      }
    >
      {claim[spoken()].map((sentence) => (
        <p className="note" key={sentence}>
          {sentence}
        </p>
      ))}
    </Row>
  );
}

function Add({ names: begun, known, close }: { names: string[]; known: string[]; close: () => void }) {
  const queries = useQueryClient();
  const [file, setFile] = useState<File | null>(null);
  const [names, setNames] = useState(begun);
  const [issuer, setIssuer] = useState("");
  const [from, setFrom] = useState(new Date().toISOString().slice(0, 10));
  const [until, setUntil] = useState("");
  const add = async () => {
    const dates = { valid_from: `${from}T00:00:00Z`, valid_until: `${until}T00:00:00Z` };
    return told(api.POST("/api/desk/evidence", { body: { names, issuer, content: await content(file as File), ...dates } }));
  };
  return (
    <Ask
      title={t("Add a document")}
      size="lg"
      go={t("Keep it")}
      close={close}
      isReady={file !== null && names.length > 0 && issuer.trim() !== "" && from !== "" && until !== ""}
      run={add}
      done={() => queries.invalidateQueries({ queryKey: ["desk"] })}
    >
      <FileInput label={t("File")} description={t("20 MB at most. Its SHA-256 is kept beside it.")} required withAsterisk={false} placeholder={t("Choose a file")} value={file} onChange={setFile} />
      <TagsInput label={t("Stands behind")} description={t("The names by which the policy calls it. Press Enter after each.")} data={known} value={names} onChange={setNames} />
      <TextInput label={t("Issued by")} required withAsterisk={false} maxLength={200} dir="auto" value={issuer} onChange={(event) => setIssuer(event.currentTarget.value)} />
      <div className="grid-2">
        <TextInput type="date" label={t("Valid from (UTC)")} required withAsterisk={false} value={from} onChange={(event) => setFrom(event.currentTarget.value)} />
        <TextInput type="date" label={t("Until before (UTC)")} required withAsterisk={false} value={until} onChange={(event) => setUntil(event.currentTarget.value)} />
      </div>
    </Ask>
  );
}

function Withdraw({ name, close }: { name: string; close: () => void }) {
  const queries = useQueryClient();
  const [reason, setReason] = useState("");
  return (
    <Ask
      isDangerous
      title={t("Withdraw the documents of {name}?", { name })}
      go={t("Withdraw")}
      close={close}
      isReady={reason.trim() !== ""}
      run={() => told(api.POST("/api/desk/evidence/withdraw", { body: { name, reason } }))}
      done={() => queries.invalidateQueries({ queryKey: ["desk"] })}
    >
      <p>{t("Their files are deleted, and what rests on them leaves the page at once. The history says that it did.")}</p>
      <Reason value={reason} set={setReason} isOfPlatform />
    </Ask>
  );
}
