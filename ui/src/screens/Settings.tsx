// One's account: the fields of the policy, ways to sign in, sessions, and how this place looks and speaks.
import { Button, PasswordInput, SegmentedControl, TextInput, useMantineColorScheme } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { me, useMe, useNames } from "../api/me";
import { asked } from "../parts/Newcomer";
import { useOnce } from "../parts/once";
import { Loaded, Page, Problem, Section } from "../parts/Page";
import { Identities } from "../parts/Provider";
import { Row, Rows } from "../parts/Rows";
import { Passkeys, SecondFactor } from "../parts/SignInMethods";
import { SignIns } from "../parts/SignIns";
import { away, moment } from "../words/figures";
import { LANGUAGES, type Language, speak, t, useLanguage } from "../words/language";

export function Settings() {
  useLanguage();
  return (
    <Page title={t("Settings")}>
      <Profile />
      <Look />
      <Password />
      <SecondFactor />
      <Passkeys />
      <Identities />
      <Sessions />
      <SignIns />
    </Page>
  );
}

function Profile() {
  const name = useNames();
  const queries = useQueryClient();
  const { facts } = useMe();
  const form = useQuery(asked);
  const [changed, setChanged] = useState<Record<string, string>>({});
  const saving = useOnce({
    mutationFn: () => told(api.PATCH("/api/me", { body: Object.fromEntries(Object.entries(changed).map(([field, value]) => [field, value.trim() || null])) })),
    onSuccess: (found) => {
      queries.setQueryData(me.queryKey, found);
      setChanged({});
    },
  });
  return (
    <Section title={t("Your account")} note={t("Exactly the fields that the policy lists; they are stored sealed.")}>
      <Loaded of={form}>
        {({ fields }) => (
          <form className="stack narrow" onSubmit={saving.submit}>
            <TextInput label={t("E-mail address")} value={facts.email ?? ""} readOnly description={t("To change it, ask the privacy desk to put it right.")} />
            {fields
              .filter((field) => field !== "email")
              .map((field) => (
                <TextInput key={field} label={name("field", field)} value={changed[field] ?? facts[field] ?? ""} onChange={(event) => setChanged({ ...changed, [field]: event.currentTarget.value })} />
              ))}
            <Problem error={saving.error} />
            {fields.length > 1 && (
              <div>
                <Button type="submit" loading={saving.isPending} disabled={Object.keys(changed).length === 0}>
                  {t("Save")}
                </Button>
              </div>
            )}
          </form>
        )}
      </Loaded>
    </Section>
  );
}

function Look() {
  const language = useLanguage();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Section title={t("Language and look")} note={t("Kept on this device only.")}>
      <div className="cluster">
        <SegmentedControl aria-label={t("Language")} value={language} onChange={(value) => void speak(value as Language, true)} data={LANGUAGES.map(([value, label]) => ({ value, label }))} />
        <SegmentedControl
          aria-label={t("Look")}
          value={colorScheme}
          onChange={(value) => setColorScheme(value as typeof colorScheme)}
          data={[
            { value: "auto", label: t("As the system") },
            { value: "light", label: t("Light") },
            { value: "dark", label: t("Dark") },
          ]}
        />
      </div>
    </Section>
  );
}

function Password() {
  const [password, setPassword] = useState("");
  const saving = useOnce({
    mutationFn: () => told(api.POST("/api/me/password", { body: { password } })),
    onSuccess: () => setPassword(""),
  });
  return (
    <Section title={t("Password")} note={t("Your other sessions end when it changes.")}>
      <form className="stack narrow" onSubmit={saving.submit}>
        <PasswordInput label={t("New password")} autoComplete="new-password" value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
        <Problem error={saving.error} />
        {saving.isSuccess && <p role="status">{t("Your password is changed.")}</p>}
        <div>
          <Button type="submit" variant="default" loading={saving.isPending} disabled={!password}>
            {t("Change the password")}
          </Button>
        </div>
      </form>
    </Section>
  );
}

function Sessions() {
  const name = useNames();
  const queries = useQueryClient();
  const found = useQuery({ queryKey: ["sessions"], queryFn: () => told(api.GET("/api/me/sessions")) });
  const forget = () => queries.invalidateQueries({ queryKey: ["sessions"] });
  const end = useOnce({
    mutationFn: (id: string) => told(api.DELETE("/api/me/sessions/{session_id}", { params: { path: { session_id: id } } })),
    onSuccess: forget,
  });
  const endOthers = useOnce({ mutationFn: () => told(api.DELETE("/api/me/sessions")), onSuccess: forget });
  return (
    <Section
      title={t("Where you are signed in")}
      act={
        (found.data?.length ?? 0) > 1 ? (
          <Button variant="default" size="xs" loading={endOthers.isPending} onClick={() => endOthers.run()}>
            {t("End all others")}
          </Button>
        ) : undefined
      }
    >
      <Rows
        of={found}
        row={(each) => (
          <Row
            key={each.id}
            title={each.current ? t("This session") : t("Another session")}
            note={
              <>
                <span>{t("since {time}", { time: moment(each.since) })}</span>
                <span>{t("seen {when}", { when: away(each.last_seen_at) })}</span>
                {Object.entries(each.seen).map(([field, value]) => (
                  <span key={field}>
                    {name("field", field)}: {String(value)}
                  </span>
                ))}
              </>
            }
            end={
              !each.current && (
                <Button variant="default" size="xs" disabled={end.isPending} onClick={() => end.run(each.id)}>
                  {t("End")}
                </Button>
              )
            }
          />
        )}
      />
      <Problem error={end.error ?? endOthers.error} />
    </Section>
  );
}
