"""Requests of people without an account: somebody whose address may stand here, and who has nothing to sign in with.

    ask → a letter to the address → prove, with the token in it → answered from the catalog, or at the desk, by mail

Nothing is looked up before the mailbox is shown to be theirs, so asking tells nobody whether an address is known; what is
found goes to that mailbox and nowhere else. Until then the address lies sealed, for a day. From then on it is a request like
others, with its due date, under an id that belongs to nobody else.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import jobs
from avow.base.actor import PLATFORM, Actor
from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.errors import AvowError, BadInput
from avow.base.ids import uuid7
from avow.privacy import erase, letters, requests
from avow.privacy.erase import Step
from avow.privacy.letters import Letter
from avow.privacy.needs import Holders, Needs, Tell
from avow.privacy.requests import OUTSIDE_JOB, OUTSIDE_KINDS, State
from avow.privacy.tables import outside_ask, rights_request
from avow.privacy.turns import alone
from avow.vault import Gone, Ref, Vault, fact

Kind = Literal["access", "erase", "rectify", "complain"]

PROVE_WITHIN: Final = timedelta(hours=24)
HAS_ACCOUNT: Final = "has_account"
"""The reason of a request that whoever has an account makes there."""


class ProofRefused(AvowError):
    """This link is not known, was used, or is too old."""

    status = 400
    code = "proof_refused"
    hint = "Ask again with the same address: a new message will be sent."


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody without an account asks, and for which address."""

    email: str
    kind: Kind
    text: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Answering:
    """What answers are made with: the stores of `privacy`, and who stands behind an address."""

    privacy: Needs
    vault: Vault
    holders: Holders
    tell: Tell


async def ask(database: Database, vault: Vault, tell: Tell, asked: Asked) -> None:
    """Send a letter to the address, which shows whose it is; the caller has checked and counted it.

    Raises BadInput for a text that is too long or missing, and for a place that is none.
    """
    requests.check(asked.text, asked.place)
    if asked.kind in requests.BY_PEOPLE and not asked.text:
        raise BadInput("Say what this is about.", param="text")
    token, now = secrets.token_urlsafe(32), vault.clock.now()
    row = fact.begin(vault.policy, "rights", PLATFORM, PLATFORM, now)
    row |= {"ends_at": now + PROVE_WITHIN, "token_hash": requests.token_hash(token)}
    told = {"email": asked.email, "kind": asked.kind, "text": asked.text, "place": asked.place}
    await vault.prepare(PLATFORM, "rights", row["ends_at"])
    row["box"] = vault.seal(_reference(outside_ask.name, row), told, row["ends_at"])
    async with database.tenant(PLATFORM) as c:
        await c.execute(insert(outside_ask), row)
        await tell(c, PLATFORM, PLATFORM, row["id"], letters.prove(token, asked.kind), address=asked.email)


async def prove(database: Database, vault: Vault, clock: Clock, token: str) -> requests.Taken:
    """Take the request of whoever holds the token of a letter; it works once. Raises ProofRefused."""
    now = clock.now()
    mine = (outside_ask.c.token_hash == requests.token_hash(token), outside_ask.c.ends_at > now)
    async with database.tenant(PLATFORM) as c:
        found = (await c.execute(delete(outside_ask).where(*mine).returning(outside_ask))).one_or_none()
        told = await _opened(c, vault, outside_ask.name, found) if found is not None else None
        if found is None or told is None:
            raise ProofRefused
        row = await _taken(vault, told, found.since, now)
        await c.execute(insert(rights_request).values(row))
        if row["kind"] in OUTSIDE_KINDS:
            await jobs.put(c, OUTSIDE_JOB, row["id"])
    return requests.Taken(row["id"], row["kind"], row["state"], row["due_at"], token)


async def answer(at: Answering, id: UUID) -> None:
    """Answer a proved request from the catalog; the handler of OUTSIDE_JOB. It can be killed anywhere and run again."""
    needs = at.privacy
    async with alone(needs.database, id):
        async with needs.database.begin() as c:
            row = (await c.execute(select(rights_request).where(rights_request.c.id == id))).one_or_none()
            if row is None or row.state not in requests.OPEN:
                return
            told = await _opened(c, at.vault, rights_request.name, row)
            if told is None:
                await requests.move(c, id, "failed", needs.clock.now(), reason="gone")
                return
            held = await at.holders(c, told["email"])
        if held.account:
            await _close(at, row, told["email"], "refused", letters.has_account(id), HAS_ACCOUNT)
            return
        if row.plan is None:
            row = await _planned(needs, row, held.others)
        if row.kind == "erase":
            for subject_id in held.others:
                await erase.lapse(needs, subject_id)
        letter = letters.held(id, row.plan, row.ends_at, erased=row.kind == "erase")
        await _close(at, row, told["email"], "succeeded", letter)


async def _planned(needs: Needs, row: Row[Any], subjects: tuple[UUID, ...]) -> Row[Any]:
    """Write down what there is before anything ends, so that a job that is killed still tells all of it."""
    found = [_plain(step) for each in subjects for step in await erase.plan(needs, each) if step.facts]
    async with needs.database.begin() as c:
        await requests.move(c, row.id, "planned", needs.clock.now(), plan=found)
        await requests.move(c, row.id, "running", needs.clock.now())
        return (await c.execute(select(rights_request).where(rights_request.c.id == row.id))).one()


async def _close(
    at: Answering, row: Row[Any], email: str, state: State, letter: Letter, reason: str | None = None
) -> None:
    async with at.privacy.database.begin() as c:
        await requests.move(c, row.id, state, at.privacy.clock.now(), reason=reason)
        await at.tell(c, PLATFORM, row.subject_id, row.id, letter, address=email)


async def _taken(vault: Vault, told: Mapping[str, Any], since: datetime, now: datetime) -> dict[str, Any]:
    """The row of a proved request; its time began when it was asked."""
    row = fact.begin(vault.policy, "rights", PLATFORM, uuid7(), since)
    row |= {"kind": told["kind"], "state": "verified", "purpose": None, "place": told["place"], "changed_at": now}
    row |= {"due_at": requests.due(vault.policy, since, told["place"]), "token_hash": b""}
    row |= {"times": {"received": since.isoformat(), "verified": now.isoformat()}}
    return row | {"box": await requests.sealed(vault, row, {"email": told["email"], "text": told["text"]})}


async def _opened(c: AsyncConnection, vault: Vault, table: str, row: Row[Any]) -> dict[str, Any] | None:
    """What they wrote, opened for them; None: its key is gone."""
    themselves = Actor("subject", str(row.subject_id), "subject", PLATFORM, row.subject_id)
    found = await vault.open(c, _reference(table, row._asdict()), row.box, "access", themselves)
    return None if found is Gone else found


def _reference(table: str, row: Mapping[str, Any]) -> Ref:
    return Ref(PLATFORM, table, "rights", row["id"], row["subject_id"])


def _plain(step: Step) -> dict[str, Any]:
    return {
        "store": step.store,
        "categories": list(step.categories),
        "facts": step.facts,
        "until": step.until and step.until.isoformat(),
    }
