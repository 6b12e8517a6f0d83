"""What waits to be published in the transparency log: put there in the transaction that makes it so.

    entry = SHA-256(salt ‖ content), with a random salt of 32 bytes

The log itself (`proof.log`) holds entries and nothing else. Here stand, for as long as they may be read, the content and the
salt of what is public; those of what is not go to whoever asked for the entry, and nowhere else. To erase a content from
the log is to erase its salt: what remains is noise, and every proof holds as before.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.errors import AvowError
from avow.base.ids import uuid7
from avow.vault.tables import log_entry

PUBLIC: Final = frozenset({"evidence", "policy", "journey", "began"})
"""Kinds whose content everybody may read: about the platform, and never about a person."""
PRIVATE: Final = frozenset({"receipt"})
"""Kinds of which only an entry is kept: whoever has the document has its salt too."""
SALT_BYTES: Final = 32
CONTENT_BYTES_MAX: Final = 1 << 20


class ContentRefused(AvowError):
    """This cannot be put into the log."""

    code = "log_content_refused"
    hint = "Give bytes of at most 1 MiB, of a kind that avow.vault.tlog names; never anything about a person where it is public."


class Leaf(NamedTuple):
    """What was queued: the id of its row, and the salt that opens its entry."""

    id: UUID
    salt: bytes


async def append(c: AsyncConnection, kind: str, content: bytes, salt: bytes | None = None) -> Leaf:
    """Queue a content for the log in the caller's transaction; signed about a second after that is committed.

    `salt`: one of `new_salt()`, where the content itself is to name it. Raises ContentRefused for an unknown kind or too much.
    """
    if kind not in PUBLIC | PRIVATE or len(content) > CONTENT_BYTES_MAX:
        raise ContentRefused
    salt = salt or new_salt()
    row: dict[str, Any] = {"id": uuid7(), "kind": kind, "entry": hashlib.sha256(salt + content).digest()}
    if kind in PUBLIC:
        row |= {"salt": salt, "content": content.decode()}
    await c.execute(insert(log_entry), row)
    return Leaf(row["id"], salt)


def new_salt() -> bytes:
    """32 random bytes, never used twice."""
    return secrets.token_bytes(SALT_BYTES)


async def forget(c: AsyncConnection, ids: Sequence[UUID]) -> None:
    """Erase contents and salts; entries that are in the log stay there as noise."""
    await c.execute(delete(log_entry).where(log_entry.c.id.in_(ids)))


def spelled(fields: Mapping[str, Any]) -> bytes:
    """The only spelling of a content: JSON with sorted keys and no spaces."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
