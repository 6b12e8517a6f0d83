"""Documents that stand behind claims: what holds, what does not, and who hears of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from avow.registers import documents, incidents
from avow.registers.documents import DocumentRefused, DocumentUnknown, Shelf
from avow.vault import Ring
from tests.conftest import Databases

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
REPORT = b"An auditor's report of 2026."


class StoppedClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at


@pytest.fixture
async def shelf(database: Databases, tmp_path: Path) -> AsyncIterator[Shelf]:
    ring = Ring(tmp_path / "ring.db")
    yield Shelf(tmp_path, ring, database.keeper, StoppedClock())
    ring.close()


async def add(shelf: Shelf, *names: str, **changed: Any) -> str:
    terms = {"issuer": "Example Auditors", "valid_from": NOW - DAY, "valid_until": NOW + DAY, "content": REPORT}
    return await documents.add(shelf, names or ("soc2",), **{**terms, **changed})


async def held(shelf: Shelf) -> frozenset[str]:
    async with shelf.keeper.begin() as c:
        return await documents.valid(c, shelf.clock.now())


async def told(shelf: Shelf) -> list[str]:
    """What became of documents, oldest first."""
    async with shelf.keeper.begin() as c:
        return [event.became for event in await documents.history(c)][::-1]


async def alarms(shelf: Shelf) -> list[tuple[str, str]]:
    async with shelf.keeper.begin() as c:
        found = await incidents.listed(c, only_open=True, after=None, limit=10)
    return [(each.part, each.about) for each in found]


def file_of(shelf: Shelf) -> Path:
    [path] = shelf.folder.iterdir()
    return path


async def test_a_document_holds_between_its_dates_under_every_name_and_no_moment_longer(shelf: Shelf) -> None:
    await add(shelf, "soc2", "audits")
    assert await held(shelf) == {"soc2", "audits"}
    shelf.clock.at = NOW - 2 * DAY  # type: ignore[attr-defined]
    assert await held(shelf) == frozenset()
    shelf.clock.at = NOW + DAY  # type: ignore[attr-defined]
    assert await held(shelf) == frozenset()


async def test_one_that_runs_out_is_told_once_with_the_time_and_the_next_one_settles_it(shelf: Shelf) -> None:
    await add(shelf)
    assert await documents.look(shelf) == 0
    shelf.clock.at = NOW + 3 * DAY  # type: ignore[attr-defined]
    assert (await documents.look(shelf), await documents.look(shelf)) == (1, 0)
    assert await told(shelf) == ["valid", "lapsed"]
    assert await alarms(shelf) == [("lapsed", "soc2")]
    async with shelf.keeper.begin() as c:
        assert (await documents.history(c))[0].at == NOW + DAY
    await add(shelf, valid_until=NOW + 9 * DAY)
    assert (await held(shelf), await alarms(shelf)) == ({"soc2"}, [])


async def test_an_old_one_that_runs_out_behind_a_newer_one_alarms_nobody(shelf: Shelf) -> None:
    await add(shelf)
    await add(shelf, valid_until=NOW + 9 * DAY)
    shelf.clock.at = NOW + 3 * DAY  # type: ignore[attr-defined]
    await documents.look(shelf)
    assert (await held(shelf), await alarms(shelf)) == ({"soc2"}, [])


@pytest.mark.parametrize("became", ["missing", "changed"])
async def test_a_file_that_is_gone_or_altered_holds_nothing_until_it_is_back(shelf: Shelf, became: str) -> None:
    await add(shelf)
    path = file_of(shelf)
    sealed = path.read_bytes()
    assert REPORT not in sealed
    if became == "missing":
        path.unlink()
    else:
        path.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    await documents.look(shelf)
    assert (await held(shelf), await alarms(shelf)) == (frozenset(), [(became, "soc2")])
    async with shelf.keeper.begin() as c:
        assert (await documents.newest(c, NOW))["soc2"][0] == became
    path.write_bytes(sealed)
    await documents.look(shelf)
    assert (await held(shelf), await alarms(shelf)) == ({"soc2"}, [])
    assert await told(shelf) == ["valid", became, "valid"]


async def test_another_document_in_the_place_of_one_holds_nothing(shelf: Shelf) -> None:
    """Sealed with the right key for the right row, by somebody who has both."""
    await add(shelf)
    documents._write(shelf, UUID(file_of(shelf).stem), b"another report")
    await documents.look(shelf)
    assert (await held(shelf), await alarms(shelf)) == (frozenset(), [("changed", "soc2")])


async def test_one_that_is_withdrawn_is_gone_with_its_file(shelf: Shelf) -> None:
    await add(shelf)
    assert await documents.withdraw(shelf, "soc2") == 1
    assert (await held(shelf), list(shelf.folder.iterdir())) == (frozenset(), [])
    assert await documents.look(shelf) == 0
    with pytest.raises(DocumentUnknown):
        await documents.withdraw(shelf, "soc2")


@pytest.mark.parametrize(
    "changed",
    [
        {"content": b""},
        {"issuer": " "},
        {"issuer": "two\nlines"},
        {"valid_until": NOW},
        {"valid_from": NOW + 2 * DAY, "valid_until": NOW + DAY},
    ],
)
async def test_what_cannot_stand_behind_anything_is_refused_and_leaves_nothing(shelf: Shelf, changed: Any) -> None:
    with pytest.raises(DocumentRefused):
        await add(shelf, **changed)
    for name in ("", "../soc2", "SOC 2"):
        with pytest.raises(DocumentRefused):
            await add(shelf, name)
    assert not shelf.folder.exists() and await told(shelf) == []


async def test_what_a_kill_left_of_a_document_goes_and_young_files_stay(shelf: Shelf) -> None:
    await add(shelf)
    orphan = shelf.folder / "00000000-0000-0000-0000-000000000001.box"
    orphan.write_bytes(b"half")
    await documents.look(shelf)
    assert orphan.exists()
    shelf.clock.at = datetime.now(UTC) + DAY  # type: ignore[attr-defined]
    await documents.look(shelf)
    assert [path.name for path in shelf.folder.iterdir()] != [] and not orphan.exists()


async def test_what_happens_again_is_counted_until_it_is_closed(database: Databases) -> None:
    async with database.app.begin() as c:
        for _ in range(3):
            await incidents.note(c, "egress", "gateway", "unknown.example" + "x" * 300, NOW)
        [found] = await incidents.listed(c, only_open=True, after=None, limit=10)
        assert (found.count, len(found.about)) == (3, incidents.ABOUT_CHARS_MAX)
