"""What the routes of the desk ask for: who of the staff calls, where the installation lies, and why something is done."""

from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from litestar.di import NamedDependency

from avow.base.actor import Actor
from avow.base.errors import AvowError

REASON_CHARS_MAX = 2000

Staff = NamedDependency[Actor]
Home = NamedDependency[Path]
Reason = Annotated[str, msgspec.Meta(max_length=REASON_CHARS_MAX)]


class ReasonMissing(AvowError):
    """Staff say why before they look at or change something."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "reason_missing"
    hint = "Give a reason; it is sealed beside what was done, and whom it concerns can read it."


def check_reason(reason: str) -> None:
    """Raises ReasonMissing for one that says nothing."""
    if not reason.strip():
        raise ReasonMissing(param="reason")
