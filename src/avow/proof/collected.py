"""Probes of what is stored by itself: the fields that a canary's visit and calls leave in the tables, and the log files."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import Table, select
from sqlalchemy.engine import Row

from avow.base import log
from avow.catalog import facts
from avow.catalog.words import Personal
from avow.policy import Policy
from avow.proof import remains
from avow.proof.evidence import Finding
from avow.vault import Gone, Ref, box

if TYPE_CHECKING:
    from avow.proof.probes import Customer, Ground

ROWS_MAX = 50
CONTENT = frozenset({"api_content", "cache"})
"""What holds what was asked and answered, where the policy keeps it."""
KEPT_MAX = timedelta(days=30)
LOG_BYTES_MAX = 64 << 20
NAMES_SOMEBODY = re.compile(
    r"(?i)(?<![0-9a-z])[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}(?![0-9a-z])|[^\s@\"]@[^\s@\"]+\.[^\W\d_]"
)
"""An id, with dashes or without, or an address of mail."""
PERHAPS_ADDRESS = re.compile(r"(?i)(?<![\w:.])(?:[0-9a-f]*:[0-9a-f.:]+|\d{1,3}(?:\.\d{1,3}){3})(?!\w)")
"""What may be an address of a network, IPv6 or IPv4; times of the day are none."""
DATABASE_PREFIX = "postgres-"
OURS = frozenset({"upstream", "at"})
"""Names that the operator gave, and the time."""


async def collected(on: Ground) -> Finding:
    """Of a canary that reads pages and asks a model with a browser that tells much, nothing is stored but listed fields, sealed
    or readable, and no word of what the browser says stands in any file."""
    who, marker = await on.canaries.customer(), f"collected{secrets.token_hex(12)}"
    await _visit_and_call(on, who, marker)
    seen, wrong = set[str](), set[str]()
    for table, held in facts():
        async with on.keeper.begin() as c:
            mine = select(table).where(table.c.tenant_id == who.tenant_id)
            rows = (await c.execute(mine.order_by(table.c.since.desc()).limit(ROWS_MAX))).all()
        for row in rows:
            told = _told(on, table, held, row)
            seen |= {f"{held.category}.{name}" for name in told}
            wrong |= {f"{held.category}.{name}" for name in told.keys() - _listed(on.policy, held.category)}
            if held.category not in CONTENT and marker in str(told):
                wrong.add(f"a word of the browser in {held.category}")
    if "usage.model" not in seen:
        return Finding("failed", "the control, the record of a call, was not found")
    if wrong:
        return Finding("failed", f"stored and not listed: {', '.join(sorted(wrong)[:5])}")
    files = await remains.nowhere(on, marker)
    return files if files.verdict != "proved" else Finding("proved", f"{len(seen)} fields, all listed; {files.figure}")


async def logs(on: Ground) -> Finding:
    """Each line of our log files is one of the listed fields, without an id or an address; no line of the database's has an
    address of a network; no file is older than 30 days."""
    lines, wrong, whole = await asyncio.to_thread(_read, on.home / "log", datetime.now(UTC))
    if wrong:
        return Finding("failed", f"{'; '.join(sorted(wrong)[:3])}")
    read = "" if whole else f" (the newest {LOG_BYTES_MAX >> 20} MB; there are more)"
    return Finding("proved", f"{lines} lines{read}, none older than {KEPT_MAX.days} days")


async def _visit_and_call(on: Ground, who: Customer, marker: str) -> None:
    browser = {
        "user-agent": f"Mozilla/5.0 (X11; Linux x86_64; {marker}) Gecko/20100101 Firefox/128.0",
        "accept-language": f"de-CH,{marker};q=0.9",
        "referer": f"https://example.org/{marker}",
        "x-forwarded-for": marker,
        "sec-fetch-site": "same-origin",
    }
    body = {"model": who.model, "messages": [{"role": "user", "content": "A probe asks."}], "max_tokens": 1}
    async with on.http() as http:
        http.headers.update(browser)
        entered = await http.post("/api/auth/login", json={"email": who.email, "password": who.password})
        entered.raise_for_status()
        await http.get("/privacy", params={"q": marker})
        for model in (who.model, marker):
            bearer = {"authorization": f"Bearer {who.key}"}
            asked = {**body, "model": model}
            answer = await http.post("/v1/chat/completions", params={"q": marker}, json=asked, headers=bearer)
            if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                answer.raise_for_status()


def _told(on: Ground, table: Table, held: Personal, row: Row[Any]) -> Mapping[str, Any]:
    """What one row says of its person, box and all; nothing of a box whose key is gone."""
    values = row._mapping
    told = {name: values[name] for name in held.clear if values[name] is not None}
    sealed = values[held.column] if held.box else None
    if sealed is None:
        return told
    ref = Ref(values["tenant_id"], table.name, held.category, values["id"], values["subject_id"])
    opened = box.unseal(on.ring.key(ref.subject_id, ref.category, box.slot(sealed)), ref, sealed)
    return told if opened is Gone else told | box.unpack(opened)


def _listed(policy: Policy, category: str) -> frozenset[str]:
    rule = policy.categories[category]
    return frozenset() if rule.keep.kind == "never" else frozenset(rule.fields).difference(rule.without)


def _read(folder: Path, now: datetime) -> tuple[int, set[str], bool]:
    """How many lines were read, the newest files first, what is wrong with any, without repeating it, and whether all were."""
    wrong, found = set[str](), sorted(folder.glob("*"), key=lambda each: each.name, reverse=True)
    begun = {path: at for path in found if (at := log.begun(path)) is not None}
    wrong |= {f"{path.name} is older than {KEPT_MAX.days} days" for path, at in begun.items() if at < now - KEPT_MAX}
    count, whole = 0, True
    for prefix, look in ((log.FILE_PREFIX, _wrong), (DATABASE_PREFIX, _wrong_of_database)):
        left, newest = LOG_BYTES_MAX, True
        for path in (each for each in begun if each.name.startswith(prefix)):
            for line in _lines(path):
                if left <= 0:
                    whole = False
                    break
                count, left = count + 1, left - len(line)
                # A line without an end in the newest file is being written.
                if not newest or line.endswith("\n"):
                    wrong |= {f"{path.name}: {each}" for each in look(line)}
            newest = False
    return count, wrong, whole


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(errors="replace") as file:
            yield from file
    except FileNotFoundError:
        return  # it came to its end while we looked


def _wrong(line: str) -> Iterator[str]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        yield "a line that is no JSON object"
        return
    for name, value in fields.items():
        if name not in log.FIELDS:
            yield "a field that is not listed"
        elif name not in OURS and (NAMES_SOMEBODY.search(str(value)) or any(_addresses(str(value)))):
            yield f"an id or an address in {name}"


def _wrong_of_database(line: str) -> Iterator[str]:
    """Of the database's own words only addresses of networks can be told apart; the machine's own is none of a person."""
    if not all(address.is_loopback or address.is_unspecified for address in _addresses(line)):
        yield "an address"


def _addresses(text: str) -> Iterator[IPv4Address | IPv6Address]:
    for each in PERHAPS_ADDRESS.findall(text):
        with suppress(ValueError):
            yield ip_address(each.rstrip("."))
