"""Requests over HTTP: confirmed by password, worked on by the keeper, answered by a receipt that needs no account."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import select, text

from avow.base import jobs
from avow.base.actor import Actor
from avow.base.clock import FileClock
from avow.policy import parse
from avow.privacy import api, erase, requests
from avow.privacy.needs import Needs
from avow.privacy.tables import rights_request
from avow.proof import receipts
from avow.vault import Ref, Vault
from tests import LIMIT_S
from tests.privacy import scratch
from tests.privacy.desks import PASSWORD, Above
from tests.privacy.scratch import Person

ERASE = {"kind": "erase", "password": PASSWORD}


async def worked(on: Needs, done: Any) -> None:
    worker = jobs.Worker(on.database, {requests.ERASE_JOB: lambda id: erase.run(on, id)})
    running = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(LIMIT_S):
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


async def test_how_far_an_erasure_came_is_told_to_whoever_has_its_token(
    client: AsyncTestClient[Litestar], on: Needs, ada: Person
) -> None:
    await ada.write(on)
    taken = (await client.post("/api/privacy/requests", json=ERASE)).json()
    path, token = f"/api/privacy/receipts/{taken['id']}/progress", {api.TOKEN_HEADER: taken["receipt_token"]}
    before = (await client.get(path, headers=token)).json()
    assert (before["state"], before["stores"], before["keys_at"]) == ("verified", [], None)
    told: list[dict[str, Any]] = []

    async def forget(subject_id: UUID) -> None:
        """The step between the keys' end and the last look."""
        told.append((await client.get(path, headers=token)).json())

    await erase.run(replace(on, forget=forget), UUID(taken["id"]))
    (midway,) = told
    stores = {each["store"]: each for each in midway["stores"]}
    note, bill = stores["scratch_note"], stores["scratch_bill"]
    assert midway["state"] == "running" and midway["keys_at"] is not None
    assert (note["planned"], note["through"], note["ending"]) == (3, 3, "delete") and note["done_at"] is not None
    assert (bill["ending"], bill["through"]) == ("hold", 3) and bill["until"] is not None
    assert (await client.get(path, headers=token)).json()["state"] == "succeeded"
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


@pytest.mark.parametrize("kind", ["erase", "access", "port", "rectify"])
async def test_what_destroys_or_reveals_needs_the_person(
    client: AsyncTestClient[Litestar], above: Above, kind: str
) -> None:
    asked = {"kind": kind, "text": "please"}
    answer = await client.post("/api/privacy/requests", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_confirmed")
    above.proved = True
    assert (await client.post("/api/privacy/requests", json=asked)).status_code == 202


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "destroy", "password": PASSWORD},
        {**ERASE, "more": 1},
        {"kind": "complain", "text": "x" * 4001},
        {"kind": "complain"},
        {"kind": "object"},
        {"kind": "restrict", "purpose": "ads"},
        {"kind": "restrict", "fields": {"name": "Ada"}},
        {"kind": "restrict", "place": "nowhere"},
        {"kind": "restrict", "place": "default"},
    ],
)
async def test_bad_input_is_refused(client: AsyncTestClient[Litestar], wrong: dict[str, Any]) -> None:
    assert (await client.post("/api/privacy/requests", json=wrong)).status_code == 400


async def test_a_text_is_sealed_and_opened_for_its_person_only(
    client: AsyncTestClient[Litestar], on: Needs, ada: Person, vault: Vault
) -> None:
    words = "my neighbour saw my prompts"
    taken = await client.post("/api/privacy/requests", json={**ERASE, "kind": "complain", "text": words})
    assert taken.json()["state"] == "verified"
    async with on.database.begin() as c:
        row = (await c.execute(select(rights_request))).one()
        assert words.encode() not in row.box
        ref = Ref(ada.tenant_id, "rights_request", "rights", row.id, ada.id)
        who = Actor("subject", str(ada.id), "subject", ada.tenant_id, ada.id)
        assert await vault.open(c, ref, row.box, "access", who) == {"text": words}


async def test_an_open_request_of_somebody_else_is_not_shown(
    client: AsyncTestClient[Litestar], on: Needs, ada: Person
) -> None:
    """Neither a stranger's nor a colleague's."""
    stranger, colleague = Person(), Person()
    colleague.tenant_id = ada.tenant_id
    for other in (stranger, colleague):
        id = await other.ask(on)
        assert (await client.get(f"/api/privacy/requests/{id}")).status_code == 404
    assert (await client.get("/api/privacy/requests")).json() == []


@pytest.mark.parametrize(
    ("received", "days"), [((2026, 3, 1), 30), ((2026, 1, 31), 28), ((2028, 1, 31), 29), ((2026, 4, 15), 30)]
)
def test_where_a_policy_is_silent_a_request_is_due_within_a_month_and_30_days(
    received: tuple[int, int, int], days: int
) -> None:
    at = datetime(*received, tzinfo=UTC)
    assert requests.due(scratch.policy(), at) - at == timedelta(days=days)


@pytest.mark.parametrize(("place", "days"), [("DE", 31), ("US-CA", 45), ("US-NY", 31), (None, 31)])
def test_a_request_is_due_as_the_policy_says_for_the_place(place: str | None, days: int) -> None:
    rules = parse((scratch.PROFILE.parent / "infer-mesh.toml").read_text())
    at = datetime(2026, 7, 1, tzinfo=UTC)
    assert requests.due(rules, at, place) - at == timedelta(days=days)


async def test_each_state_has_its_time(client: AsyncTestClient[Litestar], on: Needs, ada: Person) -> None:
    await ada.write(on)
    taken = (await client.post("/api/privacy/requests", json=ERASE)).json()
    await erase.run(on, UUID(taken["id"]))
    shown = (await client.get(f"/api/privacy/requests/{taken['id']}")).json()
    times = [shown["times"][state] for state in ("received", "verified", "planned", "running", "succeeded")]
    assert times == sorted(times)


async def test_an_erasure_closes_what_else_was_asked(client: AsyncTestClient[Litestar], on: Needs) -> None:
    complaint = {"kind": "complain", "text": "slow"}
    other = (await client.post("/api/privacy/requests", json=complaint)).json()
    taken = (await client.post("/api/privacy/requests", json=ERASE)).json()
    await erase.run(on, UUID(taken["id"]))
    shown = (await client.get(f"/api/privacy/requests/{other['id']}")).json()
    assert (shown["state"], shown["reason"]) == ("refused", "erased")


async def test_open_requests_are_bounded_and_an_erasure_is_always_taken(client: AsyncTestClient[Litestar]) -> None:
    complaint = {"kind": "complain", "text": "slow"}
    for _ in range(requests.OPEN_MAX):
        assert (await client.post("/api/privacy/requests", json=complaint)).status_code == 202
    refused = await client.post("/api/privacy/requests", json=complaint)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_open")
    others = ({"kind": "restrict"}, {"kind": "object", "purpose": "history"}, ERASE)
    for asked, state in zip(others, ("succeeded", "refused", "verified"), strict=True):
        taken = await client.post("/api/privacy/requests", json=asked)
        assert (taken.status_code, taken.json()["state"]) == (202, state), asked


async def test_fields_are_put_right_at_once(client: AsyncTestClient[Litestar], above: Above) -> None:
    above.proved = True
    taken = await client.post("/api/privacy/requests", json={"kind": "rectify", "fields": {"name": "Ada"}})
    assert taken.json()["state"] == "succeeded"
    assert above.put_right == [{"name": "Ada"}]


async def test_of_a_request_that_is_refused_nothing_is_done(client: AsyncTestClient[Litestar], above: Above) -> None:
    above.proved = True
    asked = {"kind": "rectify", "fields": {"name": "Ada"}, "place": "nowhere"}
    assert (await client.post("/api/privacy/requests", json=asked)).status_code == 400
    assert above.put_right == []


async def test_the_job_row_holds_an_id_and_nothing_else(client: AsyncTestClient[Litestar], on: Needs) -> None:
    taken = (await client.post("/api/privacy/requests", json=ERASE)).json()
    async with on.database.begin() as c:
        row = (await c.execute(text("SELECT * FROM jobs.pgqueuer"))).mappings().one()
    assert (row["entrypoint"], row["payload"].decode(), row["headers"]) == ("privacy.erase", taken["id"], None)


async def test_requests_of_one_kind_are_bounded_a_day_and_an_erasure_is_always_taken(
    client: AsyncTestClient[Litestar], clock: FileClock
) -> None:
    objection = {"kind": "object", "purpose": "history"}
    answers = [await client.post("/api/privacy/requests", json=objection) for _ in range(requests.DAY_MAX + 1)]
    assert [each.status_code for each in answers] == [202] * requests.DAY_MAX + [429]
    slowed = answers[-1]
    assert slowed.json()["code"] == "requests_slowed" and "erasure" in slowed.json()["hint"]
    assert len((await client.get("/api/privacy/requests")).json()) == requests.DAY_MAX
    assert (await client.post("/api/privacy/requests", json={"kind": "restrict"})).status_code == 202, "of another kind"
    clock.move(timedelta(seconds=int(slowed.headers["retry-after"])))
    assert (await client.post("/api/privacy/requests", json=objection)).status_code == 202
    assert (await client.post("/api/privacy/requests", json=ERASE)).status_code == 202


async def test_an_erasure_is_taken_however_often_one_was_asked_for_today(
    client: AsyncTestClient[Litestar], on: Needs, ada: Person, vault: Vault
) -> None:
    async with on.database.begin() as c:
        for _ in range(requests.DAY_MAX):
            taken = await requests.take(c, vault, ada.tenant_id, ada.id, "erase", on.clock.now())
            await requests.move(c, taken.id, "failed", on.clock.now())
    assert (await client.post("/api/privacy/requests", json=ERASE)).status_code == 202
