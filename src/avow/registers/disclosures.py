"""Disclosures: what goes to others about a person under an entry of the register, and nothing beside it.

The entry is judged once more at this moment. Of the facts only those of its categories and within its time are opened, and
of these only its fields are taken. The person sees on their record that it was opened and in their account where it went,
unless a legal process forbids to tell; then from the day on which it ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.actor import Actor
from avow.catalog import facts
from avow.policy.decide import DISCLOSE
from avow.privacy.export import SILENT, plain
from avow.privacy.needs import Needs
from avow.privacy.stores import Fact, Store
from avow.registers import book, entries, incidents
from avow.registers.book import Kept
from avow.registers.entries import Entry, EntryRefused
from avow.vault import Act, Gone, Ref, Vault

FACTS_MAX = 100_000
PART = "disclosure"


@dataclass(frozen=True, slots=True)
class Office:
    """What disclosures are made with: the stores and the vault, as the keeper."""

    privacy: Needs
    vault: Vault


async def export(at: Office, name: str, by: str) -> dict[str, Any]:
    """What may go under the entry of this name, as plain JSON values; that it went is on record before it is returned.

    Raises EntryRefused for an entry that may not be used now, or that lets more than FACTS_MAX go; it is an incident.
    """
    kept = await admitted(at, name)
    found: list[dict[str, Any]] = []
    async for each in _facts(at, kept):
        found.append(each)
        if len(found) > FACTS_MAX:
            async with at.privacy.database.begin() as c:
                await incidents.note(c, "egress", PART, name, at.vault.clock.now())
            raise EntryRefused("too_much", f"{name}: more than {FACTS_MAX} facts")
    now, entry = at.vault.clock.now(), kept.entry
    async with at.privacy.database.begin() as c:
        await book.note_sent(c, kept, by, now, len(found))
        await _record(c, at.vault, kept, len(found))
    said = {"entry": entry.name, "recipient": entry.recipient, "basis": entry.basis, "purpose": entry.purpose}
    scope = None if entry.scope is None else {"since": plain(entry.scope.since), "until": plain(entry.scope.until)}
    fields = {category: list(names) for category, names in entry.fields.items()}
    return {**said, "made_at": plain(now), "scope": scope, "fields": fields, "facts": found}


async def admitted(at: Office, name: str) -> Kept:
    """The entry of this name, if it may be used now. Raises EntryRefused, and notes the incident."""
    now = at.vault.clock.now()
    async with at.privacy.database.begin() as c:
        try:
            kept = await book.find(c, name)
            refusal = await book.refusal_of(c, at.vault, kept, now)
        except EntryRefused as refused:
            refusal = refused.why
        if refusal is not None:
            await incidents.note(c, "egress", PART, name, now)
    if refusal is not None:
        raise EntryRefused(refusal, name)
    return kept


async def _facts(at: Office, kept: Kept) -> AsyncIterator[dict[str, Any]]:
    """The facts of the entry's scope, opened and cut down to its fields, store by store."""
    who = _reader(kept.entry)
    for store in at.privacy.stores:
        wanted = {*kept.entry.fields} & {*store.categories}
        after, more = None, bool(wanted) and kept.whose.person
        while more:
            async with at.privacy.database.begin() as c:
                page = await store.export(c, kept.whose.subject_id, after)
                mine = [fact for fact in page.facts if _is_within(kept.entry, fact)]
                for each in await _opened(c, at.vault, store, kept.entry, mine, who):
                    yield each
            after, more = page.last, page.last is not None


def _is_within(entry: Entry, fact: Fact) -> bool:
    if fact.category not in entry.fields:
        return False
    return entry.scope is None or entry.scope.since <= fact.since < entry.scope.until


async def _opened(
    c: AsyncConnection, vault: Vault, store: Store, entry: Entry, found: list[Fact], who: Actor
) -> list[dict[str, Any]]:
    """Each fact with its listed fields alone; boxes in which none of them lies stay closed."""
    boxed = [fact for fact in found if fact.box and fact.row_id and {*entry.fields[fact.category]} & _in_box(fact)]
    refs = [
        (Ref(fact.tenant_id, fact.store, fact.category, fact.row_id, fact.subject_id), fact.box)
        for fact in boxed
        if fact.row_id is not None and fact.box is not None
    ]
    contents = await vault.open_many(c, refs, DISCLOSE, who) if refs else []
    by_row = {id(fact): content for fact, content in zip(boxed, contents, strict=True) if content is not Gone}
    told = []
    for fact in found:
        known = {**fact.clear, **by_row.get(id(fact), {})}
        taken = {name: plain(known[name]) for name in entry.fields[fact.category] if name in known}
        taken = {name: value for name, value in taken.items() if name not in fact.secret}
        if taken:
            told.append({"category": fact.category, "since": plain(fact.since), "fields": taken})
    return told


@cache
def _boxes() -> dict[tuple[str, str], frozenset[str]]:
    """The fields that lie in the box of each table and category."""
    return {(table.name, held.category): frozenset(held.box) for table, held in facts() if held.box}


def _in_box(fact: Fact) -> frozenset[str]:
    return _boxes().get((fact.store, fact.category), frozenset())


def _reader(entry: Entry) -> Actor:
    """Who opens: while a process forbids to tell, under a name that keeps the line from the person until its day."""
    until = entries.silent_until(entry)
    named = f"{SILENT}{until.astimezone(UTC):%Y-%m-%dT%H:%M}" if until else f"disclosure {entry.name}"
    return Actor("system", named, "keeper")


async def _record(c: AsyncConnection, vault: Vault, kept: Kept, count: int) -> None:
    after = {"entry": kept.entry.name, "facts": count}
    await vault.record_act(c, Act.of_platform(_reader(kept.entry), "disclose", purpose="proof", after=after))
