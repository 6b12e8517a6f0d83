"""Tombstones name nobody, survive a torn write, and cannot be forged."""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from avow.base.files import replace
from avow.base.ids import uuid7
from avow.privacy.tombstones import FILE_NAME, Tombstones, TombstonesBroken
from avow.vault import Ring

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def stones(ring: Ring, tmp_path: Path) -> Tombstones:
    return Tombstones(tmp_path / "keyring" / FILE_NAME, ring)


def test_what_was_buried_is_found_by_its_keyed_name(stones: Tombstones) -> None:
    person, row = uuid7(), uuid7()
    stones.bury_person(person, AT)
    stones.bury_item("trace", row, AT)
    assert stones.read() == [(stones.person(person), "", AT), (stones.item("trace", row), "trace", AT)]
    assert stones.item("trace", row) != stones.item("audit", row) != stones.person(row)


def test_the_file_names_nobody_and_only_its_owner_reads_it(stones: Tombstones) -> None:
    person = uuid7()
    stones.bury_person(person, AT)
    written = stones.path.read_bytes()
    assert person.hex.encode() not in written and str(person).encode() not in written and person.bytes not in written
    assert stones.path.stat().st_mode & 0o777 == 0o600


def test_twice_is_once(stones: Tombstones) -> None:
    person = uuid7()
    stones.bury_person(person, AT)
    stones.bury_person(person, AT.replace(year=2027))
    assert [stone.at for stone in stones.read()] == [AT]


@pytest.mark.parametrize("torn", [1, 20, 100, 160])
def test_a_torn_line_is_left_out_and_cut_off(stones: Tombstones, torn: int) -> None:
    first, second = uuid7(), uuid7()
    stones.bury_person(first, AT)
    whole = stones.path.read_bytes()
    stones.path.write_bytes(whole + whole[:torn])
    assert len(stones.read()) == 1
    stones.bury_person(second, AT)
    assert [stone.name for stone in stones.read()] == [stones.person(first), stones.person(second)]


def test_a_changed_line_is_refused(stones: Tombstones) -> None:
    stones.bury_person(uuid7(), AT)
    whole = stones.path.read_bytes()
    for at in range(len(whole) - 1):
        stones.path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(TombstonesBroken):
            stones.read()


def test_tombstones_of_another_keyring_are_refused(stones: Tombstones, tmp_path: Path) -> None:
    stones.bury_person(uuid7(), AT)
    other = Tombstones(tmp_path / "other" / FILE_NAME, Ring(tmp_path / "other" / "ring.db"))
    with pytest.raises(TombstonesBroken):
        other.read(stones.path)


def test_a_folder_is_brought_up_to_date_and_teaches_back(stones: Tombstones, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    with pytest.raises(OSError):
        stones.copy_to(folder)
    folder.mkdir()
    stones.bury_person(uuid7(), AT)
    stones.copy_to(folder)
    stones.bury_person(uuid7(), AT)
    stones.copy_to(folder)
    known = stones.read()
    assert stones.read(folder / FILE_NAME) == known
    stones.path.unlink()
    stones.take_from(folder)
    assert stones.read() == known


def test_old_items_are_forgotten_and_persons_stay(stones: Tombstones) -> None:
    person, old, young = uuid7(), uuid7(), uuid7()
    stones.bury_person(person, AT)
    stones.bury_item("api_key", old, AT)
    stones.bury_item("api_key", young, AT + timedelta(days=2))
    stones.forget_items(AT + timedelta(days=1))
    assert [stone.name for stone in stones.read()] == [stones.person(person), stones.item("api_key", young)]
    assert stones.path.stat().st_mode & 0o777 == 0o600


def test_what_stands_behind_a_later_erasure_stays_for_the_clock_may_have_been_wrong(stones: Tombstones) -> None:
    later, wrong = uuid7(), uuid7()
    stones.bury_item("api_key", later, AT + timedelta(days=2))
    stones.bury_item("api_key", wrong, AT - timedelta(days=900))
    stones.forget_items(AT + timedelta(days=1))
    assert [stone.name for stone in stones.read()] == [stones.item("api_key", each) for each in (later, wrong)]


def test_a_changed_line_is_not_written_anew(stones: Tombstones) -> None:
    stones.bury_item("api_key", uuid7(), AT)
    stones.path.write_bytes(stones.path.read_bytes().replace(b"api_key", b"trace"))
    with pytest.raises(TombstonesBroken):
        stones.forget_items(AT + timedelta(days=1))


def test_what_is_buried_while_the_list_is_written_anew_is_in_the_new_one(stones: Tombstones) -> None:
    """Who waits for the old file writes to the one that took its place."""
    stones.bury_item("api_key", uuid7(), AT)
    buried = uuid7()
    waiting = Thread(target=stones.bury_item, args=("api_key", buried, AT + timedelta(days=2)))
    with stones.path.open("rb") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        waiting.start()
        while not is_waited_for(old.fileno()):
            assert waiting.is_alive()
        replace(stones.path, b"")
    waiting.join()
    assert [stone.name for stone in stones.read()] == [stones.item("api_key", buried)]


def is_waited_for(file: int) -> bool:
    """Whether somebody of this process waits for a lock of a file, as the kernel says it."""
    inode = f":{os.fstat(file).st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())
