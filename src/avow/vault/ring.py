"""The ring: the random halves of every key, and nothing else.

A fact key is derived from a person's half (holder) and an hour's half (slot). Both lie here, in one small SQLite file
outside PostgreSQL and outside its backups, each sealed under the master. Destroying a holder makes a person unreadable
everywhere at once; destroying a slot makes an hour of everybody unreadable. What was destroyed leaves a grave, and a
grave is never dug up: the ring refuses to make that half again.
"""

import fcntl
import hmac
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from avow.base.errors import AvowError
from avow.vault.mirror import Grave, Mirror
from avow.vault.provider import KEY_BYTES, NONCE_BYTES, FileKeyProvider, KeyProvider, check_private

LIFE = 0
"""The slot of facts without an end: they live as long as the account."""

HOUR_S = 3600
_FIRST_DAY = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
JUMP_HOURS_MAX = 48
CACHE_KEYS_MAX = 10_000
CACHE_S_MAX = 5.0
BUSY_S_MAX = 5.0
WIPE_AGAIN_S = 0.002
EVERYTHING = "*"

SCHEMA = """
CREATE TABLE IF NOT EXISTS holder (
    subject BLOB NOT NULL, category TEXT NOT NULL, secret BLOB NOT NULL, PRIMARY KEY (subject, category)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slot (hour INTEGER PRIMARY KEY, secret BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS grave (
    number INTEGER PRIMARY KEY, what TEXT NOT NULL, name BLOB NOT NULL, at_s INTEGER NOT NULL, UNIQUE (what, name));
CREATE TABLE IF NOT EXISTS named (name TEXT PRIMARY KEY, secret BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS master (one INTEGER PRIMARY KEY CHECK (one = 1), wrapped BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS ended (one INTEGER PRIMARY KEY CHECK (one = 1), hour INTEGER NOT NULL);
"""


class RingBroken(AvowError):
    """A secret in the keyring is not the one that was put there."""

    status = 500
    code = "ring_broken"
    hint = "Put the newest ring.db back from its live mirror; what it sealed cannot be read without it."


class RingBusy(AvowError):
    """Keys were destroyed, but another process kept the ring open and their bytes could not be wiped yet."""

    status = 503
    code = "ring_busy"
    hint = "Run the same command again; it wipes what is left."


class Buried(AvowError):
    """These keys were destroyed for good; nothing can be sealed under them again."""

    status = 410
    code = "keys_destroyed"
    hint = "Store nothing more of this category for this person, or choose an end that has not passed."


class ClockJump(AvowError):
    """The clock is more than 48 hours past the last destroyed hour, or behind it; no key was destroyed."""

    status = 503
    code = "clock_jump"
    hint = "Check the time of this machine. If it is right, run: avow sweep --confirm-clock"


@dataclass(frozen=True, slots=True)
class _Held:
    """A fact key and its cipher, until a time of the monotonic clock."""

    key: bytes
    cipher: AESGCM
    until_s: float


class Destroyed(NamedTuple):
    """How many halves were destroyed now, and the names of the mirrors that could not be told yet."""

    halves: int
    mirrors_missing: tuple[str, ...]


def hour_of(moment: datetime) -> int:
    """Return the number of the UTC hour that contains `moment` (timezone-aware), counted from 1970."""
    if moment.tzinfo is UTC:
        return (moment.toordinal() - _FIRST_DAY) * 24 + moment.hour
    if moment.tzinfo is None:
        raise ValueError("A moment needs its time zone.")
    return int(moment.timestamp() // HOUR_S)


def slot_of(ends_at: datetime | None) -> int:
    """Return the slot of a fact that ends at `ends_at`: its UTC hour, or LIFE when it has no end."""
    return LIFE if ends_at is None else hour_of(ends_at)


def derive(holder: bytes, category: str, slot: bytes | None) -> bytes:
    """Return the fact key, HMAC-SHA256(holder, category ‖ slot), or ‖ "life" without a slot (keys.md line 5)."""
    return hmac.digest(holder, category.encode() + (slot or b"life"), "sha256")


class Ring:
    """One keyring, shared by all processes of a machine.

    Each thread of each process opens the file for itself, after fork, so a reader never waits for a writer.
    Calls block: a read about 10 µs, a write one or two syncs of the disk.
    """

    def __init__(
        self,
        path: Path,
        provider: KeyProvider | None = None,
        *,
        mirrors: Sequence[Mirror] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._provider = provider or FileKeyProvider(path.parent / "master.key")
        self._mirrors = tuple(mirrors)
        self._monotonic = monotonic
        self._local = threading.local()
        self._cache: dict[tuple[int, str, int], _Held] = {}
        self._cache_lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(path.parent)
        self._cipher = AESGCM(self._found())
        self._grave_key = self.secret("grave", create=True) or b""
        self._wipe()

    # --- the halves

    def holder(self, subject_id: UUID, category: str, create: bool = False) -> bytes | None:
        """Return the person's half for `category`, or None. Raises Buried when asked to make a destroyed one."""
        name = (subject_id.bytes, category)
        found = self._get("SELECT secret FROM holder WHERE subject = ? AND category = ?", name, "holder", *name)
        if found or not create:
            return found
        with self._write() as db:
            if self._is_buried(db, "holder", *name) or self._is_buried(db, "holder", name[0], EVERYTHING):
                raise Buried
            sealed = self._seal(os.urandom(KEY_BYTES), "holder", *name)
            db.execute("INSERT OR IGNORE INTO holder VALUES (?, ?, ?)", (*name, sealed))
        return self.holder(subject_id, category)

    def slot(self, hour: int, create: bool = False) -> bytes | None:
        """Return the half of `hour` (see hour_of), or None. Raises Buried when asked to make one that is over."""
        found = self._get("SELECT secret FROM slot WHERE hour = ?", (hour,), "slot", hour)
        if found or not create:
            return found
        if not self.make_slots([hour]) and self._ended() >= hour:
            raise Buried
        return self.slot(hour)

    def make_slots(self, hours: Iterable[int]) -> int:
        """Make the halves of `hours` that are missing and not over, in one sync; return how many were made."""
        made = 0
        with self._write() as db:
            ended = self._ended()
            for hour in hours:
                if hour > max(ended, LIFE):
                    sealed = self._seal(os.urandom(KEY_BYTES), "slot", hour)
                    made += db.execute("INSERT OR IGNORE INTO slot VALUES (?, ?)", (hour, sealed)).rowcount
        return made

    def secret(self, name: str, create: bool = False) -> bytes | None:
        """Return the 32-byte secret called `name` (pepper, signing key …), or None; it is never destroyed."""
        found = self._get("SELECT secret FROM named WHERE name = ?", (name,), "named", name)
        if found or not create:
            return found
        with self._write() as db:
            sealed = self._seal(os.urandom(KEY_BYTES), "named", name)
            db.execute("INSERT OR IGNORE INTO named VALUES (?, ?)", (name, sealed))
        return self.secret(name)

    def oldest_slot(self) -> int | None:
        """Return the number of the oldest hour that has a half, or None."""
        oldest: int | None = self._db().execute("SELECT min(hour) FROM slot").fetchone()[0]
        return oldest

    # --- fact keys

    def fact_key(self, subject_id: UUID, category: str, ends_at: datetime | None, create: bool = False) -> bytes | None:
        """Return the key for facts of `category` that end at `ends_at`; None when a half of it is not there.

        With `create` the missing halves are made first; raises Buried when one of them was destroyed.
        """
        if create:
            self.holder(subject_id, category, create=True)
            if ends_at is not None:
                self.slot(hour_of(ends_at), create=True)
        return self.key(subject_id, category, slot_of(ends_at))

    def key(self, subject_id: UUID, category: str, slot: int) -> bytes | None:
        """Return the fact key for the slot number written in a box; None when a half of it is not there."""
        held = self._held(subject_id, category, slot)
        return None if held is None else held.key

    def cipher(self, subject_id: UUID, category: str, slot: int) -> AESGCM | None:
        """Return the cipher of that key, which lives as long as the key does here."""
        held = self._held(subject_id, category, slot)
        return None if held is None else held.cipher

    def _held(self, subject_id: UUID, category: str, slot: int) -> _Held | None:
        name = (subject_id.int, category, slot)
        held = self._cache.get(name)
        now = self._monotonic()
        if held is not None and now < held.until_s:
            return held
        holder = self.holder(subject_id, category)
        half = None if slot == LIFE else self.slot(slot)
        if holder is None or (half is None and slot != LIFE):
            self._cache.pop(name, None)
            return None
        return self._remember(name, derive(holder, category, half), now)

    def forget(self, subject_id: UUID) -> None:
        """Drop the cached keys of one person (another process destroyed them)."""
        self._drop(lambda known: known[0] == subject_id.int)

    def clear(self) -> None:
        """Drop all cached keys."""
        self._drop(lambda known: True)

    # --- destruction

    def destroy_holders(self, subject_id: UUID, categories: Iterable[str] | None, at: datetime) -> Destroyed:
        """Destroy a person's halves, of `categories` or (None) of every category there is or will be."""
        subject = subject_id.bytes
        wanted = [EVERYTHING] if categories is None else sorted(set(categories))
        count = 0
        with self._write() as db:
            for category in wanted:
                count += db.execute(
                    "DELETE FROM holder WHERE subject = ? AND (category = ? OR ? = ?)",
                    (subject, category, category, EVERYTHING),
                ).rowcount
                self._bury(db, at, "holder", subject, category)
        self.forget(subject_id)
        self._wipe()
        return Destroyed(count, self.copy_graves())

    def destroy_slots(self, before: datetime, confirmed: bool = False) -> Destroyed:
        """Destroy the halves of all hours that are over at `before`, oldest first.

        Raises ClockJump, and destroys nothing, when `before` is more than 48 h past the last destroyed hour or behind
        it, unless an operator has `confirmed` the clock.
        """
        over = hour_of(before) - 1
        with self._write() as db:
            last = self._last_ended(db, over)
            if not confirmed and not last <= over <= last + JUMP_HOURS_MAX:
                raise ClockJump
            hours = [row[0] for row in db.execute("SELECT hour FROM slot WHERE hour <= ? ORDER BY hour", (over,))]
            for hour in hours:
                db.execute("DELETE FROM slot WHERE hour = ?", (hour,))
                self._bury(db, before, "slot", hour)
            db.execute("INSERT OR REPLACE INTO ended VALUES (1, ?)", (over,))
        self._drop(lambda known: LIFE < known[2] <= over)
        self._wipe()
        return Destroyed(len(hours), self.copy_graves())

    def graves(self, after: int = 0) -> list[Grave]:
        """Return the graves with a number above `after`, oldest first."""
        rows = self._db().execute(
            "SELECT number, what, name, at_s FROM grave WHERE number > ? ORDER BY number", (after,)
        )
        return [Grave(*row) for row in rows]

    def is_buried_slot(self, hour: int) -> bool:
        """Tell whether a half of `hour` was ever destroyed (after a confirmed clock it may have been made anew)."""
        return self._is_buried(self._db(), "slot", hour)

    def copy_graves(self) -> tuple[str, ...]:
        """Bring every mirror up to date; return the names of those that cannot be reached now."""
        missing = []
        for mirror in self._mirrors:
            try:
                mirror.append(self.graves(after=mirror.last()))
            except OSError:
                missing.append(mirror.name)
        return tuple(missing)

    def close(self) -> None:
        """Close this thread's view of the file and drop the cached keys."""
        self.clear()
        held = getattr(self._local, "held", None)
        if held and held[0] == os.getpid():
            held[1].close()
        self._local.held = None

    # --- the file

    def _found(self) -> bytes:
        """Make the file and its master when they are not there; return the master."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            check_private(self._path)
            db = self._db()
            db.executescript(SCHEMA)
            if db.execute("SELECT 1 FROM master").fetchone() is None:
                wrapped = self._provider.wrap(os.urandom(KEY_BYTES))
                db.execute("INSERT INTO master VALUES (1, ?)", (wrapped,))
            return self._provider.unwrap(db.execute("SELECT wrapped FROM master").fetchone()[0])
        finally:
            os.close(folder)

    def _db(self) -> sqlite3.Connection:
        held: tuple[int, sqlite3.Connection] | None = getattr(self._local, "held", None)
        if held and held[0] == os.getpid():
            return held[1]
        # A connection that came through fork is left as it is: SQLite forbids to use or close it here.
        self._local.inherited = held
        db = sqlite3.connect(self._path, timeout=BUSY_S_MAX, isolation_level=None, check_same_thread=False)
        for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "trusted_schema = OFF"):
            db.execute(f"PRAGMA {setting}").fetchone()
        self._local.held = (os.getpid(), db)
        return db

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        db = self._db()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _wipe(self) -> None:
        """Move the log into the file and cut it to nothing, so that no old copy of a secret stays in it.

        SQLite waits for readers and writers but not for another checkpoint, so that one is waited for here.
        """
        deadline = time.monotonic() + BUSY_S_MAX
        while self._db().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                raise RingBusy
            time.sleep(WIPE_AGAIN_S)

    def _get(self, query: str, values: tuple[object, ...], *name: bytes | str | int) -> bytes | None:
        row = self._db().execute(query, values).fetchone()
        return self._unseal(row[0], *name) if row else None

    def _seal(self, secret: bytes, *name: bytes | str | int) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, _name_bytes(*name))

    def _unseal(self, sealed: bytes, *name: bytes | str | int) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _name_bytes(*name))
        except (InvalidTag, ValueError):
            raise RingBroken from None

    # --- graves, ended hours, cache

    def _grave_name(self, *name: bytes | str | int) -> bytes:
        return hmac.digest(self._grave_key, _name_bytes(*name), "sha256")

    def _bury(self, db: sqlite3.Connection, at: datetime, what: str, *name: bytes | str | int) -> None:
        db.execute(
            "INSERT OR IGNORE INTO grave (what, name, at_s) VALUES (?, ?, ?)",
            (what, self._grave_name(what, *name), int(at.astimezone(UTC).timestamp())),
        )

    def _is_buried(self, db: sqlite3.Connection, what: str, *name: bytes | str | int) -> bool:
        query = "SELECT 1 FROM grave WHERE what = ? AND name = ?"
        return db.execute(query, (what, self._grave_name(what, *name))).fetchone() is not None

    def _ended(self) -> int:
        row = self._db().execute("SELECT hour FROM ended").fetchone()
        return int(row[0]) if row else LIFE

    def _last_ended(self, db: sqlite3.Connection, over: int) -> int:
        """The last destroyed hour; before the first destruction, the hour before the oldest half there is."""
        if ended := self._ended():
            return ended
        oldest = db.execute("SELECT min(hour) FROM slot").fetchone()[0]
        return over if oldest is None else min(over, int(oldest) - 1)

    def _remember(self, name: tuple[int, str, int], key: bytes, now: float) -> _Held:
        held = _Held(key, AESGCM(key), now + CACHE_S_MAX)
        with self._cache_lock:
            while len(self._cache) >= CACHE_KEYS_MAX:
                self._cache.pop(next(iter(self._cache)))
            self._cache.pop(name, None)
            self._cache[name] = held
        return held

    def _drop(self, matches: Callable[[tuple[int, str, int]], bool]) -> None:
        with self._cache_lock:
            self._cache = {name: held for name, held in self._cache.items() if not matches(name)}


def _name_bytes(*parts: bytes | str | int) -> bytes:
    """Join the parts of a name so that no two names give the same bytes."""
    encoded = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"".join(len(part).to_bytes(2, "big") + part for part in encoded)
