"""The oldest TLS that is spoken with others, at servers that speak one version and nothing else."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from avow.base import tls
from avow.base.clock import SystemClock
from avow.base.db import AWAY, Dsn
from avow.base.mail import MailRefused, SmtpMail
from avow.policy import parse
from avow.privacy import backup
from avow.registers.broker import Broker
from avow.vault import Ring, Vault
from tests.certificates import make_certificate
from tests.conftest import Databases
from tests.platform import policy_text

OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
SPOKEN = {OLD: "TLSv1.2", NEW: "TLSv1.3"}
PROMISED = '\n[security.transit]\nrule = "TLS 1.3"\n'
SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


@dataclass
class Server:
    """What a server that speaks one version has seen: the version of each handshake, or why there was none."""

    context: ssl.SSLContext
    certificate: Path
    port: int = 0
    seen: list[str] = field(default_factory=list)
    messages: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.messages += 1
        return "250 OK"

    def shake(self, connection: socket.socket) -> None:
        """One handshake, as a server, on a connection that blocks."""
        connection.settimeout(20)
        try:
            with self.context.wrap_socket(connection, server_side=True) as spoken:
                self.seen.append(str(spoken.version()))
                spoken.recv(1)
        except OSError as wrong:
            self.seen.append(getattr(wrong, "reason", None) or type(wrong).__name__)


@pytest.fixture
def serving(tmp_path: Path) -> Callable[[ssl.TLSVersion], Server]:
    certificate, key = make_certificate(tmp_path)

    def made(version: ssl.TLSVersion) -> Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(certificate, key)
        return Server(context, certificate)

    return made


@asynccontextmanager
async def answering(server: Server, before: Callable[[socket.socket], None] = lambda _: None) -> AsyncIterator[None]:
    """The server takes one connection, on which `before` is done first."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(20)
    server.port = listening.getsockname()[1]

    def take() -> None:
        connection, _ = listening.accept()
        with connection:
            before(connection)
            server.shake(connection)

    taking = asyncio.create_task(asyncio.to_thread(take))
    try:
        yield
        await taking
    finally:
        listening.close()


def agree(connection: socket.socket) -> None:
    """As PostgreSQL does before TLS."""
    assert connection.recv(8) == SSL_REQUEST
    connection.sendall(b"S")


def outside(port: int) -> Dsn:
    return Dsn("127.0.0.1", port, "avow", "avow", "secret", "verify-full")


@pytest.mark.parametrize("version", [OLD, NEW])
async def test_with_a_database_elsewhere_nothing_older_than_1_3_is_spoken(
    version: ssl.TLSVersion, serving: Callable[[ssl.TLSVersion], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serving(version)
    monkeypatch.setenv("PGSSLROOTCERT", str(server.certificate))
    async with answering(server, agree):
        with pytest.raises(AWAY):
            await asyncpg.connect(**outside(server.port).arguments(), timeout=10)
    assert server.seen == (["TLSv1.3"] if version is NEW else ["UNSUPPORTED_PROTOCOL"])


async def test_the_programs_that_copy_a_database_elsewhere_ask_no_less_of_it(tmp_path: Path) -> None:
    """Without a word they would take any certificate, and no encryption where the server has none."""
    program, told = tmp_path / "pg_dump", tmp_path / "told"
    program.write_text(f"#!/bin/sh\nenv > {told}\n")
    program.chmod(stat.S_IRWXU)
    await backup._run(program, outside(5432))
    lines = told.read_text().splitlines()
    assert {"PGSSLMODE=verify-full", "PGSSLMINPROTOCOLVERSION=TLSv1.3"} <= {*lines}
    await backup._run(program, Dsn("/run/postgresql", 5432, "avow", "avow"))
    assert "PGSSL" not in told.read_text()


@pytest.mark.parametrize("from_start", [True, False], ids=["smtps", "starttls"])
@pytest.mark.parametrize(("version", "least", "arrives"), [(OLD, NEW, False), (OLD, OLD, True), (NEW, NEW, True)])
async def test_a_relay_gets_mail_only_with_the_tls_that_is_said(
    from_start: bool,
    version: ssl.TLSVersion,
    least: ssl.TLSVersion,
    arrives: bool,
    serving: Callable[[ssl.TLSVersion], Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = serving(version)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    upgrade = {} if from_start else {"tls_context": server.context, "require_starttls": True}
    relay = await asyncio.get_running_loop().create_server(
        lambda: SMTP(server, **upgrade), "127.0.0.1", 0, ssl=server.context if from_start else None
    )
    async with relay:
        mail = SmtpMail("127.0.0.1", relay.sockets[0].getsockname()[1], "avow@example.org", tls=from_start)
        mail.least = least
        sending = mail.send("1@example.org", "ada@example.org", "Hello", "There.")
        if arrives:
            await sending
        else:
            with pytest.raises(MailRefused, match=r"SSLError|SMTP\w+"):
                await sending
    assert server.messages == arrives


@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize("is_promised", [True, False])
async def test_the_policy_says_how_old_the_tls_of_other_parties_may_be(
    version: ssl.TLSVersion,
    is_promised: bool,
    serving: Callable[[ssl.TLSVersion], Server],
    database: Databases,
    tmp_path: Path,
) -> None:
    """The certificate is nobody's, so the end is the same; how far it went, the server says."""
    policy = parse(policy_text() + (PROMISED if is_promised else ""))
    assert tls.least(policy) is (NEW if is_promised else OLD)
    ring = Ring(tmp_path / "ring.db")
    vault, server = Vault(ring, policy, SystemClock()), serving(version)
    async with answering(server), Broker(database.app, vault).client("sign-in") as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"https://127.0.0.1:{server.port}/")
    vault.close()
    ring.close()
    spoken = version is NEW or not is_promised
    assert (server.seen == ["UNSUPPORTED_PROTOCOL"]) is not spoken, server.seen


@pytest.mark.parametrize("rule", ["every hop", "TLS"])
def test_whoever_promises_tls_alone_may_speak_1_2(rule: str) -> None:
    assert tls.least(parse(policy_text() + PROMISED.replace("TLS 1.3", rule))) is OLD
