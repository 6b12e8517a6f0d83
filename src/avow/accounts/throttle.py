"""Failed attempts, slowed down per account and never locked out for good.

Five failures are free. After that each further failure doubles the wait, from one second to fifteen minutes, which
leaves about a hundred guesses a day (NIST 800-63B-4 §3.2.2 asks for a limit of this kind). A success forgets the
failures; so do 24 hours. The wait is about *signing in*: a session that exists goes on working, so nobody can be
put out of their account by a stranger who types wrong passwords.

An address is known here only as an HMAC under a key that is made when the process starts and dies with it. The memory
is bounded; when it is full the oldest entry goes. Each worker counts for itself, so with n workers a guesser has up to
n times as many tries.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

FREE_FAILURES = 5
WAIT_MAX = timedelta(minutes=15)
FORGET_AFTER = timedelta(hours=24)


@dataclass(slots=True)
class Failures:
    """What is remembered about one account: how often, when last, and until when to wait."""

    count: int
    last_at: datetime
    wait_until: datetime


class Throttle:
    """Counts failures per name (an e-mail address) in bounded memory, under a key that is never written."""

    def __init__(self, size_max: int = 10_000) -> None:
        self.size_max = size_max
        self._key = secrets.token_bytes(32)
        self._seen: OrderedDict[bytes, Failures] = OrderedDict()

    def wait_s(self, name: str, now: datetime) -> int:
        """Whole seconds that this name has still to wait; 0 means: go on."""
        seen = self._seen.get(self._digest(name))
        if seen is None or now >= seen.wait_until:
            return 0
        return -((now - seen.wait_until) // timedelta(seconds=1))

    def fail(self, name: str, now: datetime) -> None:
        """Count one more failure for a name and set its wait."""
        digest = self._digest(name)
        seen = self._seen.pop(digest, None)
        count = 1 if seen is None or now - seen.last_at > FORGET_AFTER else seen.count + 1
        self._seen[digest] = Failures(count, now, now + wait_after(count))
        if len(self._seen) > self.size_max:
            self._seen.popitem(last=False)

    def succeed(self, name: str) -> None:
        """Forget the failures of a name."""
        self._seen.pop(self._digest(name), None)

    def __len__(self) -> int:
        return len(self._seen)

    def _digest(self, name: str) -> bytes:
        return hmac.digest(self._key, name.encode(), hashlib.sha256)


def wait_after(count: int) -> timedelta:
    """The wait after so many failures in a row."""
    if count <= FREE_FAILURES:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(count - FREE_FAILURES - 1, 20)), WAIT_MAX)
