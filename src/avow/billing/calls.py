"""The SQL calls of a batch: events become arrays of rows, positions become answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import structlog
from asyncpg.prepared_stmt import PreparedStatement
from msgspec.structs import astuple

from avow.billing.events import Functions, Open, Opened, Rate, Settle, Settled

log = structlog.get_logger()

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # from which PostgreSQL counts
_OPEN_FIELDS = len(Open.__struct_fields__)
_SETTLE_FIELDS = len(Settle.__struct_fields__) - 1  # without `extra`

E = TypeVar("E")
A = TypeVar("A")


class Waiting(msgspec.Struct, Generic[E, A], eq=False):
    """An event and who is told its answer, once.

    `born` is the loop's time; `spooled`: it stands in the spool file; `over`: it was answered, or nobody waits any more.
    """

    event: E
    told: Callable[[A], object]
    born: float
    spooled: bool = False
    over: bool = False

    def end(self, answer: A) -> None:
        """Tell it, unless it is over. Whoever fails to take it must not keep others from theirs."""
        if self.over:
            return
        self.over = True
        try:
            self.told(answer)
        except Exception as wrong:
            log.error("ledger_answer_not_taken", error=type(wrong).__name__)


@dataclass(slots=True)
class Batch:
    """What one call tells; checkpoints are (request, input, cached, output tokens)."""

    opens: list[Waiting[Open, Opened | Exception]]
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
    return Batch([], [Waiting(s, nobody, 0.0) for s in settles], [])


def nobody(_: object) -> None:
    """Who waits for what nobody waits for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What differs from "all opened, all charged as asked": `refused` maps positions of opens to (reason, room) for
    `refusals.named`, `rates` to the rates that they fall under, `charged` those of settles to amounts (None: no such hold)."""

    policy_epoch: int
    refused: dict[int, tuple[str, int]]
    rates: dict[int, Rate]
    charged: dict[int, int | None]


class Calls:
    """Prepared statements of one connection."""

    def __init__(self, functions: Functions, epoch: int, statements: dict[str, PreparedStatement]) -> None:
        self._functions, self._epoch, self._statements = functions, epoch, statements

    @classmethod
    async def prepare(cls, connection: asyncpg.Connection, functions: Functions, epoch: int) -> Calls:
        await _teach(connection, functions)
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
        arguments = [self._epoch, [w.event for w in batch.opens], settles, batch.checkpoints]
        if self._functions.extra:
            arguments.append([e for e in settles if e.extra is not None])
        row = await self._statements["batch"].fetchrow(*arguments)
        refused, reasons, affordable, differing, charged, _, epoch, rated, rates = row
        return Answer(
            epoch,
            {} if refused is None else _placed(refused, zip(reasons, affordable, strict=True)),
            {} if rated is None else _placed(rated, map(Rate, *[iter(rates)] * 4)),
            {} if differing is None else _placed(differing, charged),
        )

    async def _open(self, event: Open) -> Answer:
        reason, affordable, epoch, rates = await self._statements["open"].fetchrow(self._epoch, *astuple(event))
        refused = {} if reason is None else {0: (reason, affordable)}
        return Answer(epoch, refused, {} if rates is None else {0: Rate(*rates)}, {})

    async def _settle(self, event: Settle) -> Answer:
        if event.extra is None:
            row = await self._statements["settle"].fetchrow(*_settle_row(event))
        else:
            _, *extra = _extra_row(self._functions.extra, event)
            row = await self._statements["settle_extra"].fetchrow(*_settle_row(event), *extra)
        charged, _, epoch = row
        return Answer(epoch, {}, {}, {} if charged == event.amount else {0: charged})


def _call(function: str, count: int) -> str:
    return f"SELECT * FROM {function}({', '.join(f'${n}' for n in range(1, count + 1))})"  # noqa: S608  our own names


def _placed(positions: Iterable[int], values: Iterable[A]) -> dict[int, A]:
    """By position from 0, as PostgreSQL counts from 1."""
    return {n - 1: each for n, each in zip(positions, values, strict=True)}


async def _teach(connection: asyncpg.Connection, functions: Functions) -> None:
    """Let events be sent as they are, and times faster than the driver does.

    Its own ways cost more than all else that a call does: it looks four times whether a tuple in an array is something else, and
    it converts the time zone of every time.
    """
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=_microseconds, decoder=_time, format="tuple"
    )
    rows: list[tuple[str, Callable[[Any], tuple[Any, ...]]]] = [("told_open", astuple), ("told_settle", _settle_row)]
    if functions.extra:
        rows.append((functions.extra_type, partial(_extra_row, functions.extra)))
    for name, row in rows:
        await connection.set_type_codec(name, encoder=row, decoder=tuple, format="tuple")


def _settle_row(event: Settle) -> tuple[Any, ...]:
    return astuple(event)[:-1]


def _extra_row(fields: int, event: Settle) -> tuple[Any, ...]:
    """With nothing for the fields that the version did not know which wrote it into its spool."""
    assert event.extra is not None
    return event.request_id, *event.extra, *(None,) * (fields - len(event.extra))


def _microseconds(at: datetime) -> tuple[int]:
    since = at - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds,)


def _time(microseconds: tuple[int]) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds[0])
