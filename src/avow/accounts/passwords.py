"""Passwords: what is accepted as one, and the slow hash that is all that is kept.

Argon2id with 64 MiB, three passes and one lane (the parameters of RFC 9106's second recommendation, p=1): about
140 ms on the 2-core machine of the measurements. Hashing runs in two threads of its own, never on the event loop; they
step back behind everything else that wants the processor, and at most `QUEUE_MAX` people wait for them, which bounds
memory and processor alike. An unknown
person costs the same work as a known one: the password is compared with a hash that no password has.
"""

import asyncio
import os
import threading
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from avow.accounts import guessable
from avow.base.errors import AvowError

LENGTH_MIN = 15
"""Characters without a second factor (NIST 800-63B-4 §3.1.1.2)."""
LENGTH_MIN_OF_TWO = 8
"""Characters with a second factor (the same)."""
SIZE_MAX = 1024
"""Bytes of UTF-8: a bound on work, far above the 64 characters that must be possible."""
QUEUE_MAX = 64
NICE = 15
"""How far hashing steps back; 19 is the farthest. Requests that wait for an answer go first, on the same cores."""

T = TypeVar("T")


class WeakPassword(AvowError):
    """This password cannot be used."""

    status = 400
    code = "password_refused"
    hint = "Take several words that do not belong together; any characters are good, spaces too."


class Busy(AvowError):
    """Too many people are signing in at this moment."""

    status = 503
    code = "sign_in_busy"
    hint = "Try again in a few seconds."


class Verdict(NamedTuple):
    """Whether a password was right, and the new hash to keep where the old one has weaker parameters."""

    right: bool
    upgraded: str | None = None


class Passwords:
    """Hashes and compares passwords in a pool of two threads. `close()` ends the pool."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self.hasher = hasher or PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2", initializer=_step_back)
        self._waiting = 0
        self._dummy = _of_nobody(self.hasher)

    async def hash(self, password: str, length_min: int = LENGTH_MIN, context: Sequence[str] = ()) -> str:
        """Hash a new password. `context`: texts about its person and the place, whose words make it no better.

        Raises WeakPassword where it breaks a rule, Busy when too many wait.
        """
        material = check(password, length_min)
        return await self._run(lambda: self._hash(material, context))

    async def compare(self, kept: str | None, password: str) -> Verdict:
        """Compare a password with the kept hash; `None` (nobody by that name) costs the same and is never right.

        A password that no rule would have accepted is wrong, not an error. Raises Busy when too many wait.
        """
        material = normalise(password)
        return await self._run(lambda: self._compare(kept, material))

    @property
    def waiting(self) -> int:
        """How many passwords are hashed or compared, or wait for it."""
        return self._waiting

    def close(self) -> None:
        """End the threads; a hash under way is finished first."""
        self._pool.shutdown()

    def _hash(self, material: bytes, context: Sequence[str]) -> str:
        if guessable.is_common(material.decode("utf-8", "surrogatepass"), context):
            raise WeakPassword("This password is among those that are guessed first.", param="password")
        return self.hasher.hash(material)

    def _compare(self, kept: str | None, material: bytes) -> Verdict:
        try:
            self.hasher.verify(kept or self._dummy, material[:SIZE_MAX])
        except (VerificationError, InvalidHashError):
            return Verdict(False)
        if kept is None or len(material) > SIZE_MAX:
            return Verdict(False)
        return Verdict(True, self.hasher.hash(material) if self.hasher.check_needs_rehash(kept) else None)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= QUEUE_MAX:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


def check(password: str, length_min: int = LENGTH_MIN) -> bytes:
    """Check a new password and give the bytes that are hashed. Raises WeakPassword, which never repeats it."""
    material = normalise(password)
    if len(unicodedata.normalize("NFC", password)) < length_min:
        raise WeakPassword(f"This password is shorter than {length_min} characters.", param="password")
    if len(material) > SIZE_MAX:
        raise WeakPassword(f"This password is longer than {SIZE_MAX} bytes.", param="password")
    return material


def _of_nobody(hasher: PasswordHasher) -> str:
    """A hash that costs what any costs to compare, and that no password has: its bytes are random."""
    salt, tag = (b64encode(os.urandom(length)).rstrip(b"=").decode() for length in (hasher.salt_len, hasher.hash_len))
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${cost}${salt}${tag}"


def _step_back() -> None:
    """Lower the priority of the calling thread; on Linux each thread has one of its own."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def normalise(password: str) -> bytes:
    """Bring a password to the bytes that are hashed: Unicode NFC, so that two keyboards give one password."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
