"""People at the desk answer: the most urgent first, on record, with a letter that says where to complain."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from avow.base.clock import FileClock
from avow.privacy import answers, standings
from avow.privacy.needs import Needs
from avow.privacy.standings import Whose
from avow.vault import Vault
from avow.vault.tables import audit
from tests.privacy.desks import OFFICER, PASSWORD, Above
from tests.privacy.scratch import Person

COMPLAINT = {"kind": "complain", "text": "my neighbour saw my prompts"}


async def complain(client: AsyncTestClient[Litestar], **more: Any) -> str:
    taken = await client.post("/api/privacy/requests", json={**COMPLAINT, **more})
    assert taken.status_code == 202, taken.text
    id: str = taken.json()["id"]
    return id


async def test_a_complaint_is_read_and_answered(
    client: AsyncTestClient[Litestar], on: Needs, above: Above, ada: Person
) -> None:
    id = await complain(client)
    [waiting] = (await client.post("/api/desk/requests", json={})).json()["requests"]
    assert (waiting["id"], waiting["kind"], waiting["overdue"]) == (id, "complain", False)
    assert "neighbour" not in str(waiting), "the queue holds no words of people"
    read = await client.post("/api/desk/requests/open", json={"id": id, "reason": "to answer it"})
    assert read.json()["text"] == COMPLAINT["text"]
    told = {"id": id, "state": "refused", "answer": "Nobody {but you} can open them."}
    assert (await client.post("/api/desk/requests/answer", json=told)).status_code == 204
    shown = (await client.get(f"/api/privacy/requests/{id}")).json()
    assert (shown["state"], shown["text"], shown["answer"]) == ("refused", COMPLAINT["text"], told["answer"])
    [(subject, _, letter)] = above.letters
    text = letter.text.format(site="https://here.example")
    assert subject == ada.id
    assert told["answer"] in text
    assert "data protection authority" in text
    assert "edpb.europa.eu" in text
    async with on.database.begin() as c:
        acts = (await c.execute(select(audit.c.act, audit.c.role).where(audit.c.subject_id == ada.id))).all()
    assert ("request refused", "privacy") in acts
    again = await client.post("/api/desk/requests/answer", json=told)
    assert (again.status_code, again.json()["code"]) == (409, "not_to_be_answered")
    assert (await client.post("/api/desk/requests", json={})).json()["requests"] == []


async def test_a_restricted_person_s_complaint_is_answered_and_nothing_more_is_opened(
    client: AsyncTestClient[Litestar], on: Needs, above: Above, ada: Person
) -> None:
    """GDPR Art. 18(2): a request is worked on because its person wants it; once it is answered the restriction holds."""
    assert (await client.post("/api/privacy/requests", json={"kind": "restrict"})).status_code == 202
    id = await complain(client)
    read = await client.post("/api/desk/requests/open", json={"id": id, "reason": "to answer it"})
    assert (read.status_code, read.json()["text"]) == (200, COMPLAINT["text"])
    told = {"id": id, "state": "succeeded", "answer": "It is stopped."}
    assert (await client.post("/api/desk/requests/answer", json=told)).status_code == 204
    assert [letter.text.count("It is stopped.") for _, _, letter in above.letters] == [1]
    again = await client.post("/api/desk/requests/open", json={"id": id, "reason": "curious"})
    assert (again.status_code, again.json()["code"]) == (403, "open_refused")
    async with on.database.begin() as c:
        query = select(audit.c.purpose, audit.c.outcome).where(audit.c.subject_id == ada.id, audit.c.act.is_(None))
        seen = [tuple(row) for row in await c.execute(query.order_by(audit.c.id))]
    assert seen == [("answer", "opened"), ("answer", "opened"), ("legal", "refused")]


async def test_the_most_urgent_comes_first_and_pages_end(client: AsyncTestClient[Litestar], clock: FileClock) -> None:
    first = await complain(client)
    clock.move(timedelta(days=1))
    second = await complain(client)
    page = (await client.post("/api/desk/requests", json={"limit": 1})).json()
    assert [each["id"] for each in page["requests"]] == [first]
    rest = (await client.post("/api/desk/requests", json={"limit": 1, "after": page["after"]})).json()
    assert [each["id"] for each in rest["requests"]] == [second]
    last = (await client.post("/api/desk/requests", json={"limit": 1, "after": rest["after"]})).json()
    assert last == {"requests": [], "after": None}
    clock.move(timedelta(days=30))
    late = (await client.post("/api/desk/requests", json={})).json()["requests"]
    assert [each["overdue"] for each in late] == [True, False] or all(each["overdue"] for each in late)


async def test_the_keeper_s_work_is_not_answered_by_hand(client: AsyncTestClient[Litestar]) -> None:
    taken = await client.post("/api/privacy/requests", json={"kind": "erase", "password": PASSWORD})
    told = {"id": taken.json()["id"], "state": "refused", "answer": "No."}
    answer = await client.post("/api/desk/requests/answer", json=told)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_to_be_answered")


async def test_bad_input_at_the_desk(client: AsyncTestClient[Litestar]) -> None:
    id = await complain(client)
    for wrong in ({"answer": " "}, {"answer": "x" * 4001}, {"answer": "yes", "state": "running"}, {"more": 1}):
        told = {"id": id, "state": "refused", "answer": "No.", **wrong}
        assert (await client.post("/api/desk/requests/answer", json=told)).status_code == 400
    silent = await client.post("/api/desk/requests/open", json={"id": id})
    assert silent.json()["code"] == "reason_missing"
    unknown = {"id": "00000000-0000-7000-8000-000000000000", "reason": "curious"}
    assert (await client.post("/api/desk/requests/open", json=unknown)).status_code == 404


async def test_staff_lift_a_restriction_and_the_person_is_told_why(
    client: AsyncTestClient[Litestar], on: Needs, vault: Vault, above: Above, ada: Person
) -> None:
    await client.post("/api/privacy/requests", json={"kind": "restrict"})
    whose, now = Whose(ada.tenant_id, ada.id), on.clock.now()
    async with on.database.begin() as c:
        await answers.release(c, vault, above.tell, OFFICER, whose, "the name is right now", now)
    async with on.database.begin() as c:
        assert not (await standings.held(c, whose, on.clock.now())).restricted
    assert "the name is right now" in above.letters[0][2].text
