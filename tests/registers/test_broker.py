"""The one way out: what is entered may be spoken with, anything else is blocked before a byte leaves."""

from __future__ import annotations

import ast
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import avow
from avow.base.actor import COMMAND
from avow.base.clock import SystemClock
from avow.policy import parse
from avow.registers import book, broker, disclosures, incidents, ropa
from avow.registers.book import Whose
from avow.registers.broker import Blocked, Broker
from avow.registers.disclosures import Office
from avow.registers.entries import Entry, EntryRefused, Scope
from avow.vault import Ring, Vault
from tests.conftest import Databases
from tests.platform import policy_text

OWN: dict[str, Any] = {
    **{"name": "relay", "to": "relay", "recipient": "Relay", "basis": "own", "purpose": "service"},
    **{"fields": {}, "region": "DE", "host": "relay.invalid"},
}
OWN_LISTENER = "our own listener, as customers and probes see it"
OWN_DATABASE = "the database, whose place the start judges (registers.places)"
MAY_CONNECT = {
    **dict.fromkeys(("demo.py", "desk.py", "canary.py", "proof/probes.py"), OWN_LISTENER),
    **dict.fromkeys(("base/db.py", "base/migrate.py", "privacy/backup.py"), OWN_DATABASE),
    "registers/broker.py": "the way out itself",
    "accounts/oidc.py": "a client for where there is no platform; the platform gives the broker's",
    "base/mail.py": "the relay, of which the keeper asks the broker before each letter",
    "gateway/client.py": "upstreams, judged by the same rules at each load of them",
    "engines/llm.py": "the socket of the embedded engine, in a folder of this machine",
    "proof/verifier.py": "a program for whoever visits a log; the platform reads no address with it",
}
"""The files that speak with anybody beside the broker's client, each with its reason."""


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    ring = Ring(tmp_path / "ring.db")
    made = Vault(ring, parse(policy_text()), SystemClock())
    yield made
    made.close()
    ring.close()


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A server on this machine that sends whoever asks to a host that nobody entered."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("location", "https://thief.invalid/")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


async def enter(databases: Databases, vault: Vault, **changed: Any) -> str | None:
    async with databases.keeper.begin() as c:
        return await book.propose(c, vault, COMMAND, "terminal", Entry(**{**OWN, **changed}), Whose())


async def open_incidents(databases: Databases) -> list[tuple[str, str]]:
    async with databases.keeper.begin() as c:
        found = await incidents.listed(c, only_open=True, after=None, limit=10)
    return [(each.part, each.about) for each in found]


async def test_a_host_that_nobody_entered_is_blocked_and_one_incident(database: Databases, vault: Vault) -> None:
    async with Broker(database.app, vault).client("sign-in") as http:
        for _ in range(2):
            with pytest.raises(Blocked):
                await http.get("https://unknown.invalid/")
    assert await open_incidents(database) == [("sign-in", "unknown.invalid")]


async def test_a_redirection_to_a_host_that_nobody_entered_is_blocked_too(
    database: Databases, vault: Vault, elsewhere: str
) -> None:
    async with Broker(database.app, vault).client("sign-in", follow_redirects=True) as http:
        with pytest.raises(Blocked):
            await http.get(elsewhere)
    assert await open_incidents(database) == [("sign-in", "thief.invalid")]


async def test_what_is_entered_is_let_through_and_observed_until_it_ends(database: Databases, vault: Vault) -> None:
    assert await enter(database, vault) is None
    out = Broker(database.app, vault)
    assert await out.is_open("mail", "relay.invalid")
    async with database.keeper.begin() as c:
        found = await ropa.records(c, vault)
        assert [(each["part"], each["host"], each["entry"]) for each in found["observed"]] == [
            ("mail", "relay.invalid", "relay")
        ]
        assert found["drift"] == []
        await book.end(c, vault, COMMAND, "terminal", "relay")
        assert (await ropa.records(c, vault))["drift"] == ["mail: relay.invalid"]
    assert not await Broker(database.app, vault).is_open("mail", "relay.invalid")
    assert await open_incidents(database) == [("mail", "relay.invalid")]


async def test_a_refusal_stays_on_record_and_a_name_is_given_once(database: Databases, vault: Vault) -> None:
    assert await enter(database, vault, basis="sale", fields={"account": ("email",)}) == "basis"
    assert await enter(database, vault) is None
    assert await enter(database, vault) == "name_taken"
    async with database.keeper.begin() as c:
        assert [kept.refusal for kept in await book.listed(c)] == ["name_taken", None, "basis"]
        acts = (await c.exec_driver_sql("SELECT act FROM audit ORDER BY id")).scalars().all()
        assert acts == ["refuse register entry", "make register entry", "refuse register entry"]
        with pytest.raises(EntryRefused):
            await book.find(c, "nobody")


async def test_nobody_approves_what_they_made_and_twice_is_once(database: Databases, vault: Vault) -> None:
    await enter(database, vault)
    async with database.keeper.begin() as c:
        with pytest.raises(EntryRefused):
            await book.approve(c, vault, COMMAND, "terminal", "relay")
        for _ in range(2):
            kept = await book.approve(c, vault, COMMAND, "staff:one", "relay")
        assert kept.approved == {"staff:one"}


@pytest.mark.parametrize(
    ("host", "here"),
    [
        *(
            ("127.0.0.1", True),
            ("[::1]", True),
            ("::1", True),
            ("localhost", True),
            ("/run/postgresql", True),
        ),
        *(
            ("", False),
            ("10.0.0.1", False),
            ("localhost.example.org", False),
            ("127.0.0.1.example.org", False),
            ("relay", False),
        ),
    ],
)
def test_only_this_machine_needs_no_entry(host: str, here: bool) -> None:
    assert broker.is_here(host) is here


MODULES = (
    *(
        "aiohttp",
        "aiosmtplib",
        "ftplib",
        "grpc",
        "http.client",
        "imaplib",
        "poplib",
        "requests",
        "smtplib",
        "telnetlib",
    ),
    *("urllib.request", "urllib3", "websockets", "xmlrpc.client"),
)
"""Whoever imports one of them speaks with somebody."""
NAMES = {
    *(
        f"httpx.{name}"
        for name in ("AsyncClient", "Client", "AsyncHTTPTransport", "HTTPTransport", "stream", "request")
    ),
    *(f"httpx.{name}" for name in ("get", "post", "put", "patch", "delete", "head", "options")),
    *("asyncpg.connect", "asyncpg.create_pool", "socket.socket"),
}
METHODS = {
    *("create_connection", "create_datagram_endpoint", "create_unix_connection", "open_connection"),
    *("open_unix_connection", "sock_connect", "urlopen"),
}
"""The same of a loop or a socket, whatever the variable is called."""


def ways_out(source: str) -> set[str]:
    """What in a file connects with anybody: an import, or something that is called, handed on or inherited from."""
    tree = ast.parse(source)
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {each.asname or each.name: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            known |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    found = {name for name in known.values() if any(name == each or name.startswith(f"{each}.") for each in MODULES)}
    for node in ast.walk(tree):
        used: list[ast.expr] = []
        if isinstance(node, ast.Call):
            used = [node.func, *node.args, *(each.value for each in node.keywords)]
        elif isinstance(node, ast.ClassDef):
            used = node.bases
        for each in used:
            first, *rest = ast.unparse(each).split(".")
            name = ".".join((known.get(first, first), *rest))
            if name in NAMES or name.rpartition(".")[2] in METHODS:
                found.add(name)
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import httpx\nhttpx.AsyncClient()",
        "import httpx as h\nh.Client()",
        "from httpx import AsyncClient\nAsyncClient()",
        "from httpx import AsyncClient as Made\nmake = partial(Made, timeout=1)",
        "import httpx\nclass Mine(httpx.AsyncHTTPTransport): ...",
        "import httpx\nhttpx.get('https://a.example')",
        "from urllib.request import urlopen\nurlopen('https://a.example')",
        "from urllib import request",
        "import urllib.request",
        "import http.client",
        "import asyncio\nasyncio.open_connection('a.example', 1)",
        "from asyncio import open_connection as dial\ndial('a.example', 1)",
        "import socket\nsocket.create_connection(('a.example', 1))",
        "from socket import socket\nsocket()",
        "asyncio.get_running_loop().create_connection(Made, 'a.example', 1)",
        "import aiosmtplib\naiosmtplib.send(told)",
        "from aiosmtplib import send",
        "import asyncpg\nasyncpg.connect()",
    ],
)
def test_no_way_of_connecting_is_overlooked(source: str) -> None:
    assert ways_out(source)


def test_no_other_file_makes_a_client_of_its_own() -> None:
    """A new one belongs behind `Broker.client`; what may speak for itself has a reason in `MAY_CONNECT`."""
    root = Path(avow.__file__).parent
    found = {str(path.relative_to(root)): ways_out(path.read_text()) for path in root.rglob("*.py")}
    assert {path for path, ways in found.items() if ways} == set(MAY_CONNECT)


async def test_a_text_that_is_too_long_is_refused_as_that_and_stays_on_record_where_a_row_can_hold_it(
    database: Databases, vault: Vault
) -> None:
    async with database.keeper.begin() as c:
        said = Entry(**OWN), Whose(), "r" * (book.REASON_CHARS_MAX + 1)
        assert await book.propose(c, vault, COMMAND, "terminal", *said) == "text"
        assert [(kept.entry.name, kept.refusal) for kept in await book.listed(c)] == [("relay", "text")]
        for wrong in ({"recipient": "r" * (book.TEXT_CHARS_MAX + 1)}, {"name": ""}):
            with pytest.raises(EntryRefused) as refused:
                await book.propose(c, vault, COMMAND, "terminal", Entry(**{**OWN, **wrong}), Whose())
            assert refused.value.why == "text"
        assert len(await book.listed(c)) == 1


async def test_more_facts_than_go_at_once_are_refused_as_that(
    database: Databases, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def facts(*_: object) -> AsyncIterator[dict[str, Any]]:
        for number in range(3):
            yield {"number": number}

    monkeypatch.setattr(disclosures, "_facts", facts)
    office = Office(cast(Any, SimpleNamespace(database=database.keeper)), vault)
    await enter(database, vault)
    assert len((await disclosures.export(office, "relay", "terminal"))["facts"]) == 3
    monkeypatch.setattr(disclosures, "FACTS_MAX", 2)
    with pytest.raises(EntryRefused) as refused:
        await disclosures.export(office, "relay", "terminal")
    assert refused.value.why == "too_much"
    assert await open_incidents(database) == [("disclosure", "relay")]
    async with database.keeper.begin() as c:
        assert (await book.find(c, "relay")).sent == 1


@pytest.mark.parametrize(
    ("category", "days", "goes"),
    [("account", 0, True), ("account", -1, False), ("account", 2, False), ("account", 1, True), ("usage", 0, False)],
)
def test_of_each_category_goes_what_began_within_the_time_of_the_scope(category: str, days: int, goes: bool) -> None:
    begins = datetime(2026, 3, 1, tzinfo=UTC)
    entry = Entry(**{**OWN, "scope": Scope(begins, begins + timedelta(days=2)), "fields": {"account": ("email",)}})
    fact = SimpleNamespace(category=category, since=begins + timedelta(days=days))
    assert disclosures._is_within(entry, cast(Any, fact)) == goes
