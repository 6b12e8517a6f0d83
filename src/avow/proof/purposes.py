"""The probe of purposes: what a category may be used for, tried at the vault's door; where columns are readable and no door
asks, who can read them at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Table, func, select, text

from avow.base.access import ANALYST, LOGIN_ROLES
from avow.base.actor import Actor
from avow.base.ids import uuid7
from avow.catalog import facts
from avow.proof.evidence import Finding
from avow.vault import OpenRefused, Ref

if TYPE_CHECKING:
    from avow.proof.probes import Canary, Ground

_READERS = text(
    "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND has_table_privilege(oid, :table, 'SELECT')"
)


async def purposes(on: Ground) -> dict[str, Finding]:
    """What is sealed is not opened for a purpose outside its category's list; what is readable is read by no stranger.

    Said for each category apart; one of a part that is not installed is stored nowhere and published nowhere.
    """
    canary = await on.canaries.kept()
    found = {}
    for name, category in on.policy.categories.items():
        tables = [(table, held.box) for table, held in facts() if held.category == name]
        sealed = [table for table, box in tables if box]
        if category.keep.kind == "never":
            found[name] = Finding("proved", "nothing of it is stored")
        elif sealed:
            found[name] = await _at_the_door(on, canary, name, sealed[-1].name)
        elif tables:
            found[name] = await _in_the_clear(on, canary, [table for table, _ in tables])
    return found


async def _at_the_door(on: Ground, canary: Canary, category: str, table: str) -> Finding:
    """Seal a fact of the canary as the platform does, and try the door with it."""
    owner = Actor("subject", str(canary.subject_id), "subject", canary.tenant_id, canary.subject_id)
    ref, ends_at = Ref(canary.tenant_id, table, category, uuid7(), canary.subject_id), canary.ends_at
    await on.vault.prepare(canary.subject_id, category, ends_at)
    sealed = on.vault.seal(ref, {"marker": canary.marker}, ends_at)
    async with on.app.tenant(canary.tenant_id) as c:
        if await on.vault.open(c, ref, sealed, "access", owner) != {"marker": canary.marker}:
            return Finding("failed", "the control could not be opened by its owner")
    try:
        async with on.app.tenant(canary.tenant_id) as c:
            await on.vault.open(c, ref, sealed, "advertising", owner)
    except OpenRefused:
        return Finding("proved", "refused for another purpose, opened for its owner")
    return Finding("failed", "opened for a purpose that the policy does not name")


async def _in_the_clear(on: Ground, canary: Canary, tables: list[Table]) -> Finding:
    """Only our own roles read the tables, and the product's role no row of somebody else."""
    held = seen = 0
    others: set[str] = set()
    for table in tables:
        async with on.keeper.begin() as c:
            readers = set((await c.execute(_READERS, {"table": table.name})).scalars())
            mine = table.c.subject_id == canary.subject_id
            held += await c.scalar(select(func.count()).select_from(table).where(mine)) or 0
        others |= readers - (set(LOGIN_ROLES) - {ANALYST})
        if "avow_app" in readers:
            async with on.app.tenant(uuid7()) as c:
                seen += await c.scalar(select(func.count()).select_from(table)) or 0
    if others:
        return Finding("failed", f"read by {', '.join(sorted(others)[:3])}")
    if seen:
        return Finding("failed", f"{seen} rows of others were read")
    return Finding(
        "proved", f"read by the service's own programs only; a stranger sees 0 rows, of the canary are {held}"
    )
