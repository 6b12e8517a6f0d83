"""The real engine in a process of its own, started as the supervisor starts it, and looked at from outside."""

from __future__ import annotations

import errno
import os
import secrets
import select
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from avow.engines import llm
from tests import LIMIT_S

UNREADABLE = ("[vvar]", "[vsyscall]", "[vvar_vclock]")


@dataclass(frozen=True)
class Running:
    """An engine that answers, its output so far, and its process."""

    engine: llm.Engine
    pid: int
    log: Path

    def client(self, key: str | None = None) -> httpx.Client:
        """A client that sends the key, and one request per connection as `llm.Engine` asks."""
        return httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.engine.socket_path)),
            base_url="http://engine",
            headers={"authorization": f"Bearer {key or self.engine.api_key}", "connection": "close"},
            timeout=LIMIT_S,
        )

    def cpu_s(self) -> float:
        """CPU seconds that the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_kb(self) -> int:
        """Memory that the process holds, in kB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

    def wait_until_idle(self) -> None:
        """Return when the process uses no CPU: two looks half a second apart that agree."""
        seen = [-1.0]

        def agrees() -> bool:
            seen.append(self.cpu_s())
            return seen[-1] == seen[-2]

        wait_until(agrees, pause_s=0.5)

    def finds(self, *texts: bytes, begin: bytes = b"") -> set[bytes]:
        """Which of these stand in the memory of the process; it looks again when memory goes away under the look.

        `begin`: what all of them begin with; then one look is enough for many.
        """
        while True:
            try:
                return {text for piece in self._memory() for text in _standing(piece, texts, begin)}
            except OSError as error:
                if error.errno != errno.EIO:
                    raise

    def _memory(self) -> Iterator[bytes]:
        maps = Path(f"/proc/{self.pid}/maps").read_text().splitlines()
        with Path(f"/proc/{self.pid}/mem").open("rb", 0) as memory:
            for line in maps:
                where, access, *rest = line.split()
                if "r" in access and rest[-1] not in UNREADABLE:
                    first, last = (int(end, 16) for end in where.split("-"))
                    memory.seek(first)
                    yield memory.read(last - first)


def _standing(piece: bytes, texts: Sequence[bytes], begin: bytes) -> Iterator[bytes]:
    """Those of the texts that stand in a piece of memory."""
    if not begin:
        yield from (text for text in texts if text in piece)
        return
    place = piece.find(begin)
    while place >= 0:
        yield from (text for text in texts if piece.startswith(text, place))
        place = piece.find(begin, place + 1)


def wait_until(true: Callable[[], bool], pause_s: float = 0.1) -> None:
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end, "it did not become true"
        time.sleep(pause_s)


def fork_engine(socket_path: Path, key: str, log: Path, idle_s: int) -> tuple[int, int]:
    """Fork as a supervisor does. Returns the child's pid and the read end of its `ready` pipe."""
    ready_out, ready_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            output = os.open(log, os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(output, 1)
            os.dup2(output, 2)
            llm.serve(socket_path, key, ready_in, idle_s)
        finally:
            os._exit(70)
    os.close(ready_in)
    return pid, ready_out


def heard(ready: int) -> bytes:
    """What comes through the `ready` pipe: one byte, or nothing when the engine ended first."""
    assert select.select([ready], [], [], LIMIT_S)[0], "the engine neither started nor ended"
    return os.read(ready, 1)


@contextmanager
def running(idle_s: int = llm.IDLE_S) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="avow-e-") as folder:
        socket_path, log, key = Path(folder, "engine.sock"), Path(folder, "log"), secrets.token_hex(16)
        pid, ready = fork_engine(socket_path, key, log, idle_s)
        try:
            assert heard(ready) == b"1", log.read_text()
            yield Running(llm.Engine(socket_path, key), pid, log)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(ready)


@pytest.fixture(scope="session")
def engine() -> Iterator[Running]:
    with running() as made:
        yield made


@pytest.fixture(scope="session")
def sleeper() -> Iterator[Running]:
    """An engine that falls asleep after one idle second."""
    with running(idle_s=1) as made:
        yield made
