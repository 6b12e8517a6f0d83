"""The broker: the one way out. What is not this machine, and stands in no entry of the register, is not connected to.

Every client that speaks with the outside asks here first, redirections included; the gateway's own client asks the same rules
once for each upstream (`upstream_refusal`). A host that nobody entered is blocked, and an incident.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import tls
from avow.base.actor import PLATFORM
from avow.base.db import Database
from avow.base.errors import AvowError
from avow.policy import Policy
from avow.registers import book, disclosures, entries, incidents
from avow.registers.disclosures import Office
from avow.registers.entries import Entry, Known
from avow.registers.tables import egress_flow
from avow.vault import Vault

ANSWER_S_MAX = 30.0
KNOWN_FOR = timedelta(seconds=10)
"""How long an answer of the register is taken again before it is asked anew."""
NOTED_EACH = timedelta(minutes=1)
HOSTS_MAX = 1000
_FLOW = text("SELECT flow_note(:part, :host, :entry, :at)")


class Blocked(AvowError):
    """No entry of the register lets data go there."""

    status = 502
    code = "egress_blocked"
    hint = "The operator enters the recipient (avow register add); the incident stands at the desk until it is closed."


class SendFailed(AvowError):
    """The recipient did not take it."""

    status = 502
    code = "send_failed"
    hint = "Nothing says that it arrived: ask the recipient, then send it again."


@dataclass
class Broker:
    """Asks the register for one process; `database` speaks as role `avow_app` or `avow_keeper`."""

    database: Database
    vault: Vault
    _known: dict[tuple[str, str], tuple[datetime, str | None]] = field(default_factory=dict, repr=False)
    _noted: dict[tuple[str, str], datetime] = field(default_factory=dict, repr=False)

    async def admit(self, part: str, host: str) -> None:
        """Let `part` of the platform speak with a host. Raises Blocked, and notes the incident."""
        if is_here(host):
            return
        now = self.vault.clock.now()
        entry = await self._entry(part, host, now)
        if entry is None:
            async with self.database.tenant(PLATFORM) as c:
                await incidents.note(c, "egress", part, host, now)
            raise Blocked(f"No entry of the register lets data go to {host}.")
        if now - self._noted.get((part, host), now - NOTED_EACH) >= NOTED_EACH:
            async with self.database.tenant(PLATFORM) as c:
                await note_flow(c, part, host, entry, now)
            self._noted[part, host] = now

    async def is_open(self, part: str, host: str) -> bool:
        """The same as an answer."""
        try:
            await self.admit(part, host)
        except Blocked:
            return False
        return True

    def client(self, part: str, **options: Any) -> httpx.AsyncClient:
        """A client for a part of the platform: `options` are httpx's; proxies of the environment are not used."""
        return httpx.AsyncClient(transport=_Guarded(self, part), trust_env=False, **options)

    async def _entry(self, part: str, host: str, now: datetime) -> str | None:
        asked_at, found = self._known.get((part, host), (now - KNOWN_FOR, None))
        if now - asked_at >= KNOWN_FOR:
            async with self.database.tenant(PLATFORM) as c:
                found = await _holding(c, self.vault, host, now)
            if len(self._known) >= HOSTS_MAX:
                self._known.clear()
                self._noted.clear()
            self._known[part, host] = now, found
        return found


class _Guarded(httpx.AsyncBaseTransport):
    """Asks before each request, also one that follows a redirection."""

    def __init__(self, broker: Broker, part: str) -> None:
        self._broker, self._part = broker, part
        self._inner: dict[ssl.TLSVersion, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._broker.admit(self._part, request.url.host)
        least = tls.least(self._broker.vault.policy)
        if least not in self._inner:  # made on first use: reading the machine's certificates takes long
            context = httpx.create_ssl_context(trust_env=False)
            context.minimum_version = least
            self._inner[least] = httpx.AsyncHTTPTransport(verify=context, trust_env=False)
        return await self._inner[least].handle_async_request(request)

    async def aclose(self) -> None:
        for each in self._inner.values():
            await each.aclose()


def is_here(host: str) -> bool:
    """Whether a host is this machine: a folder of sockets, an address of the loopback, or localhost."""
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


async def send(at: Office, broker: Broker, name: str, url: str, by: str) -> int:
    """Disclose what an entry lets go by POST to its host, as JSON; gives how many facts.

    What goes is put on record before it leaves. Raises EntryRefused, Blocked for another host than the entry's, SendFailed.
    """
    kept = await disclosures.admitted(at, name)
    parts = urlsplit(url)
    if parts.hostname != kept.entry.host or not (parts.scheme == "https" or is_here(kept.entry.host)):
        now = at.vault.clock.now()
        async with at.privacy.database.begin() as c:
            await incidents.note(c, "egress", disclosures.PART, str(parts.hostname), now)
        raise Blocked(f"The entry {name} sends to https://{kept.entry.host or '(nowhere)'}, and nowhere else.")
    document = await disclosures.export(at, name, by)
    async with httpx.AsyncClient(timeout=ANSWER_S_MAX, trust_env=False) as http:
        try:
            headers = {"content-type": "application/json"}
            answer = await http.post(url, content=json.dumps(document, ensure_ascii=False).encode(), headers=headers)
        except httpx.HTTPError as wrong:
            raise SendFailed(f"The recipient could not be reached: {type(wrong).__name__}.") from None
    if not answer.is_success:
        raise SendFailed(f"The recipient answered with status {answer.status_code}.")
    return len(document["facts"])


def upstream_refusal(
    policy: Policy,
    documents: frozenset[str],
    now: datetime,
    category: str,
    *,
    processor: str | None,
    host: str,
    region: str | None,
    contract: str | None,
) -> str | None:
    """The rule of the register that an upstream of the gateway breaks; None: it may see `category`.

    One without a processor is a machine of the operator's own: elsewhere than here, it says in which country. A transfer
    abroad rests on any `[transfer.NAME]` of which the document is valid.
    """
    if processor is None and is_here(host):
        return None
    part = None if processor is None else policy.parts.get(f"processor.{processor}")
    fields = () if part is None else _promised(policy, part.values, category)
    entry = Entry(
        name=processor or host,
        to=processor or host,
        recipient=processor or host,
        basis=entries.OWN if processor is None else "provider",
        purpose="service",
        fields={} if processor is None else {category: fields},
        region=region or "",
        host=host,
        contract=contract or "",
        instrument=next((each.name for each in policy.named("transfer") if each.values["evidence"] in documents), ""),
    )
    if processor is None and region is None and "regions" not in policy.parts:
        return None
    return entries.judge(policy, entry, Known(now, documents=documents))


def _promised(policy: Policy, promised: Mapping[str, Any], category: str) -> tuple[str, ...]:
    rule = policy.categories.get(category)
    listed = tuple(promised.get("fields", ()))
    return () if rule is None else tuple(name for name in rule.fields if not listed or name in listed)


async def _holding(c: AsyncConnection, vault: Vault, host: str, now: datetime) -> str | None:
    """The name of an entry under which a host may be spoken with now."""
    for kept in await book.at_host(c, host):
        if await book.refusal_of(c, vault, kept, now) is None:
            return kept.entry.name
    return None


async def note_flow(c: AsyncConnection, part: str, host: str, entry: str, at: datetime) -> None:
    """Write down that a part speaks with a host under an entry."""
    await c.execute(_FLOW, {"part": part, "host": host, "entry": entry, "at": at})


async def flows(c: AsyncConnection) -> list[dict[str, Any]]:
    """What was observed, by part and host."""
    query = select(egress_flow).order_by(egress_flow.c.part, egress_flow.c.host).limit(HOSTS_MAX)
    return [dict(row) for row in (await c.execute(query)).mappings()]
