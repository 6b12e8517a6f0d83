"""The signed-in app as its build left it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PAGE = "index.html"


@dataclass(frozen=True, slots=True)
class Built:
    """What a build left: the page's text, and the files by name, with their packed forms beside them."""

    page: str
    files: Mapping[str, bytes]


def folders() -> tuple[Path, ...]:
    """Where a build may lie: inside the package, or in a checkout."""
    package = Path(__file__).parents[1]
    return package / "ui", package.parents[1] / "ui" / "dist"


def built(places: Iterable[Path]) -> Built | None:
    """The app from the first folder that holds one; None: it was not built."""
    for folder in places:
        if (folder / PAGE).is_file():
            files = {path.name: path.read_bytes() for path in (folder / "assets").iterdir() if path.is_file()}
            return Built((folder / PAGE).read_text(), files)
    return None
