"""Seven years of one platform, lived in a minute: what was there, what ended, and what came back from a backup.

The clock is moved as only a test may: all processes of the platform share one file with an offset.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from avow.vault import Ref, box
from tests.platform import Platform, complete, policy_text, wait_until
from tests.upstream import scripted_platform

DAY = 86400.0
POLICY = policy_text(
    ('fields = ["email", "name"]', 'fields = ["email", "name", "company"]'),
    ('fields = ["email", "name", "email_index"', 'fields = ["email", "name", "company", "email_index"'),
    ('purposes = ["service", "history"]', 'purposes = ["abuse", "debugging"]'),
    ("ask = true\n", ""),
)
"""Account of name, e-mail and company; content kept at most 30 days without being asked for, for abuse and debugging."""
FACT_TABLES = """
SELECT table_name FROM information_schema.columns
WHERE table_schema = 'public' AND column_name = 'subject_id' ORDER BY 1
"""
HELD = {"charge", "ledger_txn", "rights_request", "wallet_hold"}
"""Tables whose facts an erasure leaves until their own end, because the law asks for them."""


@dataclass
class Person:
    """Somebody with kept content, and the words that only they know."""

    me: dict[str, Any]
    key: str
    words: list[str]
    request_id: str
    expires_at: datetime
    row: Any = None
    """Their trace as it lay in the database."""

    @property
    def id(self) -> UUID:
        return UUID(self.me["id"])

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}


@dataclass
class History:
    """What was seen, by the day on which it was seen."""

    platform: Platform
    stays: Person
    leaves: Person
    opted_out: Person
    receipt: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    def shown(self, person: Person) -> httpx.Response:
        """What the API shows of a person's kept request."""
        with self.platform.http() as http:
            return http.get(f"/api/requests/{person.request_id}", headers=person.bearer)

    def rows(self, person: Person) -> dict[str, int]:
        """How many facts of a person each table holds; tables without any are left out.

        What was judged by rules that had just changed is judged anew, and the first try stands there as void, free: not counted.
        """

        async def count(c: asyncpg.Connection[Any]) -> dict[str, int]:
            tables = [row[0] for row in await c.fetch(FACT_TABLES)]
            query = "SELECT count(*) FROM {} WHERE subject_id = $1 AND {}"
            real = {"charge": "amount > 0", "usage": "why <> 'void'"}
            return {table: await c.fetchval(query.format(table, real.get(table, True)), person.id) for table in tables}

        return {table: count for table, count in self.platform.with_connection(count).items() if count}

    def opened(self, person: Person) -> Any:
        """A person's box as it lay in the database, opened with today's keyring as a thief of both could."""
        ref = Ref(person.row["tenant_id"], "trace", "api_content", person.row["id"], person.id)
        return box.unseal(self.key(person), ref, person.row["box"])

    def key(self, person: Person) -> bytes | None:
        """The key of that box, while there is one."""
        with self.platform.ring() as ring:
            return ring.key(person.id, "api_content", box.slot(person.row["box"]))


def new_person(platform: Platform, name: str, **fields: Any) -> Person:
    """Sign up with all that the policy takes and send one completion."""
    words = [f"{name}{number}{time.monotonic_ns():x}" for number in range(4)]
    with platform.http() as http:
        me = platform.sign_up(http, email=f"{words[0]}@example.org", name=words[1], company=words[2])
        key = platform.key(http)["secret"]
        answer = complete(http, key, words[3], **fields)
        assert answer.status_code == 200, answer.text
    ends = answer.headers.get("avow-expires-at")
    expires_at = datetime.fromisoformat(ends) if ends else datetime.min.replace(tzinfo=UTC)
    person = Person(me, key, words, answer.headers["avow-request-id"], expires_at)
    found = platform.sql("SELECT * FROM trace WHERE id = $1", UUID(person.request_id))
    person.row = found[0] if found else None
    return person


def dumped(folder: Path) -> bytes:
    """All bytes of a backup, unpacked."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes() for path in files)


@contextmanager
def lived(folder: Path) -> Iterator[History]:
    """Live through it all; yields what was seen, with the platform still running in the year seven."""
    with scripted_platform(POLICY) as (platform, _):
        history = History(
            platform,
            new_person(platform, "stays"),
            new_person(platform, "leaves"),
            new_person(platform, "opted", headers={"avow-retention": "0"}),
        )
        first_days(history, folder / "backup")
        thirtieth_day(history)
        thirty_fourth_day(history, folder / "backup")
        seventh_year(history)
        yield history


def at_day(history: History, day: float) -> None:
    """Move the clock to so many days after the first completion."""
    wanted = history.stays.expires_at + timedelta(days=day - 30)
    now = datetime.now(UTC) + timedelta(seconds=float((history.platform.folder / "clock").read_text()))
    history.platform.move_clock((wanted - now).total_seconds())


def first_days(history: History, backup: Path) -> None:
    """Day 0: all is there and sealed. Day 5: a backup, then somebody is erased."""
    platform, seen = history.platform, history.seen
    words = [word for each in (history.stays, history.leaves, history.opted_out) for word in each.words]
    seen["clauses"] = {clause["id"]: clause for clause in _document(platform)["clauses"]}
    seen["day 0 shown"] = history.shown(history.stays).text
    seen["day 0 opened"] = history.opened(history.stays)
    seen["day 0 scan"] = platform.scan(words)
    seen["day 0 opted out"] = history.opted_out.row
    seen["day 0 key"] = history.key(history.stays)
    at_day(history, 5)
    platform.cli("sweep", "--confirm-clock")
    platform.cli("backup", str(backup))
    seen["backup"] = dumped(backup)
    seen["before erasure"] = history.rows(history.leaves)
    with platform.http() as http:
        platform.sign_in(http, history.leaves.me["email"], history.leaves.me["password"])
        history.receipt = platform.erase(http, history.leaves.me["password"])
        seen["erased: account"] = http.get("/api/me").status_code
        entered = {"email": history.leaves.me["email"], "password": history.leaves.me["password"]}
        seen["erased: sign-in"] = http.post("/api/auth/login", json=entered).status_code
        seen["erased: wallet"] = http.get("/api/wallet", headers=history.leaves.bearer).status_code
    seen["after erasure"] = history.rows(history.leaves)
    seen["after erasure opened"] = history.opened(history.leaves)
    seen["after erasure scan"] = platform.scan(words)


def thirtieth_day(history: History) -> None:
    """Content and access log end: shown until then, hidden at once, gone with the next sweep, keys two hours later."""
    platform, seen = history.platform, history.seen
    at_day(history, 30 - 1 / 24)
    platform.cli("sweep", "--confirm-clock")
    seen["before day 30 shown"] = history.shown(history.stays).text
    seen["before day 30 rows"] = history.rows(history.stays)
    at_day(history, 30 + 1 / 1440)
    seen["day 30 shown"] = history.shown(history.stays).status_code
    # The keeper sweeps when it starts and every ten minutes; nobody has to ask it.
    platform.stop()
    platform.start()
    with platform.http() as http:
        platform.sign_in(http, history.stays.me["email"], history.stays.me["password"])
        seen["keys"] = http.get("/api/keys").json()["keys"]
    wait_until(lambda: not {"trace", "usage"} & history.rows(history.stays).keys())
    seen["day 30 rows"] = history.rows(history.stays)
    seen["oldest usage"] = platform.sql("SELECT min(since) FROM usage")[0][0]
    at_day(history, 30 + 3 / 24)
    platform.cli("sweep", "--confirm-clock")
    seen["day 30 opened"] = history.opened(history.stays)
    seen["day 30 scan"] = platform.scan([*history.stays.words, *history.leaves.words])


def thirty_fourth_day(history: History, backup: Path) -> None:
    """The backup is 29 days old and comes back; on its thirty-first day it is no more."""
    platform, seen = history.platform, history.seen
    at_day(history, 34)
    platform.stop()
    platform.cli("restore", str(backup), "--replace")
    platform.start()
    seen["restored: leaver"] = history.rows(history.leaves)
    seen["restored: stayer's account"] = "person" in history.rows(history.stays)
    seen["restored: content"] = history.shown(history.stays).status_code
    seen["restored: opened"] = history.opened(history.stays)
    seen["restored: key"] = history.shown(history.leaves).status_code
    at_day(history, 36)
    platform.cli("sweep", "--confirm-clock")
    seen["day 36 backup"] = backup.exists()


def seventh_year(history: History) -> None:
    """Bookkeeping ends seven years after the payment, and the sums stay right."""
    platform, seen = history.platform, history.seen
    with platform.http() as http:
        assert complete(http, history.stays.key, "one more").is_success
    seen["balance before"] = platform.sql("SELECT id, posted FROM wallet ORDER BY id")
    at_day(history, 7 * 365)
    platform.cli("sweep", "--confirm-clock")
    seen["7 years less 2 days"] = _charges(history)
    at_day(history, 7 * 365 + 40)
    platform.cli("sweep", "--confirm-clock")
    seen["7 years"] = _charges(history)
    seen["balance after"] = platform.sql("SELECT id, posted FROM wallet ORDER BY id")
    seen["sums"] = platform.cli("verify", "sums", check=False)


def _charges(history: History) -> int:
    count: int = history.platform.sql("SELECT count(*) FROM charge WHERE amount > 0")[0][0]
    return count


def _document(platform: Platform) -> dict[str, Any]:
    with platform.http() as http:
        found: dict[str, Any] = json.loads(http.get("/.well-known/avow-policy.json").text)
        return found
