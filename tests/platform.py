"""A whole running Avow for tests: its own home, port, processes and clock, driven as its users drive it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx

from avow.base.postgres import Cluster
from avow.vault import Ring
from tests import LIMIT_S
from tests.homes import made_home
from tests.warm import Command, warm

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
MODEL = "avow/smollm2-135m"
CLOCK_FILE = "clock"
DROPPED = ("DATABASE_URL", "PYTHONDONTWRITEBYTECODE", "SSL_CERT_FILE")
BEGIN = 4
"""Of so many characters that markers share, all are looked for at once."""
OUTSIDE = ("mail", "demo.json")
"""What stands for the outside world under AVOW_HOME, and is not searched for remains."""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def policy_text(*changes: tuple[str, str]) -> str:
    """The default policy with texts replaced, each of which must be there."""
    text = (ROOT / "profiles" / "default.toml").read_text()
    for old, new in changes:
        assert old in text, f"the default policy has no {old!r}"
        text = text.replace(old, new)
    return text


def dated(text: str, number: int) -> str:
    """A policy's text, with a day of its last change in each language that is later for each number of a version."""
    return re.sub(r'(?m)^(\[locale\.\w+\]\ndate = )"[^"]+"', rf'\g<1>"{2030 + number}-01-01"', text)


def wait_until(what: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    """Ask again and again until it is so; the limit only ends a test that would never end."""
    end_s = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end_s, "it never came"
        time.sleep(0.05)


@contextmanager
def new_platform(
    policy: str | None = None, *, as_a_stranger: bool = False, first_look_s: float | None = None, **settings: str
) -> Iterator[Platform]:
    """A platform in a home of its own, not yet started; stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="avow-p-") as folder:
        made = Platform(Path(folder), settings, as_a_stranger=as_a_stranger, first_look_s=first_look_s)
        if policy is not None:
            made.write_policy(policy)
        try:
            yield made
        finally:
            made.close()


@dataclass
class Platform:
    """`avow up` in `home`; `folder` holds the test's own things beside it (the clock file)."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: Command | None = None
    output: bytes = b""
    """Everything that was said at the terminal, over all starts."""
    as_a_stranger: bool = False
    """The first start makes the database, which else lies there already made, and passwords are hashed as slowly as theirs."""
    first_look_s: float | None = None
    """When its keeper looks with the probes and asks as a canary; None: never, so that what tests count is theirs."""
    trusts: Path | None = None
    """The certificate that those have whom it speaks to; None: whatever the machine trusts."""
    _terminal: int = -1
    _runner: asyncio.Runner | None = None
    _connection: asyncpg.Connection[Any] | None = None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def base_url(self) -> str:
        return f"{'https' if 'tls_cert' in self.settings else 'http'}://127.0.0.1:{self.port}"

    def write_policy(self, text: str) -> None:
        """Make `text` the policy of the next start."""
        path = self.folder / "policy.toml"
        path.write_text(text)
        self.settings["policy"] = str(path)

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AVOW_") and k not in DROPPED}
        return {
            **kept,
            "AVOW_HOME": str(self.home),
            "AVOW_PORT": str(self.port),
            "AVOW_WORKERS": "1",
            "TEST_CLOCK": str(self.folder / CLOCK_FILE),
            "TEST_HASH": "slow" if self.as_a_stranger else "quick",
            "TEST_FIRST_LOOK_S": "" if self.first_look_s is None else str(self.first_look_s),
            **({"SSL_CERT_FILE": str(self.trusts)} if self.trusts else {}),
            **{f"AVOW_{k.upper()}": v for k, v in self.settings.items()},
        }

    def start(self, *, expect: str = "is ready") -> Platform:
        """Start, and wait until it has told that it is ready (and has printed its first answer)."""
        if not (self.home.exists() or self.as_a_stranger):
            shutil.copytree(made_home(), self.home)
        self._hang_up()
        self._terminal, theirs = os.pipe()
        with Path(os.devnull).open() as nothing:
            self.process = warm().start(["up"], self.environment(), [nothing.fileno(), theirs, theirs])
        os.close(theirs)
        self._read_until(expect.encode())
        return self

    def _read_until(self, word: bytes) -> None:
        deadline = time.monotonic() + LIMIT_S
        begin = len(self.output)
        while word not in self.output[begin:]:
            ready, _, _ = select.select([self._terminal], [], [], 1)
            piece = os.read(self._terminal, 65536) if ready else b""
            self.output += piece
            if (ready and not piece) or time.monotonic() > deadline:
                raise AssertionError(f"Avow did not say {word!r}:\n{self.output[begin:].decode()}")

    def stop(self) -> int:
        """Ctrl-C, and wait; returns the exit status."""
        assert self.process
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(LIMIT_S)
        self.process = None
        return code

    def kill(self) -> None:
        """kill -9 of the parent; its children end with it, PostgreSQL stays and is adopted at the next start."""
        assert self.process
        self.process.kill()
        self.process.wait(LIMIT_S)
        self.process = None

    def _hang_up(self) -> None:
        if self._terminal >= 0:
            os.close(self._terminal)
        self._terminal = -1

    def close(self) -> None:
        """Stop whatever still runs."""
        if self.process:
            self.stop()
        self._hang_up()
        if self._runner:
            self._disconnect()
            self._runner.close()
        if pid := self.postgres_pid():
            os.kill(pid, signal.SIGINT)
            wait_until(lambda: not self.postgres_pid())

    def postgres_pid(self) -> int | None:
        """The process id of this home's PostgreSQL while it lives."""
        return Cluster(self.home, "").pid()

    def processes(self) -> list[int]:
        """All processes of this platform: those that `avow up` started, and PostgreSQL's."""
        ours = {self.process.pid} if self.process else set()
        parents = {pid: parent for pid, (parent, _) in _table().items()}
        while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
            ours |= more
        return sorted(ours | set(self.postgres_processes()))

    def postgres_processes(self) -> list[int]:
        """The processes of this home's PostgreSQL."""
        return [pid for pid, (_, folder) in _table().items() if folder == str((self.home / "pg").resolve())]

    def cli(self, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """An `avow` command against this home, with the test's clock."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as wrong:
            given.write(stdin.encode())
            given.seek(0)
            files = [given.fileno(), told.fileno(), wrong.fileno()]
            command = warm().start(arguments, self.environment(), files)
            code = command.wait(LIMIT_S)
            texts = [os.pread(file, 1 << 26, 0).decode() for file in files[1:]]
        done = subprocess.CompletedProcess(arguments, code, *texts)
        if check and done.returncode:
            raise AssertionError(
                f"avow {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def move_clock(self, seconds: float) -> None:
        """Let all processes of this platform see a later time."""
        path = self.folder / CLOCK_FILE
        path.with_suffix(".new").write_text(str(float(path.read_text() or 0) + seconds))
        path.with_suffix(".new").rename(path)

    @contextmanager
    def ring(self) -> Iterator[Ring]:
        """This home's keyring, as it is now."""
        ring = Ring(self.home / "keyring" / "ring.db")
        try:
            yield ring
        finally:
            ring.close()

    def superuser_password(self) -> str:
        with self.ring() as ring:
            secret = ring.secret("password of avow_super")
        assert secret is not None
        return secret.hex()

    def with_connection(self, work: Callable[[asyncpg.Connection[Any]], Awaitable[T]]) -> T:
        """Do something over a connection to this home's database as its superuser, for whom no row is hidden."""
        self._runner = self._runner or asyncio.Runner()

        async def connected() -> T:
            for _ in range(3):
                await asyncio.sleep(0)  # in which the end of a connection is heard of
            if self._connection is None or self._connection.is_closed():
                arguments = Cluster(self.home, self.superuser_password()).dsn().arguments()
                self._connection = await asyncpg.connect(**arguments, statement_cache_size=0)
            return await work(self._connection)

        return self._runner.run(connected())

    def _disconnect(self) -> None:
        if self._runner and self._connection:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                self._runner.run(self._connection.close(timeout=5))
        self._connection = None

    def sql(self, query: str, *values: Any) -> list[Any]:
        """Ask this home's database as its superuser."""
        return list(self.with_connection(lambda c: c.fetch(query, *values)))

    def told(self) -> bytes:
        """Everything that was said at the terminal until now."""
        while select.select([self._terminal], [], [], 0)[0]:
            if not (piece := os.read(self._terminal, 65536)):
                break
            self.output += piece
        return self.output

    def inside_files(self) -> Iterator[Path]:
        """All files under AVOW_HOME but those that stand for the outside world."""
        for parent, _, names in os.walk(self.home):
            for name in names:
                path = Path(parent, name)
                if path.relative_to(self.home).parts[0] not in OUTSIDE and path.is_file():
                    yield path

    def scan(self, markers: Iterable[str]) -> dict[str, list[str]]:
        """In which files each marker stands in the clear, heap and write-ahead log included; {} where none does.

        A control that is planted first must be found, or the search proves nothing. A piece of the log may get another name
        while its folder is read: then the search begins anew.
        """
        for _ in range(3):
            control = secrets.token_hex(16)
            planting = "INSERT INTO scan_control (id, planted) VALUES (gen_random_uuid(), $1)"
            self.sql(planting, control.encode())
            self.sql("CHECKPOINT")
            found = search(self.inside_files(), [control, *markers])
            if len(found.pop(control, ())) >= 2:
                return found
        raise AssertionError("the control was not found in heap and log")

    @property
    def demo(self) -> dict[str, str]:
        note: dict[str, str] = json.loads((self.home / "demo.json").read_text())
        return note

    @contextmanager
    def http(self, **options: Any) -> Iterator[httpx.Client]:
        """A browser-like client on the same origin; keeps cookies."""
        headers = {"sec-fetch-site": "same-origin", **options.pop("headers", {})}
        with httpx.Client(base_url=self.base_url, timeout=LIMIT_S, headers=headers, **options) as client:
            yield client

    @contextmanager
    def https(self, newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> Iterator[httpx.Client]:
        """A client that trusts this platform's own certificate and speaks TLS up to `newest`."""
        trust = ssl.create_default_context(cafile=self.settings["tls_cert"])
        trust.maximum_version = newest
        with self.http(verify=trust) as client:
            yield client

    def sign_up(self, client: httpx.Client, **fields: Any) -> dict[str, Any]:
        """A new person, signed in on `client`; returns `/api/me` with the password."""
        email = fields.pop("email", f"p-{secrets.token_hex(6)}@example.org")
        password = fields.pop("password", secrets.token_hex(12))
        made = client.post("/api/auth/signup", json={"email": email, "password": password, **fields})
        assert made.status_code == 202, made.text
        return {"email": email, "password": password, **self.sign_in(client, email, password)}

    def sign_in(self, client: httpx.Client, email: str, password: str) -> dict[str, Any]:
        """Sign in on `client`; returns `/api/me`."""
        entered = client.post("/api/auth/login", json={"email": email, "password": password})
        assert entered.is_success, entered.text
        me: dict[str, Any] = client.get("/api/me").json()
        return me

    def key(self, client: httpx.Client, **fields: Any) -> dict[str, str]:
        """A new API key of the signed-in person: {id, prefix, secret}."""
        made = client.post("/api/keys", json=fields)
        assert made.is_success, made.text
        key: dict[str, str] = made.json()
        return key

    def hire(self, role: str, email: str, password: str, *terms: str) -> None:
        """Make somebody staff, as the operator does."""
        signed = ("--trained-until", "2100-01-01", "--agreement", "NDA 7")
        self.cli("user", "create", "--role", role, "--email", email, *signed, *terms, stdin=password + "\n")

    def erase(self, client: httpx.Client, password: str) -> dict[str, Any]:
        """Ask for erasure as the signed-in person and wait for the receipt, which is returned."""
        asked = client.post("/api/privacy/requests", json={"kind": "erase", "password": password})
        assert asked.status_code == 202, asked.text
        where, token = (
            f"/api/privacy/receipts/{asked.json()['id']}",
            {"avow-receipt-token": asked.json()["receipt_token"]},
        )
        wait_until(lambda: client.get(where, headers=token).is_success)
        receipt: dict[str, Any] = client.get(where, headers=token).json()
        return receipt


def _table() -> dict[int, tuple[int, str]]:
    """Parent and working folder of each process that lives; a zombie does not."""
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            state, parent = (entry / "stat").read_text().rpartition(") ")[2].split()[:2]
            if state != "Z":
                found[int(entry.name)] = (int(parent), str((entry / "cwd").readlink()))
    return found


def complete(client: httpx.Client, secret: str, prompt: str, **fields: Any) -> httpx.Response:
    """One completion of the embedded model with the key `secret`; `headers` go to the request, the rest into the body."""
    headers = {"authorization": f"Bearer {secret}", **fields.pop("headers", {})}
    body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "max_tokens": 1, **fields}
    return client.post("/v1/chat/completions", json=body, headers=headers)


def search(paths: Iterable[Path], markers: Iterable[str]) -> dict[str, list[str]]:
    """In which files each marker stands as UTF-8, UTF-16 or in hexadecimal; markers that are nowhere are left out.

    Many markers begin alike: what they begin with is looked for, and where that stands, each of them.
    """
    groups: dict[bytes, list[tuple[bytes, str]]] = {}
    for marker in markers:
        for form in (str.encode, lambda text: text.encode("utf-16-le"), lambda text: text.encode().hex().encode()):
            groups.setdefault(form(marker[:BEGIN]), []).append((form(marker), marker))
    found: dict[str, list[str]] = {}
    for path in paths:
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            here = {marker for begin, group in groups.items() for marker in _standing(content, begin, group)}
            for marker in here:
                found.setdefault(marker, []).append(str(path))
    return found


def _standing(content: bytes, begin: bytes, group: list[tuple[bytes, str]]) -> Iterator[str]:
    place = content.find(begin)
    while place >= 0:
        yield from (marker for needle, marker in group if content.startswith(needle, place))
        place = content.find(begin, place + 1)
