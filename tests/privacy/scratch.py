"""Tables that only these tests have, one for each way to hold something, and what erasures need in a test."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, Table, Text, Uuid, func, insert, select

from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.ids import uuid7
from avow.catalog import fact_columns, personal, table
from avow.policy import Policy, parse
from avow.privacy.caches import NotifyAndWait
from avow.privacy.needs import Needs
from avow.privacy.newest import Newest
from avow.privacy.stores import Store, tables
from avow.privacy.tables import rights_request
from avow.privacy.tombstones import Tombstones
from avow.proof.receipts import Receipts
from avow.vault import Ref, Ring, box, fact
from avow.vault.ring import slot_of

PROFILE = Path(__file__).parents[2] / "profiles" / "default.toml"

note = table(
    "scratch_note",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("box", LargeBinary),
    holds=[personal("api_content", box=["request", "response"])],
)
call = table(
    "scratch_call",
    Column("note_id", Uuid, ForeignKey("scratch_note.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    *fact_columns(),
    Column("model", Text),
    Column("status", Integer, nullable=False),
    holds=[personal("usage", clear=["model", "status"], why="summed")],
)
bill = table(
    "scratch_bill",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("amount", Integer, nullable=False),
    Column("box", LargeBinary, nullable=False),
    holds=[
        personal("payment", clear=["amount"], why="summed"),
        personal("account", box=["name"]),
    ],
)
ALL = (note, call, bill)


def policy(**changes: str) -> Policy:
    """The default policy; `usage_on_erasure="blank"` changes one line of one category."""
    lines, category = [], ""
    for line in PROFILE.read_text().splitlines():
        category = line[len("[category.") : -1] if line.startswith("[category.") else category
        for name, value in changes.items():
            if name.startswith(f"{category}_") and line.startswith(name.removeprefix(f"{category}_") + " ="):
                line = f'{name.removeprefix(f"{category}_")} = "{value}"'
        lines.append(line)
    return parse("\n".join(lines))


def needs(
    database: Database, ring: Ring, clock: Clock, home: Path, rules: Policy | None = None, first: Sequence[Store] = ()
) -> Needs:
    """Everything real, except that nobody waits for caches that no process here has."""
    stones = Tombstones(home / "keyring" / "tombstones", ring)
    newest = Newest(home / "keyring" / "newest", ring)
    return Needs(
        *(rules or policy(), clock, database, ring, (*first, *tables()), stones, newest, Receipts(ring)),
        forget=NotifyAndWait(database, wait_s=0),
    )


class Person:
    """Somebody with facts in every scratch table."""

    def __init__(self) -> None:
        self.tenant_id, self.id = uuid7(), uuid7()

    def begin(self, on: Needs, category: str, since: datetime) -> dict[str, Any]:
        return fact.begin(on.policy, category, self.tenant_id, self.id, since)

    async def write(self, on: Needs, count: int = 3, since: datetime | None = None) -> None:
        since = since or on.clock.now() - timedelta(hours=1)
        async with on.database.begin() as c:
            for number in range(count):
                row = self.begin(on, "api_content", since)
                await c.execute(insert(note).values(**row, box=self.seal(on, note, "api_content", row)))
                used = {**self.begin(on, "usage", since), "note_id": row["id"], "number": number}
                del used["id"]
                await c.execute(insert(call).values(**used, model="m", status=200))
                paid = self.begin(on, "payment", since)
                await c.execute(insert(bill).values(**paid, amount=7, box=self.seal(on, bill, "account", paid)))

    def seal(self, on: Needs, where: Table, category: str, row: dict[str, Any]) -> bytes:
        key = on.ring.fact_key(self.id, category, row["ends_at"], create=True)
        assert key is not None
        ref = Ref(self.tenant_id, where.name, category, row["id"], self.id)
        return box.seal(AESGCM(key), ref, box.pack({"request": "my words"}), slot_of(row["ends_at"]))

    async def ask(self, on: Needs) -> UUID:
        """A verified request for erasure, without its job."""
        row = self.begin(on, "rights", on.clock.now())
        row |= {"kind": "erase", "state": "verified", "due_at": row["since"], "changed_at": row["since"]}
        async with on.database.begin() as c:
            await c.execute(insert(rights_request).values(**row, times={}, token_hash=b""))
        return row["id"]  # type: ignore[no-any-return]

    async def counts(self, on: Needs) -> dict[str, int]:
        """How many rows of theirs each scratch table holds."""
        async with on.database.begin() as c:
            queries = {t.name: select(func.count()).select_from(t).where(t.c.subject_id == self.id) for t in ALL}
            return {name: (await c.execute(query)).scalar_one() for name, query in queries.items()}

    async def opened(self, on: Needs) -> list[Any]:
        """What each box of their notes reads as."""
        async with on.database.begin() as c:
            rows = (await c.execute(select(note).where(note.c.subject_id == self.id))).all()
        return [self.read(on, row.id, row.box) for row in rows]

    def read(self, on: Needs, row_id: UUID, sealed: bytes) -> Any:
        ref = Ref(self.tenant_id, note.name, "api_content", row_id, self.id)
        return box.unseal(on.ring.key(self.id, "api_content", box.slot(sealed)), ref, sealed)
