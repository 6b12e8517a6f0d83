"""The raw search of files: what it could not read is never passed over."""

from pathlib import Path

from avow.proof import scan

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
