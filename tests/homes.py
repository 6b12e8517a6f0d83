"""A home in which the database is already made and migrated, once per run: each platform of the tests begins with a copy.

Only what a first start would do anew each time lies in it, the database and the passwords of its roles. The database does
not wait for the disk: a process that is killed loses nothing by that, only a machine that loses its power does.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from avow import app
from avow.base import access
from avow.base.clock import SystemClock
from avow.base.migrate import migrate
from avow.settings import Settings
from tests import LIMIT_S

ROOT = Path(__file__).parents[1]
NOT_WAITING = "\nfsync = off\n"


def folder() -> Path:
    """Where a run keeps it: named after the process that began the run, for several share it."""
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    return Path(tempfile.gettempdir()) / f"avow-s-{os.getuid()}-{run}"


@cache
def made_home() -> Path:
    """The home; made by the first process of a run that asks."""
    folder().mkdir(mode=0o700, exist_ok=True)
    with (folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder() / "home").exists():
            # In a process of its own: here stand tables that only tests declare.
            making = [sys.executable, "-m", "tests.homes", str(folder() / "making")]
            subprocess.run(making, cwd=ROOT, check=True, timeout=LIMIT_S)
            (folder() / "making").rename(folder() / "home")
    return folder() / "home"


def forget() -> None:
    """At the end of a run."""
    shutil.rmtree(folder(), ignore_errors=True)


def _make(home: Path) -> None:
    parts = app.build(Settings(home=str(home)), clock=SystemClock())
    assert parts.cluster
    parts.cluster.start()
    try:
        asyncio.run(migrate(parts.admin, {role: parts.password(role) for role in access.LOGIN_ROLES}))
    finally:
        parts.cluster.stop()
        parts.ring.close()
    with (home / "pg" / "postgresql.conf").open("a") as settings:
        settings.write(NOT_WAITING)


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
