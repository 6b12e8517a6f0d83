"""The SQL calls of a batch: events become arrays of rows, positions become answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg
import msgspec
from asyncpg.prepared_stmt import PreparedStatement
from msgspec.structs import astuple

from avow.billing.events import Functions, Open, Opened, Rate, Settle, Settled

_OPEN_FIELDS = len(Open.__struct_fields__)
_SETTLE_FIELDS = len(Settle.__struct_fields__) - 1  # without `extra`

E = TypeVar("E")
A = TypeVar("A")


class Waiting(msgspec.Struct, Generic[E, A], eq=False):
    """An event and the future of its answer, which its caller may have left.

    `born` is the loop's time; `spooled`: it stands in the spool file; `durable`: it is over, there or in PostgreSQL.
    """

    event: E
    future: asyncio.Future[A]
    born: float
    spooled: bool = False
    durable: bool = False

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(slots=True)
class Batch:
    """What one call tells; checkpoints are (request, input, cached, output tokens)."""

    opens: list[Waiting[Open, Opened]]
    settles: list[Waiting[Settle, Settled]]
    checkpoints: list[tuple[UUID, int, int, int]]

    def __len__(self) -> int:
        return len(self.opens) + len(self.settles) + len(self.checkpoints)

    def halves(self) -> Iterator[Batch]:
        for left in (True, False):
            parts = [
                part[: len(part) // 2] if left else part[len(part) // 2 :]
                for part in (self.opens, self.settles, self.checkpoints)
            ]
            yield Batch(*parts)  # type: ignore[arg-type]


def settling(settles: Iterable[Settle]) -> Batch:
    """A batch of settles that nobody waits for."""
    return Batch([], [Waiting(s, asyncio.Future(), 0.0) for s in settles], [])


@dataclass(frozen=True, slots=True)
class Answer:
    """`refused` maps positions of opens to (reason, room) for `refusals.named`, `rates` to the rates that they fall under,
    `charged` those of settles to amounts."""

    refused: dict[int, tuple[str, int]]
    charged: dict[int, int]
    policy_epoch: int
    rates: dict[int, Rate]


class Calls:
    """Prepared statements of one connection."""

    def __init__(self, functions: Functions, epoch: int, statements: dict[str, PreparedStatement]) -> None:
        self._functions, self._epoch, self._statements = functions, epoch, statements

    @classmethod
    async def prepare(cls, connection: asyncpg.Connection, functions: Functions, epoch: int) -> Calls:
        wanted = {
            "batch": (functions.batch, 5 if functions.extra else 4),
            "open": ("ledger_open", 1 + _OPEN_FIELDS),
            "settle": ("ledger_settle", _SETTLE_FIELDS),
            "settle_extra": (functions.settle, _SETTLE_FIELDS + functions.extra),
            "beat": ("worker_beat", 2),
        }
        return cls(functions, epoch, {k: await connection.prepare(_call(*v)) for k, v in wanted.items()})

    async def beat(self, at: datetime) -> None:
        await self._statements["beat"].fetchval(self._epoch, at)

    async def send(self, batch: Batch) -> Answer:
        """One call. Which function depends on the batch: a lone open or settle has a quicker one."""
        if len(batch) == 1 and batch.opens:
            return await self._open(batch.opens[0].event)
        if len(batch) == 1 and batch.settles:
            return await self._settle(batch.settles[0].event)
        settles = [w.event for w in batch.settles]
        arguments = [
            self._epoch,
            [astuple(w.event) for w in batch.opens],
            [astuple(e)[:-1] for e in settles],
            batch.checkpoints,
        ]
        if self._functions.extra:
            arguments.append([(e.request_id, *self._extra(e.extra)) for e in settles if e.extra is not None])
        row = await self._statements["batch"].fetchrow(*arguments)
        reasons = zip(row["reasons"], row["affordable"], strict=True)
        return Answer(
            {n - 1: why for n, why in zip(row["refused"], reasons, strict=True)},
            {n - 1: amount for n, amount in zip(row["settled"], row["charged"], strict=True)},
            row["epoch"],
            {n - 1: Rate(*row["rates"][4 * i : 4 * i + 4]) for i, n in enumerate(row["rated"])},
        )

    async def _open(self, event: Open) -> Answer:
        row = await self._statements["open"].fetchrow(self._epoch, *astuple(event))
        refused = {} if row["reason"] is None else {0: (row["reason"], row["affordable"])}
        rates = {} if row["rates"] is None else {0: Rate(*row["rates"])}
        return Answer(refused, {}, row["epoch"], rates)

    async def _settle(self, event: Settle) -> Answer:
        if event.extra is None:
            row = await self._statements["settle"].fetchrow(*astuple(event)[:-1])
        else:
            row = await self._statements["settle_extra"].fetchrow(*astuple(event)[:-1], *self._extra(event.extra))
        return Answer({}, {} if row["charged"] is None else {0: row["charged"]}, row["epoch"], {})

    def _extra(self, told: tuple[Any, ...]) -> tuple[Any, ...]:
        """With nothing for the fields that the version did not know which wrote it into its spool."""
        return *told, *(None,) * (self._functions.extra - len(told))


def _call(function: str, count: int) -> str:
    return f"SELECT * FROM {function}({', '.join(f'${n}' for n in range(1, count + 1))})"  # noqa: S608  our own names
