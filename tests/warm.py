"""A process that has read the program and forks for each command, for reading it costs more than most commands.

The command runs as it would alone: a session, an environment and files of its own, and the interpreter's own end. Its first
start, where the program is read anew, is what `tests/house/test_commands.py` and `make run` look at.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
MESSAGE_BYTES_MAX = 150_000
COMPILED = tempfile.TemporaryDirectory(prefix="avow-pyc-")
"""Bytecode of a run, for the few processes that read the program themselves."""


@dataclass
class Command:
    """A command that was started: what `subprocess.Popen` tells of a process that somebody else reaps."""

    pid: int
    _status: int
    """The pipe through which its exit status comes."""

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, limit_s: float) -> int:
        """The exit status, negative for a signal. Raises subprocess.TimeoutExpired."""
        if not select.select([self._status], [], [], limit_s)[0]:
            raise subprocess.TimeoutExpired(f"process {self.pid}", limit_s)
        code = int(os.read(self._status, 16))
        os.close(self._status)
        return code


class Warm:
    """The warm process, as those see it who give it commands."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        subprocess.Popen(
            [sys.executable, "-m", "tests.started", str(theirs.fileno())],
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPYCACHEPREFIX": COMPILED.name},
            start_new_session=True,
        )
        theirs.close()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], files: Sequence[int]) -> Command:
        """Start a command with `files` as its standard input, output and error output."""
        status_out, status_in = os.pipe()
        order = json.dumps({"arguments": arguments, "environment": environment}).encode()
        assert len(order) < MESSAGE_BYTES_MAX
        socket.send_fds(self._control, [order], [*files, status_in])
        os.close(status_in)
        return Command(int(self._control.recv(16)), status_out)


@cache
def warm() -> Warm:
    """The one of this run."""
    return Warm()


def wait_for_order(control: socket.socket) -> list[str] | None:
    """Fork for each order. Returns in the forked process, with what it is to do; in the warm one None, at the end."""
    gc.collect()
    gc.freeze()
    alive: dict[int, tuple[int, int]] = {}
    while True:
        readable, _, _ = select.select([control, *alive], [], [])
        for ended in {*readable} & alive.keys():
            pid, status = alive.pop(ended)
            _tell(status, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            os.close(ended)
        if control in readable:
            order, files, _, _ = socket.recv_fds(control, MESSAGE_BYTES_MAX, 4)
            if not order:
                return None
            if not (pid := os.fork()):
                return _become(json.loads(order), control, files[:3])
            for file in files[:3]:
                os.close(file)
            alive[os.pidfd_open(pid)] = (pid, files[3])
            control.send(str(pid).encode())


def _tell(status: int, code: int) -> None:
    """Tell who asked, who may be gone."""
    with suppress(BrokenPipeError):
        os.write(status, str(code).encode())
    os.close(status)


def _become(order: dict[str, object], control: socket.socket, files: Sequence[int]) -> list[str]:
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
    control.detach()
    os.closerange(3, 1024)
    os.environ.clear()
    os.environ.update(order["environment"])  # type: ignore[call-overload]
    return list(order["arguments"])  # type: ignore[call-overload]
