// One's organisation: its projects, who belongs to it and as what, who is invited, and the way out of it.
import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useCurrency, useMay, useMe } from "../api/me";
import { allowances } from "../api/projects";
import { Ask } from "../parts/Dialog";
import { limitWords } from "../parts/LimitFields";
import { Invitations, Members } from "../parts/Members";
import { Page, Section } from "../parts/Page";
import { Projects } from "../parts/Projects";
import { t, useLanguage } from "../words/language";
import { role as said } from "../words/roles";

export function Organisation() {
  useLanguage();
  const { role } = useMe();
  const may = useMay();
  if (!may("POST /api/tenant/leave")) {
    return (
      <Page title={t("Organisation")} lead={t("You belong to no organisation any more. Your account and your own rights in it stay.")}>
        {null}
      </Page>
    );
  }
  return (
    <Page title={t("Organisation")} lead={t("Whom you work with, and what your keys may use together. Your role: {role}.", { role: said(role) })}>
      <Together />
      <Projects />
      {may("GET /api/tenant/members") && (
        <>
          <Members />
          <Invitations />
        </>
      )}
      <Leave />
    </Page>
  );
}

/** What the operator lets the whole organisation use. */
function Together() {
  const currency = useCurrency();
  const limits = useQuery(allowances).data?.find((each) => each.kind === "organisation")?.limits;
  if (!limits) return null;
  return (
    <Section title={t("Limits of your organisation")} note={t("Set by the operator; they hold for all keys together.")}>
      <p className="row-note">
        {limitWords(limits, currency).map((each) => (
          <span key={each}>{each}</span>
        ))}
      </p>
    </Section>
  );
}

function Leave() {
  const queries = useQueryClient();
  const [leaving, setLeaving] = useState(false);
  return (
    <Section title={t("Leave the organisation")} note={t("Your keys stop at once. Your account and your own rights in it stay.")}>
      <div>
        <Button variant="default" className="danger-text" onClick={() => setLeaving(true)}>
          {t("Leave")}
        </Button>
      </div>
      {leaving && (
        <Ask
          isDangerous
          title={t("Leave the organisation?")}
          go={t("Leave")}
          close={() => setLeaving(false)}
          run={() => told(api.POST("/api/tenant/leave"))}
          done={() => queries.invalidateQueries()}
        >
          <p>{t("You come back only if somebody there makes you a member again.")}</p>
        </Ask>
      )}
    </Section>
  );
}
