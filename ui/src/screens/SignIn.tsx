// Signing in: address and password, a code where there is a second factor, or a passkey.
import { Button, PasswordInput, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";

import { Refusal, api, told } from "../api/client";
import { hasPasskeys, signInWithPasskey } from "../api/passkey";
import { EmailField } from "../parts/EmailField";
import { Entrance } from "../parts/Entrance";
import { useOnce } from "../parts/once";
import { Problem } from "../parts/Page";
import { WithProvider, useRefused } from "../parts/Provider";
import { t, useLanguage } from "../words/language";

/** A browser that keeps no cookie has forgotten the session at its next request. */
async function checkSession(): Promise<void> {
  const answer = await fetch("/api/me");
  if (answer.status === 401) throw new Refusal(401, "cookie_missing", "");
}

export function SignIn() {
  useLanguage();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { next } = useSearch({ strict: false }) as { next?: string };
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [asksCode, setAsksCode] = useState(false);
  const refused = useRefused();
  const entering = useOnce({
    mutationFn: async (enter: () => Promise<unknown>) => {
      await enter();
      await checkSession();
    },
    onSuccess: async () => {
      queries.clear();
      await navigate({ to: isInside(next) ? next : "/" });
    },
    onError: (wrong) => isAskingCode(wrong) && setAsksCode(true),
  });
  const wrong = isAskingCode(entering.error) ? null : (entering.error ?? refused);

  return (
    <Entrance
      title={t("Sign in")}
      submit={() => entering.run(() => told(api.POST("/api/auth/login", { body: { email, password, code } })))}
      below={
        <>
          {t("No account yet?")} <Link to="/sign-up">{t("Sign up")}</Link>
        </>
      }
    >
      <EmailField value={email} set={setEmail} />
      <PasswordInput
        label={t("Password")}
        autoComplete="current-password"
        required
        withAsterisk={false}
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      {asksCode && (
        <TextInput
          label={t("Code of your app, or a recovery code")}
          autoComplete="one-time-code"
          autoFocus
          value={code}
          onChange={(event) => setCode(event.currentTarget.value)}
        />
      )}
      <Problem error={wrong} />
      <Button type="submit" size="md" loading={entering.isPending} fullWidth>
        {t("Sign in")}
      </Button>
      {hasPasskeys() && (
        <Button variant="default" size="md" fullWidth disabled={entering.isPending} onClick={() => entering.run(signInWithPasskey)}>
          {t("Sign in with a passkey")}
        </Button>
      )}
      <WithProvider />
      <Link to="/forgot" className="quiet-link">
        {t("Forgot your password?")}
      </Link>
    </Entrance>
  );
}

function isAskingCode(wrong: unknown): boolean {
  return wrong instanceof Refusal && wrong.code === "second_factor_needed";
}

/** Whether an address leads to a screen of this app and nowhere else. */
function isInside(next: string | undefined): next is string {
  return next !== undefined && /^\/[a-z/-]*$/.test(next) && !next.startsWith("//");
}
