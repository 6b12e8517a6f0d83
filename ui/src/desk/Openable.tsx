// What the policy lets a role open of somebody's data, category by category; on record before anything is shown.
import { Button, Select } from "@mantine/core";
import { Fragment, useState } from "react";

import { api, told } from "../api/client";
import type { Account } from "../api/desk";
import { useChoices, useMe, useNames } from "../api/me";
import type { components } from "../api/schema";
import { Empty, Problem, Section } from "../parts/Page";
import { moment } from "../words/figures";
import { t } from "../words/language";
import { useAct } from "./act";
import { Reason } from "./Reason";

type Seen = components["schemas"]["Seen"];
const PAGE = 20;

export function Openable({ of: account }: { of: Account }) {
  const name = useNames();
  const categories = useChoices("category");
  const { purposes } = useMe();
  const [category, setCategory] = useState("account");
  const [purpose, setPurpose] = useState(purposes[0] ?? "");
  const [reason, setReason] = useState("");
  const [seen, setSeen] = useState<{ facts: Seen[]; after: string | null } | null>(null);
  const opening = useAct(
    async (after: string | null) => {
      const body = { subject: account.subject, category, purpose, reason, after, limit: PAGE };
      const page = await told(api.POST("/api/desk/open", { body }));
      return { facts: after ? [...(seen?.facts ?? []), ...page.facts] : page.facts, after: page.after ?? null };
    },
    setSeen,
  );
  return (
    <Section title={t("Open their data")} note={t("The policy says which role may open what, and for what. The person sees that you did, and why.")}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          setSeen(null);
          opening.run(null);
        }}
      >
        <div className="grid-2">
          <Select size="sm" label={t("Category")} value={category} onChange={(value) => setCategory(value ?? "account")} data={categories} />
          <Select size="sm" label={t("Purpose")} value={purpose} onChange={(value) => setPurpose(value ?? "")} data={purposes.map((value) => ({ value, label: name("purpose", value) }))} />
        </div>
        <Reason value={reason} set={setReason} />
        <Problem error={opening.error} />
        <div>
          <Button type="submit" variant="default" loading={opening.isPending} disabled={!reason.trim()}>
            {t("Open it")}
          </Button>
        </div>
      </form>
      {seen && seen.facts.length === 0 && <Empty title={t("There is nothing of this category")} />}
      {seen?.facts.map((fact) => <Fact key={`${fact.store} ${fact.id}`} of={fact} />)}
      {seen?.after && (
        <div>
          <Button variant="default" size="xs" loading={opening.isPending} onClick={() => opening.run(seen.after)}>
            {t("Show more")}
          </Button>
        </div>
      )}
    </Section>
  );
}

function Fact({ of: fact }: { of: Seen }) {
  const name = useNames();
  return (
    <div className="card stack">
      <p className="row-note">
        <span>{fact.store}</span>
        <span>{moment(fact.since)}</span>
        {fact.ends_at && <span>{t("ends {time}", { time: moment(fact.ends_at) })}</span>}
      </p>
      {fact.fields ? (
        <dl className="facts">
          {Object.entries(fact.fields).map(([field, value]) => (
            <Fragment key={field}>
              <dt>{name("field", field)}</dt>
              <dd dir="auto">{typeof value === "string" ? value : JSON.stringify(value)}</dd>
            </Fragment>
          ))}
        </dl>
      ) : (
        <p className="note">{t("Its key is destroyed; nobody can read it.")}</p>
      )}
    </div>
  );
}
