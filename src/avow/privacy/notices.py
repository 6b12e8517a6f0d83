"""Notices: that people are told of a change of the policy, in the ways that the policy in force names.

By mail and in the dashboard each person is told once: the row that says so, with an id that follows from the person and
the plan, is written in the transaction that puts the mail into the outbox, so a kill anywhere tells nobody twice and
leaves nobody out. Who signs up while a version waits for its date comes under the older one and is told as those who were
there before: whoever has no such row is looked for again, up to the transaction that brings the version into force. The
page needs no row: the text of a version stands there from its publication on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID, uuid5

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.errors import NotFound
from avow.base.tables import policy_version
from avow.policy import Diff, Policy, Rewording, channels, periods
from avow.privacy import versions
from avow.privacy.needs import Needs
from avow.privacy.tables import notice, policy_plan
from avow.vault import Buried, OpenRefused, Vault, fact, outbox

TELL_JOB = "policy.tell"
CHUNK_PEOPLE = 100
SENTENCES_MAX = 20
SHOWN_MAX = 100
PERSONAL = frozenset({"email", "banner"})
ALL_CHANGES, MATERIAL = "policy", "policy_material"

SUBJECT = "Our privacy policy changes / 隐私政策变更"
LETTER = """\
The privacy policy of {site} changes. Version {number} {when_en}.
{stricter_en}
Its text:    {site}/privacy/{number}
What changes: {site}/privacy/changes

{changes_en}

{site} 的隐私政策将变更。第 {number} 版{when_zh}。
{stricter_zh}
全文：{site}/privacy/{number}
变更：{site}/privacy/changes

{changes_zh}
"""
STRICTER = ("Until then only what is stricter in it holds.", "在此之前，仅其中更严格的部分适用。")


class NoticeUnknown(NotFound):
    """There is no such notice for you."""

    code = "notice_unknown"
    hint = "GET /api/me/notices lists those that wait for you; one that was dismissed is not among them."


class Readers(Protocol):
    """Who is to be told, and where (`accounts`): people who use the platform, and not its own canaries."""

    async def count(self, c: AsyncConnection) -> int: ...

    async def untold(
        self, c: AsyncConnection, number: int, after: UUID | None, limit: int
    ) -> Sequence[tuple[UUID, UUID]]:
        """Up to `limit` (subject, tenant) who came under a version before `number` and have no notice of it, in the order
        of their ids, beginning after `after`."""
        ...

    async def address(self, c: AsyncConnection, tenant_id: UUID, subject_id: UUID) -> str | None:
        """Where somebody gets mail; None where that cannot be opened any more. Raises OpenRefused."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """How people are told of a change: in which `channels`, as the policy in force names them for this `kind`.

    `people` are told one by one, by mail or in the dashboard; `people_of_all` is how many there are.
    """

    kind: str
    channels: tuple[str, ...]
    people: int
    people_of_all: int

    @property
    def personal(self) -> bool:
        """Whether each person is told."""
        return bool(PERSONAL & {*self.channels})


class Telling(NamedTuple):
    """What telling needs besides: where people read the text, and which parts it may speak of."""

    vault: Vault
    readers: Readers
    base_url: str
    installed: frozenset[str]


class Shown(NamedTuple):
    """One notice as its person sees it in the dashboard."""

    id: UUID
    kind: str
    version: int
    published_at: datetime
    effective_at: datetime
    in_force: bool
    page: str


async def plan(c: AsyncConnection, held: Policy, change: Diff, readers: Readers) -> Notice:
    """How people are told of a change of the policy `held`. What is said of any change is said of a material one too."""
    kinds = (MATERIAL, ALL_CHANGES) if change.material else (ALL_CHANGES,)
    ways = tuple(dict.fromkeys(way for kind in kinds for way in channels(held, kind)[0]))
    people = await readers.count(c)
    return Notice(kinds[0], ways, people if PERSONAL & {*ways} else 0, people)


async def tell(needs: Needs, telling: Telling, plan_id: UUID) -> int:
    """Tell everybody of the change of an applied plan; the handler of TELL_JOB. Returns how many were told now.

    Run again, it tells those who have come since.
    """
    told, after, last = 0, None, False
    while not last:
        async with needs.database.begin() as c:
            row = (await c.execute(select(policy_plan).where(policy_plan.c.id == plan_id).with_for_update())).one()
            if row.state != "applied" or not _is_personal(row):
                return told
            now_told, after = await tell_some(c, telling, row, after)
            told, last = told + now_told, after is None
            if last and row.told_at is None:
                mine = policy_plan.c.id == plan_id
                await c.execute(update(policy_plan).where(mine).values(told_at=needs.clock.now()))
    return told


async def tell_some(
    c: AsyncConnection, telling: Telling, plan: Row[Any], after: UUID | None = None
) -> tuple[int, UUID | None]:
    """Tell some of those who have not been told, in the caller's transaction: how many, and after whom there may be more
    (None: nobody is left)."""
    if not _is_personal(plan):
        return 0, None
    people = await telling.readers.untold(c, plan.version, after, CHUNK_PEOPLE)
    letter = await _letter(c, telling, plan.version) if people else ("", "")
    told = 0
    for subject_id, tenant_id in people:
        told += await _tell_one(c, telling, plan, letter, tenant_id, subject_id)
    return told, people[-1][0] if len(people) == CHUNK_PEOPLE else None


async def of(c: AsyncConnection, subject_id: UUID, now: datetime) -> list[Shown]:
    """What the dashboard shows to somebody until they dismiss it, newest first."""
    columns, version = notice.c, policy_version.c
    query = (
        select(columns.id, columns.notice, version.version, version.published_at, version.effective_at)
        .add_columns(version.in_force_at)
        .join(policy_version, version.version == columns.notice_version)
        .where(columns.subject_id == subject_id, columns.in_banner, columns.dismissed_at.is_(None))
        .where(or_(columns.ends_at.is_(None), columns.ends_at > now))
        .order_by(columns.notice_version.desc())
        .limit(SHOWN_MAX)
    )
    return [
        Shown(
            *(row.id, row.notice, row.version, row.published_at, row.effective_at),
            in_force=row.in_force_at is not None,
            page=f"/privacy/{row.version}",
        )
        for row in await c.execute(query)
    ]


async def dismiss(c: AsyncConnection, subject_id: UUID, id: UUID, now: datetime) -> None:
    """Show a notice no more to its person. Raises NoticeUnknown."""
    mine = (notice.c.id == id, notice.c.subject_id == subject_id, notice.c.in_banner, notice.c.dismissed_at.is_(None))
    if not (await c.execute(update(notice).where(*mine).values(dismissed_at=now))).rowcount:
        raise NoticeUnknown


def _is_personal(plan: Row[Any]) -> bool:
    return bool(PERSONAL & {*plan.found["notice"]["channels"]})


async def _tell_one(
    c: AsyncConnection, telling: Telling, plan: Row[Any], letter: tuple[str, str], tenant_id: UUID, subject_id: UUID
) -> bool:
    """Tell one person; False: they know already, or are erased."""
    vault, ways = telling.vault, plan.found["notice"]["channels"]
    row = fact.begin(vault.policy, "account", tenant_id, subject_id, vault.clock.now())
    row |= {"id": uuid5(plan.id, subject_id.hex), "notice": plan.found["notice"]["kind"]}
    row |= {"notice_version": plan.version, "in_banner": "banner" in ways}
    if not (await c.execute(insert(notice).on_conflict_do_nothing(), row)).rowcount:
        return False
    if "email" in ways:
        await _mail(c, telling, row, letter)
    return True


async def _mail(c: AsyncConnection, telling: Telling, row: dict[str, Any], letter: tuple[str, str]) -> None:
    tenant_id, subject_id = row["tenant_id"], row["subject_id"]
    try:
        address = await telling.readers.address(c, tenant_id, subject_id)
        if address is not None:
            subject, text = letter
            whom = {"tenant_id": tenant_id, "subject_id": subject_id, "recipient": address, "purpose": "notices"}
            await outbox.put(c, telling.vault, message_id=uuid5(row["id"], "mail"), subject=subject, text=text, **whom)
    except (OpenRefused, Buried):
        # Whoever had the use of their data restricted reads it in the dashboard; whoever is erased is not told.
        return


async def _letter(c: AsyncConnection, telling: Telling, number: int) -> tuple[str, str]:
    """The subject and text of the mail about a version, in both languages."""
    new, old = await versions.one(c, number), await versions.before(c, number)
    changed = {
        locale: _listed(versions.rewordings(old, new, locale, telling.installed), locale) for locale in ("en", "zh")
    }
    later = new.effective_at > new.published_at
    date, date_zh = (periods.minute(new.effective_at, locale) for locale in ("en", "zh"))
    text = LETTER.format(
        site=telling.base_url,
        number=number,
        when_en=f"takes effect on {date}" if later else f"is in effect since {date}",
        when_zh=f"将于 {date_zh} 生效" if later else f"已于 {date_zh} 生效",
        stricter_en=STRICTER[0] if later else "",
        stricter_zh=STRICTER[1] if later else "",
        changes_en=changed["en"],
        changes_zh=changed["zh"],
    )
    return SUBJECT, text


def _listed(changed: Sequence[Rewording], locale: str) -> str:
    lines = []
    for each in changed[:SENTENCES_MAX]:
        lines += [f"{sign} {text}" for sign, text in (("-", each.old), ("+", each.new)) if text]
    if len(changed) > SENTENCES_MAX:
        more = len(changed) - SENTENCES_MAX
        lines.append(f"… and {more} more sentences" if locale == "en" else f"……另有 {more} 句")
    return "\n".join(lines)
