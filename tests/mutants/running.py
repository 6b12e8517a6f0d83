"""A copy of the tree in which tests are run with one bug after the other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.mutants.catalogue import ROOT, Mutant

WAIT_S_MAX, TEST_S_MAX = 90, 240
"""How long a test waits for what must come, and how long it may take at all."""
RUN_S_MAX = 500
PLUGINS = ("-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin", "-p", "pytest_timeout")
"""Others take half of the time of most runs to load."""
STOP_S_MAX = 60
LEFT_OUT = shutil.ignore_patterns(".git", ".*_cache", "__pycache__", "node_modules", "build", "dist")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run of tests found: those that failed, those that could not begin, and whether time ran out."""

    failed: tuple[str, ...]
    broken: tuple[str, ...]
    passed: int
    late: bool

    @property
    def verdict(self) -> str:
        """`caught`: a test looked and failed. `broken`: none could look, which proves nothing."""
        if self.failed:
            return "caught"
        return "late" if self.late else "survived" if self.passed and not self.broken else "broken"


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the tree for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="avow-m-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT, symlinks=True)
        yield tree


@contextmanager
def mutated(tree: Path, mutant: Mutant) -> Iterator[None]:
    """The tree with one bug. Raises Stale."""
    path = tree / mutant.file
    sound = path.read_text()
    _write(path, mutant.applied(sound))
    try:
        yield
    finally:
        _write(path, sound)


def _write(path: Path, source: str) -> None:
    """With a time of its own: bytecode of before must not be taken for that of now."""
    last = path.stat().st_mtime
    path.write_text(source)
    os.utime(path, (last + 2, last + 2))


def run(tree: Path, tests: Sequence[str], *, stop_at_first: bool, but: Collection[str] = ()) -> Seen:
    """Run tests in the tree, one process, each within its time. What becomes of those named in `but` does not count."""
    report = tree.parent / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", *PLUGINS, "--tb=line", f"--timeout={TEST_S_MAX}"]
    command += [*(["-x"] if stop_at_first else []), f"--junitxml={report}", *tests]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}", "TEST_LIMIT_S": str(WAIT_S_MAX)}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    began = time.monotonic()
    with (tree.parent / "output").open("wb") as output:
        process = subprocess.Popen(command, cwd=tree, env=environment, stdout=output, stderr=output)
        limit_s = RUN_S_MAX if stop_at_first else RUN_S_MAX * len(tests)
        with suppress(subprocess.TimeoutExpired):
            process.wait(limit_s)
        _end(process)
    return _seen(report, but, late=time.monotonic() - began > limit_s)


def _end(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does first, so that what the tests started is stopped by them."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S_MAX)


def _seen(report: Path, but: Collection[str], *, late: bool) -> Seen:
    if not report.exists():
        return Seen((), (), 0, late)
    failed, broken, passed = list[str](), list[str](), 0
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        failure, error = case.find("failure"), case.find("error")
        if name in but:
            continue
        if failure is not None and "pytest-timeout" in (failure.get("message") or ""):
            late = True
        elif failure is not None:
            failed.append(name)
        elif error is not None:
            broken.append(name)
        elif case.find("skipped") is None:
            passed += 1
    return Seen(tuple(failed), tuple(broken), passed, late)
