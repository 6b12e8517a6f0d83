// Changes what is said of a provider: only what is another is sent, for the state of it that was looked at.
import { NumberInput, PasswordInput, Select, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import type { components } from "../api/schema";
import { Ask } from "../parts/Dialog";
import { t } from "../words/language";

type Upstream = components["schemas"]["Upstream"];
type Change = components["schemas"]["UpstreamChange"];
type Fields = Omit<Required<Change>, "name" | "revision" | "credential">;

const HOURS_MAX = 2_147_483_647;
const KINDS = ["openai", "compatible", "openrouter", "azure", "anthropic"];
const LEAVING: Record<Upstream["leaving"], () => string> = {
  estimate: () => t("pays for what was delivered"),
  drain: () => t("pays for the whole answer, which is read to its end"),
  unbilled: () => t("pays nothing before the first token"),
};
const TRAINS = { yes: true, no: false, unknown: null } as const;

export function UpstreamForm({ of: upstream, close }: { of: Upstream; close: () => void }) {
  const queries = useQueryClient();
  const [before] = useState(() => fieldsOf(upstream));
  const [now, setNow] = useState(before);
  const [credential, setCredential] = useState("");
  const set = (more: Partial<Fields>) => setNow({ ...now, ...more });
  const changed = { ...differing(before, now), ...(credential ? { credential } : {}) };
  const text = (field: "base_url" | "processor" | "region" | "contract", label: string, description?: string) => (
    <TextInput label={label} description={description} autoComplete="off" maxLength={field === "base_url" ? 2000 : 200} value={now[field] ?? ""} onChange={(event) => set({ [field]: event.currentTarget.value.trim() || (field === "base_url" ? "" : null) })} />
  );
  return (
    <Ask
      title={t("Change {name}", { name: upstream.name })}
      size="lg"
      go={t("Save")}
      close={close}
      isReady={Object.keys(changed).length > 0 && now.base_url !== ""}
      run={() => told(api.PATCH("/api/desk/upstreams", { body: { name: upstream.name, revision: upstream.revision, ...changed } }))}
      done={() => queries.invalidateQueries({ queryKey: ["desk"] })}
    >
      <p className="note">{t("The next request goes there as it stands here; what runs ends as it would.")}</p>
      {text("base_url", t("Base URL"), t("ends before /chat/completions, usually in /v1"))}
      <PasswordInput
        label={t("New API key")}
        description={upstream.has_credential ? t("empty: the one that is kept stays, unless the server is another; nobody is shown it") : t("none is kept; nobody is shown it again")}
        autoComplete="new-password"
        maxLength={8000}
        value={credential}
        onChange={(event) => setCredential(event.currentTarget.value.trim())}
      />
      <div className="grid-2">
        <Select label={t("Speaks")} allowDeselect={false} data={KINDS} value={now.kind} onChange={(kind) => set({ kind: kind ?? now.kind })} />
        <Select
          label={t("New requests")}
          allowDeselect={false}
          value={now.state}
          onChange={(state) => set({ state: state === "draining" ? "draining" : "active" })}
          data={[
            { value: "active", label: t("go there") },
            { value: "draining", label: t("do not go there") },
          ]}
        />
        {text("processor", t("Party"), t("as in the policy; empty: our own"))}
        {text("region", t("Region"), t("the country of its servers, such as DE"))}
        <Select
          label={t("Trains")}
          description={t("on what it gets")}
          allowDeselect={false}
          value={now.trains == null ? "unknown" : now.trains ? "yes" : "no"}
          onChange={(value) => set({ trains: TRAINS[(value ?? "unknown") as keyof typeof TRAINS] })}
          data={[
            { value: "no", label: t("no") },
            { value: "yes", label: t("yes") },
            { value: "unknown", label: t("not known") },
          ]}
        />
        <NumberInput
          label={t("Keeps")}
          description={t("hours; empty: not known")}
          min={0}
          max={HOURS_MAX}
          allowDecimal={false}
          value={now.retention_h ?? ""}
          onChange={(value) => set({ retention_h: value === "" ? null : Number(value) })}
        />
        {text("contract", t("Contract"), t("its id in the policy"))}
        <TextInput
          label={t("Evidence until before (UTC)")}
          description={t("empty: there is none")}
          type="date"
          value={now.evidence_until?.slice(0, 10) ?? ""}
          onChange={(event) => set({ evidence_until: ended(event.currentTarget.value, before.evidence_until) })}
        />
      </div>
      <Select
        label={t("Who leaves before the end")}
        allowDeselect={false}
        value={now.leaving}
        onChange={(value) => set({ leaving: (value as Upstream["leaving"] | null) ?? now.leaving })}
        data={Object.entries(LEAVING).map(([value, label]) => ({ value, label: label() }))}
      />
    </Ask>
  );
}

function fieldsOf({ kind, base_url, processor, region, trains, retention_h, contract, evidence_until, leaving, state }: Upstream): Fields {
  return { kind, base_url, processor, region, trains, retention_h, contract, evidence_until, leaving, state };
}

/** What is another now. */
function differing(before: Fields, now: Fields): Partial<Fields> {
  return Object.fromEntries(Object.entries(now).filter(([field, value]) => value !== before[field as keyof Fields]));
}

/** The end of the evidence on a day; as it was, to the second, where that is the day. */
function ended(day: string, before: Fields["evidence_until"]): Fields["evidence_until"] {
  if (!day) return null;
  return before?.slice(0, 10) === day ? before : `${day}T00:00:00Z`;
}
