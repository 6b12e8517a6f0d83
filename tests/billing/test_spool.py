from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from avow.base.ids import uuid7
from avow.billing import spool
from avow.billing.events import Settle
from avow.billing.spool import Spool
from tests.billing.conftest import NOW


def some(count: int) -> list[Settle]:
    return [Settle(uuid7(), n, 1, 0, n, 5, 200, "done", extra=(NOW, os.urandom(30))) for n in range(count)]


def test_what_was_appended_is_read_back_whole(tmp_path: Path) -> None:
    told = some(5)
    file = Spool(tmp_path / "spool", 3)
    file.append(told[:2])
    file.append(told[2:])
    file.close()
    assert list(spool.read(file.path)) == told
    assert file.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("lost", [1, 20, 60])
def test_a_torn_tail_loses_only_what_was_never_told(tmp_path: Path, lost: int) -> None:
    told = some(3)
    file = Spool(tmp_path, 3)
    file.append(told)
    os.truncate(file.path, file.path.stat().st_size - lost)
    assert list(spool.read(file.path)) == told[:2]


def test_a_damaged_record_is_not_believed(tmp_path: Path) -> None:
    file = Spool(tmp_path, 3)
    file.append(some(1))
    data = bytearray(file.path.read_bytes())
    data[len(data) // 2] ^= 1
    file.path.write_bytes(data)
    assert list(spool.read(file.path)) == []


def test_a_full_disk_leaves_no_half_record_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = some(2)
    file = Spool(tmp_path, 3)
    file.append(told[:1])
    write = os.write

    def half(fd: int, data: bytes) -> int:
        write(fd, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as m:
        m.setattr(os, "write", half)
        with pytest.raises(OSError, match="full"):
            file.append(some(1))
    file.append(told[1:])
    assert list(spool.read(file.path)) == told


def test_a_cleared_spool_is_gone_and_can_be_used_again(tmp_path: Path) -> None:
    told = some(1)
    file = Spool(tmp_path, 3)
    file.append(told)
    file.clear()
    assert not file.path.exists() and not file.filled
    file.append(told)
    assert list(spool.read(file.path)) == told
