"""Passkeys (WebAuthn): a key pair on a person's device, unlocked there by finger, face or PIN.

It is found without a name (resident), always verifies its user, and so counts as both factors. What is kept is its public
key, sealed; its id is found again by a keyed digest. No model and no maker of a device is asked for or kept.
"""

import ipaddress
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import webauthn
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    parse_authentication_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from avow.accounts import acts, ceremonies, endings, fields, letters, people, sessions, tokens
from avow.accounts.needs import Needs
from avow.accounts.people import own
from avow.accounts.tables import passkey
from avow.accounts.visits import Visitor
from avow.base.actor import Actor
from avow.base.errors import AvowError, NotFound
from avow.vault import Gone, Ref, fact

COUNT_MAX = 20

T = TypeVar("T")


class PasskeyRefused(AvowError):
    """This passkey is not known here, or its answer is not sound."""

    status = 401
    code = "passkey_refused"
    hint = "Begin again, or sign in with your password."


class PasskeyUnfit(AvowError):
    """This passkey cannot be added."""

    status = 400
    code = "passkey_unfit"
    hint = "Begin again with a device that checks who you are (finger, face or PIN) and was not added before."


class NoName(AvowError):
    """Passkeys belong to a name, and this place is called by a number."""

    status = 409
    code = "passkeys_need_a_name"
    hint = (
        "Set AVOW_ORIGIN to the name under which people come here, such as https://ai.example or http://localhost:8080."
    )


class ListedPasskey(msgspec.Struct, frozen=True):
    """A passkey as its person sees it."""

    id: UUID
    name: str
    since: datetime
    last_used_at: datetime | None


async def begin_adding(needs: Needs, who: Actor) -> tuple[str, dict[str, Any]]:
    """Begin to add a passkey: a ceremony's token, and what the browser hands to `navigator.credentials.create`.

    Raises NoName, PasskeyUnfit when there are twenty already, or TooManyCeremonies.
    """
    _, subject_id = own(who)
    name = rp_id(needs)
    facts, known = await _known(needs, who)
    if len(known) >= COUNT_MAX:
        raise PasskeyUnfit(f"There are {COUNT_MAX} passkeys already.", hint="Remove one that is not used any more.")
    token = await ceremonies.begin(needs, "passkey_add")
    options = webauthn.generate_registration_options(
        rp_id=name,
        rp_name=name,
        user_name=facts["email"],
        user_id=subject_id.bytes,
        challenge=ceremonies.derive(needs, token, "challenge", str(subject_id)),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            require_resident_key=True,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=each) for each in known],
    )
    return token, json.loads(webauthn.options_to_json(options))


async def add(needs: Needs, who: Actor, token: str | None, credential: dict[str, Any], name: str) -> UUID:
    """Add the passkey that a device made; gives its id here. Raises CeremonyRefused, PasskeyUnfit or FieldRefused."""
    tenant_id, subject_id = own(who)
    label = fields.read_fact("passkey_name", name)
    token = await ceremonies.take(needs, "passkey_add", token)
    made = _checked(
        PasskeyUnfit,
        lambda: webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=ceremonies.derive(needs, token, "challenge", str(subject_id)),
            expected_rp_id=rp_id(needs),
            expected_origin=needs.base_url,
            require_user_verification=True,
        ),
    )
    begun = fact.begin(needs.policy, "credential", tenant_id, subject_id, needs.clock.now())
    await needs.vault.prepare(subject_id, "credential", begun["ends_at"])
    held = {
        "credential_id": bytes_to_base64url(made.credential_id),
        "public_key": bytes_to_base64url(made.credential_public_key),
        "name": label,
    }
    row = {
        **begun,
        "credential_index": _index(needs, made.credential_id),
        "sign_count": made.sign_count,
        "last_used_at": None,
        "box": needs.vault.seal(_reference(tenant_id, subject_id, begun["id"]), held, begun["ends_at"]),
    }
    new = insert(passkey).values(row).on_conflict_do_nothing(index_elements=[passkey.c.credential_index])
    async with needs.database.tenant(tenant_id) as connection:
        if not (await connection.execute(new)).rowcount:
            raise PasskeyUnfit("This passkey was added before.")
        await letters.changed(needs, connection, tenant_id, subject_id, letters.PASSKEY_ADDED)
        await acts.note(needs, connection, who, "add passkey", category="credential")
    return UUID(str(begun["id"]))


async def begin_using(needs: Needs, caller: str | None = None) -> tuple[str, dict[str, Any]]:
    """Begin to sign in: a ceremony's token, and what the browser hands to `navigator.credentials.get`.

    Raises NoName, NetworkSlowed for a `caller` whose network begins very many, or TooManyCeremonies.
    """
    name = rp_id(needs)
    token = await ceremonies.begin_as_stranger(needs, "passkey_use", caller)
    options = webauthn.generate_authentication_options(
        rp_id=name,
        challenge=ceremonies.derive(needs, token, "challenge"),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return token, json.loads(webauthn.options_to_json(options))


async def sign_in(needs: Needs, token: str | None, credential: dict[str, Any], visitor: Visitor) -> tuple[str, Actor]:
    """Begin a session for whoever's device signed the challenge, once; an older session of the same browser ends.

    Raises CeremonyRefused or PasskeyRefused.
    """
    token = await ceremonies.take(needs, "passkey_use", token)
    given = _checked(PasskeyRefused, lambda: parse_authentication_credential_json(credential))
    wanted = {"wanted": _index(needs, given.raw_id), "at": needs.clock.now()}
    async with needs.database.begin() as connection:
        query = text("SELECT * FROM passkey_by_credential(:wanted, :at)")
        found = (await connection.execute(query, wanted)).one_or_none()
    if found is None or given.response.user_handle != found.subject_id.bytes:
        raise PasskeyRefused
    public_key = await _open_key(needs, found.tenant_id, found.subject_id, found.id)
    shown = _checked(
        PasskeyRefused,
        lambda: webauthn.verify_authentication_response(
            credential=given,
            expected_challenge=ceremonies.derive(needs, token, "challenge"),
            expected_rp_id=rp_id(needs),
            expected_origin=needs.base_url,
            credential_public_key=public_key,
            credential_current_sign_count=found.sign_count,
            require_user_verification=True,
        ),
    )
    await _count(needs, found.tenant_id, found.id, shown.new_sign_count)
    return await sessions.enter(needs, found.tenant_id, found.subject_id, visitor, "passkey", with_factor=True)


async def listed(needs: Needs, who: Actor) -> list[ListedPasskey]:
    """A person's own passkeys, oldest first."""
    tenant_id, subject_id = own(who)
    query = select(passkey).where(passkey.c.subject_id == subject_id).order_by(passkey.c.id)
    async with needs.database.tenant(tenant_id) as connection:
        rows = (await connection.execute(query)).all()
        boxes = [(_reference(tenant_id, subject_id, row.id), row.box) for row in rows]
        opened = await needs.vault.open_many(connection, boxes, "access", who)
    names = ["" if found is Gone else str(found["name"]) for found in opened]
    return [ListedPasskey(row.id, name, row.since, row.last_used_at) for row, name in zip(rows, names, strict=True)]


async def remove(needs: Needs, who: Actor, passkey_id: UUID) -> None:
    """Take a passkey away from its person; it opens nothing from now on. Raises NotFound."""
    tenant_id, subject_id = own(who)
    mine = (passkey.c.id == passkey_id, passkey.c.subject_id == subject_id)
    async with needs.database.tenant(tenant_id) as connection:
        if not await endings.drop(needs, connection, passkey, *mine):
            raise NotFound("There is no such passkey of yours.")
        await letters.changed(needs, connection, tenant_id, subject_id, letters.PASSKEY_REMOVED)
        await acts.note(needs, connection, who, "remove passkey", category="credential")


def rp_id(needs: Needs) -> str:
    """The name that passkeys of this place belong to (WebAuthn's RP ID). Raises NoName: browsers take no IP address."""
    try:
        ipaddress.ip_address(needs.host)
    except ValueError:
        return needs.host
    raise NoName


async def _known(needs: Needs, who: Actor) -> tuple[dict[str, str], list[bytes]]:
    """What a person told us, and the ids of their passkeys, which a device with one of them then refuses to double."""
    tenant_id, subject_id = own(who)
    async with needs.database.tenant(tenant_id) as connection:
        facts = (await people.lock(needs, connection, subject_id)).facts
        query = select(passkey.c.id, passkey.c.box).where(passkey.c.subject_id == subject_id)
        boxes = [(_reference(tenant_id, subject_id, row.id), row.box) for row in await connection.execute(query)]
        opened = await needs.vault.open_many(connection, boxes, "access", who)
    return facts, [base64url_to_bytes(found["credential_id"]) for found in opened if found is not Gone]


async def _open_key(needs: Needs, tenant_id: UUID, subject_id: UUID, row_id: UUID) -> bytes:
    trying = Actor("subject", "sign-in", "subject", tenant_id, subject_id)
    async with needs.database.tenant(tenant_id) as connection:
        box = await connection.scalar(select(passkey.c.box).where(passkey.c.id == row_id))
        if box is None:
            raise PasskeyRefused
        opened = await needs.vault.open(connection, _reference(tenant_id, subject_id, row_id), box, "access", trying)
    if opened is Gone:
        raise PasskeyRefused
    return base64url_to_bytes(opened["public_key"])


async def _count(needs: Needs, tenant_id: UUID, row_id: UUID, sign_count: int) -> None:
    """Move the signature counter on. One that stands still is a copied key (WebAuthn §6.1.1), unless it never counts."""
    moves = passkey.c.sign_count < sign_count if sign_count else passkey.c.sign_count == 0
    moved = update(passkey).where(passkey.c.id == row_id, moves)
    async with needs.database.tenant(tenant_id) as connection:
        done = await connection.execute(moved.values(sign_count=sign_count, last_used_at=needs.clock.now()))
    if not done.rowcount:
        raise PasskeyRefused


def _checked(refusal: type[AvowError], check: Callable[[], T]) -> T:
    """What a check of the library gives. Its texts repeat what was sent: only our own refusal leaves here."""
    try:
        return check()
    except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError):
        raise refusal from None


def _index(needs: Needs, credential_id: bytes) -> bytes:
    return tokens.digest(needs.pepper, "passkey", bytes_to_base64url(credential_id))


def _reference(tenant_id: UUID, subject_id: UUID, row_id: UUID) -> Ref:
    return Ref(tenant_id, "passkey", "credential", row_id, subject_id)
