"""Attempts that are slowed down per account, and never locked out for good.

For sign-ins five failures are free. After that each further failure doubles the wait, from one second to fifteen minutes,
which leaves about a hundred guesses a day (NIST 800-63B-4 §3.2.2 asks for a limit of this kind). A success forgets the
failures; so do 24 hours. The wait is about *signing in*: a session that exists goes on working, so nobody can be
put out of their account by a stranger who types wrong passwords.

An address is known here only as an HMAC under a key that is made when the process starts and dies with it. The memory
is bounded; when it is full the oldest entry goes. Each worker counts for itself, so with n workers a guesser has up to
n times as many tries.
"""

import hashlib
import hmac
import secrets
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from avow.vault.blind import normalise

FORGET_AFTER = timedelta(hours=24)
SIZE_MAX = 10_000
DOUBLINGS_MAX = 20


@dataclass(slots=True)
class Failures:
    """What is remembered about one account: how often, when last, and until when to wait."""

    count: int
    last_at: datetime
    wait_until: datetime


class Throttle:
    """Counts attempts per name (an e-mail address) in bounded memory, under a key that is never written.

    `free` attempts cost nothing; the next one makes the name wait for `wait`, each further one twice as long, to
    `wait_max`.
    """

    def __init__(self, free: int, wait: timedelta, wait_max: timedelta, size_max: int = SIZE_MAX) -> None:
        self.free, self.wait, self.wait_max, self.size_max = free, wait, wait_max, size_max
        self._key = secrets.token_bytes(32)
        self._seen: OrderedDict[bytes, Failures] = OrderedDict()
        self._under_way: Counter[bytes] = Counter()

    def wait_s(self, name: str, now: datetime) -> int:
        """Whole seconds that this name has still to wait; 0 means: go on.

        Attempts under way count as failed until they end: many at once must not all pass before the first has failed.
        """
        digest = self._digest(name)
        seen, under_way = self._seen.get(digest), self._under_way[digest]
        if seen is not None and now < seen.wait_until:
            return -((now - seen.wait_until) // timedelta(seconds=1))
        count = 0 if seen is None or now - seen.last_at > FORGET_AFTER else seen.count
        return 1 if under_way and count + under_way >= self.free else 0

    @contextmanager
    def trying(self, name: str) -> Iterator[None]:
        """An attempt of a name that need not wait; how it ended is said inside the block."""
        digest = self._digest(name)
        self._under_way[digest] += 1
        try:
            yield
        finally:
            self._under_way[digest] -= 1
            if not self._under_way[digest]:
                del self._under_way[digest]

    def fail(self, name: str, now: datetime) -> int:
        """Count one more failure for a name and set its wait; gives how many there were in a row."""
        digest = self._digest(name)
        seen = self._seen.pop(digest, None)
        count = 1 if seen is None or now - seen.last_at > FORGET_AFTER else seen.count + 1
        self._seen[digest] = Failures(count, now, now + self.wait_after(count))
        if len(self._seen) > self.size_max:
            self._seen.popitem(last=False)
        return count

    def succeed(self, name: str) -> None:
        """Forget the failures of a name."""
        self._seen.pop(self._digest(name), None)

    def wait_after(self, count: int) -> timedelta:
        """The wait after so many attempts in a row."""
        if count <= self.free:
            return timedelta(0)
        factor: int = 2 ** min(count - self.free - 1, DOUBLINGS_MAX)
        return min(self.wait * factor, self.wait_max)

    def __len__(self) -> int:
        return len(self._seen)

    def _digest(self, name: str) -> bytes:
        return hmac.digest(self._key, name.encode(), hashlib.sha256)


def of_sign_ins() -> Throttle:
    """Slows down wrong passwords."""
    return Throttle(5, timedelta(seconds=1), timedelta(minutes=15))


def of_resets() -> Throttle:
    """Slows down the messages with which a password is reset. The wait stays within the life of their tokens, so who
    asks for another's resets without end only sees to it that the owner has one that works."""
    return Throttle(3, timedelta(minutes=10), timedelta(hours=1))


def of_mailboxes() -> Throttle:
    """Slows down the messages that strangers can cause to be sent to one mailbox, under all the ways to write it."""
    return Throttle(10, timedelta(minutes=10), timedelta(hours=1))


def mailbox(address: str) -> str:
    """The mailbox that an address most likely reaches: without what follows a plus (RFC 5233), and without dots.

    Only to count by: two addresses of one mailbox stay two accounts.
    """
    local, _, domain = normalise(address).rpartition("@")
    return f"{local.partition('+')[0].replace('.', '')}@{domain}"


def of_letters() -> Throttle:
    """Slows down the messages that strangers can cause to be sent to an address."""
    return Throttle(2, timedelta(hours=1), timedelta(hours=24))


def of_recovery_codes() -> Throttle:
    """Slows down the sets of recovery codes that a person makes: each code of the set before leaves a tombstone, and those
    stay."""
    return Throttle(10, timedelta(hours=1), timedelta(hours=24))


def of_invitations() -> Throttle:
    """Slows down the messages that one organisation can cause to be sent to strangers."""
    return Throttle(20, timedelta(minutes=1), timedelta(hours=24))
