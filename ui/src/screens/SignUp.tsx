// Signing up: exactly the fields that the policy lists, the age of one's country where it asks, and nothing else.
import { Button, Checkbox, PasswordInput, Select, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { Refusal, api, told } from "../api/client";
import { useNames } from "../api/me";
import { Entrance } from "../parts/Entrance";
import { Loaded, Problem } from "../parts/Page";
import { countries } from "../words/countries";
import { day } from "../words/figures";
import { t, useLanguage } from "../words/language";

interface Asked {
  fields: string[];
  required: string[];
  age: { minimum: number; by_country: Record<string, number> } | null;
  agree_to: number[] | null;
  coming: { version: number; effective_at: string; page: string }[];
}

const COMPLETES: Record<string, string> = { email: "username", name: "name", username: "nickname", company: "organization", phone: "tel", address: "street-address" };
const PASSWORD_CHARS_MIN = 15;

export function SignUp() {
  useLanguage();
  const asked = useQuery({
    queryKey: ["sign-up"],
    queryFn: async () => (await told(api.GET("/api/auth/signup"))) as unknown as Asked,
  });
  const [sentTo, setSentTo] = useState("");
  const below = (
    <>
      {t("You have an account?")} <Link to="/sign-in" search={{}}>{t("Sign in")}</Link>
    </>
  );
  if (sentTo) {
    return (
      <Entrance title={t("Look into your mailbox")} below={below}>
        <p role="status">
          {t("A message was sent to {email}. Follow its link, then sign in.", { email: sentTo })}
        </p>
      </Entrance>
    );
  }
  return (
    <Entrance title={t("Create an account")} below={below} lead={t("Nothing is asked for that the policy does not list.")}>
      <Loaded of={asked}>{(form) => <Form asked={form} sent={setSentTo} />}</Loaded>
    </Entrance>
  );
}

function Form({ asked, sent }: { asked: Asked; sent: (email: string) => void }) {
  const language = useLanguage();
  const name = useNames();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [facts, setFacts] = useState<Record<string, string>>({});
  const [password, setPassword] = useState("");
  const [country, setCountry] = useState<string | null>(null);
  const [ofAge, setOfAge] = useState(false);
  const [agrees, setAgrees] = useState(false);

  const sending = useMutation({
    mutationFn: async () => {
      const affirmed = asked.age ? { country, of_age: ofAge } : {};
      const agreed = asked.agree_to ? { agreed: agrees ? asked.agree_to : [] } : {};
      const given = Object.fromEntries(Object.entries(facts).filter(([, value]) => value.trim() !== ""));
      await told(api.POST("/api/auth/signup", { body: { ...given, password, ...affirmed, ...agreed } }));
      const email = facts.email ?? "";
      try {
        await told(api.POST("/api/auth/login", { body: { email, password } }));
      } catch (wrong) {
        if (wrong instanceof Refusal && wrong.status === 401) return sent(email);
        throw wrong;
      }
      queries.clear();
      await navigate({ to: "/" });
    },
  });
  const wrong = sending.error instanceof Refusal ? sending.error.param : "";
  const age = asked.age && ((country && asked.age.by_country[country]) || asked.age.minimum);
  const fields = ["email", ...asked.fields.filter((each) => each !== "email")];

  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (!sending.isPending) sending.mutate();
      }}
    >
      {fields.map((field) => (
        <TextInput
          key={field}
          label={field === "email" ? t("E-mail address") : name("field", field)}
          description={field === "email" || asked.required.includes(field) ? undefined : t("optional")}
          type={field === "email" ? "email" : "text"}
          autoComplete={COMPLETES[field] ?? "off"}
          dir={field === "email" ? "ltr" : "auto"}
          required={field === "email" || asked.required.includes(field)}
          withAsterisk={false}
          error={wrong === field}
          value={facts[field] ?? ""}
          onChange={(event) => setFacts({ ...facts, [field]: event.currentTarget.value })}
        />
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
      {asked.age && (
        <>
          <Select label={t("Country where you live")} data={countries(language)} searchable required withAsterisk={false} value={country} onChange={setCountry} />
          <Checkbox label={t("I am {age} years old or older.", { age: age ?? 0 })} checked={ofAge} onChange={(event) => setOfAge(event.currentTarget.checked)} />
        </>
      )}
      {asked.agree_to && (
        <Checkbox
          label={
            <>
              {t("I agree to the terms and have read the privacy policy.")} <a href="/terms">{t("Terms")}</a> · <a href="/privacy">{t("Privacy policy")}</a>
            </>
          }
          checked={agrees}
          onChange={(event) => setAgrees(event.currentTarget.checked)}
        />
      )}
      {asked.coming.map((each) => (
        <p key={each.version} className="note">
          {t("The privacy policy changes on {day}: version {number}.", { day: day(each.effective_at), number: each.version })}{" "}
          <a href={each.page}>{t("Read it")}</a>
        </p>
      ))}
      <Problem error={sending.error} />
      <Button type="submit" size="md" fullWidth loading={sending.isPending}>
        {t("Create the account")}
      </Button>
    </form>
  );
}
