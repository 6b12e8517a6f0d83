// An entry of the register, with what its ground needs and nothing else. A rule that it breaks is told in words.
import { FileInput, Select, TagsInput, Textarea, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useChoices } from "../api/me";
import { Ask } from "../parts/Dialog";
import { t } from "../words/language";
import { content, sha256 } from "./content";
import { GROUNDS, PERSONS } from "./grounds";

const NOTHING = { name: "", to: "", recipient: "", region: "", host: "", contract: "", contractOn: "", instrument: "", notice: "", tenant: "", subject: "", authority: "", since: "", until: "", from: "", to_: "", silent: "" };
type Said = typeof NOTHING;

export function NewEntry({ close }: { close: () => void }) {
  const queries = useQueryClient();
  const categories = useChoices("category");
  const purposes = useChoices("purpose");
  const [said, setSaid] = useState(NOTHING);
  const [basis, setBasis] = useState("provider");
  const [purpose, setPurpose] = useState("service");
  const [fields, setFields] = useState<string[]>([]);
  const [reason, setReason] = useState("");
  const [process, setProcess] = useState<File | null>(null);
  const text = (of: keyof Said, label: string, more: { description?: string; type?: string; required?: boolean } = {}) => (
    <TextInput size="sm" withAsterisk={false} label={label} {...more} value={said[of]} onChange={(event) => setSaid({ ...said, [of]: event.currentTarget.value })} />
  );
  const isLegal = basis === "legal";
  return (
    <Ask
      title={t("Make an entry")}
      size="xl"
      go={t("Make the entry")}
      close={close}
      run={async () => told(api.POST("/api/desk/register", { body: await body(said, basis, purpose, fields, reason, process) }))}
      done={() => queries.invalidateQueries({ queryKey: ["desk"] })}
    >
      <div className="grid-2">
        <Select size="sm" label={t("Ground")} value={basis} onChange={(value) => setBasis(value ?? "provider")} data={Object.entries(GROUNDS).map(([value, ground]) => ({ value, label: ground() }))} />
        <Select size="sm" label={t("Purpose")} value={purpose} onChange={(value) => setPurpose(value ?? "service")} data={purposes} />
        {text("name", t("Name of the entry"), { required: true })}
        {text("to", t("Recipient in short"), { required: true })}
        {text("recipient", t("Recipient in full"), { required: true })}
        {text("region", t("Country"), { required: true })}
        {text("host", t("Host"))}
        {basis === "provider" && text("contract", t("Contract"), { required: true })}
        {basis === "provider" && text("contractOn", t("Contract of"), { type: "date" })}
        {text("instrument", t("Instrument of a transfer abroad"))}
        {basis === "corporate" && text("notice", t("Told with version"), { required: true })}
      </div>
      <TagsInput size="sm" label={t("What may go")} description={t("A category and a field of it, such as account.email. Press Enter after each.")} data={categories.map((each) => `${each.value}.`)} value={fields} onChange={setFields} />
      {PERSONS.includes(basis) && (
        <div className="grid-2">
          {text("subject", t("Person (id)"), { required: true })}
          {text("tenant", t("Their organisation (id)"), { required: true })}
        </div>
      )}
      {isLegal && (
        <>
          <FileInput size="sm" label={t("The legal process")} description={t("1 MB at most; it is sealed with the entry.")} required withAsterisk={false} placeholder={t("Choose a file")} value={process} onChange={setProcess} />
          <div className="grid-2">
            {text("authority", t("Issued by"), { required: true })}
            {text("from", t("Valid from (UTC)"), { type: "date", required: true })}
            {text("to_", t("Until before (UTC)"), { type: "date", required: true })}
            {text("since", t("Records from (UTC)"), { type: "date", required: true })}
            {text("until", t("Records until before (UTC)"), { type: "date", required: true })}
            {text("silent", t("Not told to the person until"), { type: "date" })}
          </div>
        </>
      )}
      <Textarea size="sm" label={t("Why, or how interests were weighed")} maxLength={4000} autosize minRows={2} maxRows={8} dir="auto" value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
    </Ask>
  );
}

async function body(said: Said, basis: string, purpose: string, fields: string[], reason: string, process: File | null) {
  const day = (at: string) => `${at}T00:00:00Z`;
  const isLegal = basis === "legal" && process !== null;
  const entry = {
    ...{ name: said.name.trim(), to: said.to.trim(), recipient: said.recipient.trim(), region: said.region.trim(), host: said.host.trim() },
    ...{ basis, purpose, fields: byCategory(fields), contract: said.contract.trim(), instrument: said.instrument.trim() },
    contract_on: said.contractOn || null,
    notice: said.notice ? Number(said.notice) : null,
    process: isLegal ? { sha256: (await sha256(process)) ?? "", authority: said.authority.trim(), valid_from: day(said.from), valid_until: day(said.to_) } : null,
    scope: isLegal ? { since: day(said.since), until: day(said.until) } : null,
    silent_until: said.silent ? day(said.silent) : null,
  };
  const whose = PERSONS.includes(basis) ? { tenant: said.tenant.trim(), subject: said.subject.trim() } : {};
  return { entry, reason, ...whose, process: isLegal ? await content(process) : "" };
}

function byCategory(fields: string[]): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const each of fields) {
    const [category = "", field = ""] = each.split(".");
    if (category && field) (found[category] ??= []).push(field);
  }
  return found;
}
