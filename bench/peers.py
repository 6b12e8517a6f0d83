"""The servers that are compared. A peer is a name and a way to start it; all speak the same endpoint."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import httpx

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
    """A row of the tables: what a request needs, and whose CPU it costs. A database among those is counted apart."""

    name: str
    port: int
    headers: tuple[str, ...]
    pids: tuple[int, ...]
    database_pids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Peer:
    """A server to compare, in one or more rows."""

    name: str
    version: Callable[[], str]
    start: Callable[[Place], AbstractContextManager[list[Started]]]
    missing: Callable[[], str | None] = lambda: None
    """What to install, when it cannot run here."""


# ---- nobody between ----


@contextmanager
def start_direct(place: Place) -> Iterator[list[Started]]:
    yield [Started("direct", place.upstream_port, (), ())]


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
def start_nginx(place: Place) -> Iterator[list[Started]]:
    port = machine.free_port()
    text = (HERE / "nginx.conf").read_text().replace("@PORT@", str(port))
    config = place.folder / "nginx.conf"
    config.write_text(text.replace("@UPSTREAM_PORT@", str(place.upstream_port)))
    command = [nginx() or "nginx", "-p", str(place.folder), "-c", str(config), "-e", "stderr"]
    with machine.running(command, place.core) as process:
        machine.wait_until(lambda: machine.listens(port), process)
        yield [Started("nginx", port, ("Authorization: Bearer sk-bench",), (process.pid,))]


# ---- the relay ----


@contextmanager
def start_relay(place: Place) -> Iterator[list[Started]]:
    port = machine.free_port()
    command = [sys.executable, str(HERE / "relay.py"), str(port), str(place.upstream_port)]
    with machine.running(command, place.core) as process:
        machine.wait_until(lambda: machine.listens(port), process)
        yield [Started("uvloop relay", port, (), (process.pid,))]


# ---- avow ----


@dataclass(frozen=True)
class Avow:
    """One installation with one worker and no engine, in a folder of its own."""

    home: Path
    port: int

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "avow.cli", *words]

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AVOW_")}
        own = {"AVOW_HOME": self.home, "AVOW_PORT": self.port, "AVOW_WORKERS": 1, "AVOW_ENGINE": "false"}
        return clean | {name: str(value) for name, value in own.items()}

    def call(self, *words: str, told: str = "") -> None:
        subprocess.run(
            self.command(*words), env=self.environment(), input=told, text=True, check=True, stdout=subprocess.DEVNULL
        )

    def offer(self, upstream_port: int) -> None:
        """The mock upstream and its model, as an operator adds them."""
        self.call("upstream", "add", "mock", f"http://127.0.0.1:{upstream_port}/v1", "--key", told="sk-upstream\n")
        price = ("--input", "0.0001", "--output", "0.0001")
        self.call("model", "add", "bench", "--upstream", "mock", *price)

    def keys(self) -> tuple[str, str]:
        """A key whose content is kept for a day, and one whose content is not, as a person makes them."""
        note = json.loads((self.home / "demo.json").read_text())
        base_url = note["base_url"]
        with httpx.Client(base_url=base_url, headers={"origin": base_url}) as http:
            http.post("/api/auth/login", json={"email": note["email"], "password": note["password"]}).raise_for_status()
            http.patch("/api/tenant", json={"keep_h": 24}).raise_for_status()
            made = [http.post("/api/keys", json={"name": "bench", "keep_h": keep_h}) for keep_h in (24, 0)]
        kept, unkept = (answer.raise_for_status().json()["secret"] for answer in made)
        return kept, unkept

    @contextmanager
    def up(self, core: int) -> Iterator[subprocess.Popen[str]]:
        quiet: dict[str, Any] = {"env": self.environment(), "stdout": subprocess.DEVNULL}
        with machine.running(self.command("up"), core, **quiet) as process:
            machine.wait_until(lambda: self.answers(), process)
            yield process

    def answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz").is_success and (self.home / "demo.json").exists()
        except httpx.TransportError:
            return False


def avow_version() -> str:
    try:
        return version("avow")
    except PackageNotFoundError:
        return "this source tree"


def avow_missing() -> str | None:
    return "run it with `make bench`: Avow does not run as root" if os.geteuid() == 0 else None


@contextmanager
def start_avow(place: Place) -> Iterator[list[Started]]:
    avow = Avow(place.folder / "home", machine.free_port())
    with avow.up(place.core):
        avow.offer(place.upstream_port)
    with avow.up(place.core) as process:
        postmaster = int((avow.home / "pg" / "postmaster.pid").read_text().split()[0])
        worker = machine.children(process.pid)[0]  # the supervisor forks its workers before all others
        machine.pin([postmaster, process.pid], place.other_core)
        machine.pin([worker], place.core)
        kept, unkept = avow.keys()
        yield [
            Started(name, avow.port, (f"Authorization: Bearer {key}",), (worker,), (postmaster,))
            for name, key in (("avow", kept), ("avow, 0 kept", unkept))
        ]


DIRECT = Peer("direct", lambda: "-", start_direct)
NGINX = Peer("nginx", nginx_version, start_nginx, nginx_missing)
RELAY = Peer("uvloop relay", lambda: version("uvloop"), start_relay)
AVOW = Peer("avow", avow_version, start_avow, avow_missing)
ALL = (DIRECT, NGINX, RELAY, AVOW)
