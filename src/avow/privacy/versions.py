"""Versions of the policy: what was published, and what is in force.

A version never changes once it is published: its number, hash, text and sentences stay readable for good. One is in
force; others may be published and wait for their date. Until then holds what all of them allow (`policy.interim`), under
the number of the version in force, so that announcing a change can tighten at once and loosens nothing before its time.
What is in force is a row of the database and its hash stands beside the epoch, so that every process sees the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.errors import AvowError, NotFound
from avow.base.tables import policy_epoch, policy_version
from avow.policy import Policy, PolicyError, Rewording, Sentence, interim, parse
from avow.privacy import floors, purpose_rules
from avow.vault import Vault, tlog
from avow.vault.tables import log_entry

LIST_MAX = 100
PUBLISHED_MAX = 1000
"""How many versions one answer reads at most."""
NUMBER_MAX = 2**31 - 1
"""As PostgreSQL counts versions."""


class VersionUnreadable(AvowError):
    """The version of the policy that is in force cannot be read by this version of Avow."""

    code = "policy_version_unreadable"
    hint = "Start the version of Avow that published it, apply a policy that both understand, then start this one."


class VersionUnknown(NotFound):
    """There is no such version of the policy."""

    code = "policy_version_unknown"
    hint = "GET /privacy/changes lists the versions that were published."


@dataclass(frozen=True, slots=True)
class Version:
    """One published version.

    `hash` is that of the policy (hexadecimal), `effective_at` the date that was announced, `in_force_at` when it did come
    into force (None: not yet, or another version took its place). `clauses` are its sentences as they were published.
    """

    number: int
    hash: str
    published_at: datetime
    effective_at: datetime
    in_force_at: datetime | None
    material: bool
    clauses: tuple[Mapping[str, Any], ...]

    def sentences(
        self, locale: str, installed: frozenset[str] = frozenset(), evidence: frozenset[str] = frozenset()
    ) -> tuple[Sentence, ...]:
        """Its sentences in a language where the parts `installed` are and the documents `evidence` are valid."""
        return tuple(
            Sentence(str(clause["id"]), str(clause[locale]))
            for clause in self.clauses
            if _is_shown(clause, "feature", installed) and _is_shown(clause, "evidence", evidence)
        )


class Agreed(NamedTuple):
    """What people must have accepted to use the platform: at least the version `number`, by `use` or `explicit`."""

    number: int
    how: str


@dataclass(frozen=True, slots=True)
class Coming:
    """A version that is published and waits for its date (UTC); `page` is where its text stands."""

    version: int
    effective_at: datetime
    page: str


class InForce(NamedTuple):
    """What holds: the policy, what of it must have been accepted (None: nothing), and what is announced."""

    policy: Policy
    agreed: Agreed | None
    coming: tuple[Coming, ...] = ()


async def listed(c: AsyncConnection, limit: int = LIST_MAX, before: int | None = None) -> list[Version]:
    """The published versions, newest first: at most `limit`, and only those with a number below `before`."""
    query = select(policy_version).order_by(policy_version.c.version.desc())
    if before is not None:
        query = query.where(policy_version.c.version < before)
    return [_version(row) for row in (await c.execute(query.limit(min(limit, PUBLISHED_MAX)))).all()]


async def one(c: AsyncConnection, number: int) -> Version:
    """One version. Raises VersionUnknown."""
    if number > NUMBER_MAX:
        raise VersionUnknown
    row = (await c.execute(select(policy_version).where(policy_version.c.version == number))).one_or_none()
    if row is None:
        raise VersionUnknown
    return _version(row)


async def under(c: AsyncConnection, number: int) -> Policy | None:
    """The policy of one version, as it was published; None: there is no such version. Raises VersionUnreadable."""
    row = (await c.execute(select(policy_version).where(policy_version.c.version == number))).one_or_none()
    return None if row is None else await asyncio.to_thread(_held, row, [])


async def current(c: AsyncConnection) -> Version:
    """The version in force. Raises VersionUnknown before the first start."""
    return _version(await _current(c))


async def held(c: AsyncConnection) -> Row[Any]:
    """The row of the version in force, with the text of its file. Raises VersionUnknown before the first start."""
    return await _current(c)


async def upcoming(c: AsyncConnection) -> list[Version]:
    """The versions that are published and wait for their date, in the order of their numbers."""
    return [_version(row) for row in await _upcoming(c, (await _current(c)).version)]


async def before(c: AsyncConnection, number: int) -> Version | None:
    """The version published before the one of this number; None: it is the first."""
    older = await listed(c, 1, number)
    return older[0] if older else None


def rewordings(
    old: Version | None,
    new: Version,
    locale: str,
    installed: frozenset[str] = frozenset(),
    evidence: frozenset[str] = frozenset(),
) -> tuple[Rewording, ...]:
    """The sentences that read otherwise in `new` than in `old`, in the order in which a page shows them."""
    texts = [
        {sentence.clause: sentence.text for sentence in each.sentences(locale, installed, evidence)} if each else {}
        for each in (old, new)
    ]
    return tuple(
        Rewording(clause, locale, texts[0].get(clause), texts[1].get(clause))
        for clause in dict.fromkeys([*texts[1], *texts[0]])
        if texts[0].get(clause) != texts[1].get(clause)
    )


# --- what is in force


async def in_force(c: AsyncConnection) -> InForce:
    """What holds now, as the database says. Raises VersionUnknown before the first start, VersionUnreadable."""
    now = await _current(c)
    coming = await _upcoming(c, now.version)
    policy = await asyncio.to_thread(_held, now, coming)
    announced = tuple(Coming(row.version, row.effective_at, f"/privacy/{row.version}") for row in coming)
    return InForce(policy, await _agreed(c, policy), announced)


async def loaded_hash(c: AsyncConnection) -> str | None:
    """The hash of what is in force, by the row beside the epoch; None before the first start."""
    found: str | None = await c.scalar(select(policy_epoch.c.hash))
    return found


async def leaf(c: AsyncConnection, hash: str) -> UUID | None:
    """The row of the log that says of the policy of this hash that it is in force, with each of its sentences as a hash; None:
    another one is by now."""
    found: UUID | None = await c.scalar(select(policy_epoch.c.leaf).where(policy_epoch.c.hash == hash))
    return found


async def begin(c: AsyncConnection, policy: Policy, source: str, now: datetime) -> InForce:
    """Make `policy` the first version if there is none, and return what is in force.

    A policy that differs from it is not applied: `plans` does that, and tells people first.
    """
    if await c.scalar(select(policy_version.c.version).limit(1)) is None:
        await publish(c, policy, source, now, now, "system:start", material=True)
        await enforce(c, policy.version, now)
    held = await in_force(c)
    await floors.learn(c, held.policy)
    await purpose_rules.learn(c, held.policy)
    # A newer Avow may read an old text a little differently: what is served is what is on record, and in the log.
    if await loaded_hash(c) != held.policy.hash or await _logged(c) != _sentences(held.policy):
        await _tell(c, held.policy, now)
    return held


async def publish(
    c: AsyncConnection, policy: Policy, source: str, now: datetime, effective_at: datetime, by: str, *,
    approved_by: str | None = None, material: bool,
) -> None:  # fmt: skip
    """Write a version down; from now on nothing is stored that it does not allow."""
    row = {"version": policy.version, "hash": policy.hash, "source": source, "clauses": clauses_of(policy)}
    row |= {"material": material, "published_at": now, "effective_at": effective_at, "in_force_at": None}
    await c.execute(policy_version.insert().values(row | {"applied_by": by, "approved_by": approved_by}))
    await tlog.append(c, "policy", tlog.spelled(_told(policy, source, now, effective_at)))


async def enforce(c: AsyncConnection, number: int | None, now: datetime) -> Policy:
    """Bring version `number` into force (None: only what was published meanwhile), in the caller's transaction.

    The floors learn the periods that hold now, and every process finds the new hash beside a new epoch.
    """
    if number is not None:
        mine = (policy_version.c.version == number, policy_version.c.in_force_at.is_(None))
        await c.execute(update(policy_version).where(*mine).values(in_force_at=now))
    policy = (await in_force(c)).policy
    await floors.learn(c, policy)
    await purpose_rules.learn(c, policy)
    await _tell(c, policy, now)
    return policy


def _told(policy: Policy, source: str, now: datetime, effective_at: datetime) -> dict[str, Any]:
    """What the log says of a version: enough to hold a text against it."""
    times = {"published_at": now.isoformat(), "effective_at": effective_at.isoformat()}
    sha256 = hashlib.sha256(source.encode()).hexdigest()
    return {"version": policy.version, "hash": policy.hash, **times, "source_sha256": sha256} | _sentences(policy)


def _sentences(policy: Policy) -> dict[str, Any]:
    """Each sentence by a hash of its texts, and the part or document without which it is not shown (None: always)."""
    return {
        "sentences": {
            each.id: {
                "sha256": hashlib.sha256(tlog.spelled({"en": each.en, "zh": each.zh})).hexdigest(),
                "needs": each.feature or each.evidence,
            }
            for each in policy.clauses
        }
    }


def clauses_of(policy: Policy) -> list[dict[str, str | None]]:
    """The sentences of a policy as a version keeps them, with the part or document without which each is not shown."""
    return [
        {"id": each.id, "en": each.en, "zh": each.zh, "feature": each.feature, "evidence": each.evidence}
        for each in policy.clauses
    ]


class Current:
    """What is in force in one process; everybody there reads `vault.policy`, which this brings up to date."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault
        self.agreed: Agreed | None = None
        self.coming: tuple[Coming, ...] = ()
        self._followed: str | None = None

    async def follow(self, c: AsyncConnection) -> None:
        """Take over what is in force. Costs one short query while nothing has changed."""
        told = await loaded_hash(c)
        if told is None or told != self._followed:
            self.vault.policy, self.agreed, self.coming = await in_force(c)
            self._followed = told


async def _current(c: AsyncConnection) -> Row[Any]:
    query = select(policy_version).where(policy_version.c.in_force_at.is_not(None))
    row = (await c.execute(query.order_by(policy_version.c.version.desc()).limit(1))).one_or_none()
    if row is None:
        raise VersionUnknown(
            "No policy is in force yet.", hint="Start Avow once: the first start publishes its policy."
        )
    return row


async def _upcoming(c: AsyncConnection, number: int) -> Sequence[Row[Any]]:
    columns = policy_version.c
    query = select(policy_version).where(columns.version > number, columns.in_force_at.is_(None))
    return (await c.execute(query.order_by(columns.version).limit(PUBLISHED_MAX))).all()


async def _agreed(c: AsyncConnection, policy: Policy) -> Agreed | None:
    """The newest material change in force, if the policy asks that it be accepted; the first version is no change."""
    part, columns = policy.parts.get("acceptance"), policy_version.c
    if part is None:
        return None
    query = select(columns.version).where(columns.in_force_at.is_not(None), columns.material)
    numbers = list((await c.execute(query.order_by(columns.version.desc()).limit(2))).scalars())
    return Agreed(numbers[0], str(part.values["how"])) if len(numbers) > 1 else None


def _held(now: Row[Any], coming: Sequence[Row[Any]]) -> Policy:
    """Parsing takes milliseconds, so it runs beside the loop."""
    try:
        read = [parse(row.source, f"version {row.version}") for row in (now, *coming)]
    except PolicyError as error:
        raise VersionUnreadable(f"{VersionUnreadable.__doc__}\n{error}") from None
    return interim(*read) if coming else read[0]


async def _tell(c: AsyncConnection, policy: Policy, now: datetime) -> None:
    said = {"version": policy.version, "hash": policy.hash, "in_force_at": now.isoformat()} | _sentences(policy)
    known = {"hash": policy.hash, "leaf": (await tlog.append(c, "policy", tlog.spelled(said))).id}
    row = insert(policy_epoch).values(id=1, epoch=1, **known)
    more = {"epoch": policy_epoch.c.epoch + 1} | known
    await c.execute(row.on_conflict_do_update(index_elements=["id"], set_=more))


async def _logged(c: AsyncConnection) -> dict[str, Any] | None:
    """What the log says of the sentences in force; None: nothing."""
    query = select(log_entry.c.content).join(policy_epoch, policy_epoch.c.leaf == log_entry.c.id)
    content = await c.scalar(query)
    return {"sentences": json.loads(content)["sentences"]} if content else None


def _version(row: Row[Any]) -> Version:
    return Version(
        *(row.version, row.hash, row.published_at, row.effective_at, row.in_force_at, row.material),
        clauses=tuple(row.clauses),
    )


def _is_shown(clause: Mapping[str, Any], what: str, there: frozenset[str]) -> bool:
    return clause[what] is None or clause[what] in there
