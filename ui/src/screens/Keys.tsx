// API keys: made (and shown once), given rules, rotated, revoked.
import { Button, Menu } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { usePaged } from "../api/paged";
import { projects } from "../api/projects";
import { CopyBox } from "../parts/Copy";
import { Ask } from "../parts/Dialog";
import { type Key, KeyForm } from "../parts/KeyForm";
import { useOnce } from "../parts/once";
import { Empty, Page, Problem, State } from "../parts/Page";
import { Row, Rows } from "../parts/Rows";
import { away, day, moment } from "../words/figures";
import { t, useLanguage } from "../words/language";

const STATES: Record<Key["state"], () => string> = {
  revoked: () => t("revoked"),
  archived: () => t("stopped: its project is archived"),
  active: () => t("expired"),
};
type Secret = { secret: string; oldUntil?: string };

export function Keys() {
  useLanguage();
  const found = usePaged({
    key: ["keys"],
    page: (after: string | null) => told(api.GET("/api/keys", { params: { query: { after } } })),
    rows: (page) => page.keys,
    end: (page) => page.after,
  });
  const [editing, setEditing] = useState<Key | "new" | null>(null);
  const [secret, setSecret] = useState<Secret | null>(null);
  const create = <Button onClick={() => setEditing("new")}>{t("Create a key")}</Button>;
  return (
    <Page title={t("API keys")} lead={t("A key lets a program call the API for you. Its secret is shown once, and never stored in the clear.")} act={found.data?.length ? create : undefined}>
      {secret && <Shown {...secret} close={() => setSecret(null)} />}
      <Rows
        of={found}
        none={
          <Empty title={t("No keys yet")} act={create}>
            {t("With a key, every OpenAI client works here: it needs this address and the key, nothing else.")}
          </Empty>
        }
        row={(key) => <One key={key.id} of={key} edit={() => setEditing(key)} rotated={setSecret} />}
      />
      {editing && <KeyForm of={editing === "new" ? null : editing} close={() => setEditing(null)} made={(made) => setSecret({ secret: made })} />}
    </Page>
  );
}

function Shown(props: Secret & { close: () => void }) {
  return (
    <section className="secret" aria-labelledby="secret-title">
      <h2 id="secret-title">{t("Your new key")}</h2>
      <p className="note">
        {t("Copy it now: it is never shown again.")}{" "}
        {props.oldUntil && t("The secret before works until {time}.", { time: moment(props.oldUntil) })}
      </p>
      <CopyBox text={props.secret} label={t("API key")} />
      <Button variant="default" size="xs" onClick={props.close}>
        {t("I have stored it")}
      </Button>
    </section>
  );
}

function One({ of: key, edit, rotated }: { of: Key; edit: () => void; rotated: (made: Secret) => void }) {
  const queries = useQueryClient();
  const [revoking, setRevoking] = useState(false);
  const forget = () => queries.invalidateQueries({ queryKey: ["keys"] });
  const path = { params: { path: { key_id: key.id } } };
  const rotate = useOnce({
    mutationFn: () => told(api.POST("/api/keys/{key_id}/rotate", { ...path, body: {} })),
    onSuccess: async (made) => {
      rotated({ secret: made.secret, oldUntil: made.old_until });
      await forget();
    },
  });
  const project = useQuery({ ...projects, enabled: key.project_id !== null }).data?.find((each) => each.id === key.project_id);
  const works = key.state === "active" && !(key.expires_at && new Date(key.expires_at) <= new Date());
  return (
    <Row
      title={
        <>
          <bdi>{key.name || t("Unnamed key")}</bdi> {!works && <State tone="plain">{STATES[key.state]()}</State>}
        </>
      }
      note={
        <>
          <code>{key.prefix}…</code>
          <span>{key.last_used_at ? t("last used {when}", { when: away(key.last_used_at) }) : t("never used")}</span>
          <span>{t("created {day}", { day: day(key.created_at) })}</span>
          {project && <span>{t("project {name}", { name: project.name })}</span>}
          {key.expires_at && <span>{t("ends {time}", { time: moment(key.expires_at) })}</span>}
          {key.models && <span>{t("{count} models", { count: key.models.length })}</span>}
          {key.keep_h !== null && key.keep_h !== undefined && <span>{t("keeps content {hours} h at most", { hours: key.keep_h })}</span>}
        </>
      }
      end={
        works && (
          <Menu position="bottom-end">
            <Menu.Target>
              <Button variant="default" size="xs" loading={rotate.isPending} aria-label={t("Manage {name}", { name: key.name || key.prefix })}>
                {t("Manage")}
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item onClick={edit}>{t("Rules")}</Menu.Item>
              <Menu.Item onClick={() => rotate.run()}>{t("New secret (the old one works for a day)")}</Menu.Item>
              <Menu.Item className="danger-text" onClick={() => setRevoking(true)}>
                {t("Revoke")}
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        )
      }
    >
      <Problem error={rotate.error} />
      {revoking && (
        <Ask isDangerous title={t("Revoke this key?")} go={t("Revoke")} close={() => setRevoking(false)} run={() => told(api.DELETE("/api/keys/{key_id}", path))} done={forget}>
          <p>{t("Programs that use it stop working at once. This cannot be undone.")}</p>
        </Ask>
      )}
    </Row>
  );
}
