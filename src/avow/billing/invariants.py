"""The invariants of money, asked of the live ledger every minute; no row is the only good answer.

I1 to I8, I10 to I12 and I14 of the ledger, and I15 to I18 of limits. I5 needs what callers were told (`missing`), I13 is a
share and no rule (`absorbed`). I9 compares sums that would be kept beside the charges: none are, but those of limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_VIOLATIONS = text("SELECT invariant, id, found, wanted FROM ledger_violations(:at)")
_ABSORBED = text("SELECT model, absorbed, charged FROM ledger_absorbed(:at)")
_MISSING = text("SELECT invariant, id, found, wanted FROM ledger_missing(:ids, :amounts)")

ABSORBED_MAX = 0.001
"""Of all that upstreams charged in a day."""
TOLD_AGAIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, at the row `id`; amounts are nano-units."""

    invariant: str
    id: UUID
    found: Decimal | None
    wanted: Decimal | None


@dataclass(frozen=True, slots=True)
class Absorbed:
    """What upstreams charged for a model beyond what its requests could cost, and what was charged for it, in nano-units."""

    model: str
    nano: int
    charged: int


async def violations(connection: AsyncConnection, at: datetime) -> list[Violation]:
    """What is wrong with the ledger, as the keeper. `at` is the present (I12)."""
    return [Violation(*row) for row in await connection.execute(_VIOLATIONS, {"at": at})]


async def absorbed(connection: AsyncConnection, at: datetime) -> list[Absorbed]:
    """I13: of each model what upstreams charged beyond the holds of the day before `at`, and what was charged; most first."""
    rows = await connection.execute(_ABSORBED, {"at": at})
    return [Absorbed(model, int(beyond), int(charged)) for model, beyond, charged in rows]


class AbsorbedNews:
    """What is to be said of what we bear ourselves: of each model when it begins, when it has doubled, and once a day."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[datetime, int]] = {}

    def of(self, found: Sequence[Absorbed], at: datetime) -> list[Absorbed]:
        """Those to tell now; none while all models together stay within `ABSORBED_MAX`."""
        self._told = {model: told for model, told in self._told.items() if told[0] > at - TOLD_AGAIN}
        borne = sum(each.nano for each in found)
        if borne <= ABSORBED_MAX * (borne + sum(each.charged for each in found)):
            return []
        news = [each for each in found if each.nano and each.nano >= 2 * self._told.get(each.model, (at, 0))[1]]
        self._told |= {each.model: (at, each.nano) for each in news}
        return news


async def missing(connection: AsyncConnection, told: Mapping[UUID, int]) -> list[Violation]:
    """I5: of the charges that were told to callers (request id to amount), those that the ledger does not have."""
    values = {"ids": list(told), "amounts": list(told.values())}
    return [Violation(*row) for row in await connection.execute(_MISSING, values)]
