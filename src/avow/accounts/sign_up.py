"""Signing up: how a person, a tenant of one, a wallet and a first password come to be.

An address is asked for its owner's confirmation by mail. Whoever signs up with an address that already has an account
gets the same answer after the same work and at the same step of time; only the owner, by mail, learns of the attempt.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import (
    acts,
    affirmations,
    directory,
    fields,
    letters,
    pace,
    people,
    resets,
    throttle,
    tokens,
    transfers,
)
from avow.accounts.affirmations import Affirmed
from avow.accounts.needs import Needs
from avow.accounts.tables import confirmation, person, tenant, tenant_kind
from avow.base.errors import AvowError, Slowed
from avow.base.ids import uuid7
from avow.policy import Policy
from avow.privacy import acceptances
from avow.vault import blind_index, fact
from avow.vault.blind import normalise

CONFIRM_WITHIN = timedelta(hours=24)
EXAMPLE_COUNTRY = "DE"

Also = Callable[[AsyncConnection, UUID, UUID], Awaitable[None]]
"""Writes more rows of a new account, of this tenant and person, in the same transaction."""


class SignUp(NamedTuple):
    """What a new person gave: the password apart, what they told by field name, and what they affirmed."""

    password: str
    facts: dict[str, str]
    affirmed: Affirmed = Affirmed()


class ConfirmationRefused(AvowError):
    """This confirmation is not known, was used, or is too old."""

    status = 400
    code = "confirmation_refused"
    hint = "Sign up again with the same address: a new message will be sent."


class MailboxSlowed(Slowed):
    """Many messages were asked for to this mailbox, perhaps under several ways to write its address."""

    code = "mailbox_slowed"
    hint = "Wait as long as Retry-After says; messages that were sent already still work."

    def __init__(self, wait_s: int) -> None:
        super().__init__(wait_s, param="email")


class Taken(Exception):
    """Somebody else took the address while this sign-up was under way; rolls the transaction back."""


def read(policy: Policy, given: Mapping[str, object], *, tells: bool = False) -> SignUp:
    """Check a sign-up against the policy. Raises FieldRefused, which names the field and never its value; TooYoung,
    NotAgreed, AgreedToAnother or TransferNotShown."""
    apart = ("password", *affirmations.names(policy, tells=tells))
    facts = fields.read(policy.account, {name: value for name, value in given.items() if name not in apart})
    fields.require(policy.account, facts)
    password = fields.read_text("password", given.get("password"))
    return SignUp(password, facts, affirmations.read(policy, given, tells=tells))


def example(policy: Policy, email: str, password: str, *, tells: bool) -> dict[str, object]:
    """All that a sign-up under a policy must give, made up but for address and password: for people of the platform's own."""
    affirmed = {"country": EXAMPLE_COUNTRY, "of_age": True, "agreed": list(affirmations.versions(policy))}
    affirmed |= {transfers.FIELD: policy.version}
    return {
        **dict.fromkeys(policy.account.required, email.partition("@")[0]),
        **{name: affirmed[name] for name in affirmations.names(policy, tells=tells)},
        "email": email,
        "password": password,
    }


async def sign_up(needs: Needs, given: Mapping[str, object], address: str | None = None) -> None:
    """Make an account from `given` fields and ask the address's owner to confirm; tells nothing about the address.

    `address` is the caller's network address, compared in memory only. Raises FieldRefused, TooYoung, NotAgreed,
    AgreedToAnother, NetworkSlowed or MailboxSlowed (with Retry-After), WeakPassword or Busy, each before anything is looked
    up or stored.
    """
    needs.newcomers.check(address, needs.clock.now())
    asked = read(needs.policy, given, tells=needs.tells_abroad)
    admit(needs, asked.facts["email"], address)
    async with pace.even(needs.step_s):
        password_hash = await needs.passwords.hash(asked.password, context=(needs.host, *asked.facts.values()))
        found = await people.find(needs, asked.facts["email"])
        if found is None:
            try:
                await open_account(needs, asked, password_hash)
            except Taken:
                found = await people.find(needs, asked.facts["email"])
        if found is not None:
            await tell_owner(needs, found, normalise(asked.facts["email"]))


def admit(needs: Needs, email: str, address: str | None) -> str:
    """Count a message that somebody at a network address lets be sent to a mailbox, whoever has an account there; gives the
    mailbox's address back. Raises NetworkSlowed or MailboxSlowed."""
    name, now = throttle.mailbox(email), needs.clock.now()
    needs.newcomers.check(address, now)
    needs.newcomers.fail(address, now)
    if wait_s := needs.mailboxes.wait_s(name, now):
        raise MailboxSlowed(wait_s)
    needs.mailboxes.fail(name, now)
    return email


async def open_account(
    needs: Needs,
    asked: SignUp,
    password_hash: str | None,
    kind: str = "customer",
    *,
    confirmed: bool = False,
    also: Also | None = None,
) -> tuple[UUID, UUID]:
    """Write all rows of a new account in one transaction, with what `also` writes; gives the tenant's and person's ids.

    Who is `confirmed` already gets no message. Raises Taken when somebody has the address.
    """
    tenant_id, subject_id, wallet_id, now = uuid7(), uuid7(), uuid7(), needs.clock.now()
    for category in ("account", "credential"):
        await needs.vault.prepare(subject_id, category, needs.policy.categories[category].keep.end(now))
    async with needs.database.tenant(tenant_id) as connection:
        await connection.execute(
            tenant.insert().values(tenant_id=tenant_id, created_at=now, wallet_id=wallet_id, keep_h=None)
        )
        await connection.execute(tenant_kind.insert().values(tenant_id=tenant_id, kind=kind))
        await write_person(needs, connection, tenant_id, subject_id, asked, now)
        if password_hash is not None:
            await people.add_hash(needs, connection, tenant_id, subject_id, password_hash)
        if also is not None:
            await also(connection, tenant_id, subject_id)
        await needs.first_credit(connection, tenant_id, subject_id, wallet_id, now)
        await acts.note(needs, connection, people.actor(tenant_id, subject_id), "open account")
        if confirmed:
            await connection.execute(update(person).where(person.c.id == subject_id).values(confirmed_at=now))
        else:
            await _ask(needs, connection, tenant_id, subject_id, asked.facts["email"])
    return tenant_id, subject_id


async def tell_owner(needs: Needs, found: Row[Any], name: str) -> None:
    """Answer a second sign-up by mail to the owner: a reminder or, while nobody has confirmed the address, a way to take it.

    Who signed up first may be a stranger. A confirmation would then make their password good for this address: so earlier
    confirmations end, and the owner is sent a reset, which puts out whoever came before (`resets.take`).
    The message goes to the address that the owner gave, not to the one typed now, which may only look like it. It is
    bounded per address by a wait that grows, so that nobody's mailbox can be filled.
    """
    now = needs.clock.now()
    if needs.letters.wait_s(name, now):
        return
    needs.letters.fail(name, now)
    async with needs.database.tenant(found.tenant_id) as connection:
        address = await people.open_address(needs, connection, found.tenant_id, found.subject_id)
        if address is None:
            return
        if found.confirmed_at is None:
            await connection.execute(delete(confirmation).where(confirmation.c.subject_id == found.subject_id))
            await resets.send(needs, connection, found.tenant_id, found.subject_id, address)
        else:
            await letters.remind(needs, connection, found.tenant_id, found.subject_id, address)


async def confirm(needs: Needs, token: str) -> None:
    """Confirm the address whose owner got `token` by mail; it works once. Raises ConfirmationRefused."""
    now = needs.clock.now()
    wanted = {"wanted": tokens.digest(needs.pepper, "confirmation", token), "at": now}
    async with needs.database.begin() as connection:
        query = text("SELECT * FROM confirmation_by_token(:wanted, :at)")
        found = (await connection.execute(query, wanted)).one_or_none()
    if found is None:
        raise ConfirmationRefused
    async with needs.database.tenant(found.tenant_id) as connection:
        await connection.execute(delete(confirmation).where(confirmation.c.subject_id == found.subject_id))
        confirmed = func.coalesce(person.c.confirmed_at, now)
        await connection.execute(update(person).where(person.c.id == found.subject_id).values(confirmed_at=confirmed))
        await acts.note(needs, connection, people.actor(found.tenant_id, found.subject_id), "confirm address")
        await directory.announce(connection, found.tenant_id)
    needs.directory.forget(found.tenant_id)


async def _ask(needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, email: str) -> None:
    token, now = tokens.make(), needs.clock.now()
    row = {
        **fact.begin(needs.policy, "credential", tenant_id, subject_id, now),
        "ends_at": now + CONFIRM_WITHIN,
        "token_hmac": tokens.digest(needs.pepper, "confirmation", token),
    }
    await connection.execute(confirmation.insert().values(row))
    await letters.ask(needs, connection, tenant_id, subject_id, email, token)


async def write_person(
    needs: Needs,
    connection: AsyncConnection,
    tenant_id: UUID,
    subject_id: UUID,
    asked: SignUp,
    now: datetime,
    role: str = "owner",
    confirmed_at: datetime | None = None,
) -> None:
    """Write a person's row and what they accepted. Raises Taken, of which nobody may be told who has not shown that the
    address is theirs."""
    begun = {**fact.begin(needs.policy, "account", tenant_id, subject_id, now), "id": subject_id}
    held = {**asked.facts, **asked.affirmed.kept}
    row = {
        **begun,
        "email_index": blind_index(needs.ring, "email", asked.facts["email"]),
        "confirmed_at": confirmed_at,
        "role": role,
        "box": needs.vault.seal(people.reference(tenant_id, subject_id), held, begun["ends_at"]),
    }
    made = insert(person).values(row).on_conflict_do_nothing(index_elements=[person.c.email_index])
    if not (await connection.execute(made)).rowcount:
        raise Taken
    await _accept(needs, connection, tenant_id, subject_id, asked.affirmed.agreed, now)
    if asked.affirmed.transfer_shown is not None:
        shown = asked.affirmed.transfer_shown
        await transfers.remember(connection, needs.policy, tenant_id, subject_id, shown, now)


async def _accept(
    needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, agreed: tuple[int, ...], now: datetime
) -> None:
    """Write down that a newcomer accepted the policy in force, by name or by coming in, where it says how."""
    if "acceptance" not in needs.policy.parts:
        return
    version, terms = (*agreed, None, None)[:2]
    how: acceptances.How = "explicit" if agreed else "use"
    version = version or needs.policy.version
    await acceptances.record(connection, needs.policy, tenant_id, subject_id, version, how, now, terms=terms)
