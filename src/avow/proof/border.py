"""Probes of the registers: the documents that stand behind claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avow.proof.evidence import Finding
from avow.registers import documents

if TYPE_CHECKING:
    from avow.proof.probes import Ground


async def part_evidence(on: Ground) -> dict[str, Finding]:
    """Of each sentence that rests on a document: whether one is held, unchanged and valid. A sentence of which there was
    never a document is not published, and nothing is said of it."""
    await documents.look(on.shelf)
    async with on.keeper.begin() as c:
        known = await documents.newest(c, on.clock.now())
    found = {}
    for clause in on.policy.clauses:
        if clause.evidence is not None and clause.evidence in known:
            became, row = known[clause.evidence]
            said = f"{row.issuer}, valid until {row.valid_until:%Y-%m-%d}, SHA-256 {row.sha256[:16]}"
            name = clause.id.partition(".")[2]
            if became == "valid":
                found[name] = Finding("attested", said)
            else:
                broken = became in ("missing", "changed")
                found[name] = Finding("failed" if broken else "unproved", f"{became}: {said}; not published")
    return found
