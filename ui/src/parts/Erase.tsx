// Erasing everything: first what would go and what stays and why, then the word of the person, then no way back.
import { Button, Checkbox, PasswordInput } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { api, signedIn, told } from "../api/client";
import { begin } from "../api/erasure";
import { useNames } from "../api/me";
import type { components } from "../api/schema";
import { type Stored, stored } from "../api/stored";
import { tellTabs } from "../api/tabs";
import { day, records } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { Ask } from "./Dialog";
import { Loaded, Section } from "./Page";

export function Erase() {
  useLanguage();
  const [open, setOpen] = useState(false);
  return (
    <Section title={t("Erase everything")} note={t("Your account, keys and data end for good, here and in every backup. You see the plan before anything happens.")}>
      <div>
        <Button variant="default" className="danger-text" onClick={() => setOpen(true)}>
          {t("Show the plan")}
        </Button>
      </div>
      {open && <Plan close={() => setOpen(false)} />}
    </Section>
  );
}

function Plan({ close }: { close: () => void }) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const found = useQuery({ ...stored, staleTime: 0 });
  const [password, setPassword] = useState("");
  const [sure, setSure] = useState(false);
  const go = async (taken: components["schemas"]["Taken"]) => {
    begin({ id: taken.id, token: taken.receipt_token });
    signedIn(false);
    tellTabs({ what: "left" });
    await navigate({ to: "/erased" });
    queries.clear();
  };
  return (
    <Ask
      isDangerous
      title={t("What an erasure does")}
      size="lg"
      go={t("Erase everything now")}
      close={close}
      isReady={sure && password !== ""}
      run={() => told(api.POST("/api/privacy/requests", { body: { kind: "erase", password } }))}
      done={go}
    >
      <Loaded of={found} lines={6}>
        {(all) => {
          const there = all.filter((each) => each.facts > 0);
          return (
            <>
              <Part title={t("Goes")} of={there.filter((each) => each.on_erasure !== "hold")} why={() => t("rows deleted, keys destroyed")} />
              <Part title={t("Stays for a while, because the law demands it")} of={there.filter((each) => each.on_erasure === "hold")} why={(each) => (each.last_end ? t("until {day} at the latest", { day: day(each.last_end) }) : t("until its own end"))} />
            </>
          );
        }}
      </Loaded>
      <p className="note">{t("Keys are destroyed, so that what lies in backups or on disks can never be read again. Money left in your wallet is lost. This cannot be undone.")}</p>
      <PasswordInput label={t("Your password")} autoComplete="current-password" required withAsterisk={false} value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
      <Checkbox label={t("I understand: my account is gone after this.")} checked={sure} onChange={(event) => setSure(event.currentTarget.checked)} />
    </Ask>
  );
}

function Part({ title, of, why }: { title: string; of: readonly Stored[]; why: (each: Stored) => string }) {
  const name = useNames();
  if (of.length === 0) return null;
  return (
    <div>
      <h3>{title}</h3>
      <ul className="rows">
        {of.map((each) => (
          <li key={each.category} className="row plan-row">
            <span className="row-main">{name("category", each.category)}</span>
            <span className="note">{records(each.facts)}</span>
            <span className="note plan-why">{why(each)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
