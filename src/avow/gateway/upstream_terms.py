"""What of an upstream may be another, and what is looked at before it is.

A change names what is to be another, and is made to the revision that was looked at: who changes what somebody else has changed
meanwhile is told so. A credential goes in and never comes out, so it does not follow to an address where somebody else could
read it. How a party handles data is declared as it is: what would take an upstream's right to see content is refused while
requests go there, for the policy says in public that those who see content are bound.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.errors import AvowError, BadInput, NotFound
from avow.gateway import tables
from avow.gateway.client import Target
from avow.gateway.handling import Handling, admit, is_here
from avow.gateway.upstreams import KINDS, Leaving
from avow.registers import documents
from avow.vault import Vault

HOURS_MAX = 2**31 - 1
State = Literal["active", "draining"]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

_URL = re.compile(r"[!\"$-~]{1,2000}")
"""Printable, without spaces, and without a fragment, which would swallow the path that is put behind."""
_CREDENTIAL = re.compile(r"[!-~]{1,8000}")
_CHANGE = text("""
    SELECT upstream_change(:id, :revision, :kind, :base_url, :credential, :processor, :region, :trains, :retention_h, :contract,
                           :evidence_until, :leaving, :state)
""")


class UpstreamMoved(AvowError):
    """Somebody else changed this upstream meanwhile."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "upstream_moved"
    hint = "Nothing was changed. Look at what it is now, and make your change to that."


class UpstreamIsEngine(AvowError):
    """An engine of this house is no provider: there is nothing of it to change."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "upstream_is_engine"
    hint = "Nothing was changed. The settings say which engine runs; avow upstream drain sends it nothing new."


class CredentialStays(AvowError):
    """The address is another server's, and the key of this upstream was given for the one before."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "credential_stays"
    hint = (
        "Nothing was changed. Give a key with the address, or take it away: none is sent where it was not meant to go."
    )


class PartyUnsaid(AvowError):
    """The new address is outside this house, and nothing says which party is there."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "party_unsaid"
    hint = "Nothing was changed. Say the party's name in the policy (--processor), or that it is a machine of your own (--own)."


class HandlingBelowPolicy(AvowError):
    """This upstream gets requests, and would not be as the policy says in public."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "handling_below_policy"
    hint = "Nothing was changed. If that is how it is, drain the upstream first, or change the policy."

    def __init__(self, reason: str) -> None:
        super().__init__(f"This upstream gets requests, and would not be as the policy says in public: {reason}.")
        self.reason = reason

    def problem(self) -> dict[str, Any]:
        """With the `reason` alone, for who says the rest in another language."""
        return {**super().problem(), "reason": self.reason}


class Change(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, kw_only=True):
    """What of an upstream is to be another; what is left out stays. `credential` is never given back; null takes it away.
    `processor` null: a machine of the operator's own. From `region` to `evidence_until` null: not known."""

    kind: str | UnsetType = UNSET
    base_url: str | UnsetType = UNSET
    credential: str | UnsetType | None = UNSET
    processor: Word | UnsetType | None = UNSET
    region: Word | UnsetType | None = UNSET
    trains: bool | UnsetType | None = UNSET
    retention_h: Annotated[int, msgspec.Meta(ge=0, le=HOURS_MAX)] | UnsetType | None = UNSET
    contract: Word | UnsetType | None = UNSET
    evidence_until: Annotated[datetime, msgspec.Meta(tz=True)] | UnsetType | None = UNSET
    leaving: Leaving | UnsetType = UNSET
    state: State | UnsetType = UNSET

    def __repr__(self) -> str:
        """The names of what is to be another, for among it may be a credential."""
        return f"Change({', '.join(self.given())})"

    def given(self) -> dict[str, Any]:
        """What is named, by its name."""
        named = ((name, getattr(self, name)) for name in Change.__struct_fields__)
        return {name: value for name, value in named if value is not UNSET}


class Changed(NamedTuple):
    """What was another before and is now, for the record: of a credential only what was done to it. `forbidden`: why the
    upstream may not see content now; empty: it may."""

    before: dict[str, Any]
    after: dict[str, Any]
    forbidden: str


async def change(
    connection: AsyncConnection, vault: Vault, name: str, wanted: Change, now: datetime, revision: int | None = None
) -> Changed:
    """Change an upstream, made from what it was at `revision` (None: as it is now), as the product's role or the keeper.

    Every worker has it before its next request. Raises NotFound, UpstreamMoved, UpstreamIsEngine, BadInput as `check`,
    CredentialStays, PartyUnsaid, HandlingBelowPolicy."""
    row = (await connection.execute(select(tables.upstream).where(tables.upstream.c.name == name))).one_or_none()
    if row is None:
        raise NotFound(f"There is no upstream {name!r}.", hint="avow upstream list shows those that are there.")
    if row.kind == "engine":
        raise UpstreamIsEngine
    if revision is not None and row.revision != revision:
        raise UpstreamMoved
    given = wanted.given()
    new = {**row._mapping, **given}
    check(new["kind"], new["base_url"], given.get("credential"), new["retention_h"])
    _check_address(row, given)
    forbidden = await _check_handling(connection, vault, row, new, now)
    if given.get("credential") is not None:
        seal = vault.seal_credential
        new["credential"] = await asyncio.to_thread(seal, tables.upstream.name, row.id, given["credential"])
    if not await connection.scalar(_CHANGE, new):
        raise UpstreamMoved
    before, after = ({each: _told(each, of[each]) for each in given} for of in (row._mapping, new))
    return Changed(before, after, forbidden)


def check(kind: str, base_url: str, credential: str | None, retention_h: int | None) -> None:
    """Raises BadInput for a kind not known, a URL that is none, and a credential or hours that cannot be any."""
    if kind not in KINDS:
        raise BadInput(f"There is no kind {kind!r}.", hint=f"Kinds are {', '.join(KINDS)}.", param="kind")
    if not _URL.fullmatch(base_url):
        raise BadInput("A URL is written without spaces, # and letters beyond ASCII.", param="base_url")
    try:
        Target(base_url, {})
    except ValueError as wrong:
        raise BadInput(f"{wrong}.".capitalize(), param="base_url") from None
    if credential is not None and not _CREDENTIAL.fullmatch(credential):
        raise BadInput("An API key is one word of printable ASCII, 8,000 characters at most.", param="credential")
    if retention_h is not None and not 0 <= retention_h <= HOURS_MAX:
        raise BadInput("Hours are zero or more.", param="retention_h")


def _check_address(row: Row[Any], given: dict[str, Any]) -> None:
    """A new address takes the key along only to the same server, and says whose it is once it leaves the house."""
    url = given.get("base_url", row.base_url)
    if row.credential is not None and "credential" not in given and _origin(url) != _origin(row.base_url):
        raise CredentialStays(param="credential")
    if row.processor is None and "processor" not in given and is_here(row.base_url) and not is_here(url):
        raise PartyUnsaid(param="processor")


async def _check_handling(c: AsyncConnection, vault: Vault, row: Row[Any], new: dict[str, Any], now: datetime) -> str:
    """Whether the upstream may see content as it is to be: nothing, or why not, where it need not."""
    held = await documents.valid(c, now)

    def admission(of: Any) -> str:
        told = Handling(*(of[each] for each in Handling.__slots__))
        found = admit(vault.policy, told, held, urlsplit(of["base_url"]).hostname or "", now)
        return "" if found.holds(now) else found.reason

    forbidden = admission(new)
    is_other = new["processor"] != row.processor
    if forbidden and (is_other or (new["state"] == "active" and not admission(row._mapping))):
        raise HandlingBelowPolicy(forbidden)
    return forbidden


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _told(name: str, value: Any) -> Any:
    """A value as it stands on the record."""
    return "sealed" if name == "credential" and value is not None else value
