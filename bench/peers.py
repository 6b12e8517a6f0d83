"""The servers that are compared. A peer is a name and a way to start it; all speak the same endpoint."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench import machine

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Place:
    """Where a peer starts: a folder of its own, its core, and the upstream that it passes requests to."""

    folder: Path
    core: int
    other_core: int
    upstream_port: int


@dataclass(frozen=True)
class Started:
    """A peer that answers: what a request needs, and whose CPU it costs. A database is counted apart."""

    port: int
    headers: tuple[str, ...]
    pids: tuple[int, ...]
    database_pids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Peer:
    name: str
    version: Callable[[], str]
    start: Callable[[Place], AbstractContextManager[Started]]
    missing: Callable[[], str | None] = lambda: None
    """What to install, when it cannot run here."""


# ---- nobody between ----


@contextmanager
def start_direct(place: Place) -> Iterator[Started]:
    yield Started(place.upstream_port, (), ())


# ---- nginx ----


def nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def nginx_missing() -> str | None:
    return None if nginx() else "as root: apt-get install nginx-light"


def nginx_version() -> str:
    told = subprocess.run([nginx() or "nginx", "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/(\S+)", told)
    return found[1] if found else "unknown"


@contextmanager
def start_nginx(place: Place) -> Iterator[Started]:
    port = machine.free_port()
    text = (HERE / "nginx.conf").read_text().replace("@PORT@", str(port))
    config = place.folder / "nginx.conf"
    config.write_text(text.replace("@UPSTREAM_PORT@", str(place.upstream_port)))
    command = [nginx() or "nginx", "-p", str(place.folder), "-c", str(config), "-e", "stderr"]
    with machine.running(command, place.core) as process:
        machine.wait_for_port(port, process)
        yield Started(port, ("Authorization: Bearer sk-bench",), (process.pid,))


# ---- the relay ----


def relay_version() -> str:
    return version("uvloop")


@contextmanager
def start_relay(place: Place) -> Iterator[Started]:
    port = machine.free_port()
    command = [sys.executable, str(HERE / "relay.py"), str(port), str(place.upstream_port)]
    with machine.running(command, place.core) as process:
        machine.wait_for_port(port, process)
        yield Started(port, (), (process.pid,))


DIRECT = Peer("direct", lambda: "-", start_direct)
NGINX = Peer("nginx", nginx_version, start_nginx, nginx_missing)
RELAY = Peer("uvloop relay", relay_version, start_relay)
ALL = (DIRECT, NGINX, RELAY)
