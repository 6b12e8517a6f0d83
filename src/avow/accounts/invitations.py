"""Invitations: how somebody comes into an organisation that is there already.

An invitation goes by mail to an address and works once, for a week. Whoever invites learns nothing about the address:
whether it has an account shows only to the one who holds the mail.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, RowMapping, delete, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import affirmations, fields, letters, members, people, sign_up, tokens
from avow.accounts.affirmations import Affirmed
from avow.accounts.needs import Needs
from avow.accounts.people import own
from avow.accounts.permissions import BELONGING, Role
from avow.accounts.sign_up import SignUp
from avow.accounts.tables import invitation
from avow.base.actor import Actor
from avow.base.errors import AvowError, BadInput, NotFound, Slowed
from avow.base.ids import uuid7
from avow.vault import Act, Gone, Ref, blind_index, fact, outbox

WITHIN = timedelta(days=7)
OPEN_MAX = 50

SUBJECT = "You are invited / 邀请您加入"
LETTER = """\
Somebody invites you to their organisation at {site}. To accept, choose a password within 7 days:

{site}/app/invitation#{token}

Without a browser: POST {{"token": "{token}", "password": "…"}} to {site}/api/invitations/accept
If you do not know why, do nothing: no account is made, and the invitation is deleted after 7 days.

有人邀请您加入其在 {site} 的组织。如接受邀请，请在 7 天内打开上面的链接并设置密码。
如不了解此邀请，请忽略本邮件：不会创建账户，邀请将在 7 天后删除。
"""


class InvitationRefused(AvowError):
    """This invitation is not known, was used or withdrawn, or is too old."""

    status = 400
    code = "invitation_refused"
    hint = "Ask whoever invited you for another one."


class AddressHasAccount(AvowError):
    """This address already has an account, and an account belongs to one organisation."""

    status = 409
    code = "address_has_account"
    hint = "Ask for an invitation to another address, or have the other account erased first."


class TooManyInvitations(AvowError):
    """Your organisation has as many open invitations as it can have."""

    status = 409
    code = "too_many_invitations"
    hint = "Withdraw some, or wait until they are accepted or have ended."


class InvitationsSlowed(Slowed):
    """Your organisation has sent many invitations."""

    code = "invitations_slowed"
    hint = "Wait as long as Retry-After says."


class Invitation(msgspec.Struct):
    """An open invitation as owners and admins see it."""

    id: UUID
    email: str | None
    role: Role
    ends_at: datetime


async def invite(needs: Needs, who: Actor, email: str, role: str) -> UUID:
    """Invite an address to one's organisation, as `role`; gives the invitation's id.

    Raises BadInput, FieldRefused, NotPermitted, TooManyInvitations, InvitationsSlowed.
    """
    if role not in BELONGING:
        raise BadInput(f"There is no such role; there are {', '.join(sorted(BELONGING))}.", param="role")
    address, token, now = fields.read_fact("email", email), tokens.make(), needs.clock.now()
    tenant_id, _ = own(who)
    if wait_s := needs.invitations.wait_s(str(tenant_id), now):
        raise InvitationsSlowed(wait_s)
    row = {**fact.begin(needs.policy, "account", tenant_id, uuid7(), now), "ends_at": now + WITHIN, "role": role}
    await needs.vault.prepare(row["subject_id"], "account", row["ends_at"])
    row["token_hmac"] = tokens.digest(needs.pepper, "invitation", token)
    row["email_index"] = blind_index(needs.ring, "email", address)
    row["box"] = needs.vault.seal(_ref(row), {"email": address}, row["ends_at"])
    async with needs.database.tenant(tenant_id) as c:
        inviting = await members.manager(c, who)
        members.check_power(inviting.role, role, role)
        if (await c.scalar(select(func.count()).select_from(invitation).where(_lives(now))) or 0) >= OPEN_MAX:
            raise TooManyInvitations
        await c.execute(invitation.insert().values(row))
        await _send(needs, c, row["tenant_id"], row["subject_id"], address, token)
        await needs.vault.record_act(c, Act(inviting, "invite", tenant_id, row["subject_id"]))
    needs.invitations.fail(str(tenant_id), now)
    return UUID(str(row["id"]))


async def listed(needs: Needs, who: Actor) -> list[Invitation]:
    """The open invitations of one's organisation, oldest first; for owners and admins."""
    tenant_id, _ = own(who)
    async with needs.database.tenant(tenant_id) as c:
        query = select(invitation).where(_lives(needs.clock.now())).order_by(invitation.c.id).limit(OPEN_MAX)
        rows = (await c.execute(query)).mappings().all()
        boxes = [(_ref(row), row["box"]) for row in rows]
        opened = await needs.vault.open_many(c, boxes, "service", await members.manager(c, who))
    emails = [None if found is Gone else str(found["email"]) for found in opened]
    return [Invitation(r["id"], email, r["role"], r["ends_at"]) for r, email in zip(rows, emails, strict=True)]


async def withdraw(needs: Needs, who: Actor, invitation_id: UUID) -> None:
    """Take an open invitation back. Raises NotFound, NotPermitted."""
    tenant_id, _ = own(who)
    async with needs.database.tenant(tenant_id) as c:
        withdrawing = await members.manager(c, who)
        gone = delete(invitation).where(invitation.c.id == invitation_id).returning(invitation.c.subject_id)
        subject_id = await c.scalar(gone)
        if subject_id is None:
            raise NotFound("There is no such invitation.")
        await needs.vault.record_act(c, Act(withdrawing, "withdraw invitation", tenant_id, subject_id))


async def accept(needs: Needs, token: str, given: Mapping[str, object]) -> UUID:
    """Come into the organisation that a token invites to, with a password and the fields of the policy but the address.

    Gives the new person's id; the address is confirmed by the mail that held the token. Raises InvitationRefused,
    FieldRefused, TooYoung, NotAgreed, AgreedToAnother, WeakPassword, Busy, AddressHasAccount.
    """
    now = needs.clock.now()
    wanted = {"wanted": tokens.digest(needs.pepper, "invitation", token), "at": now}
    async with needs.database.begin() as c:
        found = (await c.execute(text("SELECT * FROM invitation_by_token(:wanted, :at)"), wanted)).one_or_none()
    if found is None:
        raise InvitationRefused
    password_hash = await needs.passwords.hash(fields.read_text("password", given.get("password")))
    affirmed = affirmations.read(needs.policy, given, tells=needs.tells_abroad)
    apart = ("password", "email", *affirmations.names(needs.policy, tells=needs.tells_abroad))
    told = {name: value for name, value in given.items() if name not in apart}
    async with needs.database.tenant(found.tenant_id) as c:
        taken = delete(invitation).where(invitation.c.id == found.id).returning(invitation)
        row = (await c.execute(taken)).mappings().one_or_none()
        if row is None:
            raise InvitationRefused
        await _write(needs, c, row, told, affirmed, password_hash, now)
    return UUID(str(row["subject_id"]))


async def _write(
    needs: Needs,
    c: AsyncConnection,
    row: RowMapping,
    told: dict[str, object],
    affirmed: Affirmed,
    password_hash: str,
    now: datetime,
) -> None:
    tenant_id, subject_id = row["tenant_id"], row["subject_id"]
    joining = people.actor(tenant_id, subject_id)
    opened = await needs.vault.open(c, _ref(row), row["box"], "access", joining)
    if opened is Gone:
        raise InvitationRefused
    facts = fields.read(needs.policy.account, {**told, "email": opened["email"]})
    fields.require(needs.policy.account, facts)
    for category in ("account", "credential"):
        await needs.vault.prepare(subject_id, category, needs.policy.categories[category].keep.end(now))
    try:
        asked = SignUp("", facts, affirmed)
        await sign_up.write_person(needs, c, tenant_id, subject_id, asked, now, row["role"], confirmed_at=now)
    except sign_up.Taken:
        raise AddressHasAccount from None
    await people.add_hash(needs, c, tenant_id, subject_id, password_hash)
    act = Act(joining, "join", tenant_id, subject_id, after={"role": row["role"]})
    await needs.vault.record_act(c, act)


async def _send(needs: Needs, c: AsyncConnection, tenant_id: UUID, subject_id: UUID, address: str, token: str) -> None:
    await outbox.put(
        c,
        needs.vault,
        message_id=uuid7(),
        tenant_id=tenant_id,
        subject_id=subject_id,
        recipient=address,
        subject=SUBJECT,
        text=LETTER.format(site=needs.base_url, token=token) + letters.FOOTER.format(site=needs.base_url),
    )


def _lives(now: datetime) -> ColumnElement[bool]:
    return or_(invitation.c.ends_at.is_(None), invitation.c.ends_at > now)


def _ref(row: RowMapping | dict[str, Any]) -> Ref:
    return Ref(row["tenant_id"], invitation.name, "account", row["id"], row["subject_id"])
