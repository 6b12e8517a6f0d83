"""A whole running Avow for tests: its own home, port, processes and clock, driven as its users drive it."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

START_LIMIT_S = 90
CLOCK_FILE = "clock"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@dataclass
class Platform:
    """`avow up` in `home`; `folder` holds the test's own things beside it (the clock file)."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    output: bytes = b""

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AVOW_") and k != "DATABASE_URL"}
        return {
            **kept,
            "AVOW_HOME": str(self.home),
            "AVOW_PORT": str(self.port),
            "AVOW_WORKERS": "1",
            "TEST_CLOCK": str(self.folder / CLOCK_FILE),
            **{f"AVOW_{k.upper()}": v for k, v in self.settings.items()},
        }

    def start(self, *, expect: str = "is ready") -> Platform:
        """Start, and wait until it has told that it is ready (and has printed its first answer)."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.started", "up"],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._read_until(expect.encode())
        return self

    def _read_until(self, word: bytes) -> None:
        assert self.process and self.process.stdout
        deadline = time.monotonic() + START_LIMIT_S
        begin = len(self.output)
        while word not in self.output[begin:]:
            ready, _, _ = select.select([self.process.stdout], [], [], 1)
            piece = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            self.output += piece
            if (ready and not piece) or time.monotonic() > deadline:
                raise AssertionError(f"Avow did not say {word!r}:\n{self.output[begin:].decode()}")

    def stop(self) -> int:
        """Ctrl-C, and wait; returns the exit status."""
        assert self.process
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(60)
        self.process = None
        return code

    def kill(self) -> None:
        """kill -9 of the parent; its children end with it, PostgreSQL stays and is adopted at the next start."""
        assert self.process
        self.process.kill()
        self.process.wait(60)
        self.process = None

    def close(self) -> None:
        if self.process:
            self.stop()
        else:
            self.cli("stop-postgres", check=False)

    def cli(self, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """An `avow` command against this home, with the test's clock."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.started", *arguments],
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
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

    @property
    def demo(self) -> dict[str, str]:
        note: dict[str, str] = json.loads((self.home / "demo.json").read_text())
        return note

    @contextmanager
    def http(self, **options: Any) -> Iterator[httpx.Client]:
        """A browser-like client on the same origin; keeps cookies."""
        with httpx.Client(
            base_url=self.base_url, timeout=60, headers={"sec-fetch-site": "same-origin"}, **options
        ) as client:
            yield client

    def sign_up(self, client: httpx.Client, **fields: str) -> dict[str, Any]:
        """A new person, signed in on `client`; returns `/api/me`."""
        email = fields.pop("email", f"p-{secrets.token_hex(6)}@example.org")
        password = fields.pop("password", secrets.token_hex(12))
        made = client.post("/api/auth/signup", json={"email": email, "password": password, **fields})
        assert made.status_code in (200, 201, 202), made.text
        entered = client.post("/api/auth/login", json={"email": email, "password": password})
        assert entered.is_success, entered.text
        me: dict[str, Any] = client.get("/api/me").json()
        return {"email": email, "password": password, **me}

    def key(self, client: httpx.Client, **fields: Any) -> dict[str, str]:
        """A new API key of the signed-in person: {id, prefix, secret}."""
        made = client.post("/api/keys", json=fields)
        assert made.is_success, made.text
        key: dict[str, str] = made.json()
        return key
