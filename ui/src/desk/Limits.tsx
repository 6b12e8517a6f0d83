// What keys use together at most: of a project, of an organisation, or of each organisation at a model. The operator sets
// the latter two; a project's are its organisation's.
import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMay } from "../api/me";
import { usePaged } from "../api/paged";
import type { Allowance, Limits as Set } from "../api/projects";
import { DataTable } from "../parts/DataTable";
import { Ask } from "../parts/Dialog";
import { LimitFields, limitWords } from "../parts/LimitFields";
import { Empty, Page } from "../parts/Page";
import { t, useLanguage } from "../words/language";

const PAGE = 50;
const NOBODY: Begun = { kind: "organisation", who: "", limits: {} };
type Kind = "organisation" | "model";

/** A limit as it is begun with in the form. */
interface Begun {
  kind: Kind;
  who: string;
  limits: Set;
}

const KINDS: Record<Allowance["kind"], () => string> = {
  project: () => t("a project"),
  organisation: () => t("an organisation"),
  model: () => t("each organisation at a model"),
};

export function Limits() {
  useLanguage();
  const may = useMay();
  const canSet = may("POST /api/desk/limits");
  const [setting, setSetting] = useState<Begun | null>(null);
  const [ending, setEnding] = useState<Begun | null>(null);
  const found = usePaged({
    key: ["desk", "limits"],
    page: (after: string | null) => told(api.GET("/api/desk/limits", { params: { query: { limit: PAGE, after } } })),
    rows: (page) => page.limits,
    end: (page) => page.after,
  });
  const currency = found.first?.currency ?? "";
  return (
    <Page
      wide
      title={t("Limits")}
      lead={t("What keys may use together, whichever worker they ask. Each holds from the next request; the limits of one key are its owner's.")}
      act={canSet && currency && <Button onClick={() => setSetting(NOBODY)}>{t("Set a limit")}</Button>}
    >
      <DataTable
        label={t("Limits")}
        of={found}
        id={(row) => row.id}
        none={<Empty title={t("Nobody is limited")}>{t("A limit for an organisation, or for each organisation at a model, stands here; so do those that organisations set for their projects.")}</Empty>}
        columns={[
          { title: t("Of"), of: (row) => KINDS[row.kind]() },
          { title: t("Whom"), of: (row) => (row.kind === "model" ? (row.model ?? t("a model that is not offered now")) : <code>{row.id}</code>) },
          {
            title: t("At most"),
            of: (row) =>
              limitWords(row.limits, currency).map((each) => (
                <span className="cell-line" key={each}>
                  {each}
                </span>
              )),
          },
          { title: t("Act"), of: (row) => <Acts of={begun(row)} canSet={canSet} set={setSetting} end={setEnding} /> },
        ]}
      />
      {setting && <SetLimit begun={setting} currency={currency} close={() => setSetting(null)} />}
      {ending && <End of={ending} close={() => setEnding(null)} />}
    </Page>
  );
}

/** How the form begins with a limit that is there; null: it is not the operator's to change. */
function begun({ kind, id, model, limits }: Allowance): Begun | null {
  if (kind === "project") return null;
  if (kind === "organisation") return { kind, who: id, limits };
  return model == null ? null : { kind, who: model, limits };
}

function Acts(props: { of: Begun | null; canSet: boolean; set: (of: Begun) => void; end: (of: Begun) => void }) {
  const { of: limit, set, end } = props;
  if (!limit || !props.canSet) return <>–</>;
  return (
    <div className="cluster">
      <Button variant="default" size="xs" onClick={() => set(limit)} aria-label={t("Change the limit of {who}", { who: limit.who })}>
        {t("Change")}
      </Button>
      <Button variant="default" size="xs" onClick={() => end(limit)} aria-label={t("End the limit of {who}", { who: limit.who })}>
        {t("End")}
      </Button>
    </div>
  );
}

/** Sets the limits of somebody in place of those before; without any, there are none. */
function put(kind: Kind, who: string, limits: Set) {
  return told(api.POST("/api/desk/limits", { body: { kind, limits, ...(kind === "model" ? { model: who } : { id: who }) } }));
}

function SetLimit({ begun: before, currency, close }: { begun: Begun; currency: string; close: () => void }) {
  const queries = useQueryClient();
  const [kind, setKind] = useState(before.kind);
  const [who, setWho] = useState(before.who);
  const [limits, setLimits] = useState(before.limits);
  const isNew = before.who === "";
  return (
    <Ask
      title={isNew ? t("Set a limit") : t("Change a limit")}
      size="lg"
      go={isNew ? t("Set it") : t("Save")}
      close={close}
      isReady={who.trim() !== "" && Object.values(limits).some((each) => each != null)}
      run={() => put(kind, who.trim(), limits)}
      done={() => queries.invalidateQueries({ queryKey: ["desk"] })}
    >
      <p className="note">{t("It takes the place of the limit before, from the next request on. Money counts from here.")}</p>
      {isNew && (
        <SegmentedControl
          aria-label={t("Of")}
          fullWidth
          value={kind}
          onChange={(value) => setKind(value === "model" ? "model" : "organisation")}
          data={[
            { value: "organisation", label: t("An organisation") },
            { value: "model", label: t("A model") },
          ]}
        />
      )}
      <TextInput
        label={kind === "model" ? t("Model") : t("Organisation (id)")}
        description={kind === "model" ? t("as clients ask for it; each organisation has this much of it") : t("as it stands with an account")}
        required
        withAsterisk={false}
        maxLength={200}
        readOnly={!isNew}
        data-autofocus={isNew || undefined}
        value={who}
        onChange={(event) => setWho(event.currentTarget.value)}
      />
      <div className="grid-2">
        <LimitFields of={limits} currency={currency} change={setLimits} />
      </div>
    </Ask>
  );
}

function End({ of: limit, close }: { of: Begun; close: () => void }) {
  const queries = useQueryClient();
  return (
    <Ask
      isDangerous
      title={t("End this limit?")}
      go={t("End it")}
      close={close}
      run={() => put(limit.kind, limit.who, {})}
      done={() => queries.invalidateQueries({ queryKey: ["desk"] })}
    >
      <p>
        <code>{limit.who}</code>
      </p>
      <p>{t("From the next request on, only what each key and project may use is left, and what was counted is forgotten.")}</p>
    </Ask>
  );
}
