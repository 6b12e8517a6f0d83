// An account as staff see it: found by address or id with a reason, what stands with it, a credit, and what may be opened.
import { Button, Select, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import type { Account } from "../api/desk";
import { useMay, useMe, useNames } from "../api/me";
import { Ask } from "../parts/Dialog";
import { Empty, Figure, Page, Problem, Section, State } from "../parts/Page";
import { day, money, number } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { useAct } from "./act";
import { Openable } from "./Openable";
import { Reason } from "./Reason";

export function Accounts() {
  useLanguage();
  const [found, setFound] = useState<Account | null>(null);
  return (
    <Page wide title={t("Accounts")} lead={t("Somebody is found by their whole address or their id, with a reason that they can read. Nobody is listed.")}>
      <Find found={setFound} />
      {found ? <Stands key={found.subject} of={found} changed={setFound} /> : <Empty title={t("Nobody was looked up yet")}>{t("What stands with an account appears here: its organisation, its money, what the person said about the use of their data.")}</Empty>}
    </Page>
  );
}

function Find({ found }: { found: (account: Account) => void }) {
  const name = useNames();
  const { purposes } = useMe();
  const [who, setWho] = useState("");
  const [purpose, setPurpose] = useState(purposes[0] ?? "");
  const [reason, setReason] = useState("");
  const finding = useAct(async () => {
    const wanted = who.trim();
    const subject = wanted.includes("@") ? (await told(api.POST("/api/desk/people", { body: { email: wanted, purpose, reason } }))).id : wanted;
    return told(api.POST("/api/desk/account", { body: { subject, reason } }));
  }, found);
  return (
    <form className="stack" onSubmit={finding.submit}>
      <div className="grid-2">
        <TextInput size="sm" label={t("Address or id")} description={t("whole, as it was given")} required withAsterisk={false} autoComplete="off" value={who} onChange={(event) => setWho(event.currentTarget.value)} />
        <Select size="sm" label={t("Purpose")} description={t("for which you look")} value={purpose} onChange={(value) => setPurpose(value ?? "")} data={purposes.map((value) => ({ value, label: name("purpose", value) }))} />
      </div>
      <Reason value={reason} set={setReason} />
      <Problem error={finding.error} />
      <div>
        <Button type="submit" loading={finding.isPending} disabled={!who.trim() || !reason.trim()}>
          {t("Look up")}
        </Button>
      </div>
    </form>
  );
}

function Stands({ of: account, changed }: { of: Account; changed: (account: Account) => void }) {
  const name = useNames();
  const may = useMay();
  const [crediting, setCrediting] = useState(false);
  const [credited, setCredited] = useState(false);
  const purposes = (all: readonly string[]) => (all.length ? all.map((each) => name("purpose", each)).join(", ") : t("nothing"));
  return (
    <>
      <Section
        title={t("What stands with it")}
        act={
          may("POST /api/desk/credit") &&
          account.wallets.length > 0 && (
            <Button variant="default" size="xs" onClick={() => setCrediting(true)}>
              {t("Give a credit")}
            </Button>
          )
        }
      >
        {credited && <p role="status">{t("The credit is in the wallet, and on the record.")}</p>}
        <dl className="figures">
          {account.wallets.map((purse) => (
            <Figure key={purse.id} of={t("Balance")} note={purse.state === "frozen" ? t("frozen") : t("{amount} held", { amount: money(purse.held, purse.currency) })}>
              {money(purse.balance, purse.currency)}
            </Figure>
          ))}
          <Figure of={t("People of the organisation")}>{number(account.people)}</Figure>
          <Figure of={t("Keys that work")}>{number(account.keys)}</Figure>
        </dl>
        <dl className="facts">
          <dt>{t("Person")}</dt>
          <dd>
            <code>{account.subject}</code>
          </dd>
          <dt>{t("Organisation")}</dt>
          <dd>
            <code>{account.tenant}</code>
          </dd>
          <dt>{t("Since")}</dt>
          <dd>{day(account.since)}</dd>
          <dt>{t("Address")}</dt>
          <dd>{account.confirmed ? t("confirmed") : t("not confirmed")}</dd>
          <dt>{t("Use of their data")}</dt>
          <dd>{account.restricted ? <State tone="open">{t("restricted")}</State> : t("not restricted")}</dd>
          <dt>{t("Objected to")}</dt>
          <dd>{purposes(account.objected)}</dd>
          <dt>{t("Consented to")}</dt>
          <dd>{purposes(account.consented)}</dd>
        </dl>
      </Section>
      <Openable key={account.subject} of={account} />
      {crediting && <Give to={account} close={() => setCrediting(false)} done={(purse) => {
            setCredited(true);
            changed({ ...account, wallets: account.wallets.map((each) => (each.id === purse.id ? purse : each)) });
          }} />}
    </>
  );
}

/** Each opening of the form is one credit: sent again, after a lost answer, it is given once. */
function Give({ to: account, close, done }: { to: Account; close: () => void; done: (purse: Account["wallets"][number]) => void }) {
  const queries = useQueryClient();
  const [key] = useState(newKey);
  const [amount, setAmount] = useState("");
  const [kind, setKind] = useState<"promotion" | "correction">("correction");
  const [reason, setReason] = useState("");
  return (
    <Ask
      title={t("Give a credit")}
      go={t("Give the credit")}
      close={close}
      isReady={amount !== "" && reason.trim() !== ""}
      run={() => told(api.POST("/api/desk/credit", { body: { subject: account.subject, amount, kind, key, reason } }))}
      done={async (made) => {
        done(made.wallet);
        await queries.invalidateQueries({ queryKey: ["desk"] });
      }}
    >
      <TextInput label={t("Amount")} description={account.wallets[0]?.currency} inputMode="decimal" required withAsterisk={false} data-autofocus value={amount} onChange={(event) => setAmount(event.currentTarget.value)} />
      <Select
        label={t("As")}
        value={kind}
        onChange={(value) => setKind(value === "promotion" ? "promotion" : "correction")}
        data={[
          { value: "correction", label: t("a correction") },
          { value: "promotion", label: t("a gift") },
        ]}
      />
      <Reason value={reason} set={setReason} />
    </Ask>
  );
}

/** A random UUID; `crypto.randomUUID` is there only on pages with TLS. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}
