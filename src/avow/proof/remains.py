"""The search for what should not be there: in every file of the home, with a control that must be found."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from avow.base.ids import uuid7
from avow.base.postgres import FOLDER
from avow.proof import scan
from avow.proof.evidence import Finding
from avow.proof.tables import scan_control

if TYPE_CHECKING:
    from avow.proof.probes import Ground

CONTROL_BYTES = 24


async def nowhere(on: Ground, *markers: str) -> Finding:
    """Markers are in no file in the clear, all files could be read, and a control planted now is found in them."""
    control = secrets.token_bytes(CONTROL_BYTES)
    async with on.keeper.begin() as c:
        await c.execute(scan_control.insert().values(id=uuid7(), planted=control))
    try:
        await _checkpoint(on)
        wanted = [control, *(marker.encode() for marker in markers)]
        seen = await asyncio.to_thread(scan.search, scan.files(on.remains), wanted)
    finally:
        async with on.keeper.begin() as c:
            await c.execute(scan_control.delete().where(scan_control.c.planted == control))
    if hits := sum(seen.hits[marker.encode()] for marker in markers):
        return Finding("failed", f"found in the clear {hits} times; {seen.figure}")
    if seen.unreadable:
        return Finding("unproved", f"{seen.unreadable} files could not be read")
    if not (on.home / FOLDER).exists():
        return Finding("unproved", f"0 hits in {seen.figure}; the database has its files elsewhere")
    if not seen.hits[control]:
        return Finding("failed", "the scan did not find its own control")
    return Finding("proved", f"0 hits in {seen.figure}; control found {seen.hits[control]} times")


async def _checkpoint(on: Ground) -> None:
    """What PostgreSQL still holds in memory goes to its files, where the scan looks."""
    raw = await on.keeper.raw()
    try:
        await raw.execute("CHECKPOINT")
    finally:
        await raw.close()
