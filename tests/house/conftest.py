"""A process tree in a process of its own, as `avow up` is, watched from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import LIMIT_S

ROOT = Path(__file__).parents[2]


class Tree:
    """A running tree of tests/house/trees.py and the files in which it tells what happens."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        self._errors = (folder / "stderr").open("w")
        command = [sys.executable, "-m", "tests.house.trees", name, str(folder)]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=self._errors)

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def pid(self, name: str) -> int:
        return int(self.lines(name)[-1])

    def until(self, what: Callable[[], object]) -> None:
        limit_s = time.monotonic() + LIMIT_S
        while not what():
            assert time.monotonic() < limit_s, f"it never came; the tree said: {self.errors()}"
            time.sleep(0.01)

    def until_told(self, name: str, times: int = 1) -> None:
        self.until(lambda: len(self.lines(name)) >= times)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)

    def errors(self) -> str:
        return (self.folder / "stderr").read_text()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._errors.close()


def lives(pid: int) -> bool:
    """A zombie has ended too: in a container nobody may be there to reap orphans."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Callable[[str], Tree]]:
    trees: list[Tree] = []

    def grow(name: str) -> Tree:
        trees.append(Tree(name, tmp_path))
        return trees[-1]

    yield grow
    for each in trees:
        each.close()
