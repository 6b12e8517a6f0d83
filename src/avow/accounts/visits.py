"""From where somebody signed in, or tried to: what the policy lists of it and nothing else, sealed, and shown to the person.

A policy that lists no technical data lets none be stored: then there is no row at all. Else, of those fields that it lists:

    ip        the address that the connection came from, as `server` tells it
    browser   the family, out of a list, and the major version of at most four digits; else "other"
    system    the name of the system, out of a list
    device    "computer" or "phone or tablet"
    language  the first language, two or three letters, and the two letters of its country
    referrer  the host of the page that referred, in the characters of a host name

All but the address are the browser's own words, which anybody can write: a referrer's host can be any word, and a language any
few letters. What has another form is not stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Table, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import people
from avow.accounts.needs import Needs
from avow.accounts.tables import visit
from avow.policy import Policy
from avow.vault import Buried, Gone, Ref, fact

CATEGORY, PART = "technical", "technical_log"

# The first that is found: browsers name those that they descend from too.
_ORDER = ("Edg", "OPR", "SamsungBrowser", "Firefox", "FxiOS", "CriOS", "Chrome", "Version")
_BROWSERS = re.compile(rf"({'|'.join(_ORDER)})[A-Za-z]{{0,3}}/([0-9]{{1,4}})\b")
_NAMES = {"Edg": "Edge", "OPR": "Opera", "SamsungBrowser": "Samsung Internet", "FxiOS": "Firefox", "CriOS": "Chrome"}
_SYSTEMS = ("Android", "iPhone", "iPad", "CrOS", "Windows", "Mac OS X", "Linux")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?![A-Za-z0-9])(?:-[A-Za-z]{2}(?![A-Za-z0-9]))?")
_HOST = re.compile(r"[a-z0-9._:\-]{1,253}")


class Visitor(NamedTuple):
    """Somebody at the door: the token of the session that the browser already has, its address, and what it says of itself.

    The address is compared in memory, and kept only where the policy lists it. Names of headers are in lower case.
    """

    old_token: str | None = None
    address: str | None = None
    headers: Mapping[str, str] = {}


def listed(policy: Policy) -> frozenset[str]:
    """The fields that may be stored of a visit."""
    category = policy.categories.get(CATEGORY)
    if category is None or PART not in policy.features or category.keep.kind == "never":
        return frozenset()
    return frozenset(category.fields).difference(category.without)


def seen(visitor: Visitor, fields: frozenset[str]) -> dict[str, str]:
    """What is stored of a visitor: of `fields` those that can be told."""
    agent, headers = visitor.headers.get("user-agent", ""), visitor.headers
    told = {
        "ip": _address(visitor.address),
        "browser": _browser(agent),
        "system": _system(agent),
        "device": _device(agent),
        "language": _language(headers.get("accept-language", "")),
        "referrer": _host(headers.get("referer", "")),
    }
    return {name: said for name, said in told.items() if said and name in fields}


async def note(needs: Needs, connection: AsyncConnection, of: Mapping[str, Any], visitor: Visitor) -> None:
    """Store from where the session or the attempt `of` came, in the transaction that writes it, for as long as the policy
    says."""
    await keep(needs, connection, of, visit, CATEGORY, seen(visitor, listed(needs.policy)))


async def keep(
    needs: Needs,
    connection: AsyncConnection,
    of: Mapping[str, Any],
    into: Table,
    category: str,
    told: Mapping[str, Any],
) -> None:
    """Store what is `told` beside the row `of`, under its id, whose and when; nothing where that is nothing, or its person is
    erased."""
    if not told:
        return
    row = fact.begin(needs.policy, category, of["tenant_id"], of["subject_id"], of["since"]) | {"id": of["id"]}
    try:
        await needs.vault.prepare(row["subject_id"], category, row["ends_at"])
    except Buried:
        return
    ref = Ref(row["tenant_id"], into.name, category, row["id"], row["subject_id"])
    row["box"] = needs.vault.seal(ref, told, row["ends_at"])
    await connection.execute(into.insert().values(row))


async def opened(
    needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, session_ids: Sequence[UUID]
) -> dict[UUID, dict[str, Any]]:
    """From where a person's sessions or attempts came, for that person; those of which nothing was stored are left out."""
    alive = (visit.c.id.in_(session_ids), or_(visit.c.ends_at.is_(None), visit.c.ends_at > needs.clock.now()))
    rows = (await connection.execute(select(visit.c.id, visit.c.box).where(*alive))).all()
    if not rows:
        return {}
    boxes = [(_ref(tenant_id, subject_id, row.id), row.box) for row in rows]
    found = await needs.vault.open_many(connection, boxes, "access", people.actor(tenant_id, subject_id))
    return {row.id: each for row, each in zip(rows, found, strict=True) if each is not Gone}


def _ref(tenant_id: UUID, subject_id: UUID, row_id: UUID) -> Ref:
    return Ref(tenant_id, visit.name, CATEGORY, row_id, subject_id)


def _address(address: str | None) -> str:
    try:
        return str(ip_address(address or ""))
    except ValueError:  # a socket in a folder has none
        return ""


def _browser(agent: str) -> str:
    found = {match[1]: match[2] for match in _BROWSERS.finditer(agent[:1000])}
    name = next((each for each in _ORDER if each in found), None)
    if name is None:
        return "other" if agent else ""
    return f"{'Safari' if name == 'Version' else _NAMES.get(name, name)} {found[name]}"


def _system(agent: str) -> str:
    found = next((each for each in _SYSTEMS if each in agent[:1000]), "")
    return {"iPhone": "iOS", "iPad": "iPadOS", "CrOS": "ChromeOS", "Mac OS X": "macOS"}.get(found, found)


def _device(agent: str) -> str:
    if not agent:
        return ""
    return (
        "phone or tablet"
        if any(each in agent[:1000] for each in ("Android", "iPhone", "iPad", "Mobile"))
        else "computer"
    )


def _language(said: str) -> str:
    found = _LANGUAGE.match(said)
    return found[0] if found else ""


def _host(referrer: str) -> str:
    """Of a referrer only its host: the rest may say what somebody looked for."""
    try:
        host = urlsplit(referrer[:2000]).hostname or ""
    except ValueError:
        return ""
    return host if _HOST.fullmatch(host) else ""
