// The dialog over whatever somebody was doing, when the platform asks once more who is there. What lies below stays as it
// is; when they have shown who they are, what they did is sent again.
import { Button, Group, Modal, PasswordInput, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useRef, useState } from "react";

import { type Proof, Refusal, api, proveWith, signedIn, told } from "../api/client";
import { me } from "../api/me";
import { hasPasskeys, signInWithPasskey } from "../api/passkey";
import { t, useLanguage } from "../words/language";
import { Problem } from "./Page";

interface Open {
  what: Proof;
  waiting: ((shown: boolean) => void)[];
}

export function Prove() {
  useLanguage();
  const [open, setOpen] = useState<Open | null>(null);
  const asked = useRef<Open | null>(null);

  useEffect(() => {
    proveWith(
      (what) =>
        new Promise((resolve) => {
          if (asked.current) asked.current.waiting.push(resolve);
          else {
            asked.current = { what, waiting: [resolve] };
            setOpen(asked.current);
          }
        }),
    );
  }, []);

  const end = (shown: boolean) => {
    asked.current?.waiting.forEach((tell) => tell(shown));
    asked.current = null;
    setOpen(null);
  };
  return open && <Dialog what={open.what} end={end} />;
}

function Dialog({ what, end }: { what: Proof; end: (shown: boolean) => void }) {
  const known = useQueryClient().getQueryData(me.queryKey);
  const [email, setEmail] = useState(known?.facts.email ?? "");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [asksCode, setAsksCode] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);

  const attempt = async (show: () => Promise<unknown>) => {
    setBusy(true);
    setError(null);
    try {
      await show();
      signedIn(true);
      end(true);
    } catch (wrong) {
      if (wrong instanceof Refusal && wrong.code === "second_factor_needed") setAsksCode(true);
      else setError(wrong);
      setBusy(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void attempt(() =>
      what === "sign-in"
        ? told(api.POST("/api/auth/login", { body: { email, password, code } }))
        : told(api.POST("/api/auth/step-up", { body: { password, code } })),
    );
  };

  return (
    <Modal
      opened
      onClose={() => end(false)}
      title={what === "sign-in" ? t("Your session has ended") : t("Show that it is you")}
      closeButtonProps={{ "aria-label": t("Close") }}
    >
      <form onSubmit={submit} className="stack">
        <p className="note">
          {what === "sign-in"
            ? t("Sign in again to go on. What you typed is still there.")
            : t("This needs your password once more; it then holds for ten minutes.")}
        </p>
        {what === "sign-in" && (
          <TextInput
            label={t("E-mail address")}
            type="email"
            autoComplete="username"
            required
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
          />
        )}
        <PasswordInput
          label={t("Password")}
          autoComplete="current-password"
          data-autofocus
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        {(asksCode || what === "step-up") && (
          <TextInput
            label={asksCode ? t("Code of your app, or a recovery code") : t("Or a code of your app")}
            autoComplete="one-time-code"
            inputMode="numeric"
            value={code}
            onChange={(event) => setCode(event.currentTarget.value)}
          />
        )}
        <Problem error={error} />
        <Group justify="space-between" gap="sm">
          {hasPasskeys() ? (
            <Button variant="subtle" onClick={() => void attempt(signInWithPasskey)} disabled={busy}>
              {t("Use a passkey")}
            </Button>
          ) : (
            <span />
          )}
          <Button type="submit" loading={busy} disabled={!password && !code}>
            {t("Continue")}
          </Button>
        </Group>
      </form>
    </Modal>
  );
}
