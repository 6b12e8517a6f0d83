"""Attempts that are slowed down per network, without remembering who came from where.

A guesser who tries one password on many accounts is met here, and a program that opens one account after another. A
network is one IPv4 address or one IPv6 /64, known only as an HMAC under a key that is made every hour and dies with it,
together with all counts; nothing is written or logged. Addresses that stand for many people at once (this machine, a
private network: a proxy in front of us) are not counted. Signing in and signing up are all that waits: a session that
exists goes on working.
"""

import ipaddress
from datetime import datetime, timedelta
from typing import Final

from avow.accounts.throttle import Throttle
from avow.base.errors import Slowed

KEY_AGE_MAX: Final = timedelta(hours=1)
FREE: Final = 50
NEWCOMERS_FREE: Final = 20
BEGINNINGS_FREE: Final = 200
"""Many people of one house may come in with a passkey each morning."""
WAIT: Final = timedelta(seconds=1)
WAIT_MAX: Final = timedelta(minutes=15)
IPV6_BITS: Final = 64


class NetworkSlowed(Slowed):
    """There were too many attempts from this network."""

    code = "network_slowed"
    hint = "Wait as long as Retry-After says; sessions that are signed in go on working."


class Networks:
    """Counts attempts per network in bounded memory, for at most an hour. Each worker counts for itself."""

    def __init__(self, free: int = FREE) -> None:
        self.free = free
        self._begun: datetime | None = None
        self._throttle = Throttle(free, WAIT, WAIT_MAX)

    def check(self, address: str | None, now: datetime) -> None:
        """Refuse an attempt from a network that has still to wait. Raises NetworkSlowed."""
        network = network_of(address)
        wait_s = self._current(now).wait_s(network, now) if network else 0
        if wait_s:
            raise NetworkSlowed(wait_s)

    def fail(self, address: str | None, now: datetime) -> None:
        """Count one attempt of a network."""
        network = network_of(address)
        if network:
            self._current(now).fail(network, now)

    def __len__(self) -> int:
        return len(self._throttle)

    def _current(self, now: datetime) -> Throttle:
        """The counts of this hour; an older key goes, and all that was counted under it."""
        if self._begun is None or now - self._begun >= KEY_AGE_MAX:
            self._begun, self._throttle = now, Throttle(self.free, WAIT, WAIT_MAX)
        return self._throttle


def of_newcomers() -> Networks:
    """Slows down the accounts that are opened from one network; each costs a hash, rows and a message."""
    return Networks(NEWCOMERS_FREE)


def of_beginnings() -> Networks:
    """Slows down the ceremonies that strangers begin from one network; each costs a row for ten minutes."""
    return Networks(BEGINNINGS_FREE)


def network_of(address: str | None) -> str | None:
    """The network that an address counts for; None for one that says nothing about who is there."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found
    if not found.is_global:
        return None
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(ipaddress.ip_network((found, IPV6_BITS), strict=False))
