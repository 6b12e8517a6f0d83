"""Consents: what somebody agreed to, to which text, when and where; taken back as easily as given (GDPR Art. 7).

Each word is a row of `standing`, never overwritten, and holds with the transaction that writes it. It carries the text
that was shown with its SHA-256, the language and the way, and a signed receipt (`consent_receipts`) that stands in the
transparency log; the person reads both and takes them along. Global Privacy Control (`Sec-GPC: 1`) is such a word too: it
refuses what measures, advertises or passes on, is written down once, and lets none of that be given from a browser that
says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.actor import Actor
from avow.base.errors import AvowError, NotFound
from avow.base.ids import uuid7
from avow.policy import Policy, asking, cookies
from avow.policy.asking import SHARING, Notice
from avow.policy.model import instant
from avow.policy.objections import consents, purposes
from avow.privacy import versions
from avow.privacy.consent_receipts import Maker, Record
from avow.privacy.standings import PurposeUnknown, Whose
from avow.vault import Ref, Vault, standing, tlog
from avow.vault.box import GoneType
from avow.vault.tables import standing as said

How = Literal["account", "panel", "request", "signal"]
CATEGORY: Final = "consent"
PER_PAGE: Final = 50
WORDS_MAX: Final = 100
"""Of one person in a day, then they give none more: each is a leaf of a log that every visitor reads."""
_RECIPIENT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_LOCK = sql("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
"""What somebody says about consents is written one word after the other."""


class NoticeChanged(AvowError):
    """What was shown when this consent was given is not what it is asked for with now."""

    status = 409
    code = "notice_changed"
    hint = "Nothing was recorded. GET /api/privacy/consents has the text; show it, and send its hash as notice."


class NoticeNeeded(AvowError):
    """A consent is given to a text, so say which one was shown."""

    status = 400
    code = "notice_needed"
    hint = "Nothing was recorded. GET /api/privacy/consents has the text; show it, and send its hash as notice."


class TooManyWords(AvowError):
    """You gave and took back consents very often today."""

    status = 429
    code = "consents_slowed"
    hint = "Nothing was recorded. What you gave holds, and you can take it back at any time; give another one tomorrow."


class Directed(Protocol):
    """Names the recipients to whom somebody's data goes only with their consent (the register of disclosures)."""

    async def __call__(self, c: AsyncConnection, subject_id: UUID, /) -> frozenset[str]: ...


async def nowhere(_: AsyncConnection, __: UUID) -> frozenset[str]:
    """Without a register there is no such recipient."""
    return frozenset()


class SignalHonoured(AvowError):
    """This browser says Global Privacy Control, which refuses this."""

    status = 409
    code = "gpc_honoured"
    hint = "Nothing was recorded. Turn the signal (Sec-GPC) off in this browser, or consent from another one."


class Asked(msgspec.Struct):
    """A consent that is asked for: `text` and its `hash` by language, and what the person says now (null: nothing yet)."""

    name: str
    text: dict[str, str]
    hash: dict[str, str]
    given: bool | None
    said_at: datetime | None
    refused_by_signal: bool
    """Global Privacy Control of this browser refuses it, whatever was given."""


async def say(
    c: AsyncConnection,
    vault: Vault,
    maker: Maker,
    whose: Whose,
    name: str,
    at: datetime,
    *,
    given: bool,
    how: How = "account",
    notice: Notice | None = None,
    directed: Directed = nowhere,
) -> None:
    """Give a consent, or take it back: what rests on it stops with this transaction. Saying the same again adds nothing, in
    whatever language.

    `sharing:NAME` is a consent to one recipient, whom the register names for this person;
    `notice` is what they saw, None where nothing was shown. Raises PurposeUnknown for one that nobody asks for, NoticeNeeded
    where one is given to no text, and TooManyWords where one is given; what was given under an older policy can be taken back.
    """
    await c.execute(_LOCK, {"name": f"consent {whose.subject_id}"})
    newest = (await _newest(c, whose, [name])).get(name)
    taken_back = not given and newest is not None and newest.value
    if not taken_back and name not in await _open(c, vault.policy, whose, directed):
        raise PurposeUnknown("Nobody asks for this consent here.", param="purpose")
    if given and notice is None:
        raise NoticeNeeded(param="notice")
    same = {each.hash for each in asking.notices(vault.policy, name).values()}
    if newest is not None and newest.value == given and (notice is None or newest.notice_hash in same):
        return
    if given and await _words_since(c, whose, at - timedelta(days=1)) >= WORDS_MAX:
        raise TooManyWords
    await _write(c, vault, maker, whose, name, at, given=given, how=how, notice=notice)


async def _words_since(c: AsyncConnection, whose: Whose, since: datetime) -> int:
    mine = (said.c.subject_id == whose.subject_id, said.c.kind == "consent", said.c.since > since)
    return await c.scalar(select(func.count()).where(*mine)) or 0


async def heed_signal(c: AsyncConnection, vault: Vault, maker: Maker, whose: Whose, at: datetime) -> None:
    """Write down that somebody's browser says Global Privacy Control: what it refuses is taken back, or refused once; a
    use of theirs that it ends counts as objected to, unless they have spoken about it themselves."""
    if await _unheeded(c, vault.policy, whose):
        await c.execute(_LOCK, {"name": f"consent {whose.subject_id}"})
        for kind, name in await _unheeded(c, vault.policy, whose):
            if kind == "consent":
                await _write(c, vault, maker, whose, name, at, given=False, how="signal", notice=None)
            else:
                by_signal: dict[str, Any] = {"value": True, "at": at, "purpose": name, "shown": {"said_how": "signal"}}
                await standing.record(c, vault.policy, *whose, "objection", **by_signal)


async def _unheeded(c: AsyncConnection, policy: Policy, whose: Whose) -> list[tuple[standing.Kind, str]]:
    """The consents that the signal has still to refuse, and the uses that it has still to end."""
    newest = await _newest(c, whose, None)
    refused = sorted(name for name in {*consents(policy), *newest} if cookies.is_opted_out(name))
    open_uses = _refused_uses(policy)
    ended = sorted(open_uses - await _spoken_about(c, whose)) if open_uses else []
    return [
        *(("consent", name) for name in refused if name not in newest or newest[name].value),
        *(("objection", purpose) for purpose in ended),
    ]


def heeds_signal(policy: Policy) -> bool:
    """Whether a policy has anything that Global Privacy Control refuses."""
    return any(cookies.is_opted_out(name) for name in consents(policy)) or bool(_refused_uses(policy))


def _refused_uses(policy: Policy) -> frozenset[str]:
    """The purposes of a policy that Global Privacy Control ends."""
    return purposes(policy) & cookies.OPTED_OUT_PURPOSES


async def _open(c: AsyncConnection, policy: Policy, whose: Whose, directed: Directed) -> set[str]:
    """The consents that are asked for: those of the policy and, where it has `sharing`, one for each recipient."""
    names = {*consents(policy)}
    if SHARING in names:
        found = await directed(c, whose.subject_id)
        names |= {f"{SHARING}:{recipient}" for recipient in found if _RECIPIENT.fullmatch(recipient)}
    return names


async def asked(
    c: AsyncConnection, policy: Policy, whose: Whose, *, gpc: bool, directed: Directed = nowhere
) -> list[Asked]:
    """Every consent that is asked for, and what this person said last."""
    newest = await _newest(c, whose, None)
    found = []
    for name in sorted(
        {*await _open(c, policy, whose, directed), *(name for name, row in newest.items() if row.value)}
    ):
        texts, row = asking.notices(policy, name), newest.get(name)
        found.append(
            Asked(
                name=name,
                text={locale: notice.text for locale, notice in texts.items()},
                hash={locale: notice.hash for locale, notice in texts.items()},
                given=None if row is None else row.value,
                said_at=None if row is None else row.since,
                refused_by_signal=gpc and cookies.is_opted_out(name),
            )
        )
    return found


async def records(
    c: AsyncConnection, vault: Vault, person: Actor, whose: Whose, *, before: UUID | None = None
) -> list[Record]:
    """What somebody said about consents, newest first, 50 at a time; `before`: older than that one."""
    columns = said.c
    query = select(said).where(columns.subject_id == whose.subject_id, columns.kind == "consent")
    if before is not None:
        query = query.where(columns.id < before)
    rows = (await c.execute(query.order_by(columns.id.desc()).limit(PER_PAGE))).all()
    boxes = await _opened(c, vault, person, rows)
    return [_record(row, boxes.get(row.id, {}).get("text")) for row in rows]


async def receipt(
    c: AsyncConnection, vault: Vault, maker: Maker, person: Actor, whose: Whose, id: UUID
) -> tuple[Record, bytes]:
    """One record with its signed receipt: the one that was made when it was said, which stands in the log; of a word with
    which none was kept (a lapse), one that is made now of the policy that held then. Raises NotFound."""
    mine = (said.c.subject_id == whose.subject_id, said.c.kind == "consent", said.c.id == id)
    row = (await c.execute(select(said).where(*mine))).one_or_none()
    if row is None:
        raise NotFound
    held = (await _opened(c, vault, person, [row])).get(id, {})
    record = _record(row, held.get("text"))
    if "receipt" in held:
        return record, tlog.spelled(held["receipt"])
    policy = await versions.under(c, record.policy_version) or vault.policy
    return record, maker.unlogged(policy, whose, record, was_given=await _was_given(c, whose, record))


async def _was_given(c: AsyncConnection, whose: Whose, record: Record) -> bool:
    """Whether a consent had been given before a record of it."""
    columns = said.c
    mine = (columns.subject_id == whose.subject_id, columns.kind == "consent", columns.purpose == record.name)
    found = select(columns.id).where(*mine, columns.value, columns.id < record.id).limit(1)
    return (await c.execute(found)).first() is not None


async def _opened(
    c: AsyncConnection, vault: Vault, person: Actor, rows: Iterable[Row[Any]]
) -> Mapping[UUID, dict[str, Any]]:
    boxed = [row for row in rows if row.box]
    opened = (
        await vault.open_many(c, [(_ref(row._asdict()), row.box) for row in boxed], "access", person) if boxed else []
    )
    return {row.id: held for row, held in zip(boxed, opened, strict=True) if not isinstance(held, GoneType)}


def _record(row: Row[Any], text: str | None) -> Record:
    return Record(
        id=row.id,
        name=row.purpose,
        given=row.value,
        at=row.since,
        how=row.said_how,
        policy_version=row.policy_version,
        hash=row.notice_hash,
        locale=row.notice_locale,
        text=text,
    )


async def _write(
    c: AsyncConnection,
    vault: Vault,
    maker: Maker,
    whose: Whose,
    name: str,
    at: datetime,
    *,
    given: bool,
    how: How,
    notice: Notice | None,
) -> None:
    text, hash, locale = (notice.text, notice.hash, notice.locale) if notice is not None else (None, None, None)
    record = Record(uuid7(), name, given, instant(at), how, vault.policy.version, hash, locale, text)
    was_given = await _was_given(c, whose, record)
    told: dict[str, Any] = {"text": text} if text is not None else {}
    told["receipt"] = await maker.logged(c, vault.policy, whose, record, was_given=was_given)
    ends_at = vault.policy.categories[CATEGORY].keep.end(at)
    await vault.prepare(whose.subject_id, CATEGORY, ends_at)
    ref = Ref(whose.tenant_id, said.name, CATEGORY, record.id, whose.subject_id)
    shown: dict[str, Any] = {"id": record.id, "said_how": how, "notice_hash": hash, "notice_locale": locale}
    shown["box"] = vault.seal(ref, told, ends_at)
    await standing.record(c, vault.policy, *whose, "consent", value=given, at=at, purpose=name, shown=shown)


async def _newest(c: AsyncConnection, whose: Whose, names: Sequence[str] | None) -> dict[str, Any]:
    """The last word of somebody about each consent; `names` None: about all."""
    columns = said.c
    query = (
        select(columns.purpose, columns.value, columns.notice_hash, columns.since)
        .ext(distinct_on(columns.purpose))
        .where(columns.subject_id == whose.subject_id, columns.kind == "consent")
        .order_by(columns.purpose, columns.since.desc(), columns.id.desc())
    )
    if names is not None:
        query = query.where(columns.purpose.in_(names))
    return {row.purpose: row for row in (await c.execute(query)).all()}


async def _spoken_about(c: AsyncConnection, whose: Whose) -> set[str]:
    mine = (said.c.subject_id == whose.subject_id, said.c.kind == "objection")
    return set(await c.scalars(select(said.c.purpose).distinct().where(*mine)))


def _ref(row: Mapping[str, Any]) -> Ref:
    return Ref(row["tenant_id"], said.name, CATEGORY, row["id"], row["subject_id"])
