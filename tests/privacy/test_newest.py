"""The list of newest states survives a torn write, cannot be changed, and is followed by its copies."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from avow.base.ids import uuid7
from avow.privacy import newest
from avow.privacy.newest import FILE_NAME, Head, Newest, NewestBroken, State
from avow.vault import Ring

FILE = UUID(int=5)


@pytest.fixture
def kept(ring: Ring, tmp_path: Path) -> Newest:
    made = Newest(tmp_path / "keyring" / FILE_NAME, ring)
    made.begin(FILE, 0)
    return made


def states(first: int, count: int = 1, size: int = 1) -> list[State]:
    return [State(first + n, 0, "api_key", {"id": str(n)}, {"state": "x" * size}) for n in range(count)]


def test_what_was_appended_is_read_from_a_number_on(kept: Newest) -> None:
    kept.append(states(1, 3))
    kept.append(states(501))
    assert [state.number for state in kept.read()] == [1, 2, 3, 501]
    assert [state.number for state in kept.read(after=2)] == [3, 501]
    assert kept.head() == Head(FILE, 0, 501)
    assert kept.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("size", [1, newest.BLOCK_BYTES - 1, newest.BLOCK_BYTES, 3 * newest.BLOCK_BYTES])
def test_the_end_of_a_file_with_long_lines_is_found(kept: Newest, size: int) -> None:
    for number in (1, 2, 3):
        kept.append(states(number, size=size))
    assert kept.head() == Head(FILE, 0, 3)
    assert [state.number for state in kept.read()] == [1, 2, 3]


@pytest.mark.parametrize("torn", [1, 20, 100])
def test_a_torn_line_is_left_out_and_cut_off(kept: Newest, torn: int) -> None:
    kept.append(states(1))
    whole = kept.path.read_bytes()
    kept.path.write_bytes(whole + whole[-torn - 1 : -1])
    assert kept.head() == Head(FILE, 0, 1)
    kept.append(states(2))
    assert [state.number for state in kept.read()] == [1, 2]


def test_whatever_is_changed_taken_out_or_moved_is_refused(kept: Newest, tmp_path: Path) -> None:
    kept.append(states(1, 3))
    lines = kept.path.read_bytes().splitlines(keepends=True)
    flipped = lines[2].replace(b'"x"', b'"y"')
    for changed in ([lines[0], *lines[2:]], [lines[0], lines[2], lines[1], lines[3]], [*lines[:2], flipped, lines[3]]):
        kept.path.write_bytes(b"".join(changed))
        with pytest.raises(NewestBroken):
            list(kept.read())
    forger = Ring(tmp_path / "forger" / "ring.db")
    kept.path.write_bytes(b"".join(lines))
    with pytest.raises(NewestBroken):
        list(Newest(kept.path, forger).read())
    forger.close()


def test_a_copy_follows_and_is_made_anew_after_states_were_dropped(kept: Newest, tmp_path: Path) -> None:
    folder = tmp_path / "monday"
    folder.mkdir()
    kept.append(states(1, 3))
    kept.copy_to(folder)
    inode = (folder / FILE_NAME).stat().st_ino
    kept.append(states(4))
    kept.copy_to(folder)
    assert ((folder / FILE_NAME).stat().st_ino, (folder / FILE_NAME).read_bytes()) == (inode, kept.path.read_bytes())
    (folder / FILE_NAME).write_bytes(kept.path.read_bytes() + b'{"number":5,"at')
    kept.append(states(5))
    kept.copy_to(folder)
    assert (folder / FILE_NAME).read_bytes() == kept.path.read_bytes()
    kept.keep(lambda state: state.number > 3, since=3)
    kept.copy_to(folder)
    assert kept.head(folder / FILE_NAME) == Head(FILE, 3, 5)
    assert [state.number for state in kept.read(path=folder / FILE_NAME)] == [4, 5]
    with pytest.raises(FileNotFoundError):
        kept.copy_to(tmp_path / "unmounted")


def test_a_copy_is_taken_over_where_ours_is_another_or_knows_less(kept: Newest, tmp_path: Path) -> None:
    folder = tmp_path / "monday"
    folder.mkdir()
    kept.append(states(1, 2))
    kept.copy_to(folder)
    kept.append(states(3))
    kept.take_from(folder, FILE)
    assert kept.head() == Head(FILE, 0, 3)
    kept.begin(uuid7(), 0)
    kept.take_from(folder, uuid7())
    assert list(kept.read()) == []
    kept.take_from(folder, FILE)
    assert kept.head() == Head(FILE, 0, 2)
    kept.path.unlink()
    (folder / FILE_NAME).write_bytes((folder / FILE_NAME).read_bytes().replace(b'"x"', b'"y"', 1))
    with pytest.raises(NewestBroken):
        kept.take_from(folder, FILE)
    assert kept.head() is None


def test_a_file_that_dropped_its_last_states_has_not_lost_its_end(kept: Newest) -> None:
    kept.append(states(1, 3))
    kept.keep(lambda state: state.number == 1, since=0)
    assert kept.head() == Head(FILE, 0, 3)
    kept.keep(lambda state: False, since=3)
    assert kept.head() == Head(FILE, 3, 3)
    kept.append(states(7))
    assert kept.head() == Head(FILE, 3, 7)
