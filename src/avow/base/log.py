"""Logs that cannot hold personal data: JSON lines with an allow-list of fields, one file per UTC day, each gone after 30 days.

An exception is written as its class and the places it passed; never its text, for that may quote what a person sent. No
line has the id of a person, a key or a request: what became of a request stands in its `usage` row, and ends with it.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

from avow.base import cards

FIELDS = frozenset(
    [
        *("event", "level", "at", "process", "route", "method", "status", "kind", "error", "where"),
        *("count", "upstream", "model", "nano", "probe", "verdict", "epoch", "logger", "sqlstate"),
    ]
)
FILE_PREFIX = "avow-"
KEPT = timedelta(days=29)
"""From the begin of a file's day; with a sweep every hour no line grows older than 30 days."""


class DayFile:
    """Appends lines to `folder/avow-YYYY-MM-DD.jsonl`, opening the next file when the day changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._day = ""
        self._stream: Any = None

    def msg(self, line: str) -> None:
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        with self._lock:
            if day != self._day:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._stream = (self.folder / f"{FILE_PREFIX}{day}.jsonl").open("a", buffering=1)
                self._day = day
            self._stream.write(line + "\n")

    debug = info = warning = error = critical = msg


class Bridge(logging.Handler):
    """Carries records of libraries into our log without their arguments or exception texts."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1]:
            fields |= failure(record.exc_info[1])
        structlog.get_logger().log(record.levelno, "library", **fields, kind=_shape(record))


def set_up(folder: Path, process: str) -> None:
    """Send this process's log to `folder`; call once at the start of each process."""
    structlog.configure(
        processors=[_named(process), structlog.processors.add_log_level, _allow, _render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_Factory(DayFile(folder)),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [Bridge()]
    root.setLevel(logging.WARNING)


def failure(error: BaseException) -> dict[str, Any]:
    """The log fields of an exception: its class and the last places in our code."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f"{Path(f.filename).parent.name}/{Path(f.filename).name}:{f.lineno}" for f in frames]
    return {"error": type(error).__name__, "where": ours[-4:]}


_spelled: Callable[[str], str] = str


def say_in_json() -> None:
    """From now on, each line that is said is a JSON object: {"said": line}."""
    global _spelled
    _spelled = _as_json


def say(line: str) -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(_spelled(line) + "\n")
    sys.stdout.flush()


def _as_json(line: str) -> str:
    return msgspec.json.encode({"said": line}).decode()


def sweep(folder: Path, before: datetime) -> int:
    """Remove the files that began before `before`, ours and the database's; returns how many."""
    gone = 0
    for path in folder.glob("*"):
        began = begun(path)
        if began is not None and began < before:
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def begun(path: Path) -> datetime | None:
    """When a log file began: its day, as its name ends; without one, when it was last written, as one that is begun anew at
    each start. None: it is gone, or no file."""
    try:
        return datetime.strptime(path.stem[-len("YYYY-MM-DD") :], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.is_file() else None
    except FileNotFoundError:
        return None


class _Factory:
    def __init__(self, file: DayFile) -> None:
        self.file = file

    def __call__(self, *_: Any) -> DayFile:
        return self.file


def _named(process: str) -> structlog.typing.Processor:
    def add(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["process"] = process
        event["at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        return event

    return add


def _allow(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {k: cards.mask(v) if isinstance(v, str) else v for k, v in event.items() if k in FIELDS}


def _render(_: WrappedLogger, __: str, event: EventDict) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _shape(record: logging.LogRecord) -> str:
    """The library's format string: constant text; a message built from values has none and is left out."""
    return record.msg[:120] if isinstance(record.msg, str) and record.args else record.module
