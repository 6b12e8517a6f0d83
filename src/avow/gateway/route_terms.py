"""What of a model's route to an upstream may be another: what the model is called there, and what chooses between its routes.

A change names what is to be another, and is made to the revision that was looked at, as one of an upstream is (`upstream_terms`).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import money
from avow.base.errors import AvowError, BadInput, NotFound
from avow.gateway import tables

NAME_CHARS_MAX = 200
NUMBER_MAX = 2**31 - 1
COST_MAX = 4_000_000_000 * money.NANO
Number = Annotated[int, msgspec.Meta(le=NUMBER_MAX)]

_CHANGE = text("SELECT route_change(:model_id, :upstream_id, :revision, :their_name, :rank, :weight, :cost_nano)")


class RouteMoved(AvowError):
    """Somebody else changed this route meanwhile."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "route_moved"
    hint = "Nothing was changed. Look at what it is now, and make your change to that."


class Change(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True, kw_only=True):
    """What of a route is to be another; what is left out stays. `cost`: what a million tokens cost the operator there, as a
    decimal."""

    their_name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX)] | UnsetType = UNSET
    rank: Number | UnsetType = UNSET
    weight: Number | UnsetType = UNSET
    cost: Annotated[str, msgspec.Meta(max_length=40)] | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """What is named, by its column. Raises BadInput for a cost that is no decimal."""
        named = {name: getattr(self, name) for name in ("their_name", "rank", "weight")}
        if self.cost is not UNSET:
            named["cost_nano"] = _nano(self.cost)
        return {name: value for name, value in named.items() if value is not UNSET}


class Changed(NamedTuple):
    """What was another before and is now, for the record."""

    before: dict[str, Any]
    after: dict[str, Any]


async def change(
    connection: AsyncConnection, model: str, upstream: str, wanted: Change, revision: int | None = None
) -> Changed:
    """Change a model's route to an upstream, made from what it was at `revision` (None: as it is now), as the product's role or
    the keeper. Every worker has it before its next request. Raises NotFound, RouteMoved, BadInput as `check`."""
    known = select(tables.route).join(tables.upstream).where(tables.upstream.c.name == upstream)
    row = (await connection.execute(known.where(tables.route.c.model_id == model))).one_or_none()
    if row is None:
        raise absent(model, upstream)
    if revision is not None and row.revision != revision:
        raise RouteMoved
    given = wanted.given()
    new = {**row._mapping, **given}
    check(new["their_name"], new["rank"], new["weight"], new["cost_nano"])
    if not await connection.scalar(_CHANGE, new):
        raise RouteMoved
    before, after = ({name: of[name] for name in given} for of in (row._mapping, new))
    return Changed(before, after)


def check(their_name: str, rank: int, weight: int, cost_nano: int) -> None:
    """Raises BadInput for a name that is none, and what a route cannot be chosen by."""
    if not 1 <= len(their_name) <= NAME_CHARS_MAX:
        raise BadInput(f"A name has from 1 to {NAME_CHARS_MAX} characters.", param="their_name")
    if not 0 <= rank <= NUMBER_MAX:
        raise BadInput(f"A rank is from 0 to {NUMBER_MAX}.", param="rank")
    if not 1 <= weight <= NUMBER_MAX:
        raise BadInput(f"A weight is from 1 to {NUMBER_MAX}.", param="weight")
    if not 0 <= cost_nano <= COST_MAX:
        raise BadInput(f"A cost is from 0 to {COST_MAX // money.NANO}.", param="cost")


def absent(model: str, upstream: str) -> NotFound:
    return NotFound(
        f"The model {model!r} does not run at {upstream!r}.", hint="avow model list shows where each model runs."
    )


def _nano(cost: str) -> int:
    try:
        return money.parse(cost)
    except ValueError:
        raise BadInput("A cost is a decimal with nine places at most, for example 0.15.", param="cost") from None
