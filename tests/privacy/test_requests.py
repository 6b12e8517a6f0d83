"""Requests over HTTP: confirmed by password, worked on by the keeper, answered by a receipt that needs no account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.di import Provide
from litestar.testing import AsyncTestClient
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import surface
from avow.base import jobs
from avow.base.actor import Actor
from avow.privacy import api, erase, requests
from avow.privacy.needs import Needs
from avow.privacy.tables import rights_request
from avow.proof import receipts
from avow.vault import Ref, Vault
from tests.conftest import Databases
from tests.privacy.scratch import Person

PASSWORD = "correct horse"
PATIENCE_S = 60

ERASE = {"kind": "erase", "password": PASSWORD}


async def identity(tenant_id: UUID, subject_id: UUID, password: str) -> bool:
    return password == PASSWORD


async def anybody_may_leave(c: AsyncConnection, tenant_id: UUID, subject_id: UUID) -> None:
    """The rule about last owners is that of accounts."""


@pytest.fixture
def ada() -> Person:
    return Person()


@pytest.fixture
async def vault(on: Needs) -> AsyncIterator[Vault]:
    made = Vault(on.ring, on.policy, on.clock)
    yield made
    made.close()


@pytest.fixture
async def client(on: Needs, database: Databases, vault: Vault, ada: Person) -> AsyncIterator[AsyncTestClient[Litestar]]:
    async with AsyncTestClient(served(api.Desk(database.app, vault, on.clock, **DOUBLES), ada)) as made:
        yield made


async def worked(on: Needs, done: Any) -> None:
    worker = jobs.Worker(on.database, {requests.ERASE_JOB: lambda id: erase.run(on, id)})
    running = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await done():
                await asyncio.wait([running], timeout=0.05)
                assert not running.done(), running
    finally:
        worker.stop()
        await running


async def test_an_erasure_from_the_request_to_its_receipt(
    client: AsyncTestClient[Litestar], on: Needs, ada: Person
) -> None:
    await ada.write(on)
    taken = (await client.post("/api/privacy/requests", json=ERASE)).json()
    assert (taken["kind"], taken["state"]) == ("erase", "verified")

    async def done() -> bool:
        shown = await client.get(f"/api/privacy/requests/{taken['id']}")
        return bool(shown.json()["state"] == "succeeded")

    await worked(on, done)
    shown = (await client.get("/api/privacy/requests")).json()
    assert [(each["id"], each["receipt"]) for each in shown] == [(taken["id"], True)]
    assert {step["store"]: step["facts"] for step in shown[0]["plan"]}["scratch_note"] == 3
    answer = await client.get(
        f"/api/privacy/receipts/{taken['id']}", headers={api.TOKEN_HEADER: taken["receipt_token"]}
    )
    assert receipts.verify(answer.content, receipts.Receipts(on.ring).public_key)["request"] == taken["id"]
    assert (await ada.counts(on))["scratch_note"] == 0


async def test_a_receipt_needs_its_token(client: AsyncTestClient[Litestar], on: Needs) -> None:
    taken = (await client.post("/api/privacy/requests", json=ERASE)).json()
    path = f"/api/privacy/receipts/{taken['id']}"
    assert (await client.get(path, headers={api.TOKEN_HEADER: taken["receipt_token"]})).status_code == 404
    await erase.run(on, UUID(taken["id"]))
    assert (await client.get(path, headers={api.TOKEN_HEADER: taken["receipt_token"]})).status_code == 200
    assert (await client.get(path, headers={api.TOKEN_HEADER: "x" * 43})).status_code == 404
    assert (await client.get(path)).status_code == 400


async def test_a_wrong_password_takes_nothing(client: AsyncTestClient[Litestar], on: Needs) -> None:
    answer = await client.post("/api/privacy/requests", json={**ERASE, "password": "wrong"})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_confirmed")
    async with on.database.begin() as c:
        assert (await c.execute(select(rights_request))).all() == []
        assert await c.scalar(text("SELECT count(*) FROM jobs.pgqueuer")) == 0


async def test_the_same_request_is_not_taken_twice(client: AsyncTestClient[Litestar]) -> None:
    answers = await asyncio.gather(*(client.post("/api/privacy/requests", json=ERASE) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409]


@pytest.mark.parametrize("kind", ["restrict", "object", "withdraw"])
async def test_what_cannot_be_carried_out_is_refused_and_not_stored(
    client: AsyncTestClient[Litestar], on: Needs, kind: str
) -> None:
    answer = await client.post("/api/privacy/requests", json={**ERASE, "kind": kind})
    assert (answer.status_code, answer.json()["code"]) == (501, "request_not_built")
    async with on.database.begin() as c:
        assert (await c.execute(select(rights_request))).all() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "destroy", "password": PASSWORD},
        {"kind": "erase"},
        {**ERASE, "more": 1},
        {**ERASE, "kind": "complain", "text": "x" * 4001},
    ],
)
async def test_bad_input_is_refused(client: AsyncTestClient[Litestar], wrong: dict[str, Any]) -> None:
    assert (await client.post("/api/privacy/requests", json=wrong)).status_code == 400


async def test_a_text_is_sealed_and_opened_for_its_person_only(
    client: AsyncTestClient[Litestar], on: Needs, ada: Person, vault: Vault
) -> None:
    words = "my neighbour saw my prompts"
    taken = await client.post("/api/privacy/requests", json={**ERASE, "kind": "complain", "text": words})
    assert taken.json()["state"] == "received"
    async with on.database.begin() as c:
        row = (await c.execute(select(rights_request))).one()
        assert words.encode() not in row.box
        ref = Ref(ada.tenant_id, "rights_request", "rights", row.id, ada.id)
        who = Actor("subject", str(ada.id), "subject", ada.tenant_id, ada.id)
        assert await vault.open(c, ref, row.box, "access", who) == {"text": words}


async def test_an_open_request_of_somebody_else_is_not_shown(client: AsyncTestClient[Litestar], on: Needs) -> None:
    id = await Person().ask(on)
    assert (await client.get(f"/api/privacy/requests/{id}")).status_code == 404
    assert (await client.get("/api/privacy/requests")).json() == []


@pytest.mark.parametrize(
    ("received", "days"), [((2026, 3, 1), 30), ((2026, 1, 31), 28), ((2028, 1, 31), 29), ((2026, 4, 15), 30)]
)
def test_a_request_is_due_within_a_month_and_within_30_days(received: tuple[int, int, int], days: int) -> None:
    at = datetime(*received, tzinfo=UTC)
    assert requests.due(at) - at == timedelta(days=days)


async def test_the_job_row_holds_an_id_and_nothing_else(client: AsyncTestClient[Litestar], on: Needs) -> None:
    taken = (await client.post("/api/privacy/requests", json=ERASE)).json()
    async with on.database.begin() as c:
        row = (await c.execute(text("SELECT * FROM jobs.pgqueuer"))).mappings().one()
    assert (row["entrypoint"], row["payload"].decode(), row["headers"]) == ("privacy.erase", taken["id"], None)
