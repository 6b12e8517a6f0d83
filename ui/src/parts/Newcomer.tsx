// What somebody says of themselves to get an account: exactly the fields that the policy lists, the age of their country
// where it asks, that they agree where it asks, and a password. Signing up and accepting an invitation both use it.
import { Button, Checkbox, PasswordInput, Select, TextInput } from "@mantine/core";
import { queryOptions } from "@tanstack/react-query";
import { useState } from "react";

import { Refusal, api, told } from "../api/client";
import { useNames } from "../api/me";
import { countries } from "../words/countries";
import { day } from "../words/figures";
import { type Language, t, useLanguage } from "../words/language";
import { useOnce } from "./once";
import { Problem } from "./Page";

export interface Asked {
  fields: string[];
  required: string[];
  age: { minimum: number; by_country: Record<string, number> } | null;
  agree_to: number[] | null;
  coming: { version: number; effective_at: string; page: string }[];
  transfer: { version: number; countries: string[]; text: Record<Language, string> } | null;
}

export const asked = queryOptions({
  queryKey: ["sign-up"],
  queryFn: async () => (await told(api.GET("/api/auth/signup"))) as unknown as Asked,
});

const COMPLETES: Record<string, string> = { email: "username", name: "name", username: "nickname", company: "organization", phone: "tel", address: "street-address" };
const PASSWORD_CHARS_MIN = 15;

interface Affirmed {
  country: string | null;
  of_age: boolean;
  agreed: boolean;
}

/** The form; `without` names the fields that are known already. `send` gets what was filled in, as the API takes it. */
export function Newcomer(props: { asked: Asked; without?: string[]; go: string; send: (given: Record<string, unknown>) => Promise<unknown> }) {
  const [facts, setFacts] = useState<Record<string, string>>({});
  const [password, setPassword] = useState("");
  const [affirmed, setAffirmed] = useState<Affirmed>({ country: null, of_age: false, agreed: false });
  const sending = useOnce({
    mutationFn: () => {
      const filled = Object.fromEntries(Object.entries(facts).filter(([, value]) => value.trim() !== ""));
      return props.send({ ...filled, password, ...said(props.asked, affirmed) });
    },
  });
  const wrong = sending.error instanceof Refusal ? sending.error.param : "";
  const fields = ["email", ...props.asked.fields.filter((each) => each !== "email")].filter((each) => !props.without?.includes(each));
  return (
    <form className="stack" onSubmit={sending.submit}>
      {fields.map((field) => (
        <Field key={field} of={field} required={field === "email" || props.asked.required.includes(field)} wrong={wrong === field} value={facts[field] ?? ""} change={(value) => setFacts((known) => ({ ...known, [field]: value }))} />
      ))}
      <PasswordInput
        label={t("Password")}
        description={t("15 characters or more; several words that do not belong together are good.")}
        autoComplete="new-password"
        required
        withAsterisk={false}
        minLength={PASSWORD_CHARS_MIN}
        error={wrong === "password"}
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      <Affirm asked={props.asked} of={affirmed} change={setAffirmed} />
      <Problem error={sending.error} />
      <Button type="submit" size="md" fullWidth loading={sending.isPending}>
        {props.go}
      </Button>
    </form>
  );
}

function Field(props: { of: string; required: boolean; wrong: boolean; value: string; change: (value: string) => void }) {
  const name = useNames();
  const isAddress = props.of === "email";
  return (
    <TextInput
      label={isAddress ? t("E-mail address") : name("field", props.of)}
      description={props.required ? undefined : t("optional")}
      type={isAddress ? "email" : "text"}
      autoComplete={COMPLETES[props.of] ?? "off"}
      required={props.required}
      withAsterisk={false}
      error={props.wrong}
      value={props.value}
      onChange={(event) => props.change(event.currentTarget.value)}
    />
  );
}

/** Age and country, the transfer of data to another country, and agreement; each only where the policy asks for it. */
function Affirm({ asked, of: affirmed, change }: { asked: Asked; of: Affirmed; change: (affirmed: Affirmed) => void }) {
  const language = useLanguage();
  const { country } = affirmed;
  return (
    <>
      {asked.age && (
        <>
          <Select label={t("Country where you live")} data={countries(language)} searchable required withAsterisk={false} value={country} onChange={(value) => change({ ...affirmed, country: value })} />
          <Checkbox
            label={t("I am {age} years old or older.", { age: (country && asked.age.by_country[country]) || asked.age.minimum })}
            checked={affirmed.of_age}
            onChange={(event) => change({ ...affirmed, of_age: event.currentTarget.checked })}
          />
        </>
      )}
      {goesAbroad(asked, country) && <p className="note">{asked.transfer?.text[language]}</p>}
      {asked.agree_to && (
        <Checkbox
          label={
            <>
              {t("I agree to the terms and have read the privacy policy.")} <a href="/terms">{t("Terms")}</a> · <a href="/privacy">{t("Privacy policy")}</a>
            </>
          }
          checked={affirmed.agreed}
          onChange={(event) => change({ ...affirmed, agreed: event.currentTarget.checked })}
        />
      )}
      {asked.coming.map((each) => (
        <p key={each.version} className="note">
          {t("The privacy policy changes on {day}: version {number}.", { day: day(each.effective_at), number: each.version })} <a href={each.page}>{t("Read it")}</a>
        </p>
      ))}
    </>
  );
}

function goesAbroad({ transfer }: Asked, country: string | null): boolean {
  return transfer !== null && !(country !== null && transfer.countries.includes(country));
}

/** What was affirmed, in the fields that the API expects for this policy and no others. */
function said(asked: Asked, { country, of_age, agreed }: Affirmed): Record<string, unknown> {
  return {
    ...(asked.age ? { country, of_age } : {}),
    ...(asked.agree_to ? { agreed: agreed ? asked.agree_to : [] } : {}),
    ...(goesAbroad(asked, country) ? { transfer_shown: asked.transfer?.version } : {}),
  };
}
