"""The real ledger against a model of twenty lines: any order of opens, settles and resends, alone or in batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avow.base.clock import SystemClock
from avow.billing import invariants
from avow.billing.calls import Answer, Batch, Calls, Waiting, nobody
from avow.billing.events import Functions, Open, Settle
from tests.billing.conftest import Bank, Payer, settle


@dataclass
class Model:
    """What wallets should hold and what each event should be answered."""

    left: dict[UUID, int]
    posted: dict[UUID, int]
    holds: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)
    charges: dict[UUID, int] = field(default_factory=dict)

    def settle(self, event: Settle) -> int | None:
        if event.request_id in self.holds:
            wallet, held = self.holds.pop(event.request_id)
            due = min(held, event.amount)
            self.charges[event.request_id] = due
            self.posted[wallet] -= due
            self.left[wallet] += held - due
        return self.charges.get(event.request_id)

    def open(self, wallet: UUID, event: Open) -> tuple[str, int] | None:
        if event.request_id in self.holds:
            return None
        if event.request_id in self.charges:
            return ("settled", 0)
        if event.amount > self.left[wallet]:
            return ("money", self.left[wallet])
        self.left[wallet] -= event.amount
        self.holds[event.request_id] = (wallet, event.amount)
        return None


amounts = st.one_of(st.integers(0, 60), st.integers(0, 400))
opens = st.tuples(st.just("open"), st.integers(0, 2), amounts)
settles = st.tuples(st.just("settle"), st.integers(0, 40), amounts)
again = st.tuples(st.just("again"), st.integers(0, 40), st.just(0))
programs = st.lists(st.tuples(st.lists(st.one_of(opens, settles, again), max_size=12), st.booleans()), max_size=6)


async def send(calls: Calls, told: list[Open], ends: list[Settle]) -> Answer:
    return await calls.send(Batch([Waiting(e, nobody, 0) for e in told], [Waiting(e, nobody, 0) for e in ends], []))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(program=programs)
async def test_every_answer_and_balance_is_what_the_model_says(bank: Bank, program: list) -> None:  # type: ignore[type-arg]
    payers: list[Payer] = [await bank.payer(200) for _ in range(3)]
    wallets = [p.wallet_id for p in payers]
    model = Model(dict.fromkeys(wallets, 200), dict.fromkeys(wallets, 200))
    history: list[tuple[Payer, Open]] = []
    connection = await bank.databases.writer.raw()
    try:
        calls = await Calls.prepare(connection, Functions(), 1)
        for steps, resend in program:
            batch: dict[UUID, tuple[Payer, Open]] = {}
            ends: dict[UUID, Settle] = {}
            for kind, n, amount in steps:
                if kind == "open":
                    payer = payers[n]
                    event = payer.open(amount)
                    batch[event.request_id] = (payer, event)
                elif n < len(history):
                    payer, event = history[n]
                    if kind == "settle":
                        ends[event.request_id] = settle(event, amount)
                    else:
                        batch[event.request_id] = (payer, event)
            history += [b for i, b in batch.items() if all(i != e.request_id for _, e in history)]
            for _ in range((1 + resend) if batch or ends else 0):
                wanted_ends = [model.settle(e) for e in ends.values()]
                wanted = {n: model.open(p.wallet_id, e) for n, (p, e) in enumerate(batch.values())}
                answer = await send(calls, [e for _, e in batch.values()], list(ends.values()))
                assert [answer.charged.get(n, end.amount) for n, end in enumerate(ends.values())] == wanted_ends
                assert answer.refused == {n: why for n, why in wanted.items() if why}
    finally:
        await connection.close()
    for payer in payers:
        held = sum(a for w, a in model.holds.values() if w == payer.wallet_id)
        assert await bank.wallet(payer) == (model.posted[payer.wallet_id], held)
    async with bank.databases.keeper.begin() as c:
        ours = {*wallets, *model.charges, *model.holds}
        found = await invariants.violations(c, SystemClock().now())
        assert [v for v in found if v.id in ours and not v.invariant.startswith(("I7", "I12"))] == []
