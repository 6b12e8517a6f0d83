// The people of an organisation: who they are, what they may do, and who is invited.
import { Button, Select } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMe } from "../api/me";
import { usePaged } from "../api/paged";
import type { components } from "../api/schema";
import { away, moment } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { type Role, givable, role as said } from "../words/roles";
import { Ask } from "./Dialog";
import { EmailField } from "./EmailField";
import { useOnce } from "./once";
import { Problem, Section, State } from "./Page";
import { Row, Rows } from "./Rows";

type Member = components["schemas"]["Member"];

export function Members() {
  useLanguage();
  const found = usePaged({
    key: ["members"],
    page: (after: string | null) => told(api.GET("/api/tenant/members", { params: { query: { after } } })),
    rows: (page) => page.members,
    end: (page) => page.after,
  });
  return (
    <Section title={t("Members")} note={t("What a key was used for belongs to its owner: nobody reads a colleague's content here. That you look at this list stands on each person's record.")}>
      <Rows of={found} row={(each) => <One key={each.id} of={each} />} />
    </Section>
  );
}

function One({ of: member }: { of: Member }) {
  const me = useMe();
  const queries = useQueryClient();
  const [removing, setRemoving] = useState(false);
  const path = { params: { path: { member_id: member.id } } };
  const forget = () => Promise.all([queries.invalidateQueries({ queryKey: ["members"] }), queries.invalidateQueries({ queryKey: ["me"] })]);
  const change = useOnce({
    mutationFn: (role: Role) => told(api.PATCH("/api/tenant/members/{member_id}", { ...path, body: { role } })),
    onSettled: forget,
  });
  const name = member.facts?.name || member.facts?.username || member.facts?.email || "";
  const roles = givable(me.role);
  return (
    <Row
      title={
        <>
          <bdi>{name || t("Somebody who had the use of their data restricted")}</bdi> {member.id === me.id && <span className="note">{t("(you)")}</span>}
        </>
      }
      note={
        <>
          {member.facts?.email && member.facts.email !== name && <span>{member.facts.email}</span>}
          {!member.confirmed && <span>{t("address not confirmed")}</span>}
        </>
      }
      end={
        roles.includes(member.role) ? (
          <div className="cluster">
            <Select
              className="role"
              size="sm"
              aria-label={t("Role of {name}", { name })}
              value={member.role}
              data={roles.map((value) => ({ value, label: said(value) }))}
              disabled={change.isPending}
              onChange={(role) => role && role !== member.role && change.run(role as Role)}
            />
            {member.id !== me.id && (
              <Button variant="default" size="xs" aria-label={t("Remove {name}", { name })} onClick={() => setRemoving(true)}>
                {t("Remove")}
              </Button>
            )}
          </div>
        ) : (
          <State tone="plain">{said(member.role)}</State>
        )
      }
    >
      <Problem error={change.error} />
      {removing && (
        <Ask isDangerous title={t("Remove {name}?", { name })} go={t("Remove")} close={() => setRemoving(false)} run={() => told(api.DELETE("/api/tenant/members/{member_id}", path))} done={forget}>
          <p>{t("Their keys stop at once. Their account stays theirs, with their own rights in it, and nothing else.")}</p>
        </Ask>
      )}
    </Row>
  );
}

export function Invitations() {
  useLanguage();
  const { role: mine } = useMe();
  const queries = useQueryClient();
  const found = useQuery({ queryKey: ["invitations"], queryFn: () => told(api.GET("/api/tenant/invitations")) });
  const forget = () => queries.invalidateQueries({ queryKey: ["invitations"] });
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("member");
  const invite = useOnce({
    mutationFn: () => told(api.POST("/api/tenant/invitations", { body: { email: email.trim(), role } })),
    onSuccess: async () => {
      setEmail("");
      await forget();
    },
  });
  const withdraw = useOnce({
    mutationFn: (id: string) => told(api.DELETE("/api/tenant/invitations/{invitation_id}", { params: { path: { invitation_id: id } } })),
    onSettled: forget,
  });
  return (
    <Section title={t("Invitations")} note={t("A message goes to the address; its link works once, for a week. Whether the address has an account here is not told to you.")}>
      <form className="ask keeping" onSubmit={invite.submit}>
        <EmailField isOfAnother value={email} set={setEmail} />
        <Select className="role" label={t("Role")} value={role} data={givable(mine).map((value) => ({ value, label: said(value) }))} onChange={(value) => setRole((value ?? "member") as Role)} />
        <Button type="submit" variant="default" loading={invite.isPending} disabled={!email.trim()}>
          {t("Invite")}
        </Button>
      </form>
      <Problem error={invite.error ?? withdraw.error} />
      {invite.isSuccess && !email && <p role="status">{t("The invitation is on its way.")}</p>}
      <Rows
        of={found}
        lines={1}
        row={(each) => (
          <Row
            key={each.id}
            title={<bdi>{each.email ?? t("an address that is not there any more")}</bdi>}
            note={
              <>
                <span>{said(each.role)}</span>
                <span title={moment(each.ends_at)}>{t("ends {time}", { time: away(each.ends_at) })}</span>
              </>
            }
            end={
              <Button variant="default" size="xs" disabled={withdraw.isPending} aria-label={t("Withdraw the invitation of {email}", { email: each.email ?? "" })} onClick={() => withdraw.run(each.id)}>
                {t("Withdraw")}
              </Button>
            }
          />
        )}
      />
    </Section>
  );
}
