"""What several keys may use together holds exactly, whichever of two workers they come by."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from avow.accounts.limits import Limits
from avow.base.ids import uuid7
from avow.billing import allowances, invariants
from avow.billing.refusals import BudgetExceeded, RateExceeded, TokensShort
from tests.billing.conftest import NOW, PRICE, Bank, Payer, gathered, settle

_PROJECT = "INSERT INTO project (id, tenant_id, subject_id, since, policy_version, box) VALUES ($1, $2, $2, $3, 1, '')"


async def shared(bank: Bank, kind: str, **limits: int) -> tuple[Payer, list[Payer]]:
    """A payer with three keys that fall under one allowance."""
    payer = await bank.payer(10**9)
    keys = [payer]
    for _ in range(2):
        keys.append(Payer(payer.tenant_id, payer.subject_id, payer.wallet_id, uuid7()))
        await bank.key(payer, keys[-1].key_id)
    named = {"project": uuid7(), "organisation": payer.tenant_id, "model": allowances.of_model(PRICE.model)}[kind]
    if kind == "project":
        await bank.admin.execute(_PROJECT, named, payer.tenant_id, NOW)
        await bank.admin.execute("UPDATE api_key SET project_id = $1 WHERE tenant_id = $2", named, payer.tenant_id)
    await put(bank, kind, named, **limits)
    return payer, keys


async def put(bank: Bank, kind: str, named: UUID, **limits: int) -> None:
    async with bank.databases.keeper.begin() as c:
        await allowances.put(c, kind, named, Limits(**limits))  # type: ignore[arg-type]


async def sound(bank: Bank) -> None:
    async with bank.databases.keeper.begin() as c:
        assert await invariants.violations(c, NOW) == []


KINDS = pytest.mark.parametrize("kind", ["project", "organisation", "model"])


@KINDS
@pytest.mark.parametrize("alone", [True, False])
async def test_exactly_so_many_requests_run_as_may(bank: Bank, kind: str, alone: bool) -> None:
    _, keys = await shared(bank, kind, requests_per_min=10, parallel=7)
    async with bank.batcher() as one, bank.batcher() as two:
        opens = [keys[n % 3].open(10, tokens_max=5) for n in range(30)]
        asked = [(one, two)[n % 2].open(each) for n, each in enumerate(opens)]
        answers = [(await gathered(each))[0] for each in asked] if alone else await gathered(*asked)
        refused = Counter(str(each).partition(".")[0] for each in answers if isinstance(each, RateExceeded))
        assert refused.total() == 23 and all("running at once" in sentence for sentence in refused)
        await sound(bank)
        ran = [each for each, answer in zip(opens, answers, strict=True) if not isinstance(answer, RateExceeded)]
        await asyncio.gather(*(one.settle(settle(each, 9)) for each in ran))
        more = await gathered(*(two.open(keys[0].open(10)) for _ in range(10)))
        assert sum(not isinstance(each, RateExceeded) for each in more) == 3
        told = [each for each in more if isinstance(each, RateExceeded)]
        assert all(
            "used up its requests" in str(each) and each.headers["x-ratelimit-remaining-requests"] == "0"
            for each in told
        )
        await sound(bank)


@KINDS
async def test_money_together_stays_within_the_budget_and_what_is_not_used_comes_back(bank: Bank, kind: str) -> None:
    _, keys = await shared(bank, kind, budget_day_nano=100, budget_month_nano=150)
    async with bank.batcher() as one, bank.batcher() as two:
        opens = [keys[n % 3].open(30) for n in range(12)]
        answers = await gathered(*((one, two)[n % 2].open(each) for n, each in enumerate(opens)))
        refused = [each for each in answers if isinstance(each, BudgetExceeded)]
        assert len(refused) == 9 and {each.affordable for each in refused} == {10}
        ran = [each for each, answer in zip(opens, answers, strict=True) if not isinstance(answer, BudgetExceeded)]
        await asyncio.gather(*(two.settle(settle(each, 9)) for each in ran))
        await one.open(keys[1].open(73))
        with pytest.raises(BudgetExceeded, match="day"):
            await one.open(keys[2].open(1))
        tomorrow = NOW + timedelta(days=1)
        with pytest.raises(BudgetExceeded, match="month"):
            await one.open(keys[2].open(60, at=tomorrow))
        await one.open(keys[2].open(50, at=tomorrow))
        await sound(bank)


async def test_each_organisation_has_a_models_limit_for_itself(bank: Bank) -> None:
    (_, keys), stranger = await shared(bank, "model", requests_per_min=1), await bank.payer(100)
    async with bank.batcher() as ledger:
        await ledger.open(keys[0].open(1))
        with pytest.raises(RateExceeded):
            await ledger.open(keys[1].open(1))
        await ledger.open(stranger.open(1))
        await ledger.open(keys[0].open(1, model="another"))


async def test_what_could_never_pass_is_said_so_and_a_limit_can_be_taken_away(bank: Bank) -> None:
    payer, keys = await shared(bank, "organisation", tokens_per_min=40)
    async with bank.batcher() as ledger:
        with pytest.raises(TokensShort) as refused:
            await ledger.open(keys[0].open(1, tokens_max=41))
        assert refused.value.tokens_per_min == 40
        opened = await ledger.open(keys[0].open(1, tokens_max=30))
        assert opened.rate is not None and (opened.rate.tokens, opened.rate.tokens_left) == (40, 10)
        await put(bank, "organisation", payer.tenant_id)
        assert (await ledger.open(keys[0].open(1, tokens_max=41))).rate is None


async def test_who_limits_a_project_waits_for_nobody_elses_money(bank: Bank) -> None:
    payer, other = (await shared(bank, "project", parallel=1))[0], await bank.payer(10**9)
    project = await bank.admin.fetchval("SELECT project_id FROM api_key WHERE tenant_id = $1 LIMIT 1", payer.tenant_id)
    async with bank.admin.transaction():
        await bank.admin.execute("SELECT 1 FROM wallet WHERE id = $1 FOR UPDATE", other.wallet_id)
        async with bank.databases.keeper.begin() as c:
            await c.execute(text("SET LOCAL lock_timeout = '10s'"))
            await allowances.put(c, "project", project, Limits(parallel=2))


async def test_a_budget_that_is_said_again_counts_on(bank: Bank) -> None:
    payer, keys = await shared(bank, "organisation", budget_total_nano=100)
    async with bank.batcher() as ledger:
        await ledger.open(first := keys[0].open(60))
        await ledger.settle(settle(first, 60))
        await put(bank, "organisation", payer.tenant_id, budget_total_nano=100, parallel=5)
        with pytest.raises(BudgetExceeded):
            await ledger.open(keys[1].open(60))
        await sound(bank)


@KINDS
async def test_money_counts_from_when_the_limit_was_set(bank: Bank, kind: str) -> None:
    _, keys = await shared(bank, kind, budget_total_nano=100)
    named = await bank.admin.fetchval("SELECT id FROM allowance")
    async with bank.batcher() as ledger:
        spent, runs = keys[0].open(60), keys[1].open(30)
        await ledger.open(spent)
        await ledger.settle(settle(spent, 60))
        await ledger.open(runs)
        await put(bank, kind, named)
        await put(bank, kind, named, budget_total_nano=100)
        await sound(bank)
        with pytest.raises(BudgetExceeded) as refused:
            await ledger.open(keys[0].open(71))
        assert refused.value.affordable == 70, "what is held counts, what was spent before does not"
        await ledger.settle(settle(runs, 9))
        await ledger.open(keys[0].open(91))
        await sound(bank)


@KINDS
async def test_sums_end_with_their_organisation_and_a_request_that_still_runs_settles(bank: Bank, kind: str) -> None:
    payer, keys = await shared(bank, kind, budget_total_nano=100)
    async with bank.batcher() as ledger:
        runs, spent = keys[0].open(30), keys[1].open(9)
        for each in (runs, spent):
            await ledger.open(each)
        await ledger.settle(settle(spent, 9))
        async with bank.databases.keeper.begin() as c:
            await allowances.end(c, payer.tenant_id)
            await c.exec_driver_sql("DELETE FROM project")
            await allowances.sweep(c)
        await ledger.settle(settle(runs, 9))
        await sound(bank)
    async with bank.databases.keeper.begin() as c:
        await allowances.sweep(c)
    assert await bank.admin.fetch("SELECT id FROM allowance_use") == []
    assert await bank.admin.fetchval("SELECT count(*) FROM allowance") == (kind == "model")


async def test_a_person_who_is_erased_leaves_no_request_running(bank: Bank) -> None:
    payer, keys = await shared(bank, "organisation", parallel=1)
    await bank.limit(payer, parallel=1)
    async with bank.batcher() as ledger:
        await ledger.open(keys[0].open(1))
        async with bank.databases.keeper.begin() as c:
            await c.exec_driver_sql(f"DELETE FROM wallet_hold WHERE subject_id = '{payer.subject_id}'")
        await ledger.open(keys[0].open(1))
        await sound(bank)


async def test_a_key_runs_so_many_requests_at_once(bank: Bank) -> None:
    payer = await bank.payer(10**6)
    await bank.limit(payer, parallel=4)
    async with bank.batcher() as one, bank.batcher() as two:
        opens = [payer.open(10) for _ in range(20)]
        answers = await gathered(*((one, two)[n % 2].open(each) for n, each in enumerate(opens)))
        ran = [each for each, answer in zip(opens, answers, strict=True) if not isinstance(answer, Exception)]
        assert len(ran) == 4 and {type(each) for each in answers if isinstance(each, Exception)} == {RateExceeded}
        await one.settle(settle(ran[0], 9))
        await two.open(payer.open(10))
        await sound(bank)
