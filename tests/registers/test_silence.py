"""What is kept from its person: under a legal process as long as it is valid, and by nothing else that stands in the book."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select

from avow.base.clock import SystemClock
from avow.base.ids import uuid7
from avow.policy import parse
from avow.privacy import export
from avow.registers import book, disclosures
from avow.registers.entries import Entry, Process
from avow.registers.tables import register_entry
from avow.vault import Ring, Vault, fact
from tests.conftest import Databases
from tests.platform import policy_text

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
PROCESS = Process("0" * 64, "A court", NOW - DAY, NOW + 2 * DAY)
SAID: dict[str, Any] = {
    **{"name": "order", "to": "court", "recipient": "A court", "basis": "legal", "purpose": "legal", "region": "DE"},
    **{"fields": {"account": ("email",)}, "process": PROCESS, "silent_until": NOW + DAY},
}


@pytest.mark.parametrize(
    ("changed", "is_kept"),
    [
        ({}, True),
        ({"silent_until": NOW + 3 * DAY}, False),
        ({"process": None}, False),
        ({"basis": "consent"}, False),
        ({"basis": "own"}, False),
    ],
)
async def test_an_entry_that_was_let_in_before_hides_nothing_that_no_process_hides(
    database: Databases, tmp_path: Path, changed: dict[str, Any], is_kept: bool
) -> None:
    entry, person = Entry(**{**SAID, **changed}), uuid7()
    ring = Ring(tmp_path / "ring.db")
    vault = Vault(ring, parse(policy_text()), SystemClock())
    row = fact.begin(vault.policy, "rights", uuid7(), person, NOW)
    row |= {"name": entry.name, "host": None, "basis": entry.basis, "refusal": None, "made_by": "terminal", "box": None}
    row |= {"terms": msgspec.to_builtins(entry), "silent_until": entry.silent_until}
    async with database.keeper.begin() as c:
        await c.execute(insert(register_entry), row)
        await book.note_sent(c, await book.find(c, "order"), "terminal", NOW, 1)
        told = await book.of_person(c, person, NOW)
        held = (await c.execute(select(register_entry))).mappings().one()
        later = await book.of_person(c, person, NOW + DAY)
    vault.close()
    ring.close()
    assert [kept.entry.name for kept in told] == ([] if is_kept else ["order"])
    assert [kept.entry.name for kept in later] == ["order"]
    assert export.is_silent(held, NOW) is is_kept and not export.is_silent(held, NOW + DAY)
    reader = disclosures._reader(entry)
    assert export.is_silent({"actor": f"{reader.kind}:{reader.id}"}, NOW) is is_kept
