"""The process tree of `avow up` and `avow serve`: a parent that does no work of its own, and children that do it all.

The parent has no thread and no event loop, so it may fork at any time; it forks, waits and tells. A child that ends is
started again alone, each time after a longer pause. A child whose parent is gone is killed by the kernel. What a child
needs from the parent (the listening socket, imported modules) it has by being forked.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from avow.base import log
from avow.base.errors import AvowError

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 30.0
STEADY_S = 10.0  # a child that was ready and lived this long starts again at the first pause
CLAIM_LIMIT_S = 5.0
TRIES = 5  # failures in a row after which a child that never worked is given up

_PR_SET_PDEATHSIG = 1
_WATCHED = (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class HomeInUse(AvowError):
    """This folder is in use by another Avow."""

    status = 503
    code = "home_in_use"
    hint = "Stop the other one, or choose another folder with AVOW_HOME."


class Ready:
    """Called once by a child when it can do its work. Only then is it counted as started."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """The pipe's end, for a program that takes this process's place: it writes one byte when it can do its work."""
        return self._fd

    def __call__(self) -> None:
        if self._fd < 0:
            return
        # The pipe is gone when the parent is, and then so are we.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._fd, b"r")
        os.close(self._fd)
        self._fd = -1


@dataclass(frozen=True)
class Child:
    """A process to keep running.

    start runs in the new process, calls its argument when it can serve, and returns after SIGTERM; whatever else ends it
    is a failure. It begins with the parent's memory and files, default signal handlers and a session of its own, so that
    Ctrl-C reaches the parent only.
    wave: when all stop, children of wave 0 end first, then those of wave 1, and so on.
    vital: if it fails TRIES times without ever having been ready, everything stops; else it is tried for ever.
    """

    name: str
    start: Callable[[Ready], None]
    wave: int = 0
    vital: bool = True


class Reaped:
    """A pipe on which the parent tells one child which processes have ended.

    It is made before run(): the parent and each new form of that child share it by fork. A full pipe loses the word,
    and the reader must have a slower way to learn the same.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def tell(self, name: str, pid: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, f"{pid} {name}\n".encode())

    def fileno(self) -> int:
        """The end to wait on (`loop.add_reader(reaped.fileno(), …)`)."""
        return self._read

    def take(self) -> list[tuple[str, int]]:
        """The (name, pid) of all that was told since the last call; never waits."""
        told = b""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._read, 65536):
                told += piece
        lines = [line.split(" ", 1) for line in told.decode().splitlines()]
        return [(name, int(pid)) for pid, name in lines]


def claim(folder: Path) -> None:
    """Holds `folder` for this process and those it forks, until the last of them has ended; raises HomeInUse.

    Waits a moment first: after a kill -9 of the parent the kernel may still be ending its children.
    """
    lock = os.open(folder / "avow.lock", os.O_RDWR | os.O_CREAT, 0o600)
    until_s = time.monotonic() + CLAIM_LIMIT_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until_s:
                os.close(lock)
                raise HomeInUse(f"{folder} is in use by another Avow.") from None
        time.sleep(0.05)


def run(
    children: Iterable[Child],
    on_ready: Callable[[], None] | None = None,
    on_reaped: Callable[[str, int], None] | None = None,
    *,
    stop_limit_s: float = 20.0,
) -> int:
    """Keeps the children running until SIGINT, SIGTERM or SIGHUP; then stops them wave by wave and returns the exit code.

    on_ready is called once, in a process of its own (it may be slow), when every child is ready or, if not vital, has
    failed TRIES times. on_reaped(name, pid) is called here, in the parent, after a child was reaped; it must not wait.
    stop_limit_s: how long a wave may take before its rest is killed; a second SIGINT or SIGTERM kills all at once.
    Returns 0 if all ended when asked, 1 if a vital child could not start or one had to be killed.
    """
    if threading.active_count() != 1:
        raise RuntimeError("a process with threads must not fork: " + ", ".join(t.name for t in threading.enumerate()))
    gc.collect()
    gc.freeze()  # keeps the shared pages shared: the collector no longer touches what was imported before the forks
    with _Signals() as signals:
        tree = _Tree(list(children), on_ready, on_reaped, stop_limit_s, signals)
        try:
            return tree.keep()
        finally:
            tree.kill(tree.alive())


class _Signals:
    """Turns signals into readable bytes, so that the parent waits for all that may happen in one place."""

    def __enter__(self) -> _Signals:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        watched = [s for s in _WATCHED if signal.getsignal(s) is not signal.SIG_IGN or s != signal.SIGHUP]
        self._before = {s: signal.signal(s, _nothing) for s in watched}
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._read)
        os.close(self._write)

    def leave(self) -> None:
        """In a new child: back to the kernel's defaults, and no word to the parent's pipe."""
        signal.set_wakeup_fd(-1)
        for number in self._before:
            signal.signal(number, signal.SIG_DFL)
        os.close(self._read)
        os.close(self._write)

    def wait(self, others: Sequence[int], timeout_s: float | None) -> tuple[set[int], list[int]]:
        """Waits for a signal or for one of `others` to become readable; returns both."""
        readable, _, _ = select.select([self._read, *others], [], [], timeout_s)
        came: set[int] = set()
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._read, 512):
                came.update(piece)
        return came, [fd for fd in readable if fd != self._read]


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """A handler has to exist for the wake-up byte to be written."""


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Around a fork: a signal that came before the child has left the parent's handlers would be told to the parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class _Post:
    """A child's place in the tree and who holds it now. Times are of the monotonic clock."""

    child: Child
    once: bool = False
    pid: int = 0
    ready_fd: int = -1
    was_ready: bool = False
    is_ready: bool = False
    failures: int = 0
    began_s: float = 0.0
    due_s: float | None = None

    def settled(self) -> bool:
        return self.was_ready or (not self.child.vital and self.failures >= TRIES)


class _Tree:
    def __init__(
        self,
        children: list[Child],
        on_ready: Callable[[], None] | None,
        on_reaped: Callable[[str, int], None] | None,
        stop_limit_s: float,
        signals: _Signals,
    ) -> None:
        self._posts = [_Post(child) for child in children]
        self._on_ready = on_ready
        self._on_reaped = on_reaped
        self._stop_limit_s = stop_limit_s
        self._signals = signals
        self._stopping = False
        self._given_up = False

    def keep(self) -> int:
        for post in self._posts:
            self._start(post)
        while not self._given_up:
            if self._look(self._next_due_s()):
                return self._stop(0)
            for post in self._posts:
                if post.due_s is not None and post.due_s <= time.monotonic():
                    self._start(post)
            if self._on_ready and all(post.settled() for post in self._posts):
                self._greet(self._on_ready)
        return self._stop(1)

    def alive(self) -> list[_Post]:
        return [post for post in self._posts if post.pid]

    def kill(self, posts: list[_Post]) -> None:
        for post in posts:
            os.kill(post.pid, signal.SIGKILL)
            os.waitid(os.P_PID, post.pid, os.WEXITED | os.WNOWAIT)
            self._reap(post)

    def _look(self, until_s: float | None) -> bool:
        """Waits once for anything to happen, takes note of it, and says whether we were asked to stop."""
        timeout_s = None if until_s is None else max(0.0, until_s - time.monotonic())
        watched = {post.ready_fd: post for post in self._posts if post.ready_fd >= 0}
        came, spoke = self._signals.wait(list(watched), timeout_s)
        for fd in spoke:
            self._hear(watched[fd])
        for post in self.alive():
            if os.waitid(os.P_PID, post.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self._reap(post)
        return bool(came & {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})

    def _next_due_s(self) -> float | None:
        return min((post.due_s for post in self._posts if post.due_s is not None), default=None)

    def _greet(self, on_ready: Callable[[], None]) -> None:
        self._on_ready = None
        greeting = _Post(Child("greeting", lambda _ready: on_ready(), vital=False), once=True)
        self._posts.append(greeting)
        self._start(greeting)

    def _start(self, post: _Post) -> None:
        post.due_s, post.is_ready, post.began_s = None, False, time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        parent_pid = os.getpid()
        read, write = os.pipe()
        with _signals_held():
            post.pid = os.fork()
            if not post.pid:
                os.close(read)
                self._become(post.child, write, parent_pid)
        os.close(write)
        post.ready_fd = read

    def _become(self, child: Child, ready_fd: int, parent_pid: int) -> NoReturn:
        """The new process: leaves what is the parent's, works, and ends without the parent's exit handlers."""
        code = 1
        try:
            os.setsid()
            _end_with(parent_pid)
            self._signals.leave()
            for post in self._posts:
                if post.ready_fd >= 0:
                    os.close(post.ready_fd)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            child.start(Ready(ready_fd))
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException as error:
            _say(f"{child.name}: {_outline(error)}")
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _hear(self, post: _Post) -> None:
        """The ready pipe has the word, or has closed without it because the child ended."""
        if os.read(post.ready_fd, 1):
            post.is_ready = post.was_ready = True
        os.close(post.ready_fd)
        post.ready_fd = -1

    def _reap(self, post: _Post) -> None:
        """Takes leave of an ended child, and of whatever it had started itself."""
        pid, post.pid = post.pid, 0
        # Before the pid is given back, so that the group can be nobody else's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if post.ready_fd >= 0:
            self._hear(post)
        if post.once:
            self._posts.remove(post)
        elif not self._stopping:
            self._failed(post, pid, os.waitstatus_to_exitcode(status))
        if self._on_reaped:
            self._on_reaped(post.child.name, pid)

    def _failed(self, post: _Post, pid: int, code: int) -> None:
        now_s = time.monotonic()
        if post.is_ready and now_s - post.began_s >= STEADY_S:
            post.failures = 0
        post.failures += 1
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if post.failures >= TRIES and post.child.vital and not post.was_ready:
            self._given_up = True
            _say(f"{post.child.name} could not start in {TRIES} tries (last: {how}); its messages are above. Stopping.")
            return
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(post.failures - 1, 16))
        post.due_s = now_s + pause_s
        often = f", {post.failures} times in a row" if post.failures > 1 else ""
        _say(f"{post.child.name} (pid {pid}) ended: {how}{often}; it starts again in {pause_s:g} s.")

    def _stop(self, code: int) -> int:
        self._stopping = True
        _say("stopping; Ctrl-C again ends at once.")
        for wave in sorted({post.child.wave for post in self._posts}):
            leaving = [post for post in self.alive() if post.child.wave == wave]
            for post in leaving:
                os.kill(post.pid, signal.SIGTERM)
            until_s = time.monotonic() + self._stop_limit_s
            while any(post.pid for post in leaving) and time.monotonic() < until_s:
                if self._look(until_s):
                    _say("asked again to stop: killing the rest.")
                    self.kill(self.alive())
                    return 1
            late = [post for post in leaving if post.pid]
            for post in late:
                _say(f"{post.child.name} (pid {post.pid}) did not stop within {self._stop_limit_s:g} s: killed.")
            self.kill(late)
            code = code or int(bool(late))
        return code


def _end_with(parent_pid: int) -> None:
    """Asks the kernel to kill this process when its parent ends, also by kill -9 (prctl(2), PR_SET_PDEATHSIG)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:  # the parent ended before the kernel knew
        os._exit(1)


def _outline(error: BaseException) -> str:
    """What a terminal may show of an error: ours and the machine's in full, of any other its class and place only."""
    if isinstance(error, AvowError):
        return f"{error.sentence} {error.hint}"
    known = log.failure(error)
    told = f"{known['error']}: {error}" if isinstance(error, OSError | ImportError) else known["error"]
    return f"{told} ({' > '.join(known['where'])})"


def _say(sentence: str) -> None:
    print(f"avow: {sentence}", file=sys.stderr, flush=True)
