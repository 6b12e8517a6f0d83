"""What may be printed of an error that nobody expected: its class and where it came from, but not its text.

The text of an exception can hold what a person wrote (a value that would not convert, a row that broke a rule), so it
goes into no log. Errors that Avow raises on purpose, and those of the machine (a file, a port, a missing module), are
about no person and are told in full.
"""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

from avow.base.errors import AvowError

_FRAMES_MAX = 6
_OURS = ("avow", "uvicorn")  # loggers whose messages are fixed sentences


def of(error: BaseException) -> str:
    """One line: the error, the innermost places first, and what it came from."""
    parts = [_told(error)]
    while (before := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        parts.append(_told(before))
        error = before
    return ", caused by ".join(parts)


def log_to_stderr() -> None:
    """Sends what libraries log, warnings and worse, to standard error in this form, and nothing in any other."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


class _Lines(logging.Formatter):
    """A library's message may quote a value (asyncio prints a task with its exception): its place must do."""

    def format(self, record: logging.LogRecord) -> str:
        ours = record.name.split(".")[0] in _OURS
        parts = [record.getMessage().strip() if ours else f"{Path(record.pathname).name}:{record.lineno}"]
        if record.exc_info and record.exc_info[1]:
            parts.append(of(record.exc_info[1]))
        return f"avow: {record.levelname.lower()} from {record.name}: {' '.join(parts)}"


def _told(error: BaseException) -> str:
    if isinstance(error, AvowError):
        return f"{error.sentence} {error.hint}"
    name = type(error).__name__
    if isinstance(error, OSError | ImportError):
        name = f"{name}: {error}"
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_MAX:]
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)]
    return f"{name} ({' < '.join(places)})" if places else name
