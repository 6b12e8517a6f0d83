"""What one call and one visit leave behind, read as whoever has the machine and its keys could read it.

Markers are planted wherever a caller or a browser says something. Afterwards every row that is new in any table, with its
boxes opened, and every new line of the log is held against the fields that the policy lists; then all files are searched.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from avow import catalog
from avow.base import log
from avow.catalog.words import FACT_COLUMNS, Personal, declaration
from avow.gateway.scripted import Script
from avow.policy import Policy
from avow.vault import Ref, Ring, box
from tests.platform import MODEL, Platform, wait_until
from tests.upstream import DEAD_MODEL, Upstream

CONTENT = frozenset({("api_content", "request"), ("api_content", "response"), ("cache", "response")})
"""Where what was asked and answered may stand, sealed."""
TABLES = """
    SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1, 2
"""
NEW = 'SELECT * FROM "{schema}"."{name}" WHERE xmin::text::bigint >= $1'


@dataclass
class Caller:
    """Somebody with a browser that tells everything, and with much to say."""

    planted: dict[str, str] = field(default_factory=dict)

    def mark(self, place: str) -> str:
        self.planted[place] = f"mark{secrets.token_hex(10)}"
        return self.planted[place]

    def headers(self) -> dict[str, str]:
        """What the browser says of itself and of where it comes from."""
        return {
            "user-agent": f"Mozilla/5.0 (X11; Linux x86_64; {self.mark('user agent')}) Gecko/20100101 Firefox/128.0",
            "referer": f"https://{self.mark('referring host')}.example.org/{self.mark('referring page')}",
            "accept-language": f"de-CH,{self.mark('language')};q=0.9",
            "x-forwarded-for": f"203.0.113.77, {self.mark('forwarded for')}",
            "x-real-ip": self.mark("real ip"),
            "forwarded": f"for={self.mark('forwarded')};host={self.mark('forwarded host')}",
            "x-request-id": self.mark("request id"),
            "sec-ch-ua-model": self.mark("device model"),
        }

    def visit(self, http: httpx.Client) -> None:
        """Read pages, and ask for some that are not there."""
        for path, status in (("/privacy", 200), ("/proof", 200), (f"/{self.mark('page')}", 404)):
            assert http.get(path, params={"q": self.mark(f"query of {path[:8]}")}).status_code == status
        assert http.get(f"/api/{self.mark('route')}", params={"q": self.mark("query of a route")}).status_code == 404
        broken = http.post("/api/auth/login", content=f'{{"email": "{self.mark("broken body")}')
        assert broken.status_code == 400
        wrong = {"email": f"{self.mark('strange address')}@example.org", "password": self.mark("wrong password")}
        assert http.post("/api/auth/login", json=wrong).status_code == 401

    def call(self, http: httpx.Client, secret: str, upstream: Upstream | None = None) -> None:
        """Ask a model, once with success and then in ways that fail; `upstream` refuses as well, quoting what was asked."""
        more = {"user": self.mark("user"), "metadata": {"about": self.mark("metadata")}, "max_tokens": 1}
        for model, status in (
            (MODEL, 200),
            (self.mark("model"), 404),
            *(((DEAD_MODEL, 502), (MODEL, 400)) if upstream else ()),
        ):
            if upstream:
                fault = Script(status=400, error_text=self.mark("error")) if status == 400 else Script()
                upstream.answer(fault)
            said = [{"role": "user", "content": self.mark(f"prompt {model} {status}")}]
            answer = http.post(
                "/v1/chat/completions",
                params={"q": self.mark(f"query of a call {status}")},
                json={"model": model, "messages": said, **more},
                headers={"authorization": f"Bearer {secret}"},
            )
            assert answer.status_code == status, answer.text
        if upstream:
            upstream.answer(Script())
        refused = http.post("/v1/chat/completions", json=more, headers={"authorization": f"Bearer {self.mark('key')}"})
        assert refused.status_code == 401


class Look:
    """Begins before something is done; `wrong()` says what of it was stored that is not listed."""

    def __init__(self, platform: Platform, policy: Policy) -> None:
        self.platform, self.policy = platform, policy
        self._from = int(platform.sql("SELECT pg_current_xact_id()::text AS id")[0]["id"]) % 2**32
        self._lines = sum(1 for _ in self._log())
        self.seen: set[tuple[str, str]] = set()
        """Category and field of everything that was found stored."""

    def wrong(self, caller: Caller, own_ids: frozenset[str]) -> list[str]:
        """Stored fields that are not listed, markers that stand where they may not, and ids of the caller in the log."""
        words = caller.planted.values()
        found = []
        with self.platform.ring() as ring:
            for name, row in self._rows():
                if any(word in str(dict(row)) for word in words):
                    found.append(f"{name}: a marker stands in clear")
                found += self._row(name, row, ring, caller)
        for line in list(self._log())[self._lines :]:
            found += [f"log: {name}" for name in json.loads(line).keys() - log.FIELDS]
            found += [f"log: {line}" for word in (*words, *own_ids) if word in line]
        stands = self.platform.scan([*words, "203.0.113.77"])
        return found + [f"{places}: a marker stands in clear" for places in stands.values()]

    def _rows(self) -> Iterator[tuple[str, Any]]:
        for table in self.platform.sql(TABLES):
            for row in self.platform.sql(NEW.format(**table), self._from):
                yield table["name"], row

    def _row(self, name: str, row: Any, ring: Ring, caller: Caller) -> Iterator[str]:
        table = catalog.metadata.tables.get(name)
        if table is None:
            return
        for held in declaration(table).holds:
            if not isinstance(held, Personal):
                continue
            told = {column: row[column] for column in held.clear if row[column] is not None}
            if held.box and row[held.column] is not None:
                told |= self._opened(name, held, row, ring)
            for each, value in told.items():
                self.seen.add((held.category, each))
                if each not in self._listed(held.category):
                    yield f"{name}: {held.category}.{each} is stored and not listed"
                yield from self._misplaced(name, held.category, each, value, caller)

    def _listed(self, category: str) -> frozenset[str]:
        rule = self.policy.categories[category]
        nothing = rule.keep.kind == "never"
        return frozenset() if nothing else frozenset(rule.fields).difference(rule.without) - frozenset(FACT_COLUMNS)

    def _misplaced(self, name: str, category: str, each: str, value: Any, caller: Caller) -> Iterator[str]:
        for place, word in caller.planted.items():
            allowed = (category, each) in CONTENT or (place, each) == ("referring host", "referrer")
            if word in str(value) and not allowed:
                yield f"{name}: {category}.{each} holds what was said as {place}"

    def _opened(self, name: str, held: Personal, row: Any, ring: Ring) -> Mapping[str, Any]:
        sealed = row[held.column]
        ref = Ref(row["tenant_id"], name, held.category, row["id"], row["subject_id"])
        opened = box.unseal(ring.key(ref.subject_id, ref.category, box.slot(sealed)), ref, sealed)
        assert isinstance(opened, bytes), f"{name}: a new box cannot be opened"
        told: dict[str, Any] = box.unpack(opened)
        return told

    def _log(self) -> Iterator[str]:
        for path in sorted((self.platform.home / "log").glob(f"{log.FILE_PREFIX}*")):
            yield from path.read_text().splitlines()


def check_collected(
    platform: Platform, policy: Policy, given: Mapping[str, Any], upstream: Upstream | None = None
) -> Look:
    """One visit with a sign-up, and one call, under `policy`; nothing is stored of them but what it lists."""
    caller, look = Caller(), Look(platform, policy)
    with platform.http(headers=caller.headers(), cookies={"theme": caller.mark("cookie")}) as http:
        caller.visit(http)
        assert http.post("/api/auth/signup", json=dict(given)).status_code == 202
        me = platform.sign_in(http, given["email"], given["password"])
        key = platform.key(http)
        caller.call(http, key["secret"], upstream)
        wait_until(lambda: http.get("/api/wallet").json()["held"] == "0.000000000")
        calls = [each["id"] for each in http.get("/api/requests").json()["requests"]]
    ids = frozenset({me["id"], me["tenant_id"], key["id"], key["prefix"], *calls})
    assert len(calls) >= (3 if upstream else 1)
    assert look.wrong(caller, ids) == []
    assert {category for category, _ in look.seen} >= {"account", "credential", "usage", "payment"}
    return look
