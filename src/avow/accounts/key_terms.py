"""What a key may be used for: scopes, models, and the networks that it may be used from.

Networks are written down by the key's owner and kept sealed; a request is compared with keyed digests of them, so that no
address stands readable in the database, and the address of a request is looked at in memory and goes nowhere.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from avow.accounts import fields
from avow.accounts.limits import Limits
from avow.base import cards
from avow.base.errors import AvowError, BadInput

Scope = Literal["inference", "read", "write"]
"""`inference`: `/v1`; `read`: one's own data at `/api`; `write`: to change or end it."""
Network = IPv4Network | IPv6Network

MODELS_MAX = 100
NETWORKS_MAX = 20


class ScopeMissing(AvowError):
    """This API key may not be used for this."""

    status = 403
    code = "scope_missing"
    hint = "Nothing was charged. Use a key with the scope that is named, or have its owner add it."


class NetworkRefused(AvowError):
    """This API key may not be used from this network."""

    status = 403
    code = "network_refused"
    hint = "Nothing was charged. Its owner says from which networks it may be used."


class Setting(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a key is: a name for its owner, the project it belongs to, hours to keep content (only to shorten), an end,
    limits, and what it may be used for. Null: no such restriction."""

    name: str = ""
    project_id: UUID | None = None
    keep_h: int | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    limits: Limits = Limits()
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1)] | None = None
    models: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MODELS_MAX)] | None = None
    networks: Annotated[list[str], msgspec.Meta(min_length=1, max_length=NETWORKS_MAX)] | None = None


class Change(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """What of a key is to be another; what is left out stays."""

    name: str | UnsetType = UNSET
    project_id: UUID | UnsetType | None = UNSET
    keep_h: int | UnsetType | None = UNSET
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | UnsetType | None = UNSET
    limits: Limits | UnsetType = UNSET
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1)] | UnsetType | None = UNSET
    models: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MODELS_MAX)] | UnsetType | None = UNSET
    networks: Annotated[list[str], msgspec.Meta(min_length=1, max_length=NETWORKS_MAX)] | UnsetType | None = UNSET


def check(setting: Setting) -> Setting:
    """Bring a setting to one form, lists without doubles. Raises BadInput or FieldRefused."""
    scopes, models, networks = setting.scopes, setting.models, setting.networks
    return msgspec.structs.replace(
        setting,
        name=fields.read_fact("key_name", setting.name),
        scopes=None if scopes is None else sorted(set(scopes)),
        models=None if models is None else list(dict.fromkeys(_model(name) for name in models)),
        networks=None if networks is None else list(dict.fromkeys(str(_network(text)) for text in networks)),
    )


def changed(setting: Setting, change: Change) -> Setting:
    """The setting with what `change` names. Raises as `check`."""
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    return check(msgspec.structs.replace(setting, **given))


def digests(pepper: bytes, networks: Sequence[str] | None) -> list[str] | None:
    """What is compared instead of the networks: version and length of each prefix, and a keyed digest of it."""
    return None if networks is None else [_digest(pepper, ip_network(text)) for text in networks]


def admit(scopes: Iterable[str] | None, scope: Scope) -> None:
    """Raise ScopeMissing where a key has scopes and this is none of them."""
    if scopes is not None and scope not in scopes:
        raise ScopeMissing(f"This API key does not have the scope {scope!r}.")


def admit_from(pepper: bytes, within: Iterable[str] | None, address: str | None) -> None:
    """Raise NetworkRefused where a key has networks, given as their digests, and the address lies in none of them."""
    if within is None:
        return
    host = _address(address)
    if host is not None:
        for each in within:
            version, length, _ = each.split("/")
            if host.version == int(version):
                around = ip_network((host, int(length)), strict=False)
                if hmac.compare_digest(_digest(pepper, around), each):
                    return
    raise NetworkRefused


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    """An address as the network layer means it: IPv4 inside IPv6 is IPv4. None: not known, as on a Unix socket."""
    try:
        found = ip_address(text or "")
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _model(name: str) -> str:
    """A model's name; it is stored readable, so it cannot smuggle a card number in."""
    return cards.mask(fields.read_fact("models", name))


def _network(text: str) -> Network:
    try:
        found = ip_network(text.strip())
    except ValueError:
        raise BadInput("A network is written like 203.0.113.0/24 or 2001:db8::/32.", param="networks") from None
    if isinstance(found, IPv6Network) and found.network_address.ipv4_mapped is not None:
        raise BadInput("Write an IPv4 network as IPv4.", param="networks")
    return found


def _digest(pepper: bytes, network: Network) -> str:
    code = hmac.digest(pepper, b"avow\x00network\x00" + str(network).encode(), hashlib.sha256)
    return f"{network.version}/{network.prefixlen}/{code.hex()}"
