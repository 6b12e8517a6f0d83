"""Mail that waits to be sent, sealed until the moment it is.

A message is put in the transaction that causes it, so it is sent if and only if that is committed. The keeper drains:
it counts the attempt and sets the next one before it hands the message over, so a kill at any moment leads to one more
attempt, under the same Message-ID, and never to endless ones.
"""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import RowMapping, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.actor import KEEPER
from avow.base.db import Database
from avow.base.errors import AvowError
from avow.base.mail import Mail
from avow.vault import fact
from avow.vault.box import Gone, Ref
from avow.vault.door import Opened, OpenRefused, Vault
from avow.vault.tables import outbox

CATEGORY = "mail"
ATTEMPTS_MAX = 7
FIRST_WAIT_S = 30
WAIT_GROWTH = 4
DRAIN_MAX = 100


class Drained(NamedTuple):
    """What one pass did: messages sent, to be tried again, given up, and dropped because their reader is erased."""

    sent: int = 0
    postponed: int = 0
    failed: int = 0
    dropped: int = 0


async def put(
    conn: AsyncConnection,
    vault: Vault,
    *,
    message_id: UUID,
    tenant_id: UUID,
    subject_id: UUID,
    recipient: str,
    subject: str,
    text: str,
    purpose: str = "service",
) -> None:
    """Put a message to a person into the outbox; it leaves once the caller's transaction is committed.

    `purpose` is one of the category `mail`, or `policy.ANSWER` for what the person asked for themselves, which reaches them
    whatever they had restricted. The same `message_id` twice keeps the first. Raises Buried for a person whose keys were
    destroyed.
    """
    now = vault.clock.now()
    row = fact.begin(vault.policy, CATEGORY, tenant_id, subject_id, now) | {"id": message_id}
    await vault.prepare(subject_id, CATEGORY, row["ends_at"])
    fields = {"recipient": recipient, "subject": subject, "text": text}
    row |= {"purpose": purpose, "state": "waiting", "attempts": 0, "next_try_at": now}
    row["box"] = vault.seal(_ref(row), fields, row["ends_at"])
    await conn.execute(insert(outbox).on_conflict_do_nothing(), row)


async def drain(keeper: Database, vault: Vault, mail: Mail, limit: int = DRAIN_MAX) -> Drained:
    """Send up to `limit` messages that are due, one after the other; several drains at once share the work."""
    done = Drained()
    for _ in range(limit):
        async with keeper.begin() as conn:
            row = await _take(conn, vault.clock.now())
            message = await _opened(conn, vault, row) if row else None
        if row is None:
            break
        outcome = await _send(keeper, mail, row, message)
        done = done._replace(**{outcome: getattr(done, outcome) + 1})
    return done


async def _take(conn: AsyncConnection, now: datetime) -> RowMapping | None:
    """Take the message that has been due longest, and set its next attempt before this one is made."""
    due = (
        select(outbox)
        .where(outbox.c.state == "waiting", outbox.c.next_try_at <= now)
        .where(or_(outbox.c.ends_at.is_(None), outbox.c.ends_at > now))
        .order_by(outbox.c.next_try_at, outbox.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await conn.execute(due)).mappings().first()
    if row is None:
        return None
    attempt = row["attempts"] + 1
    wait = timedelta(seconds=FIRST_WAIT_S * WAIT_GROWTH ** (attempt - 1))
    state = "waiting" if attempt < ATTEMPTS_MAX else "failed"
    planned = update(outbox).where(outbox.c.id == row["id"])
    await conn.execute(planned.values(attempts=attempt, next_try_at=now + wait, state=state))
    return row


async def _opened(conn: AsyncConnection, vault: Vault, row: RowMapping) -> Opened | None:
    """The message; None while the person's standing forbids its use."""
    try:
        return await vault.open(conn, _ref(row), row["box"], row["purpose"], KEEPER)
    except OpenRefused:
        return None


async def _send(keeper: Database, mail: Mail, row: RowMapping, message: Opened | None) -> str:
    outcome = "postponed" if row["attempts"] + 1 < ATTEMPTS_MAX else "failed"
    if message is Gone:
        outcome = "dropped"
    elif message is not None:
        try:
            await mail.send(f"{row['id']}@avow", message["recipient"], message["subject"], message["text"])
        except (AvowError, OSError, ValueError):  # ValueError: a text that fits no mail header
            return outcome
        outcome = "sent"
    if outcome in ("sent", "dropped"):
        async with keeper.begin() as conn:
            await conn.execute(delete(outbox).where(outbox.c.id == row["id"]))
    return outcome


def _ref(row: RowMapping | dict[str, UUID]) -> Ref:
    return Ref(row["tenant_id"], outbox.name, CATEGORY, row["id"], row["subject_id"])
