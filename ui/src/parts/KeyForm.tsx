// What a key may do: its name, its end, which models, how much, from where. Nothing is a restriction until it is filled in.
import { NumberInput, Select, TagsInput, TextInput } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useCurrency } from "../api/me";
import { type Limits, projects } from "../api/projects";
import type { components } from "../api/schema";
import { money, number } from "../words/figures";
import { t } from "../words/language";
import { Ask } from "./Dialog";
import { LimitFields } from "./LimitFields";
import { Problem } from "./Page";

export type Key = components["schemas"]["ListedKey"];

/** Of a key that is there, or of a new one, whose secret `made` is given. */
export function KeyForm({ of: key, close, made }: { of: Key | null; close: () => void; made: (secret: string) => void }) {
  const queries = useQueryClient();
  const open = (useQuery(projects).data ?? []).filter((each) => !each.archived_at || each.id === key?.project_id);
  const [name, setName] = useState(key?.name ?? "");
  const [end, setEnd] = useState(key?.expires_at?.slice(0, 10) ?? "");
  const [models, setModels] = useState<string[]>(key?.models ?? []);
  const [networks, setNetworks] = useState<string[]>(key?.networks ?? []);
  const [project, setProject] = useState<string>(key?.project_id ?? "");
  const [keepH, setKeepH] = useState<number | string>(key?.keep_h ?? "");
  const [limits, setLimits] = useState<Limits>(key?.limits ?? {});
  const currency = useCurrency();
  const save = async () => {
    const body = {
      name: name.trim(),
      project_id: project || null,
      models: models.length ? models : null,
      networks: networks.length ? networks : null,
      keep_h: keepH === "" ? null : Number(keepH),
      limits,
    };
    const isSame = (key?.expires_at ?? "").slice(0, 10) === end;
    const expires = isSame ? {} : { expires_at: end ? new Date(`${end}T23:59:59`).toISOString() : null };
    if (key) {
      await told(api.PATCH("/api/keys/{key_id}", { params: { path: { key_id: key.id } }, body: { ...body, ...expires } }));
      return undefined;
    }
    return (await told(api.POST("/api/keys", { body: { ...body, ...expires } }))).secret;
  };
  return (
    <Ask
      title={key ? t("Rules of this key") : t("Create a key")}
      size="lg"
      go={key ? t("Save") : t("Create the key")}
      close={close}
      run={save}
      done={async (secret) => {
        if (secret) made(secret);
        await queries.invalidateQueries({ queryKey: ["keys"] });
      }}
    >
      <TextInput label={t("Name")} description={t("For you alone; it is stored sealed.")} maxLength={200} value={name} onChange={(event) => setName(event.currentTarget.value)} data-autofocus />
      {open.length > 0 && (
        <Select label={t("Project")} searchable data={[{ value: "", label: t("none") }, ...open.map((each) => ({ value: each.id, label: each.name }))]} value={project} onChange={(value) => setProject(value ?? "")} />
      )}
      <details className="more" open={key !== null}>
        <summary>{t("Rules")}</summary>
        <div className="grid-2">
          <TextInput label={t("Works until")} type="date" value={end} onChange={(event) => setEnd(event.currentTarget.value)} />
          <NumberInput label={t("Keep content at most (hours)")} placeholder={t("as the organisation says")} min={0} allowDecimal={false} value={keepH} onChange={setKeepH} />
          <LimitFields of={limits} currency={currency} change={setLimits} />
        </div>
        <TagsInput label={t("Models")} description={t("Only these; all if empty. Press Enter after each.")} value={models} onChange={setModels} />
        <TagsInput label={t("Networks")} description={t("Only from these addresses, such as 203.0.113.0/24. They are stored sealed.")} value={networks} onChange={setNetworks} />
      </details>
      {key && Object.values(key.limits).some((each) => each !== null) && <Used of={key} />}
    </Ask>
  );
}

/** What was used within the limits; it is counted only where there are some. */
function Used({ of: key }: { of: Key }) {
  const found = useQuery({ queryKey: ["keys", key.id, "use"], queryFn: () => told(api.GET("/api/keys/{key_id}/use", { params: { path: { key_id: key.id } } })) });
  const currency = useCurrency();
  if (!found.data) return <Problem error={found.error} />;
  const { requests, day, month, total } = found.data;
  return (
    <p className="row-note">
      <span>{t("requests in this minute: {count}", { count: number(requests) })}</span>
      <span>{t("today {amount}", { amount: money(day, currency) })}</span>
      <span>{t("this month {amount}", { amount: money(month, currency) })}</span>
      <span>{t("in total {amount}", { amount: money(total, currency) })}</span>
    </p>
  );
}
