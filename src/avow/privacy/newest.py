"""The newest states: what rows are now that a restore may not take back, kept outside PostgreSQL beside the ring.

One line of JSON for each state of a row, appended and synced, and before them a line that says which file this is:

    {"file":"<uuid>","since":<number>,"last":<number>} <check>
    {"number":…,"at_s":…,"table":"api_key","key":{"id":…},"row":{…}|null,"subject":…} <check>

`row` is null where the row is gone. What is sealed in the database is sealed here, the rest is ids, keyed digests, words of
the policy and times. `check` is an HMAC, under a secret of the ring, of the line and of the check before it: a line that
was changed, invented, taken out or moved is refused. A line torn by a crash is cut off by the next append. Numbers grow,
with gaps; states with a number up to `since` are not all here any more.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import msgspec

from avow.base.errors import AvowError
from avow.base.files import replaced
from avow.vault.ring import Ring

FILE_NAME = "newest"
SECRET = "newest"  # noqa: S105  the name of a secret
BLOCK_BYTES = 1 << 16
LINE_BYTES_MAX = 64 << 20
"""Far above the largest state, a version of the policy with all its sentences."""


class NewestBroken(AvowError):
    """The list of newest states was changed, or belongs to another keyring."""

    status = 409
    code = "newest_broken"
    hint = (
        "Use the newest keyring folder of this installation as Avow wrote it; a copy of its file `newest` lies in each "
        "backup folder."
    )


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line: which file this is, up to which number it does not know everything, and how far it went when it was
    written anew, for its last states may have been dropped."""

    file: UUID
    since: int
    last: int


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a row is since `at_s` (Unix seconds): its columns as PostgreSQL writes them in JSON, null: it is gone. `subject` is
    the person whom it is about."""

    number: int
    at_s: int
    table: str
    key: dict[str, Any]
    row: dict[str, Any] | None
    subject: UUID | None = None


class Head(msgspec.Struct, frozen=True):
    """The first line of a file and its newest number."""

    file: UUID
    since: int
    last: int


class Newest:
    """The file of one installation. Writers take turns by a lock in the database (`memory`)."""

    def __init__(self, path: Path, ring: Ring) -> None:
        self.path = path
        secret = ring.secret(SECRET, create=True)
        assert secret is not None
        self._secret = secret

    def head(self, path: Path | None = None) -> Head | None:
        """Which file this is and how far it goes; None: there is none. Reads its ends only, raises NewestBroken."""
        try:
            with (path or self.path).open("rb") as file:
                first, last = file.readline(LINE_BYTES_MAX), _last_line(file)
        except FileNotFoundError:
            return None
        if not first.endswith(b"\n"):
            return None
        start = self._decoded(first, Start)
        newest = start.last if last == first else max(start.last, self._decoded(last, State).number)
        return Head(start.file, start.since, newest)

    def begin(self, file: UUID, since: int) -> None:
        """Begin a file that knows nothing up to `since`, in the place of what is there."""
        with replaced(self.path) as draft:
            self._write(draft, b"", Start(file, since, since))

    def append(self, states: Sequence[State]) -> None:
        """Append states; durable when this returns."""
        with self.path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            last = _last_line(file)
            file.truncate(file.seek(_whole_bytes(file)))
            check = last[:-1].rpartition(b" ")[2]
            for state in states:
                check = self._write(file, check, state)
            file.flush()
            os.fsync(file.fileno())

    def read(self, after: int = 0, path: Path | None = None) -> Iterator[State]:
        """The states with a number above `after`, oldest first. Raises NewestBroken for a line that is not ours."""
        before, kind = b"", Start
        with (path or self.path).open("rb") as file:
            while (line := file.readline(LINE_BYTES_MAX)).endswith(b"\n"):
                words, _, check = line[:-1].rpartition(b" ")
                if not hmac.compare_digest(check, self._check(before, words)):
                    raise NewestBroken
                found: Start | State = self._decoded(line, kind)
                if isinstance(found, State) and found.number > after:
                    yield found
                before, kind = check, State  # type: ignore[assignment]

    def keep(self, is_kept: Callable[[State], bool], since: int) -> None:
        """Write the file anew with the states that are kept; a kill at any moment leaves the old one or the new one."""
        head = self.head()
        assert head is not None
        with replaced(self.path) as draft:
            check = self._write(draft, b"", Start(head.file, max(head.since, since), head.last))
            for state in self.read():
                if is_kept(state):
                    check = self._write(draft, check, state)

    def copy_to(self, folder: Path) -> None:
        """Bring the copy in a backup folder up to date. Raises OSError when the folder is out of reach."""
        if not folder.is_dir():
            raise FileNotFoundError(folder)
        if self.path.exists() and not self._follow(folder / FILE_NAME):
            _copy(self.path, folder / FILE_NAME)

    def take_from(self, folder: Path, file: UUID) -> None:
        """Take over the copy in a backup folder where it is the file `file` and ours is not, or knows less."""
        ours, theirs = self.head(), self.head(folder / FILE_NAME)
        if theirs is None or theirs.file != file:
            return
        if ours is None or ours.file != file or ours.last < theirs.last:
            for _ in self.read(path=folder / FILE_NAME):
                """Every line is looked at before it is believed."""
            _copy(folder / FILE_NAME, self.path)

    def _follow(self, copy: Path) -> bool:
        """Append to a copy what it lacks; False where it is no beginning of ours. Each check stands for all before it."""
        with self.path.open("rb") as ours, os.fdopen(os.open(copy, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as theirs:
            last, size = _last_line(theirs), _whole_bytes(theirs)
            ours.seek(max(0, size - len(last)))
            if not last or ours.read(len(last)) != last:
                return False
            theirs.truncate(theirs.seek(size))
            shutil.copyfileobj(ours, theirs)
            theirs.flush()
            os.fsync(theirs.fileno())
        return True

    def _write(self, file: IO[bytes], before: bytes, line: Start | State) -> bytes:
        words = msgspec.json.encode(line)
        check = self._check(before, words)
        file.write(words + b" " + check + b"\n")
        return check

    def _decoded(self, line: bytes, kind: type[Any]) -> Any:
        try:
            return msgspec.json.decode(line[:-1].rpartition(b" ")[0], type=kind)
        except msgspec.DecodeError:
            raise NewestBroken from None

    def _check(self, before: bytes, words: bytes) -> bytes:
        return hmac.digest(self._secret, len(before).to_bytes(4, "big") + before + words, "sha256").hex().encode()


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as whole, replaced(target) as draft:
        shutil.copyfileobj(whole, draft)


def _whole_bytes(file: IO[bytes]) -> int:
    """How many bytes the whole lines of a file take; what follows was torn by a crash."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = file.seek(max(0, end - BLOCK_BYTES))
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _last_line(file: IO[bytes]) -> bytes:
    """The last whole line of a file, with its end; empty where there is none."""
    end = start = _whole_bytes(file)
    while start:
        start = file.seek(max(0, start - BLOCK_BYTES))
        found = file.read(min(BLOCK_BYTES, end - 1 - start)).rfind(b"\n")
        if found >= 0:
            start += found + 1
            break
    file.seek(start)
    return file.read(end - start)
