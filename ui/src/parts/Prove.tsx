// The dialog over whatever somebody was doing, when the platform asks once more who is there. What lies below stays as it
// is; when they have shown who they are, what they did is sent again.
import { Button, Group, PasswordInput, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useCallback, useEffect, useRef, useState } from "react";

import { type Proof, Refusal, api, proveWith, signedIn, told } from "../api/client";
import { me } from "../api/me";
import { hasPasskeys, signInWithPasskey } from "../api/passkey";
import { hearTabs, tellTabs } from "../api/tabs";
import { t, useLanguage } from "../words/language";
import { Dialog } from "./Dialog";
import { EmailField } from "./EmailField";
import { useOnce } from "./once";
import { Problem } from "./Page";

const START = "/app/";
const SIGN_IN = "/app/sign-in";

interface Open {
  what: Proof;
  waiting: ((shown: boolean) => void)[];
}

export function Prove() {
  useLanguage();
  const queries = useQueryClient();
  const [open, setOpen] = useState<Open | null>(null);
  const [leftElsewhere, setLeftElsewhere] = useState(false);
  const asked = useRef<Open | null>(null);

  const end = useCallback((shown: boolean) => {
    asked.current?.waiting.forEach((tell) => tell(shown));
    asked.current = null;
    setOpen(null);
    setLeftElsewhere(false);
  }, []);

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

  useEffect(
    () =>
      hearTabs((news) => {
        const known = queries.getQueryData(me.queryKey);
        if (!known) return;
        if (news.what === "changed") void queries.invalidateQueries({ refetchType: "none" });
        if (news.what === "left") {
          setLeftElsewhere(true);
          void queries.invalidateQueries({ queryKey: me.queryKey });
        }
        if (news.what === "entered") {
          if (news.id !== known.id) location.assign(START);
          else if (asked.current?.what === "sign-in") end(true);
        }
      }),
    [queries, end],
  );
  return open && <Showing what={open.what} leftElsewhere={leftElsewhere} end={end} />;
}

function Showing({ what, leftElsewhere, end }: { what: Proof; leftElsewhere: boolean; end: (shown: boolean) => void }) {
  const known = useQueryClient().getQueryData(me.queryKey);
  const [email, setEmail] = useState(known?.facts.email ?? "");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [asksCode, setAsksCode] = useState(false);
  const showing = useOnce({
    mutationFn: (show: () => Promise<unknown>) => show(),
    onSuccess: async () => {
      signedIn(true);
      // Whoever signed in may be somebody else: then nothing of the person before is sent, or shown to them.
      if (what === "sign-in" && known && (await told(api.GET("/api/me"))).id !== known.id) return location.assign(START);
      if (known) tellTabs({ what: "entered", id: known.id });
      end(true);
    },
    onError: (wrong) => isAskingCode(wrong) && setAsksCode(true),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    showing.run(() =>
      what === "sign-in"
        ? told(api.POST("/api/auth/login", { body: { email, password, code } }))
        : told(api.POST("/api/auth/step-up", { body: { password, code } })),
    );
  };
  const isSignIn = what === "sign-in";
  const isCodeEnough = asksCode && !isSignIn;

  return (
    <Dialog
      isHeld={isSignIn}
      title={isSignIn ? (leftElsewhere ? t("You signed out in another tab") : t("Your session has ended")) : t("Show that it is you")}
      close={() => end(false)}
    >
      <form onSubmit={submit} className="stack">
        <p className="note">
          {isSignIn
            ? t("Sign in again to go on. What you typed is still there.")
            : isCodeEnough
              ? t("Your account has a second factor: send a code of it, or use your passkey. It then holds for ten minutes.")
              : t("This needs your password once more; it then holds for ten minutes.")}
        </p>
        {isSignIn && (
          <EmailField value={email} set={setEmail} />
        )}
        {!isCodeEnough && (
          <PasswordInput
            label={t("Password")}
            autoComplete="current-password"
            data-autofocus
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
        )}
        {(asksCode || !isSignIn) && (
          <TextInput
            label={asksCode ? t("Code of your app, or a recovery code") : t("Or a code of your app")}
            autoComplete="one-time-code"
            inputMode="numeric"
            value={code}
            onChange={(event) => setCode(event.currentTarget.value)}
          />
        )}
        <Problem error={isAskingCode(showing.error) ? null : showing.error} />
        <Group justify="flex-end" gap="sm">
          {isSignIn && (
            <Button variant="default" onClick={() => location.assign(SIGN_IN)}>
              {t("Leave")}
            </Button>
          )}
          {hasPasskeys() && (
            <Button variant="default" onClick={() => showing.run(signInWithPasskey)} disabled={showing.isPending}>
              {t("Use a passkey")}
            </Button>
          )}
          <Button type="submit" loading={showing.isPending} disabled={!password && !code}>
            {t("Continue")}
          </Button>
        </Group>
      </form>
    </Dialog>
  );
}

function isAskingCode(wrong: unknown): boolean {
  return wrong instanceof Refusal && wrong.code === "second_factor_needed";
}
