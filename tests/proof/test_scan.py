"""The raw search of files: what it could not read is never passed over."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avow.proof import remains, scan
from tests.conftest import Databases

WORD = b"canary 4711"


def test_a_file_and_a_folder_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    (tmp_path / "open.txt").write_bytes(b"x" + WORD)
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "words").write_bytes(WORD)
    (tmp_path / "closed").chmod(0)
    try:
        seen = scan.search(scan.files([tmp_path, tmp_path / "missing", tmp_path / "open.txt"]), [WORD])
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert (seen.hits[WORD], seen.files, seen.unreadable) == (2, 2, 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(-20, 20), st.integers(1, 3), st.sampled_from([b"", b"canary", b"x" * 40]))
def test_what_lies_across_two_pieces_is_found_and_nothing_is_counted_twice(
    tmp_path_factory: pytest.TempPathFactory, shift: int, times: int, between: bytes
) -> None:
    """Words of two lengths, around the place where one piece ends and the next begins, also at the end of a file."""
    content = b"." * (scan.PIECE_BYTES + shift - len(WORD)) + times * (WORD + between) + WORD[:-1]
    path = tmp_path_factory.mktemp("scan") / "file"
    path.write_bytes(content)
    needles = [WORD, b"4711", b"canary"]
    seen = scan.search([path], needles)
    assert seen.hits == {needle: content.count(needle) for needle in needles}
    assert seen.bytes == len(content)
    path.write_bytes(content + b"7" + WORD)
    assert scan.search([path], [WORD]).hits[WORD] == (content + b"7" + WORD).count(WORD)


async def test_nothing_is_proved_of_a_database_whose_files_lie_elsewhere(database: Databases, tmp_path: Path) -> None:
    on: Any = SimpleNamespace(keeper=database.keeper, home=tmp_path, remains=[tmp_path])
    found = await remains.nowhere(on, "a word")
    assert (found.verdict, "elsewhere" in found.figure) == ("unproved", True)
    (tmp_path / "file").write_text("a word")
    assert (await remains.nowhere(on, "a word")).verdict == "failed"
