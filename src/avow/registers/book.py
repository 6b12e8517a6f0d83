"""The book of entries: making one, approving it, ending it, and asking whether it may be used now.

Nothing in the book is ever changed: an entry that was refused stays as the record of its refusal, and what becomes of one
that was not is a row of its own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, insert, select, text
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.actor import PLATFORM, Actor
from avow.base.errors import NotFound
from avow.base.ids import uuid7
from avow.base.tables import policy_version
from avow.privacy.tables import policy_plan
from avow.registers import documents, entries
from avow.registers.entries import Entry, EntryRefused, Known
from avow.registers.tables import register_entry, register_event
from avow.vault import Act, Ref, Vault, fact, standing

PROCESS_BYTES_MAX = 1 << 20
REASON_CHARS_MAX = 4000
LIST_MAX = 1000
TEXTS = frozenset({"name", "to", "recipient", "basis", "purpose", "region", "host", "contract", "instrument"})
TEXT_CHARS_MAX = 253
_ON_PLATFORM = text(f"SELECT set_config('app.tenant', '{PLATFORM}', true)")
"""The act stands on the platform's record, which auditors search: on the person's it could tell what a process forbids."""
_BELONGS = text(
    "SELECT EXISTS (SELECT FROM person WHERE id = :subject AND tenant_id = :tenant)"
    " OR (:subject = :tenant AND EXISTS (SELECT FROM tenant WHERE tenant_id = :tenant))"
)
"""What belongs to an organisation itself has the tenant's own id as its subject."""
_FOUND = text("SELECT * FROM register_found(:older_than, :wanted, :most)")
_COLUMNS = (
    *(register_entry.c[name] for name in ("id", "tenant_id", "subject_id", "since", "refusal", "terms", "made_by")),
    *(register_entry.c.silent_until, register_entry.c.box.is_not(None).label("reasoned")),
)


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose data an entry is about; the platform stands for nobody in particular."""

    tenant_id: UUID = PLATFORM
    subject_id: UUID = PLATFORM

    @property
    def person(self) -> bool:
        return self.subject_id != PLATFORM


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry as the book has it. `approved`, `ended`, `sent`: by whom, since when, how often."""

    id: UUID
    entry: Entry
    whose: Whose
    made_at: datetime
    made_by: str
    refusal: str | None
    reasoned: bool
    approved: frozenset[str] = frozenset()
    ended_at: datetime | None = None
    sent: int = 0


async def propose(
    c: AsyncConnection,
    vault: Vault,
    who: Actor,
    by: str,
    entry: Entry,
    whose: Whose,
    reason: str = "",
    process: bytes = b"",
) -> str | None:
    """Write an entry down, or its refusal; gives the rule that it broke, or None. `c` sees the tenant of `whose`.

    The refusal is a row like any other: the caller commits it before it tells (`EntryRefused`). `by` is the name under which
    whoever makes it approves nothing of it. Raises EntryRefused where no row can hold the entry's own texts, and NotFound for a
    person of another organisation: they would not see what goes of them.
    """
    now = vault.clock.now()
    _check_texts(entry)
    if whose.person and not await c.scalar(_BELONGS, {"subject": whose.subject_id, "tenant": whose.tenant_id}):
        raise NotFound("There is no such person in this organisation.", param="subject")
    attached = entry.process is None or hashlib.sha256(process).hexdigest() == entry.process.sha256
    known = replace(await _known(c, entry, whose, now, reasoned=bool(reason.strip())), attached=attached)
    refusal = entries.refuse_new(vault.policy, entry, known)
    if len(reason) > REASON_CHARS_MAX or len(process) > PROCESS_BYTES_MAX:
        refusal, reason, process = "text", "", b""
    row = fact.begin(vault.policy, "rights", whose.tenant_id, whose.subject_id, now)
    row |= {"name": entry.name, "host": entry.host or None, "basis": entry.basis, "refusal": refusal, "made_by": by}
    row |= {"terms": msgspec.to_builtins(entry), "silent_until": entries.silent_until(entry)}
    row["box"] = await _sealed(vault, row, reason.strip(), process)
    made = insert_or(register_entry).on_conflict_do_nothing().returning(register_entry.c.id)
    if await c.scalar(made, row) is None:
        refusal = "name_taken"
        await c.execute(insert(register_entry), {**row, "refusal": refusal})
    word = "refuse register entry" if refusal else "make register entry"
    await c.execute(_ON_PLATFORM)
    more = {"purpose": "proof", "after": {"entry": entry.name, "basis": entry.basis, "refusal": refusal}}
    await vault.record_act(c, Act.of_platform(who, word, **more))
    return refusal


async def approve(c: AsyncConnection, vault: Vault, who: Actor, by: str, name: str) -> Kept:
    """Stand behind an entry, as the operator named `by`; twice is once. Raises EntryRefused for whoever made it."""
    kept = await find(c, name)
    if kept.made_by == by:
        raise EntryRefused("not_approved", "another operator than whoever made it")
    if by not in kept.approved:
        await _put(c, kept, "approved", by, vault.clock.now())
        after = {"entry": name}
        await vault.record_act(c, Act.of_platform(who, "approve register entry", purpose="proof", after=after))
    return replace(kept, approved=kept.approved | {by})


async def end(c: AsyncConnection, vault: Vault, who: Actor, by: str, name: str) -> None:
    """Nothing goes under this entry any more. Raises EntryRefused."""
    kept = await find(c, name)
    await _put(c, kept, "ended", by, vault.clock.now())
    await vault.record_act(c, Act.of_platform(who, "end register entry", purpose="proof", after={"entry": name}))


async def note_sent(c: AsyncConnection, kept: Kept, by: str, at: datetime, facts: int) -> None:
    """Write down that `facts` facts went under an entry."""
    await _put(c, kept, "sent", by, at, facts)


async def find(c: AsyncConnection, name: str) -> Kept:
    """The entry of a name that has not ended. Raises EntryRefused."""
    rows = (await c.execute(_FOUND, {"older_than": None, "wanted": name, "most": 1})).all()
    if not rows:
        refused = any(kept.entry.name == name for kept in await listed(c))
        raise EntryRefused("refused" if refused else "unknown", name)
    [kept] = await _with_events(c, rows)
    if kept.ended_at is not None:
        raise EntryRefused("ended", name)
    return kept


async def at_host(c: AsyncConnection, host: str) -> list[Kept]:
    """The entries about nobody in particular that name a host, also those that have ended."""
    mine = register_entry.c.host == host, register_entry.c.refusal.is_(None), register_entry.c.subject_id == PLATFORM
    rows = (await c.execute(select(*_COLUMNS).where(*mine).limit(LIST_MAX))).all()
    return await _with_events(c, rows)


async def listed(c: AsyncConnection, after: UUID | None = None, limit: int = LIST_MAX) -> list[Kept]:
    """Entries about anybody, newest first, those that were refused too."""
    rows = (await c.execute(_FOUND, {"older_than": after, "wanted": None, "most": limit})).all()
    return await _with_events(c, rows)


async def of_person(c: AsyncConnection, subject_id: UUID, now: datetime) -> list[Kept]:
    """What went to others about somebody, as they may see it: what a process forbids to tell, they see later."""
    mine = register_entry.c.subject_id == subject_id, register_entry.c.refusal.is_(None)
    query = select(*_COLUMNS).where(*mine).order_by(register_entry.c.id.desc()).limit(LIST_MAX)
    found = [(kept, entries.silent_until(kept.entry)) for kept in await _with_events(c, (await c.execute(query)).all())]
    return [kept for kept, until in found if kept.sent and (until is None or until <= now)]


async def directed(c: AsyncConnection, subject_id: UUID) -> frozenset[str]:
    """To whom somebody's data goes only with their consent, by the names in the register; an entry that waits for it counts."""
    columns = register_entry.c
    mine = columns.subject_id == subject_id, columns.basis == "consent"
    return frozenset(await c.scalars(select(columns.terms["to"].astext).where(*mine).distinct()))


async def shown(c: AsyncConnection, vault: Vault, kept: Kept) -> dict[str, Any]:
    """An entry as staff see it, as plain JSON values; `refused`: what keeps it from being used now."""
    refused = kept.refusal or await refusal_of(c, vault, kept, vault.clock.now())
    whose = {"subject": str(kept.whose.subject_id)} if kept.whose.person else {}
    counts = {
        "made_at": kept.made_at.isoformat(),
        "approved": len(kept.approved),
        "sent": kept.sent,
        "refused": refused,
    }
    terms: dict[str, Any] = msgspec.to_builtins(kept.entry)
    return {**terms, **whose, **counts}


async def refusal_of(c: AsyncConnection, vault: Vault, kept: Kept, now: datetime) -> str | None:
    """The rule that an entry breaks now; None: it may be used."""
    if kept.ended_at is not None:
        return "ended"
    known = await _known(c, kept.entry, kept.whose, now, reasoned=kept.reasoned, approvers=kept.approved)
    return entries.judge(vault.policy, kept.entry, known)


async def _known(
    c: AsyncConnection,
    entry: Entry,
    whose: Whose,
    now: datetime,
    *,
    reasoned: bool,
    approvers: frozenset[str] = frozenset(),
) -> Known:
    held = (await standing.load(c, {whose.subject_id}, now))[whose.subject_id]
    return Known(
        now,
        reasoned=reasoned,
        person=whose.person,
        restricted=held.restricted,
        objected=held.objected,
        consented=held.consented,
        documents=await documents.valid(c, now),
        approvers=approvers,
        told=await _told(c, entry.notice, now),
    )


async def _told(c: AsyncConnection, version: int | None, now: datetime) -> frozenset[int]:
    """The version if everybody who was there has been told of it."""
    if version is None:
        return frozenset()
    told = select(policy_plan.c.version).where(policy_plan.c.version == version, policy_plan.c.told_at <= now)
    known = select(policy_version.c.version).where(
        policy_version.c.version == version, policy_version.c.version.in_(told)
    )
    return frozenset((await c.execute(known)).scalars())


async def _with_events(c: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Kept]:
    events: dict[UUID, list[Row[Any]]] = {row.id: [] for row in rows}
    for event in await c.execute(select(register_event).where(register_event.c.entry_id.in_(events))):
        events[event.entry_id].append(event)
    return [_kept(row, events[row.id]) for row in rows]


def _kept(row: Row[Any], events: Sequence[Row[Any]]) -> Kept:
    return Kept(
        *(row.id, msgspec.convert(row.terms, Entry), Whose(row.tenant_id, row.subject_id), row.since, row.made_by),
        refusal=row.refusal,
        reasoned=row.reasoned,
        approved=frozenset(event.by for event in events if event.kind == "approved"),
        ended_at=min((event.at for event in events if event.kind == "ended"), default=None),
        sent=sum(event.kind == "sent" for event in events),
    )


async def _sealed(vault: Vault, row: dict[str, Any], reason: str, process: bytes) -> bytes | None:
    """The box of a reason that was given, and of the process; a box is there if and only if there is a reason."""
    if not reason:
        return None
    await vault.prepare(row["subject_id"], "rights", row["ends_at"])
    ref = Ref(row["tenant_id"], register_entry.name, "rights", row["id"], row["subject_id"])
    held = {"reason": reason} | ({"process": base64.b64encode(process).decode()} if process else {})
    return vault.seal(ref, held, row["ends_at"])


async def _put(c: AsyncConnection, kept: Kept, kind: str, by: str, at: datetime, facts: int | None = None) -> None:
    row = {"id": uuid7(), "entry_id": kept.id, "kind": kind, "by": by, "at": at, "facts": facts}
    await c.execute(insert(register_event), row)


def _check_texts(entry: Entry) -> None:
    long = sorted(name for name in TEXTS if len(getattr(entry, name)) > TEXT_CHARS_MAX)
    if long or not entry.name:
        raise EntryRefused("text", ", ".join(long or ["name"]))
