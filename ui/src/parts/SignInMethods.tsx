// Ways to sign in beside the password: an app that makes codes, and passkeys.
import { Button, PasswordInput, TextInput } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { encode } from "uqr";

import { Refusal, api, told } from "../api/client";
import { addPasskey, hasPasskeys } from "../api/passkey";
import { day } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { CopyBox } from "./Copy";
import { Ask, Dialog } from "./Dialog";
import { useOnce } from "./once";
import { Loaded, Problem, Section, State } from "./Page";
import { Row, Rows } from "./Rows";

export function SecondFactor() {
  useLanguage();
  const queries = useQueryClient();
  const found = useQuery({ queryKey: ["second-factor"], queryFn: () => told(api.GET("/api/me/second-factor")) });
  const [codes, setCodes] = useState<string[] | null>(null);
  const [removing, setRemoving] = useState(false);
  const begin = useOnce({ mutationFn: () => told(api.POST("/api/me/second-factor")) });
  const renew = useOnce({
    mutationFn: () => told(api.POST("/api/me/second-factor/recovery-codes")),
    onSuccess: ({ recovery_codes }) => setCodes(recovery_codes),
  });
  const forget = () => queries.invalidateQueries({ queryKey: ["second-factor"] });
  return (
    <Section title={t("Second factor")} note={t("An app on your phone makes a code that is asked for beside the password.")}>
      <Loaded of={found} lines={1}>
        {({ enabled, since, recovery_codes_left: left }) =>
          enabled ? (
            <div className="stack">
              <p>
                <State tone="good">{since ? t("on since {day}", { day: day(since) }) : t("on")}</State>{" "}
                <span className="note">{t("{count} recovery codes left", { count: left })}</span>
              </p>
              <div className="cluster">
                <Button variant="default" size="xs" loading={renew.isPending} onClick={() => renew.run()}>
                  {t("New recovery codes")}
                </Button>
                <Button variant="default" size="xs" onClick={() => setRemoving(true)}>
                  {t("Remove")}
                </Button>
              </div>
            </div>
          ) : (
            <div>
              <Button variant="default" loading={begin.isPending} onClick={() => begin.run()}>
                {t("Set one up")}
              </Button>
            </div>
          )
        }
      </Loaded>
      <Problem error={begin.error ?? renew.error} />
      {begin.data && codes === null && !found.data?.enabled && (
        <Scan
          {...begin.data}
          close={begin.reset}
          done={(made) => {
            setCodes(made);
            return forget();
          }}
        />
      )}
      {codes && (
        <Dialog title={t("Recovery codes")} close={() => (setCodes(null), begin.reset(), void forget())}>
          <div className="stack">
            <p className="note">{t("Each works once in the place of the app. Keep them somewhere else; they are never shown again.")}</p>
            <CopyBox label={t("Recovery codes")} text={codes.join("\n")} />
          </div>
        </Dialog>
      )}
      {removing && <Remove close={() => setRemoving(false)} done={forget} />}
    </Section>
  );
}

function Scan({ secret, uri, close, done }: { secret: string; uri: string; close: () => void; done: (codes: string[]) => unknown }) {
  const [code, setCode] = useState("");
  const picture = encode(uri, { border: 2 });
  const path = picture.data.flatMap((row, y) => row.map((on, x) => (on ? `M${x} ${y}h1v1h-1z` : ""))).join("");
  return (
    <Ask
      title={t("Set up the app")}
      go={t("Continue")}
      close={close}
      isReady={code.trim() !== ""}
      run={() => told(api.POST("/api/me/second-factor/confirm", { body: { code: code.trim() } }))}
      done={({ recovery_codes: made }) => done(made)}
    >
      <p className="note">{t("Scan this with an authenticator app, or type the secret there. Then write the code that it shows.")}</p>
      <svg className="qr" viewBox={`0 0 ${picture.size} ${picture.size}`} role="img" aria-label={t("Picture for an authenticator app")}>
        <rect width={picture.size} height={picture.size} fill="#fff" />
        <path d={path} fill="#000" />
      </svg>
      <CopyBox label={t("Secret")} text={secret} />
      <TextInput label={t("Code")} autoComplete="one-time-code" inputMode="numeric" value={code} onChange={(event) => setCode(event.currentTarget.value)} />
    </Ask>
  );
}

function Remove({ close, done }: { close: () => void; done: () => unknown }) {
  const [password, setPassword] = useState("");
  return (
    <Ask
      isDangerous
      title={t("Remove the second factor?")}
      go={t("Remove")}
      close={close}
      isReady={password !== ""}
      run={() => told(api.POST("/api/me/second-factor/remove", { body: { password } }))}
      done={done}
    >
      <p className="note">{t("From then on the password alone is enough; it must have 15 characters.")}</p>
      <PasswordInput label={t("Your password")} autoComplete="current-password" data-autofocus value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
    </Ask>
  );
}

export function Passkeys() {
  useLanguage();
  const queries = useQueryClient();
  const found = useQuery({ queryKey: ["passkeys"], queryFn: () => told(api.GET("/api/me/passkeys")) });
  const forget = () => queries.invalidateQueries({ queryKey: ["passkeys"] });
  const [name, setName] = useState("");
  const add = useOnce({
    mutationFn: () => addPasskey(name.trim()),
    onSuccess: async () => {
      setName("");
      await forget();
    },
  });
  const remove = useOnce({
    mutationFn: (id: string) => told(api.DELETE("/api/me/passkeys/{passkey_id}", { params: { path: { passkey_id: id } } })),
    onSuccess: forget,
  });
  const cancelled = add.error instanceof Refusal && add.error.code === "passkey_cancelled";
  return (
    <Section title={t("Passkeys")} note={t("Your finger, face or PIN on this device signs you in, and counts as both factors.")}>
      <Rows
        of={found}
        lines={1}
        row={(each) => (
          <Row
            key={each.id}
            title={<bdi>{each.name || t("Passkey")}</bdi>}
            note={t("created {day}", { day: day(each.since) })}
            end={
              <Button variant="default" size="xs" disabled={remove.isPending} onClick={() => remove.run(each.id)}>
                {t("Remove")}
              </Button>
            }
          />
        )}
      />
      {hasPasskeys() ? (
        <form className="ask keeping narrow" onSubmit={add.submit}>
          <TextInput label={t("Name of a new passkey")} value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <Button type="submit" variant="default" loading={add.isPending}>
            {t("Add a passkey")}
          </Button>
        </form>
      ) : (
        <p className="note">{t("This browser has no passkeys here.")}</p>
      )}
      {!cancelled && <Problem error={add.error ?? remove.error} />}
    </Section>
  );
}
