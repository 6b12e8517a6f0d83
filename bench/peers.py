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
PEERS = Path(os.environ.get("PEERS") or Path(sys.prefix).parent / "peers")
"""Where `tools/peers` puts them: beside the environment."""
GET = "run: tools/peers"
OWN_KEY = ("Authorization: Bearer sk-bench",)


@dataclass(frozen=True)
class Place:
    """Where a peer starts: a folder of its own, its core, and the upstream that it passes requests to."""

    folder: Path
    core: int
    other_core: int
    upstream_port: int

    def written(self, name: str, port: int) -> Path:
        """A settings file of the benches in this folder, with the ports filled in."""
        text = (
            (HERE / name).read_text().replace("@PORT@", str(port)).replace("@UPSTREAM_PORT@", str(self.upstream_port))
        )
        (self.folder / name).write_text(text)
        return self.folder / name


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


# ---- nginx and HAProxy ----


def debian(program: str) -> str | None:
    """Where a program of a Debian package is: unpacked beside the environment, or installed on the system."""
    unpacked = PEERS / "debian" / "usr" / "sbin"
    return shutil.which(program, path=os.pathsep.join((str(unpacked), "/usr/sbin", "/usr/local/sbin", os.defpath)))


def libraries() -> dict[str, str]:
    """The environment in which a package that was only unpacked finds its libraries."""
    folders = sorted((PEERS / "debian" / "usr" / "lib").glob("*-linux-*"))
    return os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(map(str, folders))}


def debian_version(program: str) -> str:
    told = subprocess.run(
        [debian(program) or program, "-v"], capture_output=True, text=True, check=True, env=libraries()
    )
    found = re.search(r"(?:nginx/|HAProxy version )(\S+)", told.stdout + told.stderr)
    return found[1] if found else "unknown"


@contextmanager
def start_nginx(place: Place) -> Iterator[list[Started]]:
    with _nginx(place, "nginx") as started:
        yield started


@contextmanager
def start_two_nginx(place: Place) -> Iterator[list[Started]]:
    with _nginx(place, "nginx, 2 workers", workers=2) as started:
        yield started


@contextmanager
def _nginx(place: Place, name: str, workers: int = 1) -> Iterator[list[Started]]:
    port = machine.free_port()
    config = place.written("nginx.conf", port)
    config.write_text(config.read_text().replace("@WORKERS@", str(workers)))
    command = [debian("nginx") or "nginx", "-p", str(place.folder), "-c", str(config), "-e", "stderr"]
    with machine.running(command, place.core, env=libraries()) as process:
        machine.wait_until(lambda: machine.listens(port), process)
        if workers > 1:
            machine.spread(machine.children(process.pid), (place.core, place.other_core))
        yield [Started(name, port, OWN_KEY, (process.pid,))]


@contextmanager
def start_haproxy(place: Place) -> Iterator[list[Started]]:
    port = machine.free_port()
    command = [debian("haproxy") or "haproxy", "-db", "-q", "-f", str(place.written("haproxy.cfg", port))]
    with machine.running(command, place.core, env=libraries()) as process:
        machine.wait_until(lambda: machine.listens(port), process)
        yield [Started("haproxy", port, OWN_KEY, (process.pid,))]


# ---- Portkey's gateway ----

PORTKEY = PEERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway"


def node() -> str | None:
    return shutil.which("node") or shutil.which("node", path=str(PEERS / "portkey" / "node" / "bin"))


def portkey_version() -> str:
    told = subprocess.run([node() or "node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{json.loads((PORTKEY / 'package.json').read_text())['version']}, node {told}"


@contextmanager
def start_portkey(place: Place) -> Iterator[list[Started]]:
    """As it comes: it passes on what the headers of a request say and knows no keys of its own."""
    port, upstream = machine.free_port(), f"http://127.0.0.1:{place.upstream_port}/v1"
    command = [node() or "node", str(PORTKEY / "build" / "start-server.js"), "--headless", f"--port={port}"]
    settings = os.environ | {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": settings}
    with machine.running(command, place.core, **quiet) as process:
        machine.wait_until(lambda: machine.listens(port), process)
        headers = (
            "x-portkey-provider: openai",
            f"x-portkey-custom-host: {upstream}",
            "Authorization: Bearer sk-upstream",
        )
        yield [Started("portkey", port, headers, (process.pid,))]


# ---- LiteLLM's proxy ----

LITELLM = PEERS / "litellm" / "bin"


def litellm_version() -> str:
    script = (
        "import platform, importlib.metadata as m; print(m.version('litellm') + ', python', platform.python_version())"
    )
    return subprocess.run(
        [str(LITELLM / "python"), "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip()


@contextmanager
def start_litellm(place: Place) -> Iterator[list[Started]]:
    """Without its database, so without accounts: lighter than it is run."""
    port = machine.free_port()
    command = [str(LITELLM / "litellm"), "--config", str(place.written("litellm.yaml", port)), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False"]
    settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_DOCS": "True", "DO_NOT_TRACK": "1"}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": place.folder}
    with machine.running(command, place.core, env=os.environ | settings, **quiet) as process:
        machine.wait_until(lambda: machine.listens(port), process)
        yield [Started("litellm", port, OWN_KEY, (process.pid,))]


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
    """One installation without an engine, in a folder of its own."""

    home: Path
    port: int
    workers: int = 1

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "avow.cli", *words]

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AVOW_")}
        own = {"AVOW_HOME": self.home, "AVOW_PORT": self.port, "AVOW_WORKERS": self.workers, "AVOW_ENGINE": "false"}
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
    with _avow(place, ("avow", "avow, 0 kept"), workers=1) as started:
        yield started


@contextmanager
def start_two_avow(place: Place) -> Iterator[list[Started]]:
    with _avow(place, ("avow, 2 workers", "avow, 2 workers, 0 kept"), workers=2) as started:
        yield started


@contextmanager
def _avow(place: Place, names: tuple[str, str], workers: int) -> Iterator[list[Started]]:
    """A row for a key whose content is kept, sealed, and one for a key whose content is not."""
    avow = Avow(place.folder / "home", machine.free_port(), workers)
    with avow.up(place.core):
        avow.offer(place.upstream_port)
    with avow.up(place.core) as process:
        postmaster = int((avow.home / "pg" / "postmaster.pid").read_text().split()[0])
        own = machine.children(process.pid)[:workers]  # the supervisor forks its workers before all others
        machine.pin([postmaster, process.pid], place.other_core)
        machine.spread(own, (place.core, place.other_core))
        yield [
            Started(name, avow.port, (f"Authorization: Bearer {key}",), tuple(own), (postmaster,))
            for name, key in zip(names, avow.keys(), strict=True)
        ]


def _where(found: Callable[[], object]) -> Callable[[], str | None]:
    return lambda: None if found() else GET


DIRECT = Peer("direct", lambda: "-", start_direct)
NGINX = Peer("nginx", lambda: debian_version("nginx"), start_nginx, _where(lambda: debian("nginx")))
HAPROXY = Peer("haproxy", lambda: debian_version("haproxy"), start_haproxy, _where(lambda: debian("haproxy")))
RELAY = Peer("uvloop relay", lambda: version("uvloop"), start_relay)
AVOW = Peer("avow", avow_version, start_avow, avow_missing)
PORTKEY_PEER = Peer("portkey", portkey_version, start_portkey, _where(lambda: node() and PORTKEY.exists()))
LITELLM_PEER = Peer("litellm", litellm_version, start_litellm, _where((LITELLM / "litellm").exists))
ALL = (DIRECT, NGINX, HAPROXY, RELAY, PORTKEY_PEER, LITELLM_PEER, AVOW)

TWO_NGINX = Peer("nginx, 2 workers", NGINX.version, start_two_nginx, NGINX.missing)
TWO_AVOW = Peer("avow, 2 workers", avow_version, start_two_avow, avow_missing)
