// The policy as it is in force, an editor that says what is wrong as one writes, and the plans that were made.
import { Button, Textarea, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useRef, useState } from "react";

import { api, told } from "../api/client";
import { useMay } from "../api/me";
import { usePaged } from "../api/paged";
import type { components } from "../api/schema";
import { DataTable } from "../parts/DataTable";
import { Empty, Figure, Loaded, Page, Problem, Section, State } from "../parts/Page";
import { day, moment, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { useAct } from "./act";
import { PLAN_STATES } from "./plans";

type Held = components["schemas"]["PolicyText"];
type Remark = components["schemas"]["Remark"];

const PAGE = 20;
const CHECK_MS = 400;
const DRAFT = "avow.policy-draft";

export function Policy() {
  useLanguage();
  const may = useMay();
  const held = useQuery({ queryKey: ["desk", "policy"], queryFn: () => told(api.GET("/api/desk/policy")) });
  return (
    <Page wide title={t("Policy")} lead={t("The policy is what the platform does. A change is planned first, on the data that is there; what takes data away needs two operators.")}>
      <Loaded of={held} lines={4}>
        {(policy) => (
          <>
            <dl className="figures">
              <Figure of={t("In force")} note={t("since {time}", { time: day(policy.in_force_at) })}>
                {t("Version {number}", { number: policy.version })}
              </Figure>
              {policy.coming.map((each) => (
                <Figure key={each.version} of={t("Published, and to come")} note={day(each.effective_at)}>
                  {t("Version {number}", { number: each.version })}
                </Figure>
              ))}
            </dl>
            <Editor held={policy} canPlan={may("POST /api/desk/policy/plans")} />
          </>
        )}
      </Loaded>
      <Plans />
    </Page>
  );
}

/** The draft stays in this tab until it is taken back or somebody signs out. */
function Editor({ held, canPlan }: { held: Held; canPlan: boolean }) {
  const navigate = useNavigate();
  const [source, setSource] = useState(() => sessionStorage.getItem(DRAFT) ?? held.source);
  const [from, setFrom] = useState("");
  const [settled] = useDebouncedValue(source, CHECK_MS);
  const text = useRef<HTMLTextAreaElement>(null);
  const isOther = source !== held.source;
  const checked = useQuery({
    queryKey: ["desk", "policy", "check", settled],
    queryFn: () => told(api.POST("/api/desk/policy/check", { body: { source: settled } })),
    placeholderData: keepPreviousData,
    enabled: settled.trim() !== "",
    gcTime: 0,
  });
  const remarks = checked.data?.remarks ?? [];
  const faults = remarks.filter((each) => each.kind === "error");
  const write = (next: string) => {
    setSource(next);
    if (next === held.source) sessionStorage.removeItem(DRAFT);
    else sessionStorage.setItem(DRAFT, next);
  };
  const planning = useAct(
    () => told(api.POST("/api/desk/policy/plans", { body: { source, effective_at: from ? new Date(from).toISOString() : null } })),
    (made) => navigate({ to: "/desk/policy/$id", params: { id: made.plan } }),
  );
  const goTo = (line: number) => {
    const area = text.current;
    if (!area || line < 1) return;
    const begin = source.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    area.focus();
    area.setSelectionRange(begin, begin);
    area.scrollTop = (area.scrollHeight / source.split("\n").length) * (line - 4);
  };
  return (
    <Section
      title={t("Write a change")}
      note={t("Raise the version by one, change what is to be changed, and plan it. Planning changes nothing.")}
      act={
        isOther && (
          <Button variant="default" size="xs" onClick={() => write(held.source)}>
            {t("Back to the text in force")}
          </Button>
        )
      }
    >
      <div className="editor">
        <div className="stack">
          <Textarea ref={text} aria-label={t("The text of the policy")} rows={24} spellCheck={false} value={source} onChange={(event) => write(event.currentTarget.value)} />
          {canPlan && (
            <form
              className="cluster"
              onSubmit={planning.submit}
            >
              <TextInput size="sm" type="datetime-local" label={t("Takes effect")} description={t("empty: as soon as it is applied")} value={from} onChange={(event) => setFrom(event.currentTarget.value)} />
              <Button type="submit" loading={planning.isPending} disabled={!isOther || faults.length > 0 || settled !== source}>
                {t("Plan this change")}
              </Button>
            </form>
          )}
          <Problem error={planning.error} />
        </div>
        <div className="stack" aria-live="polite">
          <State tone={checked.error || faults.length ? "bad" : checked.data ? "good" : "plain"}>
            {!checked.data
              ? t("looking through it")
              : faults.length
                ? t("{count} things to put right", { count: number(faults.length) })
                : t("a policy: version {number}", { number: checked.data.version ?? 0 })}
          </State>
          <Problem error={checked.error} retry={() => void checked.refetch()} />
          <ul className="remarks" tabIndex={0} aria-label={t("What is to be said of it")}>
            {remarks.map((each, place) => (
              <Said key={place} of={each} goTo={goTo} />
            ))}
          </ul>
        </div>
      </div>
    </Section>
  );
}

function Said({ of: remark, goTo }: { of: Remark; goTo: (line: number) => void }) {
  return (
    <li className={`remark ${remark.kind}`}>
      {remark.line > 0 && (
        <button type="button" className="link" onClick={() => goTo(remark.line)}>
          {t("Line {number}", { number: remark.line })}
        </button>
      )}{" "}
      <code>{remark.path}</code>
      <p lang="en">{remark.sentence}</p>
      <p className="note" lang="en">
        {remark.hint}
      </p>
    </li>
  );
}

function Plans() {
  const found = usePaged({
    key: ["desk", "plans"],
    page: (before: string | null) => told(api.GET("/api/desk/policy/plans", { params: { query: { limit: PAGE, before } } })),
    rows: (page) => page.plans,
    end: (page) => page.before,
  });
  return (
    <Section title={t("Plans")}>
      <DataTable
        label={t("Plans")}
        of={found}
        id={(row) => row.id}
        none={<Empty title={t("No change was planned yet")}>{t("A plan says what a change would do before it is done.")}</Empty>}
        columns={[
          {
            title: t("Plan"),
            of: (row) => (
              <Link to="/desk/policy/$id" params={{ id: row.id }}>
                {row.version ? t("Version {number}", { number: row.version }) : t("Plan of {time}", { time: moment(row.made_at) })}
              </Link>
            ),
          },
          {
            title: t("State"),
            of: (row) => {
              const [tone, said] = PLAN_STATES[row.state];
              return <State tone={tone}>{said()}</State>;
            },
          },
          { title: t("Made"), isWhole: true, of: (row) => moment(row.made_at) },
          { title: t("Takes effect"), of: (row) => (row.effective_at ? moment(row.effective_at) : t("when applied")) },
          { title: t("Takes data away"), of: (row) => (row.destructive ? (row.approved_by ? t("yes, approved") : t("yes, needs a second operator")) : row.destructive === false ? t("no") : "–") },
        ]}
      />
    </Section>
  );
}
