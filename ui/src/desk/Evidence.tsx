// The claims that a document stands behind, and the documents, those first that end first.
import { Button, FileInput, Group, Modal, TagsInput, TextInput } from "@mantine/core";
import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { api, told } from "../api/client";
import { useMe } from "../api/me";
import type { components } from "../api/schema";
import { Confirm } from "../parts/Confirm";
import { DataTable } from "../parts/DataTable";
import { Empty, Loaded, Page, Problem, Section, State, type Tone } from "../parts/Page";
import { away, day, moment } from "../words/figures";
import { spoken, t, useLanguage } from "../words/language";
import { useAct } from "./act";
import { content } from "./content";
import { Reason } from "./Reason";

type Claim = components["schemas"]["Resting"];
const PAGE = 50;
const MONTH_MS = 30 * 24 * 3600 * 1000;

const BECAME: Record<string, readonly [Tone, () => string]> = {
  valid: ["good", () => t("valid")],
  early: ["open", () => t("not valid yet")],
  lapsed: ["bad", () => t("lapsed")],
  missing: ["bad", () => t("its file is missing")],
  changed: ["bad", () => t("its file was changed")],
};

export function Evidence() {
  useLanguage();
  const { staff } = useMe();
  const [adding, setAdding] = useState<string[] | null>(null);
  const [leaving, setLeaving] = useState<string | null>(null);
  const found = useInfiniteQuery({
    queryKey: ["desk", "evidence"],
    queryFn: ({ pageParam }) => told(api.GET("/api/desk/evidence", { params: { query: { limit: PAGE, ...(pageParam ? { after: pageParam } : {}) } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.after,
  });
  const claims = found.data?.pages[0]?.claims;
  return (
    <Page
      wide
      title={t("Evidence")}
      lead={t("What people do and code cannot show stands on the page while a document behind it is valid, and not a moment longer.")}
      act={staff === "operator" && <Button onClick={() => setAdding([])}>{t("Add a document")}</Button>}
    >
      <Section title={t("Claims")}>
        <Loaded of={{ ...found, data: claims }} lines={4}>
          {(all) =>
            all.length === 0 ? (
              <Empty title={t("The policy makes no claim that rests on a document")} />
            ) : (
              <ul className="rows">
                {all.toSorted(bySoonest).map((claim) => (
                  <Stands key={claim.name} of={claim} add={staff === "operator" ? () => setAdding([claim.name]) : undefined} />
                ))}
              </ul>
            )
          }
        </Loaded>
      </Section>
      <Section title={t("Documents")}>
        <DataTable
          label={t("Documents")}
          of={{ ...found, data: found.data?.pages.flatMap((page) => page.documents) }}
          id={(row) => row.id}
          pages={found}
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
                const [tone, said] = BECAME[row.became] ?? ["plain", () => row.became];
                return <State tone={tone}>{said()}</State>;
              },
            },
            { title: "SHA-256", of: (row) => <code title={row.sha256}>{row.sha256.slice(0, 12)}…</code> },
            {
              title: t("Act"),
              of: (row) =>
                staff === "operator" ? (
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
      <Modal opened={adding !== null} onClose={() => setAdding(null)} size="lg" title={t("Add a document")} closeButtonProps={{ "aria-label": t("Close") }}>
        {adding && <Add names={adding} known={claims?.map((each) => each.name) ?? []} done={() => setAdding(null)} />}
      </Modal>
      {leaving && <Withdraw name={leaving} done={() => setLeaving(null)} />}
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
    <li className="row">
      <div className="row-main">
        <p className="row-title">
          <code>{claim.name}</code>
        </p>
        {claim[spoken()].map((sentence) => (
          <p className="note" key={sentence}>
            {sentence}
          </p>
        ))}
      </div>
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
    </li>
  );
}

function Add({ names: begun, known, done }: { names: string[]; known: string[]; done: () => void }) {
  const queries = useQueryClient();
  const [file, setFile] = useState<File | null>(null);
  const [names, setNames] = useState(begun);
  const [issuer, setIssuer] = useState("");
  const [from, setFrom] = useState(new Date().toISOString().slice(0, 10));
  const [until, setUntil] = useState("");
  const adding = useAct(
    async () => {
      const dates = { valid_from: `${from}T00:00:00Z`, valid_until: `${until}T00:00:00Z` };
      return told(api.POST("/api/desk/evidence", { body: { names, issuer, content: await content(file as File), ...dates } }));
    },
    async () => {
      await queries.invalidateQueries({ queryKey: ["desk"] });
      done();
    },
  );
  const send = (event: FormEvent) => {
    event.preventDefault();
    adding.run();
  };
  return (
    <form className="stack" onSubmit={send}>
      <FileInput label={t("File")} description={t("20 MB at most. Its SHA-256 is kept beside it.")} required withAsterisk={false} placeholder={t("Choose a file")} value={file} onChange={setFile} />
      <TagsInput label={t("Stands behind")} description={t("The names by which the policy calls it. Press Enter after each.")} data={known} value={names} onChange={setNames} />
      <TextInput label={t("Issued by")} required withAsterisk={false} maxLength={200} dir="auto" value={issuer} onChange={(event) => setIssuer(event.currentTarget.value)} />
      <div className="grid-2">
        <TextInput type="date" label={t("Valid from (UTC)")} required withAsterisk={false} value={from} onChange={(event) => setFrom(event.currentTarget.value)} />
        <TextInput type="date" label={t("Until before (UTC)")} required withAsterisk={false} value={until} onChange={(event) => setUntil(event.currentTarget.value)} />
      </div>
      <Problem error={adding.error} />
      <Group justify="flex-end">
        <Button type="submit" loading={adding.isPending} disabled={!file || names.length === 0 || !issuer.trim() || !from || !until}>
          {t("Keep it")}
        </Button>
      </Group>
    </form>
  );
}

function Withdraw({ name, done }: { name: string; done: () => void }) {
  const queries = useQueryClient();
  const [reason, setReason] = useState("");
  return (
    <Confirm
      opened
      title={t("Withdraw the documents of {name}?", { name })}
      go={t("Withdraw")}
      close={done}
      ready={reason.trim() !== ""}
      run={async () => {
        await told(api.POST("/api/desk/evidence/withdraw", { body: { name, reason } }));
        await queries.invalidateQueries({ queryKey: ["desk"] });
      }}
    >
      <p>{t("Their files are deleted, and what rests on them leaves the page at once. The history says that it did.")}</p>
      <Reason value={reason} set={setReason} isOfPlatform />
    </Confirm>
  );
}
