"""Who somebody is at an identity provider: the pair of issuer and subject there, and nothing else.

An address is no identity. Whoever comes from the provider for the first time gets an account of their own if the provider
has verified their address and nobody has it here; if somebody has, they sign in to that account and link it themselves.
Two accounts never become one because an address is the same.
"""

import hmac
import json
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import acts, affirmations, ceremonies, endings, fields, letters, sessions, sign_up, tokens
from avow.accounts.needs import Needs
from avow.accounts.oidc import Claims, Provider, ProviderRefused, encode
from avow.accounts.people import own
from avow.accounts.sessions import NotSignedIn, Session, StepUpNeeded
from avow.accounts.sign_up import SignUp
from avow.accounts.tables import identity
from avow.accounts.visits import Visitor
from avow.base.actor import Actor
from avow.base.errors import AvowError, NotFound
from avow.vault import Gone, Ref, fact

ENTER, LINK = "enter", "link"


class NoProvider(AvowError):
    """No identity provider is set up here."""

    status = 404
    code = "provider_not_configured"
    hint = "Sign in with a password or a passkey; the operator can set AVOW_OIDC_ISSUER."


class AddressUnverified(AvowError):
    """Your identity provider has not verified your e-mail address."""

    status = 403
    code = "provider_address_unverified"
    hint = "Verify it there; or sign up here with a password and link the provider afterwards."


class AddressTaken(AvowError):
    """Your e-mail address has an account here that is not linked with this provider."""

    status = 409
    code = "provider_not_linked"
    hint = "Sign in to it another way (a reset by mail works too), then link the provider at /api/me/identities."


class SignUpAsksMore(AvowError):
    """A sign-up here asks for more than an identity provider tells."""

    status = 403
    code = "provider_tells_too_little"
    hint = "Sign up with a password (GET /api/auth/signup says what it takes), then link the provider."


class IdentityTaken(AvowError):
    """This identity is linked with an account already."""

    status = 409
    code = "identity_taken"
    hint = "Sign in with it; to move it, unlink it there first."


class ListedIdentity(NamedTuple):
    """A linked identity as its person sees it."""

    id: UUID
    issuer: str
    since: datetime


async def begin(needs: Needs, who: Actor | None = None, caller: str | None = None) -> tuple[str, str]:
    """Begin to enter or, for somebody signed in, to link: a ceremony's token, and where the browser goes.

    Raises NoProvider, ProviderSilent, ProviderUnfit, TooManyCeremonies, or NetworkSlowed for a stranger (`caller`).
    """
    provider, kind = configured(needs), ENTER if who is None else LINK
    if who is None:
        token = await ceremonies.begin_as_stranger(needs, "provider_enter", caller)
    else:
        token = await ceremonies.begin(needs, "provider_link")
    about = "" if who is None else str(who.subject_id)
    return token, await provider.address(
        _state(needs, token, kind, about), _nonce(needs, token), _verifier(needs, token)
    )


async def finish(
    needs: Needs,
    token: str | None,
    answer: Iterable[tuple[str, str]],
    current: Session | None,
    visitor: Visitor,
) -> tuple[str, Actor]:
    """Take the provider's answer, once, in the browser that asked; gives a session's token and its person.

    `answer` are the parameters with which the provider sent the browser back. Raises CeremonyRefused, ProviderRefused,
    ProviderSilent; for a newcomer AddressUnverified, SignUpAsksMore or AddressTaken; for a link NotSignedIn, StepUpNeeded or
    IdentityTaken.
    """
    provider, given = configured(needs), _once(answer)
    kind = given.get("state", "").partition(".")[0]
    about = str(current.subject_id) if current and kind == LINK else ""
    expected = _state(needs, token or "", kind, about)
    if kind not in (ENTER, LINK) or not hmac.compare_digest(given["state"].encode(), expected.encode()):
        raise ceremonies.CeremonyRefused
    token = await ceremonies.take(needs, "provider_link" if kind == LINK else "provider_enter", token)
    # RFC 9207: an answer that another provider gave must not reach this one's token endpoint.
    if given.get("iss", provider.issuer) != provider.issuer or "code" not in given:
        raise ProviderRefused
    if (await provider.metadata()).names_itself and "iss" not in given:
        raise ProviderRefused
    claims = await provider.redeem(given["code"], _verifier(needs, token), _nonce(needs, token))
    if kind == LINK:
        return await _link(needs, provider, claims, current)
    return await _enter(needs, provider, claims, visitor)


async def listed(needs: Needs, who: Actor) -> list[ListedIdentity]:
    """A person's own linked identities."""
    tenant_id, subject_id = own(who)
    query = select(identity).where(identity.c.subject_id == subject_id).order_by(identity.c.id)
    async with needs.database.tenant(tenant_id) as connection:
        rows = (await connection.execute(query)).all()
        boxes = [(_reference(tenant_id, subject_id, row.id), row.box) for row in rows]
        opened = await needs.vault.open_many(connection, boxes, "access", who)
    issuers = ["" if found is Gone else str(found["issuer"]) for found in opened]
    return [ListedIdentity(row.id, issuer, row.since) for row, issuer in zip(rows, issuers, strict=True)]


async def unlink(needs: Needs, who: Actor, identity_id: UUID) -> None:
    """Take a linked identity away from its person; a reset by mail still lets them in. Raises NotFound."""
    tenant_id, subject_id = own(who)
    async with needs.database.tenant(tenant_id) as connection:
        mine = (identity.c.id == identity_id, identity.c.subject_id == subject_id)
        if not await endings.drop(needs, connection, identity, *mine):
            raise NotFound("There is no such identity of yours.")
        await letters.changed(needs, connection, tenant_id, subject_id, letters.IDENTITY_REMOVED)
        await acts.note(needs, connection, who, "unlink identity", category="credential")


def configured(needs: Needs) -> Provider:
    """The provider that is set up. Raises NoProvider."""
    if needs.provider is None:
        raise NoProvider
    return needs.provider


async def _enter(needs: Needs, provider: Provider, claims: Claims, visitor: Visitor) -> tuple[str, Actor]:
    wanted = {"wanted": _index(needs, provider, claims), "at": needs.clock.now()}
    async with needs.database.begin() as connection:
        query = text("SELECT * FROM identity_by_index(:wanted, :at)")
        found = (await connection.execute(query, wanted)).one_or_none()
    if found is not None:
        return await sessions.enter(needs, found.tenant_id, found.subject_id, visitor, "provider", with_factor=False)
    tenant_id, subject_id = await _open_account(needs, provider, claims)
    return await sessions.enter(needs, tenant_id, subject_id, visitor, "provider", with_factor=False)


async def _open_account(needs: Needs, provider: Provider, claims: Claims) -> tuple[UUID, UUID]:
    """Open an account for a newcomer with what the policy asks for, and nothing else that the provider told."""
    # Before the address is looked up: whoever has not shown that it is theirs learns nothing about it.
    if not claims.email or not claims.email_verified:
        raise AddressUnverified
    # Nobody but the person can say that they are old enough and agree.
    if affirmations.names(needs.policy, tells=needs.tells_abroad):
        raise SignUpAsksMore
    account = needs.policy.account
    told = {"email": claims.email, "name": claims.name}
    facts = fields.read(account, {name: value for name, value in told.items() if name in account.fields})
    fields.require(account, facts)

    async def also(connection: AsyncConnection, tenant_id: UUID, subject_id: UUID) -> None:
        if not await _write(needs, connection, provider, claims, tenant_id, subject_id):
            raise IdentityTaken

    try:
        return await sign_up.open_account(needs, SignUp("", facts), None, confirmed=True, also=also)
    except sign_up.Taken:
        raise AddressTaken from None


async def _link(needs: Needs, provider: Provider, claims: Claims, current: Session | None) -> tuple[str, Actor]:
    if current is None:
        raise NotSignedIn
    if not current.is_fresh(needs.clock.now()):
        raise StepUpNeeded
    async with needs.database.tenant(current.tenant_id) as connection:
        if not await _write(needs, connection, provider, claims, current.tenant_id, current.subject_id):
            raise IdentityTaken
        await letters.changed(needs, connection, current.tenant_id, current.subject_id, letters.IDENTITY_ADDED)
        await acts.note(needs, connection, current.who, "link identity", category="credential")
    return await sessions.renew(needs, current), current.who


async def _write(
    needs: Needs, connection: AsyncConnection, provider: Provider, claims: Claims, tenant_id: UUID, subject_id: UUID
) -> bool:
    """Link an identity in the caller's transaction; False when it is linked already."""
    begun = fact.begin(needs.policy, "credential", tenant_id, subject_id, needs.clock.now())
    held = {"issuer": provider.issuer, "provider_subject": claims.sub}
    box = needs.vault.seal(_reference(tenant_id, subject_id, begun["id"]), held, begun["ends_at"])
    row = {**begun, "identity_index": _index(needs, provider, claims), "box": box}
    new = insert(identity).values(row).on_conflict_do_nothing(index_elements=[identity.c.identity_index])
    return bool((await connection.execute(new)).rowcount)


def _once(answer: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name; one that comes twice could be read in two ways and is refused."""
    pairs = list(answer)
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ProviderRefused("A parameter came twice.")
    return made


def _index(needs: Needs, provider: Provider, claims: Claims) -> bytes:
    return tokens.digest(needs.pepper, "identity", json.dumps([provider.issuer, claims.sub]))


def _reference(tenant_id: UUID, subject_id: UUID, row_id: UUID) -> Ref:
    return Ref(tenant_id, "identity", "credential", row_id, subject_id)


def _state(needs: Needs, token: str, kind: str, about: str) -> str:
    return f"{kind}.{encode(ceremonies.derive(needs, token, f'state {kind}', about))}"


def _nonce(needs: Needs, token: str) -> str:
    return encode(ceremonies.derive(needs, token, "nonce"))


def _verifier(needs: Needs, token: str) -> str:
    return encode(ceremonies.derive(needs, token, "verifier"))
