// One plan of a change of the policy: what it would do, in words, who is to be told, and what was wanted of it.
import { Button, Group } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMay, useMe, useNames } from "../api/me";
import type { components } from "../api/schema";
import { DataTable } from "../parts/DataTable";
import { Ask } from "../parts/Dialog";
import { Empty, Loaded, Page, Problem, Section, State, type Tone } from "../parts/Page";
import { Row } from "../parts/Rows";
import { moment, number } from "../words/figures";
import { spoken, t, useLanguage } from "../words/language";
import { useAct } from "./act";
import { PLAN_STATES } from "./plans";

type Shown = components["schemas"]["Shown"];
const LOOK_MS = 700;

/** What a plan found (`outlook.Outlook`), as far as this screen tells it. */
interface Found {
  change: {
    changes: { path: string; old: unknown; new: unknown; direction: string }[];
    sentences: { clause: string; locale: string; old: string | null; new: string | null }[];
  };
  cuts: { store: string; categories: string[]; shortened: number; expired: number }[];
  lapses: { purpose: string; people: number }[];
  processors: { name: string; loses: string[]; facts: number }[];
  notice: { kind: string; channels: string[]; people: number };
  stricter: string[];
  destructive: boolean;
}

const DIRECTIONS: Record<string, readonly [Tone, () => string]> = {
  tightening: ["good", () => t("tightens")],
  loosening: ["open", () => t("loosens")],
  neutral: ["plain", () => t("neither")],
};

export function Plan() {
  useLanguage();
  const { id } = useParams({ strict: false }) as { id: string };
  const found = useQuery({
    queryKey: ["desk", "plan", id],
    queryFn: () => told(api.GET("/api/desk/policy/plans/{id}", { params: { path: { id } } })),
    refetchInterval: (query) => (isWaiting(query.state.data) ? LOOK_MS : false),
  });
  return (
    <Page
      wide
      title={found.data?.version ? t("Plan for version {number}", { number: found.data.version }) : t("Plan of a change")}
      lead={<Link to="/desk/policy">{t("All plans, and the editor")}</Link>}
    >
      <Loaded of={found} lines={6}>
        {(plan) => (
          <>
            <Stands of={plan} />
            {plan.found && <Told of={plan.found as unknown as Found} />}
          </>
        )}
      </Loaded>
    </Page>
  );
}

function isWaiting(plan: Shown | undefined): boolean {
  return plan !== undefined && (plan.state === "waiting" || plan.wishes.some((each) => each.state === "waiting"));
}

function Stands({ of: plan }: { of: Shown }) {
  const { id: me } = useMe();
  const may = useMay();
  const queries = useQueryClient();
  const [applying, setApplying] = useState(false);
  const refresh = () => queries.invalidateQueries({ queryKey: ["desk"] });
  const path = { params: { path: { id: plan.id } } };
  const approving = useAct(() => told(api.POST("/api/desk/policy/plans/{id}/approve", path)), refresh);
  const [tone, said] = PLAN_STATES[plan.state];
  const isMine = plan.made_by === `staff:${me}`;
  const needsOther = plan.destructive === true && !plan.approved_by;
  return (
    <>
      <dl className="facts">
        <dt>{t("State")}</dt>
        <dd>
          <State tone={tone}>{said()}</State>
        </dd>
        <dt>{t("Takes effect")}</dt>
        <dd>{plan.effective_at ? moment(plan.effective_at) : t("as soon as it is applied")}</dd>
        <dt>{t("Made by")}</dt>
        <dd>
          <By of={plan.made_by} /> · {moment(plan.made_at)}
        </dd>
        {plan.approved_by && (
          <>
            <dt>{t("Approved by")}</dt>
            <dd>
              <By of={plan.approved_by} />
            </dd>
          </>
        )}
      </dl>
      <Refusals of={plan} />
      {isWaiting(plan) && (
        <p className="note" role="status">
          {t("The keeper works on it; this page follows.")}
        </p>
      )}
      {plan.state === "made" && may("POST /api/desk/policy/plans/{id}/apply") && (
        <div className="stack">
          {needsOther && <p className="note">{isMine ? t("It takes data away: another operator has to approve it.") : t("It takes data away: approve it if you stand behind it, and it can be applied.")}</p>}
          <Problem error={approving.error} />
          <Group gap="sm">
            {plan.destructive && !plan.approved_by && !isMine && (
              <Button variant="default" loading={approving.isPending} disabled={isWaiting(plan)} onClick={() => approving.run()}>
                {t("Approve it")}
              </Button>
            )}
            <Button disabled={needsOther || isWaiting(plan)} onClick={() => setApplying(true)}>
              {t("Apply it")}
            </Button>
          </Group>
        </div>
      )}
      {applying && (
        <Ask isDangerous title={t("Apply this change?")} go={t("Apply it")} close={() => setApplying(false)} run={() => told(api.POST("/api/desk/policy/plans/{id}/apply", path))} done={refresh}>
          <p>{t("The version is published. What it tightens holds at once and ends data that is there; that cannot be taken back by a later change.")}</p>
        </Ask>
      )}
    </>
  );
}

function By({ of: name }: { of: string }) {
  const { id } = useMe();
  if (name === `staff:${id}`) return <>{t("you")}</>;
  return name.startsWith("staff:") ? <code title={name}>…{name.slice(-8)}</code> : <>{t("whoever has the terminal")}</>;
}

function Refusals({ of: plan }: { of: Shown }) {
  const refused = plan.wishes.filter((each) => each.state === "refused");
  return (
    <>
      {refused.map((each) => (
        <div className="problem" role="alert" key={each.id} lang="en">
          <span>
            {each.detail} {each.hint}
          </span>
        </div>
      ))}
    </>
  );
}

function Told({ of: found }: { of: Found }) {
  const locale = spoken();
  const sentences = found.change.sentences.filter((each) => each.locale === locale);
  return (
    <>
      <Ends of={found} />
      <Section title={t("Sentences that read otherwise")} note={t("As people read them, in your language; both languages change with the same rules.")}>
        {sentences.length === 0 ? (
          <Empty title={t("No published sentence changes")} />
        ) : (
          <ul className="rows">
            {sentences.map((each) => (
              <li className="change" key={each.clause}>
                <span className="note">{each.old === null ? t("new") : each.new === null ? t("goes") : t("changes")}</span>
                <div className="stack">
                  {each.old !== null && (
                    <p>
                      <del>{each.old}</del>
                    </p>
                  )}
                  {each.new !== null && (
                    <p>
                      <ins>{each.new}</ins>
                    </p>
                  )}
                </div>
              </li>
            ))}
          </ul>
        )}
      </Section>
      <Section title={t("Rules that change")}>
        <DataTable
          label={t("Rules that change")}
          of={{ data: found.change.changes, error: null, refetch: () => undefined }}
          id={(row) => row.path}
          none={<Empty title={t("No rule changes")} />}
          columns={[
            { title: t("Rule"), of: (row) => <code>{row.path}</code> },
            {
              title: t("Means"),
              of: (row) => {
                const [tone, said] = DIRECTIONS[row.direction] ?? ["plain", () => row.direction];
                return <State tone={tone}>{said()}</State>;
              },
            },
            { title: t("Was"), of: (row) => <Value of={row.old} /> },
            { title: t("Becomes"), of: (row) => <Value of={row.new} /> },
          ]}
        />
      </Section>
    </>
  );
}

function Ends({ of: found }: { of: Found }) {
  const name = useNames();
  const { cuts, lapses, processors, notice } = found;
  return (
    <Section title={t("What it does to what is there")}>
      <ul className="rows">
        {cuts.map((cut) => (
          <Row
            key={cut.store}
            title={cut.categories.map((each) => name("category", each)).join(", ")}
            note={t("{shortened} records end sooner, {expired} of them at once", { shortened: number(cut.shortened), expired: number(cut.expired) })}
            end={<State tone="bad">{t("takes data away")}</State>}
          />
        ))}
        {lapses.map((lapse) => (
          <Row key={lapse.purpose} title={name("purpose", lapse.purpose)} note={t("the consent of {people} people lapses", { people: number(lapse.people) })} />
        ))}
        {processors.map((party) => (
          <Row key={party.name} title={party.name} note={t("gets no more: {what}", { what: party.loses.map((each) => name("category", each)).join(", ") })} />
        ))}
        <Row
          title={t("Who is told")}
          note={
            notice.channels.length === 0
              ? t("nobody; the change stands on the page of changes")
              : t("{people} people one by one; by {channels}", { people: number(notice.people), channels: notice.channels.map(channel).join(", ") })
          }
        />
        {cuts.length + lapses.length + processors.length === 0 && (
          <li className="row">
            <p className="row-title">{t("No record ends sooner, no consent lapses, nobody is cut off")}</p>
          </li>
        )}
      </ul>
    </Section>
  );
}

const CHANNELS: Record<string, () => string> = {
  email: () => t("e-mail"),
  banner: () => t("in the dashboard"),
  page: () => t("the policy's page"),
};

function channel(name: string): string {
  return CHANNELS[name]?.() ?? name;
}

function Value({ of: value }: { of: unknown }) {
  if (value === null || value === undefined) return <>–</>;
  const isPlain = Array.isArray(value) && value.every((each) => typeof each !== "object");
  return <span lang="en">{typeof value === "string" ? value : isPlain ? value.join(" ") : JSON.stringify(value)}</span>;
}
