"""Time is an argument: whoever needs it is given a clock, and SQL never asks the server for it in a rule."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from avow.base import files


class Clock(Protocol):
    """Tells the time in UTC."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FileClock:
    """The machine's clock moved by the seconds in a file that all processes share; for tests only.

    Only a caller of `app.build` can pass it: there is no setting for it, so that a live clock cannot be moved.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_text("0")

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(self.path.read_text() or 0))

    def move(self, by: timedelta) -> None:
        """Add to the offset."""
        files.replace(self.path, str(float(self.path.read_text() or 0) + by.total_seconds()).encode())
