// The people of an organisation: who they are, what they may do, and who is invited.
import { Button, Select, TextInput } from "@mantine/core";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, told } from "../api/client";
import { useMe } from "../api/me";
import type { components } from "../api/schema";
import { away, moment } from "../words/figures";
import { t, useLanguage } from "../words/language";
import { givable, role as said } from "../words/roles";
import { Confirm } from "./Confirm";
import { useOnce } from "./once";
import { Loaded, Problem, Section, State } from "./Page";

type Member = components["schemas"]["Member"];
const FORMER = "former";

export function Members() {
  useLanguage();
  const found = useInfiniteQuery({
    queryKey: ["members"],
    queryFn: ({ pageParam }) => told(api.GET("/api/tenant/members", { params: { query: pageParam ? { after: pageParam } : {} } })),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.after,
  });
  return (
    <Section title={t("Members")} note={t("What a key was used for belongs to its owner: nobody reads a colleague's content here. That you look at this list stands on each person's record.")}>
      <Loaded of={{ ...found, data: found.data?.pages.flatMap((page) => page.members) }}>
        {(all) => (
          <ul className="rows">
            {all.map((each) => (
              <Row key={each.id} of={each} />
            ))}
          </ul>
        )}
      </Loaded>
      {found.hasNextPage && (
        <div>
          <Button variant="default" size="xs" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
            {t("Show more")}
          </Button>
        </div>
      )}
    </Section>
  );
}

function Row({ of: member }: { of: Member }) {
  const me = useMe();
  const queries = useQueryClient();
  const [removing, setRemoving] = useState(false);
  const path = { params: { path: { member_id: member.id } } };
  const forget = () => Promise.all([queries.invalidateQueries({ queryKey: ["members"] }), queries.invalidateQueries({ queryKey: ["me"] })]);
  const change = useOnce({
    mutationFn: (role: string) => told(api.PATCH("/api/tenant/members/{member_id}", { ...path, body: { role } })),
    onSettled: forget,
  });
  const name = member.facts?.name || member.facts?.username || member.facts?.email || "";
  const roles = givable(me.role);
  const canChange = member.role !== FORMER && roles.includes(member.role);
  return (
    <li className="row">
      <div className="row-main">
        <p className="row-title">
          <bdi>{name || t("Somebody who had the use of their data restricted")}</bdi> {member.id === me.id && <span className="note">{t("(you)")}</span>}
        </p>
        <p className="row-note">
          {member.facts?.email && member.facts.email !== name && <span>{member.facts.email}</span>}
          {!member.confirmed && <span>{t("address not confirmed")}</span>}
        </p>
        <Problem error={change.error} />
      </div>
      {canChange ? (
        <div className="cluster">
          <Select
            className="role"
            size="sm"
            aria-label={t("Role of {name}", { name })}
            value={member.role}
            data={roles.map((value) => ({ value, label: said(value) }))}
            disabled={change.isPending}
            onChange={(role) => role && role !== member.role && change.run(role)}
          />
          {member.id !== me.id && (
            <Button variant="default" size="xs" aria-label={t("Remove {name}", { name })} onClick={() => setRemoving(true)}>
              {t("Remove")}
            </Button>
          )}
        </div>
      ) : (
        <State tone="plain">{said(member.role)}</State>
      )}
      <Confirm
        opened={removing}
        title={t("Remove {name}?", { name })}
        go={t("Remove")}
        close={() => setRemoving(false)}
        run={async () => {
          await told(api.DELETE("/api/tenant/members/{member_id}", path));
          await forget();
        }}
      >
        <p>{t("Their keys stop at once. Their account stays theirs, with their own rights in it, and nothing else.")}</p>
      </Confirm>
    </li>
  );
}

export function Invitations() {
  useLanguage();
  const { role: mine } = useMe();
  const queries = useQueryClient();
  const found = useQuery({ queryKey: ["invitations"], queryFn: () => told(api.GET("/api/tenant/invitations")) });
  const forget = () => queries.invalidateQueries({ queryKey: ["invitations"] });
  const [email, setEmail] = useState("");
  const [role, setRole] = useState("member");
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
        <TextInput label={t("E-mail address")} type="email" autoComplete="off" required withAsterisk={false} value={email} onChange={(event) => setEmail(event.currentTarget.value)} />
        <Select className="role" label={t("Role")} value={role} data={givable(mine).map((value) => ({ value, label: said(value) }))} onChange={(value) => setRole(value ?? "member")} />
        <Button type="submit" variant="default" loading={invite.isPending} disabled={!email.trim()}>
          {t("Invite")}
        </Button>
      </form>
      <Problem error={invite.error ?? withdraw.error} />
      {invite.isSuccess && !email && <p role="status">{t("The invitation is on its way.")}</p>}
      <Loaded of={found} lines={1}>
        {(all) =>
          all.length > 0 && (
            <ul className="rows">
              {all.map((each) => (
                <li className="row" key={each.id}>
                  <div className="row-main">
                    <p className="row-title">
                      <bdi>{each.email ?? t("an address that is not there any more")}</bdi>
                    </p>
                    <p className="row-note">
                      <span>{said(each.role)}</span>
                      <span title={moment(each.ends_at)}>{t("ends {time}", { time: away(each.ends_at) })}</span>
                    </p>
                  </div>
                  <Button variant="default" size="xs" disabled={withdraw.isPending} aria-label={t("Withdraw the invitation of {email}", { email: each.email ?? "" })} onClick={() => withdraw.run(each.id)}>
                    {t("Withdraw")}
                  </Button>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Section>
  );
}
