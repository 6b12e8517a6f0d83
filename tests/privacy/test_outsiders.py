"""People without an account: they ask, show that the mailbox is theirs, and get the answer there and nowhere else."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.actor import PLATFORM
from avow.base.clock import FileClock
from avow.privacy import outsiders, requests, retention
from avow.privacy.needs import Held, Needs
from avow.privacy.outsiders import Answering
from avow.privacy.tables import outside_ask, rights_request
from avow.vault import Vault
from avow.vault.tables import audit
from tests.privacy.desks import Above
from tests.privacy.scratch import Person

EVE = "eve@example.org"


@pytest.fixture
def behind() -> dict[str, Held]:
    """Who stands behind which address; nobody behind any other."""
    return {}


@pytest.fixture
def at(on: Needs, vault: Vault, above: Above, behind: dict[str, Held]) -> Answering:
    async def holders(c: AsyncConnection, email: str) -> Held:
        return behind.get(email, Held(False, ()))

    return Answering(on, vault, holders, above.tell)


async def ask(client: AsyncTestClient[Litestar], kind: str, email: str = EVE, **more: Any) -> None:
    answer = await client.post("/api/privacy/outside", json={"email": email, "kind": kind, **more})
    assert answer.status_code == 202, answer.text


async def prove(client: AsyncTestClient[Litestar], above: Above) -> dict[str, Any]:
    """Follow the link of the last letter."""
    (token,) = re.findall(r"/privacy/ask#(\S+)", above.sent[-1][1].text)
    answer = await client.post("/api/privacy/outside/prove", json={"token": token})
    taken: dict[str, Any] = answer.json()
    return taken | {"status_code": answer.status_code}


async def rows(on: Needs, table: Any = rights_request) -> list[Any]:
    async with on.database.begin() as c:
        return list((await c.execute(select(table).order_by(table.c.id))).all())


async def test_who_has_nothing_here_learns_that_by_mail(
    client: AsyncTestClient[Litestar], on: Needs, above: Above, at: Answering
) -> None:
    await ask(client, "access", place="DE")
    assert [to for to, _ in above.sent] == [EVE]
    assert await rows(on) == [], "nothing is a request before the mailbox was shown"
    taken = await prove(client, above)
    assert (taken["status_code"], taken["kind"], taken["state"]) == (202, "access", "verified")
    assert (await prove(client, above))["code"] == "proof_refused", "it works once"
    (row,) = await rows(on)
    assert row.tenant_id == PLATFORM and row.subject_id != PLATFORM
    assert b"eve" not in row.box and requests.due(on.policy, row.since, "DE") == row.due_at
    await outsiders.answer(at, UUID(taken["id"]))
    to, letter = above.sent[-1]
    assert to == EVE and "Nothing is stored about this address" in letter.text and "没有账户" in letter.text
    (row,) = await rows(on)
    assert row.state == "succeeded"
    await outsiders.answer(at, UUID(taken["id"]))
    assert len(above.sent) == 2, "answered once"


async def test_what_an_address_has_without_an_account_is_told_and_ended(
    client: AsyncTestClient[Litestar], on: Needs, above: Above, at: Answering, behind: dict[str, Held], ada: Person
) -> None:
    """From the catalog: what every store holds of whoever is stored under the address."""
    await ada.write(on)
    behind[EVE] = Held(False, (ada.id,))
    for kind, left in (("access", 3), ("erase", 0)):
        await ask(client, kind)
        await outsiders.answer(at, UUID((await prove(client, above))["id"]))
        assert "what you send to the API and what it answers: 3" in above.sent[-1][1].text
        assert (await ada.counts(on))["scratch_note"] == left
    assert "is deleted now" in above.sent[-1][1].text
    assert [(row.kind, row.state) for row in await rows(on)] == [("access", "succeeded"), ("erase", "succeeded")]


async def test_a_kill_between_the_end_and_the_answer_loses_nothing_of_it(
    client: AsyncTestClient[Litestar], on: Needs, above: Above, at: Answering, behind: dict[str, Held], ada: Person
) -> None:
    await ada.write(on)
    behind[EVE] = Held(False, (ada.id,))
    await ask(client, "erase")
    id, sent = UUID((await prove(client, above))["id"]), above.tell

    async def killed(*_: Any, **__: Any) -> None:
        raise ConnectionError

    object.__setattr__(at, "tell", killed)
    with pytest.raises(ConnectionError):
        await outsiders.answer(at, id)
    assert (await ada.counts(on))["scratch_note"] == 0
    object.__setattr__(at, "tell", sent)
    async with on.database.begin() as c:
        await c.execute(text("DELETE FROM jobs.pgqueuer"))
    await requests.resume(on.database)
    async with on.database.begin() as c:
        queued = (await c.execute(text("SELECT entrypoint FROM jobs.pgqueuer"))).scalars().all()
    assert queued == [requests.OUTSIDE_JOB]
    await outsiders.answer(at, id)
    assert "what it answers: 3" in above.sent[-1][1].text


async def test_who_has_an_account_is_sent_there_and_nothing_is_done(
    client: AsyncTestClient[Litestar], on: Needs, above: Above, at: Answering, behind: dict[str, Held], ada: Person
) -> None:
    """A mailbox alone does not erase an account that has a second factor."""
    await ada.write(on)
    behind[EVE] = Held(True, (ada.id,))
    await ask(client, "erase")
    await outsiders.answer(at, UUID((await prove(client, above))["id"]))
    assert "This address has an account" in above.sent[-1][1].text
    assert (await ada.counts(on))["scratch_note"] == 3
    (row,) = await rows(on)
    assert (row.state, row.reason) == ("refused", outsiders.HAS_ACCOUNT)


async def test_a_complaint_is_answered_at_the_desk_and_the_answer_goes_to_the_address(
    client: AsyncTestClient[Litestar], on: Needs, above: Above
) -> None:
    await ask(client, "complain", text="You wrote to me.")
    id = (await prove(client, above))["id"]
    [waiting] = (await client.post("/api/desk/requests", json={})).json()["requests"]
    assert waiting["id"] == id and "eve" not in str(waiting)
    read = (await client.post("/api/desk/requests/open", json={"id": id, "reason": "to answer it"})).json()
    assert read["text"] == "You wrote to me."
    told = {"id": id, "state": "succeeded", "answer": "It will not happen again."}
    assert (await client.post("/api/desk/requests/answer", json=told)).status_code == 204
    to, letter = above.sent[-1]
    assert to == EVE and told["answer"] in letter.text
    async with on.database.begin() as c:
        seen = (await c.execute(select(audit.c.role, audit.c.purpose).where(audit.c.role == "privacy"))).all()
    assert {tuple(row) for row in seen} == {("privacy", "answer"), ("privacy", "legal")}


async def test_what_nobody_proved_ends_after_a_day(
    client: AsyncTestClient[Litestar], on: Needs, above: Above, clock: FileClock
) -> None:
    await ask(client, "access")
    (row,) = await rows(on, outside_ask)
    assert b"eve" not in row.box
    clock.move(outsiders.PROVE_WITHIN + timedelta(seconds=1))
    assert (await prove(client, above))["code"] == "proof_refused"
    await retention.sweep(on, clock.now(), True)
    assert await rows(on, outside_ask) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": EVE, "kind": "restrict"},
        {"email": EVE, "kind": "complain"},
        {"email": EVE, "kind": "access", "place": "nowhere"},
        {"email": EVE, "kind": "access", "text": "x" * 4001},
        {"email": EVE, "kind": "access", "more": 1},
        {"email": "x" * 1001, "kind": "access"},
        {"kind": "access"},
    ],
)
async def test_bad_input_sends_nothing(client: AsyncTestClient[Litestar], above: Above, wrong: dict[str, Any]) -> None:
    assert (await client.post("/api/privacy/outside", json=wrong)).status_code == 400
    for token in ("", "x" * 43, "x" * 201, "é"):
        assert (await client.post("/api/privacy/outside/prove", json={"token": token})).status_code == 400
    assert above.sent == []
