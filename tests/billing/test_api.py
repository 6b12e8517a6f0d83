"""The routes of billing over a real database: what a person sees of their money, and of nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from litestar import Litestar, Request
from litestar.di import Provide
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import people, surface
from avow.accounts.directory import Directory
from avow.accounts.needs import Needs, pepper
from avow.base.actor import Actor
from avow.base.clock import FileClock, SystemClock
from avow.base.ids import uuid7
from avow.billing import api
from avow.policy import parse
from avow.privacy.consent_receipts import Maker
from avow.privacy.tombstones import Tombstones
from avow.proof.receipts import Receipts
from avow.vault import Ring, Vault
from tests import LIMIT_S
from tests.billing.conftest import Bank, Payer, settle

PROFILE = Path(__file__).parents[2] / "profiles" / "default.toml"


async def no_credit(c: AsyncConnection, tenant: UUID, subject: UUID, wallet: UUID, at: Any) -> None:
    """These people have their wallets already."""


async def find(request: Request[Any, Any, Any]) -> Actor:
    """The person whom a test names; who somebody is, is the business of accounts."""
    tenant, _, subject = request.headers["x-test-person"].partition("/")
    return people.actor(UUID(tenant), UUID(subject))


@pytest.fixture
async def client(bank: Bank, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    policy, clock = parse(PROFILE.read_text()), FileClock(tmp_path / "clock")
    (tmp_path / "keyring").mkdir(mode=0o700)
    ring = Ring(tmp_path / "keyring" / "ring.db")
    needs = Needs(
        clock=clock,
        database=bank.databases.app,
        ring=ring,
        vault=Vault(ring, policy, clock),
        first_credit=no_credit,
        base_url="http://localhost",
        secure=False,
        directory=Directory(bank.databases.app, pepper(ring), clock, must_confirm=False),
        tombstones=Tombstones(tmp_path / "tombstones", ring),
        consent_receipts=Maker(Receipts(ring), "http://localhost"),
    )
    app = Litestar(
        api.ROUTES,
        dependencies={"accounts": Provide(lambda: needs, sync_to_thread=False), "who": Provide(find)},
        exception_handlers=surface.handlers(),
        openapi_config=None,
    )
    transport = httpx.ASGITransport(cast(Any, app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=LIMIT_S) as made:
        yield made
    needs.vault.close()
    ring.close()


async def spend(bank: Bank, payer: Payer, amounts: list[int], **changed: Any) -> list[UUID]:
    """Requests of a payer, one after the other, that cost these amounts; answers their ids."""
    now = SystemClock().now()
    ends = now + timedelta(days=30)
    async with bank.batcher() as ledger:
        opens = [
            payer.open(a, **{"at": now, "money_ends_at": ends, "usage_ends_at": ends, "expires_at": ends, **changed})
            for a in amounts
        ]
        await asyncio.gather(*map(ledger.open, opens))
        await asyncio.gather(*(ledger.settle(settle(o, a)) for o, a in zip(opens, amounts, strict=True)))
    return [o.request_id for o in opens]


def person(payer: Payer) -> dict[str, str]:
    return {"x-test-person": f"{payer.tenant_id}/{payer.subject_id}"}


async def test_the_wallet_shows_balance_holds_and_its_ledger(bank: Bank, client: httpx.AsyncClient) -> None:
    payer = await bank.payer(2_000_000_000)
    await spend(bank, payer, [300, 0, 600])  # what cost nothing is no line
    async with bank.batcher() as ledger:
        await ledger.open(payer.open(1_000, expires_at=SystemClock().now() + timedelta(hours=1)))
    seen = (await client.get("/api/wallet", headers=person(payer))).json()
    assert (seen["balance"], seen["held"], seen["available"]) == ("1.999999100", "0.000001000", "1.999998100")
    lines = [(line["kind"], line["amount"]) for line in seen["ledger"]]
    assert sorted(lines) == [("charge", "-0.000000300"), ("charge", "-0.000000600"), ("promotion", "2.000000000")]


async def test_pages_of_the_ledger_show_every_line_once(bank: Bank, client: httpx.AsyncClient) -> None:
    payer = await bank.payer(10_000)
    await spend(bank, payer, [3 * n for n in range(1, 10)])
    seen: list[str] = []
    after = ""
    while True:
        page = (await client.get(f"/api/wallet?limit=3{after}", headers=person(payer))).json()
        seen += [line["id"] for line in page["ledger"]]
        if page["after"] is None:
            break
        after = f"&after={page['after']}"
    assert len(seen) == len(set(seen)) == 10


async def test_usage_lists_requests_newest_first_and_sums_them(bank: Bank, client: httpx.AsyncClient) -> None:
    payer = await bank.payer(10_000)
    made = await spend(bank, payer, [30, 60, 90])
    first = (await client.get("/api/usage?limit=2", headers=person(payer))).json()
    second = (await client.get(f"/api/usage?limit=2&after={first['after']}", headers=person(payer))).json()
    requests = first["requests"] + second["requests"]
    assert [UUID(r["id"]) for r in requests] == made[::-1]
    assert [r["cost"] for r in requests] == ["0.000000090", "0.000000060", "0.000000030"]
    assert second["after"] is None
    (day,) = first["days"]
    assert (day["model"], day["requests"], day["output_tokens"], day["cost"]) == ("smol", 3, 60, "0.000000180")


async def test_nobody_sees_what_others_spend(bank: Bank, client: httpx.AsyncClient) -> None:
    payer, stranger = await bank.payer(10_000), await bank.payer(7)
    colleague = Payer(payer.tenant_id, uuid7(), payer.wallet_id, uuid7())
    await bank.key(colleague, colleague.key_id)
    await spend(bank, payer, [30])
    for who, balance in ((stranger, "0.000000007"), (colleague, "0.000009970")):
        wallet = (await client.get("/api/wallet", headers=person(who))).json()
        assert wallet["balance"] == balance
        assert [line["kind"] for line in wallet["ledger"]] == ["promotion"]
        usage = (await client.get("/api/usage", headers=person(who))).json()
        assert (usage["requests"], usage["days"]) == ([], [])


async def test_what_has_ended_is_hidden_before_the_sweep(bank: Bank, client: httpx.AsyncClient) -> None:
    payer = await bank.payer(10_000)
    past = SystemClock().now() - timedelta(seconds=1)
    await spend(bank, payer, [30], usage_ends_at=past)
    await spend(bank, payer, [60], money_ends_at=past)
    usage = (await client.get("/api/usage", headers=person(payer))).json()
    assert [r["cost"] for r in usage["requests"]] == ["0.000000060"]
    wallet = (await client.get("/api/wallet", headers=person(payer))).json()
    assert sorted(line["kind"] for line in wallet["ledger"]) == ["charge", "promotion"]
    assert wallet["balance"] == "0.000009910"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "after=x",
        "since=yesterday",
        "since=2026-11-22T12:00:00",
        "since=9999-12-31T23:59:59-23:59",
    ],
)
async def test_a_bad_question_is_refused(bank: Bank, client: httpx.AsyncClient, query: str) -> None:
    payer = await bank.payer(1)
    answer = await client.get(f"/api/usage?{query}", headers=person(payer))
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_a_key_shows_what_it_used_in_the_windows_of_now(bank: Bank, client: httpx.AsyncClient) -> None:
    payer, stranger = await bank.payer(10_000), await bank.payer(7)
    path, now = f"/api/keys/{payer.key_id}/use", SystemClock().now()
    zero = {"requests": 0, "tokens": 0, **dict.fromkeys(("day", "month", "total", "held"), "0.000000000")}
    assert (await client.get(path, headers=person(payer))).json() == zero
    await bank.limit(payer, requests_per_min=100, budget_day_nano=10_000)
    await spend(bank, payer, [30, 60], at=now - timedelta(days=62))
    assert (await client.get(path, headers=person(payer))).json() == {**zero, "total": "0.000000090"}
    # A minute ahead, so that it is the same minute whenever the question arrives.
    await spend(bank, payer, [300], at=now + timedelta(minutes=1))
    used = (await client.get(path, headers=person(payer))).json()
    assert (used["requests"], used["tokens"], used["day"], used["total"]) == (1, 100, "0.000000300", "0.000000390")
    refused = await client.get(path, headers=person(stranger))
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
