"""The invariants of money, asked of the live ledger every minute; no row is the only good answer.

I1 to I8, I10 to I12 and I14 of the ledger, and I15 to I18 of limits. I5 needs what callers were told (`missing`), I13 is a
share and no rule (`absorbed_share`). I9 compares sums that would be kept beside the charges: none are, but those of limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_VIOLATIONS = text("SELECT invariant, id, found, wanted FROM ledger_violations(:at)")
_ABSORBED = text("SELECT absorbed, charged FROM ledger_absorbed(:at)")
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


async def absorbed_share(connection: AsyncConnection, at: datetime) -> float:
    """I13: what upstreams charged beyond the holds of the day before `at`, as a share of all that they charged."""
    absorbed, charged = (await connection.execute(_ABSORBED, {"at": at})).one()
    return float(absorbed / (absorbed + charged)) if absorbed else 0.0


async def missing(connection: AsyncConnection, told: Mapping[UUID, int]) -> list[Violation]:
    """I5: of the charges that were told to callers (request id to amount), those that the ledger does not have."""
    values = {"ids": list(told), "amounts": list(told.values())}
    return [Violation(*row) for row in await connection.execute(_MISSING, values)]
