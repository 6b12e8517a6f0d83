"""`/v1` as HTTP: routes, methods, heads, bodies; every refusal has OpenAI's shape and an id."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import httpx
import pytest
from sqlalchemy import delete, update

from avow.accounts import key_text
from avow.accounts.tables import api_key
from avow.billing.tables import price, wallet
from avow.gateway import wire
from avow.gateway.filing import Filing
from tests import LIMIT_S

from .house import FREE_MODEL, HELLO, MODEL, OUTSIDE, UNPRICED

ASK = {"model": MODEL, "messages": HELLO}


def refused(answer: httpx.Response, status: int, code: str | None = None, param: str | None = None) -> None:
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == (code or error["code"]) and error["param"] == param
    assert answer.headers["avow-request-id"] and answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/v1/assistants", 404, "unknown_url"),
        ("GET", "/v1", 404, "unknown_url"),
        ("GET", "/v1/modelsx", 404, "unknown_url"),
        ("POST", "/v1/chat/completions/", 404, "unknown_url"),
    ],
)
async def test_routes_that_do_not_exist(house, method, path, status, code):
    async with httpx.AsyncClient(timeout=LIMIT_S) as client:
        answer = await client.request(method, house.url + path)
    refused(answer, status, code)
    assert (answer.headers.get("allow") is not None) == (status == 405)


async def test_keys_that_are_not_accepted(house):
    ann = await house.customer()
    made_up = key_text.make().text
    wrong = ann.secret[:-1] + ("0" if ann.secret[-1] != "0" else "1")
    for header, code in (
        (None, "api_key_missing"),
        ("", "api_key_missing"),
        ("Bearer", "api_key_missing"),
        (f"Basic {ann.secret}", "api_key_missing"),
        ("Bearer x", "invalid_api_key"),
        (f"Bearer {wrong}", "invalid_api_key"),
        (f"Bearer {made_up}", "invalid_api_key"),
        ("Bearer \xff", "invalid_api_key"),
    ):
        async with httpx.AsyncClient(timeout=LIMIT_S) as client:
            given = {"authorization": header.encode("latin-1")} if header is not None else {}
            answer = await client.post(f"{house.url}/v1/chat/completions", json=ASK, headers=given)
            refused(answer, 401, code)
            refused(await client.get(f"{house.url}/v1/models", headers=given), 401, code)
    assert house.upstream.requests == []


async def test_bodies_that_are_not_accepted(house):
    ann = await house.customer()
    refused(await house.post(ann, b"{"), 400, "invalid_request")
    refused(await house.post(ann, b'{"model":"a","model":"b","messages":[{"role":"user"}]}'), 400, "invalid_request")
    refused(await house.post(ann, {**ASK, "stream": 1}), 400, "invalid_request", "stream")
    refused(await house.post(ann, {**ASK, "model": "no/such"}), 404, "model_not_found", "model")
    refused(await house.post(ann, {**ASK, "model": UNPRICED}), 503, "model_has_no_price", "model")
    refused(await house.post(ann, ASK, **{"content-type": "text/plain"}), 415)
    assert (await house.post(ann, ASK, **{"content-type": "application/json; charset=utf-8"})).status_code == 200
    assert len(house.upstream.requests) == 1 and len(await house.usages(ann)) == 1


async def test_a_body_over_the_limit_is_413_with_and_without_a_length(house):
    ann = await house.customer()
    large = b'{"model":"' + b"x" * wire.BODY_BYTES_MAX + b'"}'
    refused(await house.post(ann, large), 413)

    async def pieces():
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    async with httpx.AsyncClient(timeout=LIMIT_S) as client:
        given = {"authorization": f"Bearer {ann.secret}", "content-type": "application/json"}
        # the server may close before all of it is sent
        with suppress(httpx.WriteError):
            refused(await client.post(f"{house.url}/v1/chat/completions", content=pieces(), headers=given), 413)


@pytest.mark.parametrize("length", ["content-length: 4000000", "transfer-encoding: chunked"])
async def test_a_large_body_is_read_only_for_a_key_that_works(house, length):
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key_text.make().text}\r\n"
    writer.write(f"{head}content-type: application/json\r\n{length}\r\n\r\n".encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401")
    writer.close()


async def begins_large(house, who) -> bytes:
    """The head of the answer to a large body of which not one byte is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {who.secret}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: 4000000\r\n\r\n".encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return answer


async def test_a_large_body_is_not_read_for_whom_the_ledger_would_refuse(house):
    await house.execute(delete(price).where(price.c.model == FREE_MODEL))
    await house.bump_epoch()
    await house.gateway.rules.renew(2)
    poor, limited, frozen = await house.customer(balance=0), await house.customer(), await house.customer()
    assert (await begins_large(house, poor)).startswith(b"HTTP/1.1 402")
    await house.execute(update(api_key).where(api_key.c.id == limited.key_id).values(requests_per_min=1))
    assert (await house.post(limited, ASK)).status_code == 200
    answer = await begins_large(house, limited)
    assert answer.startswith(b"HTTP/1.1 429") and b"retry-after: " in answer
    await house.execute(update(wallet).where(wallet.c.id == frozen.wallet_id).values(state="frozen"))
    assert (await begins_large(house, frozen)).startswith(b"HTTP/1.1 402")


async def test_who_has_no_money_may_send_large_bodies_where_a_model_is_free(house):
    poor = await house.customer(balance=0)
    large = {"model": FREE_MODEL, "messages": [{"role": "user", "content": "x" * 100_000}]}
    assert (await house.post(poor, large)).status_code == 200


async def test_nothing_is_parsed_for_a_key_that_does_not_work(house):
    ann = await house.customer()
    await house.revoke(ann)
    refused(await house.post(ann, b"{not JSON"), 401)


async def test_a_body_that_does_not_come_is_408(house):
    ann = await house.customer()
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ann.secret}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: 100\r\n\r\n{{".encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 408")
    writer.close()


async def test_a_client_that_leaves_while_sending_leaves_nothing_behind(house):
    ann = await house.customer()
    _, writer = await asyncio.open_connection("127.0.0.1", house.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ann.secret}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: 100\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    assert (await house.post(ann, ASK)).status_code == 200
    assert len(await house.usages(ann)) == 1


async def test_a_body_that_comes_in_pieces_is_read_whole(house):
    ann = await house.customer()
    body = json.dumps(ASK).encode()

    async def pieces():
        for at in range(0, len(body), 7):
            yield body[at : at + 7]
            await asyncio.sleep(0)

    async with httpx.AsyncClient(timeout=LIMIT_S) as client:
        given = {"authorization": f"Bearer {ann.secret}", "content-type": "application/json"}
        answer = await client.post(f"{house.url}/v1/chat/completions", content=pieces(), headers=given)
    assert answer.status_code == 200


async def test_models_are_listed_for_those_who_have_a_key(house):
    ann = await house.customer()
    listed = [model.id async for model in house.client(ann).models.list()]
    assert MODEL in listed and OUTSIDE in listed
    assert (await house.client(ann).models.retrieve(FREE_MODEL)).id == FREE_MODEL
    async with httpx.AsyncClient(timeout=LIMIT_S, headers={"authorization": f"Bearer {ann.secret}"}) as client:
        refused(await client.get(f"{house.url}/v1/models/no/such"), 404, "model_not_found", "model")


async def test_many_requests_on_one_connection(house):
    ann = await house.customer()
    given = {"authorization": f"Bearer {ann.secret}"}
    async with httpx.AsyncClient(timeout=LIMIT_S, headers=given, limits=httpx.Limits(max_connections=1)) as client:
        for number in range(6):
            body = {**ASK, "stream": number % 2 == 1} if number != 3 else {"model": MODEL}
            answer = await client.post(f"{house.url}/v1/chat/completions", json=body)
            assert answer.status_code == (400 if number == 3 else 200)


@pytest.mark.parametrize(("wrong", "status"), [(ValueError("secret-4711"), 500), (ConnectionResetError(), 503)])
async def test_a_failure_of_ours_has_the_shape_of_a_refusal(house, monkeypatch, caplog, wrong, status):
    ann = await house.customer()

    async def fails(*_):
        raise wrong

    monkeypatch.setattr(Filing, "answer", fails)
    async with httpx.AsyncClient(timeout=LIMIT_S) as client:
        answer = await client.get(f"{house.url}/v1/files", headers={"authorization": f"Bearer {ann.secret}"})
    refused(answer, status, "internal_error" if status == 500 else None)
    assert "secret-4711" not in answer.text and "secret-4711" not in caplog.text
