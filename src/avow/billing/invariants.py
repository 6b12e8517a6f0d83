"""The invariants of money (I1 to I8 and I12 of the design), asked of the live ledger; no row is the only good answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_VIOLATIONS = text("SELECT invariant, id, found, wanted FROM ledger_violations(:at)")
_MISSING = text("SELECT invariant, id, found, wanted FROM ledger_missing(:ids, :amounts)")


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, at the row `id`; amounts are nano-units."""

    invariant: str
    id: UUID
    found: Decimal | None
    wanted: Decimal | None


async def violations(connection: AsyncConnection, at: datetime) -> list[Violation]:
    """What is wrong with the ledger, as the keeper. `at` is the present (I12)."""
    return [Violation(*row) for row in await connection.execute(_VIOLATIONS, {"at": at})]


async def missing(connection: AsyncConnection, told: Mapping[UUID, int]) -> list[Violation]:
    """I5: of the charges that were told to callers (request id to amount), those that the ledger does not have."""
    values = {"ids": list(told), "amounts": list(told.values())}
    return [Violation(*row) for row in await connection.execute(_MISSING, values)]
