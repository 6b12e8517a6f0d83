"""Files and batches by the official client, on the real ledger: answered, paid once, bounded, ended, and nobody else's."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from datetime import timedelta
from typing import Any

import httpx
import openai
import pytest
from sqlalchemy import func, select, update

from avow.accounts.tables import api_key
from avow.base import money
from avow.billing.tables import charge
from avow.gateway import batch_runs, batches, files, tables
from avow.gateway.forms import File, Form
from avow.gateway.refusals import TooLarge
from avow.gateway.scripted import Script
from avow.privacy import acceptances
from avow.privacy.versions import Agreed, Current

from .house import FREE_MODEL, HELLO, MODEL, Customer, House, until

CHAT = "/v1/chat/completions"
PRICE = 11 * 1000 + 3 * 3000


def line(name: str, **changed: Any) -> dict[str, Any]:
    body = {"model": MODEL, "messages": HELLO, **changed.pop("body", {})}
    return {"custom_id": name, "method": "POST", "url": CHAT, "body": body, **changed}


def lines(*given: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in given)


async def keeper(house: House) -> tuple[Customer, openai.AsyncOpenAI]:
    """Somebody whose content is kept for a day."""
    ann = await house.customer(tenant_keep_h=24)
    return ann, house.client(ann)


async def send(client: openai.AsyncOpenAI, content: bytes, **more: Any) -> Any:
    return await client.files.create(file=("Ann Miller.jsonl", content), purpose="batch", **more)


async def begin(client: openai.AsyncOpenAI, content: bytes, **more: Any) -> Any:
    file = await send(client, content)
    return await client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h", **more)


async def run(house: House, steps: int = 50) -> None:
    """Work until nothing is left to do."""
    for _ in range(steps):
        if not await house.runs.step():
            return


async def told(client: openai.AsyncOpenAI, file_id: str) -> list[Any]:
    return [json.loads(each) for each in (await client.files.content(file_id)).text.splitlines()]


async def test_a_file_is_sent_listed_read_and_deleted_by_who_sent_it_alone(house):
    _, client = await keeper(house)
    _, other = await keeper(house)
    content = lines(*(line(f"näme {number}") for number in range(900)))
    made = [await send(client, content), await send(client, lines(line("b")))]
    assert (made[0].filename, made[0].bytes, made[0].status) == ("Ann Miller.jsonl", len(content), "processed")
    assert made[0].expires_at - made[0].created_at == 24 * 3600
    page = await client.files.list(limit=1)
    assert [each.id for each in page.data] == [made[1].id] and page.has_more
    assert [each.id async for each in page] == [made[1].id, made[0].id]
    assert [each.id async for each in await client.files.list(order="asc")] == [made[0].id, made[1].id]
    assert (await client.files.retrieve(made[0].id)).filename == "Ann Miller.jsonl"
    assert (await client.files.content(made[0].id)).content == content
    for act in (other.files.retrieve, other.files.content, other.files.delete):
        with pytest.raises(openai.NotFoundError):
            await act(made[0].id)
    with pytest.raises(openai.NotFoundError):
        await other.batches.create(input_file_id=made[0].id, endpoint=CHAT, completion_window="24h")
    assert (await other.files.list()).data == []
    assert (await client.files.delete(made[0].id)).deleted
    with pytest.raises(openai.NotFoundError):
        await client.files.content(made[0].id)
    async with house.databases.keeper.begin() as c:
        boxes = [row.box for row in await c.execute(select(tables.upload_part.c.box))]
    assert len(boxes) == 1 and b"messages" not in boxes[0]


async def test_a_file_ends_when_its_client_or_the_policy_says(house):
    _, client = await keeper(house)
    expires = {"anchor": "created_at", "seconds": 3600}
    sooner = await send(client, lines(line("a")), expires_after=expires)
    headed = await send(client, lines(line("a")), extra_headers={"avow-retention": "2"})
    whole = await send(client, lines(line("a")), expires_after={"anchor": "created_at", "seconds": 3_600_000})
    assert [each.expires_at - each.created_at for each in (sooner, headed, whole)] == [3600, 7200, 24 * 3600]
    house.clock.move(timedelta(hours=1, seconds=1))
    assert {each.id async for each in await client.files.list()} == {headed.id, whole.id}
    with pytest.raises(openai.NotFoundError):
        await client.files.content(sooner.id)
    with pytest.raises(openai.BadRequestError):
        await send(client, lines(line("a")), expires_after={"anchor": "created_at", "seconds": -5})


async def test_where_nothing_is_kept_files_and_batches_are_refused_with_the_clause(house):
    ann = await house.customer()
    with pytest.raises(openai.PermissionDeniedError) as refused:
        await send(house.client(ann), lines(line("a")))
    assert refused.value.code == "files_forbidden" and "category.api_content" in str(refused.value)
    async with house.databases.keeper.begin() as c:
        assert await c.scalar(select(func.count()).select_from(tables.upload)) == 0


@pytest.mark.parametrize(
    ("content", "purpose", "param"),
    [
        (b"{}", "fine-tune", "purpose"),
        (b"\xff\xfe{}", "batch", "file"),
        (b" \n\n", "batch", "file"),
        (b'{"a": "\0"}', "batch", "file"),
    ],
)
async def test_what_is_no_file_of_a_batch_is_refused(house, content, purpose, param):
    _, client = await keeper(house)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.files.create(file=("a.jsonl", content), purpose=purpose)
    assert refused.value.param == param


async def test_files_and_batches_are_bounded(house, monkeypatch):
    _, client = await keeper(house)
    monkeypatch.setattr(files, "LINES_MAX", 2)
    with pytest.raises(openai.APIStatusError) as refused:
        await send(client, lines(*map(line, "abcd")))
    assert refused.value.status_code == 413
    monkeypatch.setattr(files, "FILES_MAX", 1)
    monkeypatch.setattr(batches, "BATCHES_MAX", 1)
    first = await begin(client, lines(line("a")))
    for refusal in (
        send(client, lines(line("a"))),
        client.batches.create(input_file_id=first.input_file_id, endpoint=CHAT, completion_window="24h"),
    ):
        with pytest.raises(openai.ConflictError):
            await refusal


@pytest.mark.parametrize("path", ["/v1/files", "/v1/batches"])
async def test_a_query_of_too_many_parameters_is_refused_by_name(house, path):
    ann = await house.customer(tenant_keep_h=24)
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {ann.secret}"}) as http:
        answer = await http.get(f"{house.url}{path}?{'&'.join(['a=1'] * 17)}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("char", ["\n", "\r"])
def test_lines_without_number_are_not_made_objects_of(char):
    said = "{}" + char * 1_000_000
    tracemalloc.start()
    try:
        if char == "\n":
            with pytest.raises(TooLarge):
                files.judged(Form({"purpose": "batch"}, (File("file", "jsonl", "text/plain", said.encode()),)))
        else:
            assert sum(map(len, files._portions(said))) == len(said)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(said)
    finally:
        tracemalloc.stop()


async def test_a_large_file_is_read_for_who_can_pay_and_each_as_a_call_of_its_key(house):
    await house.raise_price(FREE_MODEL, 1)  # else no money is needed for something
    await house.bump_epoch()
    await house.gateway.rules.renew(2)
    ann = await house.customer(0, tenant_keep_h=24)
    content = lines(line("a", body={"messages": [{"role": "user", "content": "x" * 100_000}]}))
    with pytest.raises(openai.APIStatusError) as refused:
        await send(house.client(ann), content)
    assert refused.value.status_code == 402
    _, client = await keeper(house)
    made = await send(client, content)
    house.gateway._calls_per_key_max = 0
    for act in (client.files.retrieve(made.id), send(client, content)):
        with pytest.raises(openai.RateLimitError):
            await act


async def test_a_batch_waits_for_an_acceptance_that_a_changed_policy_asks_for(house):
    ann, client = await keeper(house)
    made = await begin(client, lines(line("one"), line("two")))
    house.directory._current = current = Current(house.vault)
    current.agreed = Agreed(2, "explicit")
    house.directory.clear()
    await run(house, steps=3)
    assert (await house.usages(ann), house.upstream.requests) == ([], [])
    async with house.databases.app.tenant(ann.tenant_id) as c:
        now = house.clock.now()
        await acceptances.record(c, house.vault.policy, ann.tenant_id, ann.subject_id, 2, "explicit", now)
    house.directory.clear()
    house.clock.move(batch_runs.PAUSE)
    await run(house)
    assert (await client.batches.retrieve(made.id)).status == "completed"
    assert [row.amount for row in await house.usages(ann)] == [PRICE, PRICE]


async def test_a_batch_answers_its_lines_and_charges_each(house):
    ann, client = await keeper(house)
    bad = line("bad", body={"model": "nobody/knows"})
    made = await begin(client, lines(line("one"), bad, line("two")), metadata={"for": "Ann"})
    assert (made.status, made.metadata, made.output_file_id) == ("validating", {"for": "Ann"}, None)
    await run(house)
    done = await client.batches.retrieve(made.id)
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 2, 1)
    answers, errors = await told(client, done.output_file_id), await told(client, done.error_file_id)
    assert [each["custom_id"] for each in answers] == ["one", "two"]
    assert all(each["response"]["body"]["choices"][0]["message"]["content"] == "Hello there." for each in answers)
    assert errors[0]["custom_id"] == "bad" and errors[0]["response"]["status_code"] == 404
    assert [row.amount for row in await house.usages(ann)] == [PRICE, PRICE]
    assert {str(row.id) for row in await house.usages(ann)} == {each["response"]["request_id"] for each in answers}
    shown = await client.files.retrieve(done.output_file_id)
    assert shown.bytes == len((await client.files.content(done.output_file_id)).content)
    assert [each.id async for each in await client.batches.list()] == [made.id]
    await client.files.delete(done.output_file_id)
    assert (await client.batches.retrieve(made.id)).output_file_id is None
    _, other = await keeper(house)
    for act in (other.batches.retrieve, other.batches.cancel, other.files.content):
        with pytest.raises(openai.NotFoundError):
            await act(made.id if act != other.files.content else done.error_file_id)


async def test_what_is_kept_of_a_line_ends_no_later_than_its_batch(house):
    """Whose client asked for an hour or two gets no trace of a day."""
    _, client = await keeper(house)
    made = await begin(client, lines(line("one")), extra_headers={"avow-retention": "2"})
    await run(house)
    async with house.databases.keeper.begin() as c:
        ends_at = await c.scalar(select(tables.batch.c.ends_at))
    (trace,) = await house.traces()
    assert trace.ends_at <= ends_at and (await client.batches.retrieve(made.id)).status == "completed"
    soon = await begin(client, lines(line("two")), extra_headers={"avow-retention": "1"})
    await run(house)
    assert len(await house.traces()) == 1  # less than an hour was left
    assert (await client.batches.retrieve(soon.id)).status == "completed"


async def test_what_is_charged_has_its_answer_whatever_becomes_of_who_asked_and_of_its_trace(house):
    """Nobody writes a line but the transaction of its charge: who worked on it is gone, and no trace was kept."""
    ann, client = await keeper(house)
    made = await begin(client, lines(line("one"), line("two")), extra_headers={"avow-retention": "1"})
    await house.runs.step()
    gate = asyncio.Event()
    house.upstream.script = Script(gate=gate)
    working = asyncio.create_task(house.runs.step())
    await until(lambda: len(house.upstream.requests) == 2)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    gate.set()
    await house.settled(ann, 2)
    assert await house.traces() == []
    house.clock.move(batch_runs.LEASE)
    await run(house)
    done = await client.batches.retrieve(made.id)
    assert (done.status, done.request_counts.completed) == ("completed", 2)
    answers = [each["response"] for each in await told(client, done.output_file_id)]
    assert [each["body"]["choices"][0]["message"]["content"] for each in answers] == ["Hello there."] * 2
    assert [money.parse(each["avow_cost"]) for each in answers] == [PRICE, PRICE]
    assert len(house.upstream.requests) == 2 and [row.amount for row in await house.usages(ann)] == [PRICE, PRICE]


async def test_a_charge_without_an_answer_is_told_and_not_made_again(house):
    """As a line would stand there whose answer were lost in any other way."""
    ann, client = await keeper(house)
    made = await begin(client, lines(line("one")))
    await house.runs.step()
    async with house.databases.keeper.begin() as c:
        before = (await c.execute(select(tables.batch_line))).one()
    await house.runs.step()
    await house.execute(update(tables.batch_line).values(state="waiting", box=before.box, size=0))
    await run(house)
    done = await client.batches.retrieve(made.id)
    (error,) = await told(client, done.error_file_id)
    said = error["response"]["body"]["error"]
    assert said["code"] == "batch_interrupted" and f"0.{PRICE:09d}" in said["message"] and MODEL in said["message"]
    assert [row.amount for row in await house.usages(ann)] == [PRICE] and len(house.upstream.requests) == 1


async def test_two_workers_on_one_batch_charge_each_line_once(house):
    _, client = await keeper(house)
    made = await begin(client, lines(*(line(str(number)) for number in range(6))))
    await house.runs.step()
    async with house.databases.keeper.begin() as c:
        row = (await c.execute(select(tables.batch))).one()
    await asyncio.gather(*(house.runs._work(row.tenant_id, row.id) for _ in range(2)))
    house.clock.move(batch_runs.PAUSE)
    await run(house)
    assert len(house.upstream.requests) == 6
    async with house.databases.keeper.begin() as c:
        assert await c.scalar(select(func.count()).select_from(charge).where(charge.c.amount > 0)) == 6
    assert made.id


async def test_a_wrong_line_ends_a_batch_before_anything_is_asked(house):
    _, client = await keeper(house)
    wrong = [
        line("ok"),
        line("ok"),
        line(""),
        line("a", method="GET"),
        line("b", url="/v1/embeddings"),
        line("c", body={"stream": True}),
    ]
    made = await begin(client, lines(*wrong) + b"secret words\n[1]\n")
    await run(house)
    done = await client.batches.retrieve(made.id)
    assert done.status == "failed" and done.failed_at
    assert [each.line for each in done.errors.data] == [2, 3, 4, 5, 6, 7, 8]
    assert "secret" not in done.model_dump_json() and house.upstream.requests == []


async def test_a_batch_that_is_cancelled_begins_nothing_more(house):
    ann, client = await keeper(house)
    made = await begin(client, lines(line("one"), line("two")))
    await house.runs.step()
    assert (await client.batches.cancel(made.id)).status == "cancelling"
    await run(house)
    done = await client.batches.retrieve(made.id)
    assert (done.status, done.output_file_id, done.request_counts.failed) == ("cancelled", None, 2)
    assert {each["error"]["code"] for each in await told(client, done.error_file_id)} == {"batch_cancelled"}
    assert (await client.batches.cancel(made.id)).status == "cancelled"
    assert house.upstream.requests == [] and await house.usages(ann) == []


async def test_a_batch_ends_with_its_key_its_money_and_its_day(house):
    ann, client = await keeper(house)
    busy = await begin(client, lines(line("one")))
    house.upstream.script = Script(status=429)
    await house.runs.step()
    await house.runs.step()
    assert (await client.batches.retrieve(busy.id)).request_counts.failed == 0
    async with house.databases.keeper.begin() as c:
        past = house.clock.now() - timedelta(seconds=1)
        await c.execute(update(tables.batch).values(due_at=past, lease_until=past))
    await run(house)
    assert (await client.batches.retrieve(busy.id)).status == "expired"
    house.upstream.script = Script()
    poor = await house.customer(balance=1, tenant_keep_h=24)
    short = await begin(house.client(poor), lines(line("one")))
    await run(house)
    done = await house.client(poor).batches.retrieve(short.id)
    (error,) = await told(house.client(poor), done.error_file_id)
    assert error["response"]["status_code"] == 402
    revoked = await begin(client, lines(line("one")))
    await house.execute(update(api_key).where(api_key.c.id == ann.key_id).values(state="revoked"))
    house.directory.clear()
    await run(house)
    async with house.databases.keeper.begin() as c:
        states = [row.state for row in await c.execute(select(tables.batch).order_by(tables.batch.c.id))]
    assert states == ["expired", "completed", "failed"] and revoked.status == "validating"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/files/file-00", 404),
        ("GET", f"/v1/files/batch_{'0' * 32}", 404),
        ("GET", f"/v1/files/file-{'0' * 32}/other", 404),
        ("PUT", f"/v1/files/file-{'0' * 32}", 405),
        ("PUT", "/v1/batches", 405),
        ("GET", f"/v1/batches/batch_{'0' * 32}/cancel", 405),
        ("GET", "/v1/files?limit=x", 400),
        ("GET", "/v1/files?after=x", 400),
        ("GET", "/v1/batches?limit=0", 400),
        ("GET", f"/v1/files/file-output-{'0' * 32}/content", 404),
        ("POST", "/v1/files", 415),
        ("POST", "/v1/batches", 400),
    ],
)
async def test_what_is_not_there_is_said_in_the_shape_of_openai(house, method, path, status):
    ann, _ = await keeper(house)
    bearer = {"authorization": f"Bearer {ann.secret}"}
    async with httpx.AsyncClient() as client:
        answer = await client.request(method, house.url + path, headers=bearer)
        nobody = await client.request(method, house.url + path)
    assert answer.status_code == status and set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert nobody.status_code == 401
