"""A copy of somebody's data as a ZIP file, written while it is being sent: never whole in memory, never on a disk.

read-me.html        what this is, what the service does with each kind of data, and all facts as tables
policy.json         the policy in force: purposes, bases, periods and recipients, for machines
schema.json         the JSON Schema (2020-12) of the files of facts
data/STORE.json     the facts of one store: an array of objects
"""

from __future__ import annotations

import asyncio
import html
import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from avow.base.actor import Actor
from avow.policy import Policy, periods, published
from avow.policy.clauses import to_json
from avow.privacy import copies, export
from avow.privacy.copies import Shelf

_TEXT: Final = {"type": "string"}
_FACT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["category", "id", "since", "ends_at"],
    "properties": {
        "category": _TEXT,
        "id": {"type": ["string", "null"], "format": "uuid"},
        "since": {**_TEXT, "format": "date-time"},
        "ends_at": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "When it is deleted; null: when the account ends.",
        },
        "gone": {"const": True, "description": "Its content was deleted before: the key is destroyed."},
    },
}
SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Facts of one store about one person",
    "type": "array",
    "items": _FACT,
}
_HEAD: Final = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}}table{{border-collapse:collapse}}
th,td{{border:1px solid #999;padding:.2em .5em;vertical-align:top;text-align:left;white-space:pre-wrap}}</style>
<h1>{title}</h1>
<p>Made {made} · 制作时间 {made_zh}</p>
"""
_TITLE: Final = {
    "access": "The data about you · 关于您的数据",
    "port": "Your data to take along · 供您转移的数据",
}


@dataclass(frozen=True, slots=True)
class Copy:
    """A finished copy and the policy under which it is explained; `installed` are the parts whose sentences hold."""

    id: UUID
    extent: export.Extent
    made_at: datetime
    stores: list[str]
    policy: Policy
    installed: frozenset[str]


async def written(on: Shelf, who: Actor, copy: Copy) -> AsyncIterator[bytes]:
    """The bytes of the ZIP file, one piece of the copy at a time. Each opening is on the person's own record."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("schema.json", json.dumps(SCHEMA, indent=1))
        file.writestr("policy.json", to_json(copy.policy, copy.installed))
        for store in copy.stores:
            with file.open(f"data/{store}.json", "w", force_zip64=True) as entry:
                async for part in _array(copies.pieces(on, who, copy.id, store)):
                    await asyncio.to_thread(entry.write, part)
                    yield sink.taken()
        with file.open("read-me.html", "w", force_zip64=True) as entry:
            entry.write(_explained(copy).encode())
            for store in copy.stores:
                entry.write(f"<h2>{html.escape(store)}</h2>\n".encode())
                async for facts in copies.pieces(on, who, copy.id, store):
                    await asyncio.to_thread(entry.write, _tables(facts).encode())
                    yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """Where the ZIP file is written to; what was written is taken away piece by piece."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


async def _array(pieces: AsyncIterator[export.Facts]) -> AsyncIterator[bytes]:
    """Pieces of facts as the bytes of one JSON array."""
    lead = "[\n"
    async for facts in pieces:
        if facts:
            yield (lead + ",\n".join(json.dumps(each, ensure_ascii=False) for each in facts)).encode()
            lead = ",\n"
    yield b"[]" if lead == "[\n" else b"\n]\n"


def _explained(copy: Copy) -> str:
    """What the service does with the data, in the published sentences."""
    said = [
        clause
        for clause in published(copy.policy, copy.installed)
        if clause.kind in ("keep", "use", "end") or clause.id.split(".")[0] in ("processor", "share", "rights", "right")
    ]
    lines = (f"<li>{html.escape(clause.en)}<br>{html.escape(clause.zh)}</li>" for clause in said)
    head = _HEAD.format(
        title=_TITLE[copy.extent], made=periods.minute(copy.made_at, "en"), made_zh=periods.minute(copy.made_at, "zh")
    )
    listed = "\n".join(lines)
    return f"{head}<ul>\n{listed}\n</ul>\n"


def _tables(facts: Iterable[dict[str, Any]]) -> str:
    return "".join(f"<table>{''.join(_rows(fact))}</table><br>\n" for fact in facts)


def _rows(fact: dict[str, Any]) -> Iterator[str]:
    for name, value in fact.items():
        if value is not None:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
            yield f"<tr><th>{html.escape(name)}<td>{html.escape(shown)}"
