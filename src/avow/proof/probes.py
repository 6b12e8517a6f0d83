"""The probes. Each looks at the running system for one thing and says what it found, with a figure.

A probe is a function from `Ground` to a `Finding`; its name is the one that clauses give (`policy.words.PROBES`). Probes
never move a clock: what must have ended is tried on canaries, whose facts may begin in the past.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import structlog
from sqlalchemy import Table, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow import catalog
from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.errors import NotFound
from avow.base.ids import uuid7
from avow.base.log import failure
from avow.catalog import facts, undeclared_columns, undeclared_paths
from avow.policy import Policy
from avow.policy.words import PROBES
from avow.privacy import versions
from avow.privacy.requests import OPEN
from avow.privacy.stores import tables as stores
from avow.privacy.tables import rights_request
from avow.proof import (
    ages,
    border,
    collected,
    content,
    cookies,
    grants,
    hygiene,
    parts,
    purposes,
    remains,
    scan,
    sign_ins,
)
from avow.proof import journey as journeys
from avow.proof.evidence import Evidence, Finding
from avow.proof.log import Verified as LogVerified
from avow.registers.documents import Shelf
from avow.registers.places import Place
from avow.vault import Ref, Ring, Vault, box, hour_of
from avow.vault.chain import Verified

SOON = timedelta(days=3)
SWEEP_GRACE = timedelta(minutes=20)
KEY_GRACE_H = 2
RECORD_GRACE = timedelta(minutes=1)
PROBE_S_MAX = 300


@dataclass(frozen=True, slots=True)
class Canary:
    """An internal person, and one sealed fact of theirs as it lies in the database."""

    tenant_id: UUID
    subject_id: UUID
    marker: str
    ref: Ref
    box: bytes
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """A canary that uses the platform from outside: what they sign in with, a key, and a model that they may ask."""

    tenant_id: UUID
    subject_id: UUID
    email: str
    password: str = field(repr=False)
    key: str = field(repr=False)
    model: str


class Canaries(Protocol):
    """Steps that need the product: people of an internal tenant who use it as customers do."""

    async def kept(self) -> Canary:
        """Send a marker with a key of a tenant that asked to keep content; return the kept fact. Raises on failure.

        Where the policy keeps no content of anybody, the fact is the account, and the marker a part of its address.
        """
        ...

    async def customer(self) -> Customer:
        """One canary for a whole round; what they send is kept for an hour where the policy keeps any of it."""
        ...

    async def newcomer(self, keep_h: int | None = None) -> Customer:
        """A new canary whose tenant wishes content to be kept for `keep_h` hours; None: it wishes nothing."""
        ...

    async def not_kept(self) -> tuple[Canary, int]:
        """Send a marker for a tenant of which the policy keeps nothing: it did not ask, or it opted out; return who, and
        how many facts of `api_content` they have."""
        ...

    def form(self, email: str, password: str) -> dict[str, object]:
        """What a sign-up over HTTP must give under the policy in force."""
        ...

    async def adopt(self, email: str, password: str) -> Customer:
        """Make somebody who has signed up over HTTP a canary: their organisation internal, with money of its own."""
        ...

    async def remove_strays(self) -> None:
        """Ask for the erasure of canaries that a killed round left behind."""
        ...

    async def settle(self, canary: Customer) -> None:
        """Wait until the organisation of one that a canary was has ended with them."""
        ...

    async def sweep(self) -> None:
        """End now what has come to its end."""
        ...

    async def dump(self, folder: Path) -> None:
        """Copy the tables with facts about people as a backup does, into a folder. Raises where there is too much of them."""
        ...

    async def crowd(self, purpose: str) -> dict[str, int]:
        """Let ten organisations call a model, and tell over how many of them a sum for `purpose` is then (0: there is
        none): `ten`, after an `objection` of one, its `restriction`, both `taken back`, `one row ended`, `one internal`."""
        ...

    async def erase(self, canary: Canary) -> None:
        """Erase the canary as people are erased, and wait until it is done."""
        ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What probes look at. `remains` are the folders that a thief of the disk would search."""

    home: Path
    base_url: str
    policy: Policy
    clock: Clock
    ring: Ring
    vault: Vault
    keeper: Database
    app: Database
    tls: bool
    canaries: Canaries
    sums_wrong: Callable[[AsyncConnection], Awaitable[Sequence[str]]]
    strangers: Callable[[], Awaitable[Sequence[str]]]
    """Outside parties that may be sent content and that the policy names nowhere."""
    listens: tuple[str, int]
    """Host and port that the operator chose."""
    record: Callable[[], Awaitable[Verified]]
    """Looks at the whole chain over the record of openings and acts."""
    log: Callable[[], Awaitable[LogVerified]]
    """Looks at the whole transparency log."""
    places: Sequence[Place]
    """Where every part of the platform stands."""
    shelf: Shelf
    """Where the documents that stand behind claims are kept."""

    @property
    def remains(self) -> list[Path]:
        return [self.home / place.where.split("*")[0].rstrip("/") for place in catalog.places("path")]

    def http(self) -> httpx.AsyncClient:
        # Our own listener, whatever name its certificate carries.
        return httpx.AsyncClient(base_url=self.base_url, timeout=30, verify=False)  # noqa: S501


Probe = Callable[[Ground], Awaitable[Finding | dict[str, Finding]]]
"""Looks once; a dict gives one finding for each category."""


async def declared(on: Ground) -> Finding:
    """Every column, every file under the home and every outside party that sees content is declared."""
    silent, count = await undeclared(on.keeper, on.home)
    silent += [f"upstream {name}" for name in await on.strangers()]
    if silent:
        return Finding("failed", f"undeclared: {', '.join(silent[:5])}{' …' if len(silent) > 5 else ''}")
    return Finding("proved", count)


async def undeclared(keeper: Database, home: Path) -> tuple[list[str], str]:
    """The columns of the database and the files of the home that nobody declared, and how many were looked at."""
    async with keeper.begin() as c:
        rows = (await c.execute(text(_COLUMNS))).all()
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    paths = [str(p.relative_to(home)) for p in scan.files([home])]
    return undeclared_columns(found) + undeclared_paths(paths), f"{len(rows)} columns, {len(paths)} files"


async def oldest_fact(on: Ground) -> dict[str, Finding]:
    """No fact lies in the database more than 20 minutes after its end (sweeps come every 10), and none has a later end, or
    none, than the policy gives to what began when it did. Said for each category apart, with the age of its oldest fact."""
    now, tables = on.clock.now(), dict[Table, tuple[list[str], datetime | None]]()
    async with on.keeper.begin() as c:
        for table in dict.fromkeys(table for table, _ in facts()):
            ends, began = (await c.execute(select(func.min(table.c.ends_at), func.min(table.c.since)))).one()
            late = ends is not None and ends < now - SWEEP_GRACE
            wrong = [f"{table.name} {(now - ends).total_seconds() / 3600:.1f} h late"] if late else []
            if forged := await ages.beyond(c, table, on.policy):
                wrong.append(f"{table.name} {forged} with an end beyond the rule")
            tables[table] = wrong, began
    found = {}
    for name in on.policy.categories:
        held = [tables[table] for table in dict.fromkeys(table for table, each in facts() if each.category == name)]
        if held:
            found[name] = _oldest([each for wrong, _ in held for each in wrong], [began for _, began in held], now)
    return found


def _oldest(wrong: Sequence[str], began: Sequence[datetime | None], now: datetime) -> Finding:
    """Whole hours only: a moment would tell when somebody came."""
    if wrong:
        return Finding("failed", "; ".join(wrong))
    oldest = min((each for each in began if each is not None), default=None)
    if oldest is None:
        return Finding("proved", "nothing is stored")
    hours = max(0, int((now - oldest).total_seconds() // 3600))
    return Finding("proved", f"the oldest is {hours // 24} d {hours % 24} h old, none is late")


async def deadlines(on: Ground) -> Finding:
    """No privacy request is open past the date by which it is answered; also tells of those due within three days."""
    now, due = on.clock.now(), rights_request.c.due_at
    counts = (func.count(), func.count().filter(due < now), func.count().filter(due < now + SOON), func.min(due))
    async with on.keeper.begin() as c:
        query = select(*counts).where(rights_request.c.state.in_(OPEN))
        open_count, late, soon, oldest = (await c.execute(query)).one()
    if late:
        return Finding(
            "failed", f"{late} of {open_count} late, the oldest by {(now - oldest).total_seconds() / 86400:.1f} days"
        )
    return Finding("proved", f"{open_count} open, {soon} due within {SOON.days} days")


async def plaintext(on: Ground) -> Finding:
    """A canary's prompt is nowhere in the files in the clear, while a planted control is found there."""
    return await remains.nowhere(on, (await on.canaries.kept()).marker)


async def slots(on: Ground) -> Finding:
    """No key of an hour lives more than 2 hours after it."""
    oldest = await asyncio.to_thread(on.ring.oldest_slot)
    over = hour_of(on.clock.now()) - KEY_GRACE_H
    if oldest is not None and oldest <= over:
        return Finding("failed", f"a key is {over - oldest + KEY_GRACE_H} hours past its hour")
    return Finding("proved", "no key past its hour")


async def row_security(on: Ground) -> Finding:
    """The application's role reads no row of another tenant, and none at all without a tenant."""
    canary = await on.canaries.kept()
    stranger, seen, held = uuid7(), 0, 0
    tables = [t for t in catalog.metadata.sorted_tables if "tenant_id" in t.c and await _readable(on, t.name)]
    async with on.app.tenant(stranger) as c:
        for table in tables:
            seen += await c.scalar(select(func.count()).select_from(table)) or 0
    async with on.keeper.begin() as c:
        for table in tables:
            mine = table.c.tenant_id == canary.tenant_id
            held += await c.scalar(select(func.count()).select_from(table).where(mine)) or 0
    if not held:
        return Finding("failed", "the control's rows were not found")
    if seen:
        return Finding("failed", f"{seen} rows of others were read")
    return Finding("proved", f"0 rows read in {len(tables)} tables; the owner has {held}")


async def sums(on: Ground) -> Finding:
    """Wallets equal the ledger, holds equal what is held, and nothing is below zero."""
    async with on.keeper.begin() as c:
        wrong = await on.sums_wrong(c)
    return Finding("failed", "; ".join(wrong[:3])) if wrong else Finding("proved", "no violation")


async def record(on: Ground) -> Finding:
    """No line of the record of openings and acts was changed, taken out, swapped or put in, and none waits for its link."""
    found = await on.record()
    if found.wrong:
        return Finding("failed", f"{'; '.join(found.wrong[:3])}{' …' if len(found.wrong) > 3 else ''}")
    if found.waiting_since is not None and (waits := on.clock.now() - found.waiting_since) > RECORD_GRACE:
        return Finding("unproved", f"lines have waited for {waits.total_seconds():.0f} s; does the keeper run?")
    return Finding("proved", f"{found.links} lines, the newest link is {found.head[:12]}")


async def log(on: Ground) -> Finding:
    """The log is what was signed, what may be read of it was not changed, and nothing waits to be signed."""
    found = await on.log()
    if found.wrong:
        return Finding("failed", f"{'; '.join(found.wrong[:3])}{' …' if len(found.wrong) > 3 else ''}")
    if found.waiting_since is not None and (waits := datetime.now(UTC) - found.waiting_since) > RECORD_GRACE:
        return Finding("unproved", f"leaves have waited for {waits.total_seconds():.0f} s; does the keeper run?")
    return Finding("proved", f"{found.head.size} leaves under the root {found.head.root.hex()[:12]}")


async def policy_hash(on: Ground) -> Finding:
    """The policy that is served, the one that is loaded and the one on record are the same."""
    async with on.http() as http:
        served = (await http.get("/.well-known/avow-policy.json")).json()["hash"]
    async with on.keeper.begin() as c:
        kept = await versions.loaded_hash(c)
    if not served == kept == on.policy.hash:
        return Finding("failed", f"served {served[:12]}, loaded {on.policy.hash[:12]}, on record {str(kept)[:12]}")
    return Finding("proved", served[:12])


async def not_kept(on: Ground) -> Finding:
    """The request of a tenant that did not ask, or opted out where the policy keeps content unasked, leaves no fact of
    `api_content`, and its words are in no file."""
    canary, rows = await on.canaries.not_kept()
    if rows:
        return Finding("failed", f"{rows} rows are kept")
    return await remains.nowhere(on, canary.marker)


async def erased(on: Ground) -> Finding:
    """What was sealed for a canary cannot be opened once it is erased, not even from a copy made before."""
    canary = await on.canaries.kept()
    if on.ring.key(canary.ref.subject_id, canary.ref.category, _slot(canary)) is None:
        return Finding("failed", "the control had no key before the erasure")
    await on.canaries.erase(canary)
    on.ring.forget(canary.ref.subject_id)
    if on.ring.key(canary.ref.subject_id, canary.ref.category, _slot(canary)) is not None:
        return Finding("failed", "the key is still there")
    async with on.keeper.begin() as c:
        left = 0
        for table in (each.table for each in stores() if each.ending(on.policy, "erasure") == "delete"):
            mine = table.c.subject_id.in_([canary.subject_id, canary.ref.subject_id])
            left += await c.scalar(select(func.count()).select_from(table).where(mine)) or 0
    return Finding("failed", f"{left} rows are left") if left else Finding("proved", "key gone, 0 rows left")


async def journey(on: Ground) -> Finding:
    """A canary lives a whole life over HTTP, from sign-up to erasure, and is then searched for in every store."""
    return await journeys.walk(on)


async def sign_up(on: Ground) -> Finding:
    """A sign-up with a field that the policy does not name is refused."""
    body = {
        "email": f"probe-{secrets.token_hex(8)}@example.invalid",
        "password": secrets.token_hex(16),
        "shoe_size": "42",
    }
    async with on.http() as http:
        answer = await http.post("/api/auth/signup", json=body, headers={"sec-fetch-site": "same-origin"})
    refused = answer.status_code == 400 and "shoe_size" in answer.text
    return Finding("proved" if refused else "failed", f"answered {answer.status_code}")


async def tls(on: Ground) -> Finding:
    """The listener speaks TLS 1.3 and refuses TLS 1.2."""
    if not on.tls:
        return Finding("unproved", "no certificate is set")
    spoken = await _handshake(on, ssl.TLSVersion.TLSv1_3)
    old = await _handshake(on, ssl.TLSVersion.TLSv1_2)
    return Finding("proved" if spoken == "TLSv1.3" and old is None else "failed", f"1.3: {spoken}, 1.2: {old}")


_BUILT_IN: dict[str, Probe] = {
    probe.__name__: probe
    for probe in (
        *(declared, oldest_fact, plaintext, slots, row_security, sums, record, log),
        *(policy_hash, purposes.purposes, not_kept, erased, sign_up, tls),
        *(deadlines, journey),
        *(hygiene.headers, hygiene.cookies, hygiene.modes, hygiene.listening, hygiene.cards),
        *(collected.collected, collected.logs, grants.grants),
    )
}
if set(_BUILT_IN) != set(PROBES):
    raise RuntimeError(f"probes and policy.words.PROBES differ: {sorted(set(_BUILT_IN) ^ set(PROBES))}")
ALL: dict[str, Probe] = _BUILT_IN | {
    probe.__name__: probe
    for probe in (
        *(parts.part_api, parts.part_opt_out, parts.part_field_choice, parts.part_self_service, parts.part_staff),
        *(parts.part_processors, parts.part_backups, parts.part_erasure, parts.part_rights, parts.part_consents),
        *(parts.part_notices, parts.part_acceptance, parts.part_age_gate),
        *(sign_ins.part_technical_log, sign_ins.part_security_log),
        *(content.part_cache, content.part_filter, grants.part_improvement),
        *(cookies.part_cookies, cookies.part_ads),
        *(border.part_evidence, border.part_disclosures, border.part_regions),
    )
}


DAILY = frozenset(
    {"plaintext", "not_kept", "erased", "purposes", "row_security", "cards", "journey", "collected"}
    | {name for name in ALL if name.startswith("part_")}
)
"""What reads all files, or lives a canary's life. The others look every hour."""
STANDING = frozenset({"journey", "log"})
"""What stands behind every sentence, so that none names it."""


class ProbeUnknown(NotFound):
    """There is no probe of this name."""

    code = "probe_unknown"


def check(names: Sequence[str]) -> None:
    """Raises ProbeUnknown for the first name that no probe has."""
    for name in names:
        if name not in ALL:
            near = get_close_matches(name, ALL, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Probes are {', '.join(sorted(ALL))}."
            raise ProbeUnknown(f"There is no probe {name!r}.", hint=hint)


async def look(on: Ground, name: str) -> list[Evidence]:
    """Run one probe; a finding of one category is named `probe.category`.

    A probe that cannot look, for whatever reason, is `unproved`, never green.
    """
    begun, at = asyncio.get_running_loop().time(), on.clock.now()
    found: Finding | dict[str, Finding]
    try:
        found = await asyncio.wait_for(ALL[name](on), PROBE_S_MAX)
    except Exception as wrong:
        structlog.get_logger().warning("probe_could_not_look", probe=name, **failure(wrong))
        found = Finding("unproved", f"could not look: {type(wrong).__name__}")
    ms = int((asyncio.get_running_loop().time() - begun) * 1000)
    each = {name: found} if isinstance(found, Finding) else {f"{name}.{part}": one for part, one in found.items()}
    return [Evidence(said, one.verdict, one.figure, at, ms) for said, one in each.items()]


_COLUMNS = """
SELECT n.nspname || '.' || c.relname, a.attname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
"""


async def _readable(on: Ground, table: str) -> bool:
    async with on.app.begin() as c:
        return bool(await c.scalar(text("SELECT has_table_privilege(:name, 'SELECT')"), {"name": table}))


async def _handshake(on: Ground, version: ssl.TLSVersion) -> str | None:
    parts = urlsplit(on.base_url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    try:
        _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=context)
    except (OSError, ssl.SSLError):
        return None
    spoken: str = writer.get_extra_info("ssl_object").version()
    writer.close()
    return spoken


def _slot(canary: Canary) -> int:
    return box.slot(canary.box)
