"""The one way out: what is entered may be spoken with, anything else is blocked before a byte leaves."""

from __future__ import annotations

import ast
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import avow
from avow.base.actor import COMMAND
from avow.base.clock import SystemClock
from avow.policy import parse
from avow.registers import book, broker, incidents, ropa
from avow.registers.book import Whose
from avow.registers.broker import Blocked, Broker
from avow.registers.entries import Entry, EntryRefused
from avow.vault import Ring, Vault
from tests.conftest import Databases
from tests.platform import policy_text

OWN: dict[str, Any] = {
    **{"name": "relay", "to": "relay", "recipient": "Relay", "basis": "own", "purpose": "service"},
    **{"fields": {}, "region": "DE", "host": "relay.invalid"},
}
MAY_CONNECT = {
    # Our own listener, as customers and probes see it.
    *("demo.py", "desk.py", "canary.py", "proof/probes.py"),
    # The broker itself, and the client that a test gives to the identity provider.
    *("registers/broker.py", "accounts/oidc.py"),
}


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
            ("", True),
        ),
        *(("10.0.0.1", False), ("localhost.example.org", False), ("127.0.0.1.example.org", False), ("relay", False)),
    ],
)
def test_only_this_machine_needs_no_entry(host: str, here: bool) -> None:
    assert broker.is_here(host) is here


def test_no_other_file_makes_a_client_of_its_own() -> None:
    """A new one belongs behind `Broker.client`."""
    root = Path(avow.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            if name in ("AsyncClient", "Client", "AsyncHTTPTransport", "urlopen") and "httpx" in path.read_text():
                found.add(str(path.relative_to(root)))
    assert found == MAY_CONNECT
