"""Files of ours that stand for the outside world: people's mailboxes and the note with the demo key."""

from __future__ import annotations

import asyncio
import email
import email.policy
import email.utils
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from avow.policy import Policy
from avow.policy.model import Ending
from avow.privacy.stores import Ended, Found, Key, Of, Page, Which

KEEP = timedelta(hours=24)

Addresses = Callable[[AsyncConnection, UUID], Awaitable[Sequence[str]]]


class OutsideFiles:
    """`mail/*.eml` and `demo.json` under AVOW_HOME: they end with the person, and after 24 hours in any case.

    `addresses` gives a person's mail addresses (`accounts`), read over the connection of the caller: a restore works in a
    database of its own. It can only while their account is there, so this store
    comes before the tables.
    """

    name = "outside files"
    categories = ("mail", "credential")
    sealed = ()

    def __init__(self, home: Path, addresses: Addresses) -> None:
        self._home = home
        self._addresses = addresses

    def ending(self, policy: Policy, on: Literal["expiry", "erasure"]) -> Ending:
        """See Store."""
        return "delete"

    async def find(self, c: AsyncConnection, subject_id: UUID) -> Found:
        """See Store."""
        return Found(len(await self._of(c, subject_id)), None)

    async def end(self, c: AsyncConnection, which: Which, policy: Policy, after: Key | None = None) -> Ended:
        """See Store."""
        wanted = await self._of(c, which.subject_id) if isinstance(which, Of) else self._before(which.now - KEEP)
        for path in wanted:
            path.unlink(missing_ok=True)
        return Ended(len(wanted), None)

    async def export(self, c: AsyncConnection, subject_id: UUID, after: Key | None = None) -> Page:
        """See Store. What lies here was handed to the person already."""
        return Page([], None)

    async def scan(self, c: AsyncConnection, marker: bytes) -> int:
        """See Store."""
        return sum(marker in path.read_bytes() for path in self._files())

    async def residual(self, c: AsyncConnection, subject_id: UUID, policy: Policy) -> int:
        """See Store."""
        return len(await self._of(c, subject_id))

    async def _of(self, c: AsyncConnection, subject_id: UUID) -> list[Path]:
        wanted = {address.casefold() for address in await self._addresses(c, subject_id)}
        if not wanted:
            return []
        return await asyncio.to_thread(lambda: [path for path in self._files() if wanted & _owners(path)])

    def _before(self, limit: datetime) -> list[Path]:
        return [path for path in self._files() if path.stat().st_mtime <= limit.timestamp()]

    def _files(self) -> Iterator[Path]:
        yield from sorted((self._home / "mail").glob("*.eml"))
        if (demo := self._home / "demo.json").is_file():
            yield demo


def _owners(path: Path) -> set[str]:
    """The addresses, in lower case, to which a file belongs; none for one that nobody can read."""
    try:
        if path.suffix == ".json":
            found = [str(json.loads(path.read_bytes())["email"])]
        else:
            with path.open("rb") as file:
                headers = email.message_from_binary_file(file, policy=email.policy.default)
            found = [address for _, address in email.utils.getaddresses(headers.get_all("To", []))]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {address.casefold() for address in found}
