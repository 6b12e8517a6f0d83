"""What the machine gives and what processes take from it. Linux only: everything is read from /proc."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
START_TIMEOUT_S = 120


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def describe() -> dict[str, object]:
    """The processor, its cores and the system; no names or paths of this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpu": model,
        "cores": len(cores()),
        "memory_gb": round(kilobytes / 2**20),
        "kernel": platform.release().split("-")[0],
        "load_average_1m": round(os.getloadavg()[0], 2),
    }


def compiled(source: Path, folder: Path) -> Path:
    """The program made from a C file. Ends the run with what to install when there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit(
            "The load generator is C and there is no compiler. Install one, as root: apt-get install gcc libc6-dev"
        )
    program = folder / source.stem
    subprocess.run([compiler, "-std=gnu11", "-O2", "-Wall", "-o", program, source], check=True)
    return program


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Processes started inside run on `core` only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def running(command: list[str], core: int, **settings: object) -> Iterator[subprocess.Popen[str]]:
    """A process on one core, ended at the end."""
    with pinned(core):
        process: subprocess.Popen[str] = subprocess.Popen(command, text=True, **settings)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Return when `ready` says so; end the run when `process` has ended instead."""
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and process.poll() is None:
        if ready():
            return
        time.sleep(0.05)
    sys.exit(f"{Path(str(process.args[0])).name} did not start")  # type: ignore[index]


def _stat(pid: str | int) -> list[str]:
    """The fields of /proc/PID/stat after the name: [1] parent, [11] and [12] ticks in user and system, [19] start, [21] RSS."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def children(pid: int) -> list[int]:
    """The processes that `pid` has forked and that live, in the order in which they began."""
    found = {int(path.name): fields for path in Path("/proc").glob("[0-9]*") if (fields := _stat(path.name))}
    return sorted((child for child in found if int(found[child][1]) == pid), key=lambda child: int(found[child][19]))


def tree(roots: Iterable[int]) -> set[int]:
    """These processes and all that descend from them."""
    parents = {int(path.name): int(fields[1]) for path in Path("/proc").glob("[0-9]*") if (fields := _stat(path.name))}
    found = {pid for pid in roots if pid in parents}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def pin(roots: Iterable[int], core: int) -> None:
    """Move processes with all their threads to `core`."""
    for pid in tree(roots):
        for thread in Path(f"/proc/{pid}/task").glob("[0-9]*"):
            os.sched_setaffinity(int(thread.name), {core})


def spread(pids: Sequence[int], cores: Sequence[int]) -> None:
    """Move each process, with all that descends from it, to one of the cores, in turns."""
    for number, pid in enumerate(pids):
        pin([pid], cores[number % len(cores)])


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds, user and system, that these processes have used."""
    stats = [fields for pid in pids if (fields := _stat(pid))]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICKS_PER_S


def rss_mb(pids: Iterable[int]) -> float:
    """Resident memory; pages that processes share are counted in each."""
    pages = sum(int(fields[21]) for pid in pids if (fields := _stat(pid)))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def busy_s(core: int) -> float:
    """CPU seconds that a core was not idle, since boot."""
    lines = Path("/proc/stat").read_text().splitlines()
    ticks = next([int(field) for field in line.split()[1:]] for line in lines if line.startswith(f"cpu{core} "))
    return (sum(ticks[:8]) - ticks[3] - ticks[4]) / TICKS_PER_S
