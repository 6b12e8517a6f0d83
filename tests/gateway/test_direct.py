"""The short way of a plain request means the same as the long way; what is not plain goes the long way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from avow import server
from avow.gateway import direct
from avow.gateway.scripted import Script
from tests import LIMIT_S

from .house import HELLO, MODEL, until

ASK = {"model": MODEL, "messages": HELLO}
VARYING = {"date", "avow-request-id", "transfer-encoding", "content-length"}


@pytest.fixture
def turns(monkeypatch):
    """How many requests took the short way to their answer."""
    counted = []
    begin = direct.Turn.set

    def count(turn):
        counted.append(turn)
        begin(turn)

    monkeypatch.setattr(direct.Turn, "set", count)
    return counted


async def ways(house, who, body, **headers):
    """The answers to the same request by the short way and, in pieces, by the long way."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content-type": "application/json", "authorization": f"Bearer {who.secret}", **headers}

    async def pieces():
        yield content

    async with httpx.AsyncClient(timeout=LIMIT_S) as client:
        url = f"{house.url}/v1/chat/completions"
        return [await client.post(url, content=each, headers=given) for each in (content, pieces())]


def unread_by_the_server(writer: asyncio.StreamWriter) -> int:
    """Bytes that lie at the server's end of a connection: those of the line whose remote port is ours."""
    port, theirs = (writer.get_extra_info(name)[1] for name in ("sockname", "peername"))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    [queues] = [row[4] for row in rows if row[1].endswith(f":{theirs:04X}") and row[2].endswith(f":{port:04X}")]
    return int(queues.partition(":")[2], 16)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (ASK, {}),
        ({**ASK, "stream": True}, {"avow-retention": "0"}),
        ({**ASK, "model": "no/such"}, {}),
        (b"{", {}),
    ],
)
async def test_both_ways_answer_alike(house, turns, body, headers):
    ann = await house.customer()
    short, long = await ways(house, ann, body, **headers)
    assert len({id(turn) for turn in turns}) == 1
    assert (short.status_code, short.text) == (long.status_code, long.text)
    kept = [{name: value for name, value in answer.headers.items() if name not in VARYING} for answer in (short, long)]
    assert kept[0] == kept[1] and short.headers["avow-request-id"] != long.headers["avow-request-id"]
    assert short.headers.keys() - {"content-length"} == long.headers.keys() - {"content-length"}


async def test_a_connection_on_which_nothing_comes_after_an_answer_is_closed(house, turns, monkeypatch):
    ann = await house.customer()
    content = json.dumps(ASK).encode()
    head = f"host: x\r\nauthorization: Bearer {ann.secret}\r\ncontent-type: application/json\r\n"
    request = f"POST /v1/chat/completions HTTP/1.1\r\n{head}content-length: {len(content)}\r\n\r\n".encode() + content
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(request)
    answer = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(answer.partition(b"content-length: ")[2].split(b"\r")[0]))
    connection = turns[-1]._connection
    connection.end_if_silent()
    assert not connection.transport.is_closing()
    monkeypatch.setattr(server, "KEEP_ALIVE_S", -1.0)
    connection.end_if_silent()
    assert await reader.read() == b""
    writer.close()


async def test_the_next_request_may_come_before_the_answer(house, turns):
    """Pipelining (RFC 9112 §9.3.2): answers come in the order of the requests."""
    ann = await house.customer()
    house.upstream.then(Script(tokens=("one",)), Script(tokens=("two",)))
    content = json.dumps(ASK).encode()
    head = f"host: x\r\nauthorization: Bearer {ann.secret}\r\ncontent-type: application/json\r\n"
    request = f"POST /v1/chat/completions HTTP/1.1\r\n{head}content-length: {len(content)}\r\n\r\n".encode() + content
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(request + request)
    said = []
    for _ in range(2):
        length = int((await reader.readuntil(b"\r\n\r\n")).partition(b"content-length: ")[2].split(b"\r")[0])
        said.append(json.loads(await reader.readexactly(length))["choices"][0]["message"]["content"])
    assert said == ["one", "two"]
    writer.close()


async def test_a_body_cut_after_any_part_of_it_is_read_whole(house):
    ann = await house.customer()
    content = json.dumps(ASK).encode()
    head = f"host: x\r\nauthorization: Bearer {ann.secret}\r\ncontent-type: application/json\r\n"
    request = f"POST /v1/chat/completions HTTP/1.1\r\n{head}content-length: {len(content)}\r\n\r\n".encode() + content
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    for cut in (10, len(request) - len(content), len(request) - len(content) + 1, len(request) - 1):
        writer.write(request[:cut])
        await until(lambda: not unread_by_the_server(writer))
        writer.write(request[cut:])
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        await reader.readexactly(int(answer.partition(b"content-length: ")[2].split(b"\r")[0]))
    writer.close()


def test_a_header_of_ours_holds_no_line_break():
    class State:
        default_headers = ()

    class Line:
        server_state = State()

    turn = direct.Turn(None, Line(), None, ("", None, None, None))  # type: ignore[arg-type]
    assert turn._headed(200, b"", [(b"a", b"b")]) == b"HTTP/1.1 200 OK\r\na: b\r\n\r\n"
    for value in (b"b\r\nc: d", b"b\rc", b"b\nc"):
        with pytest.raises(ValueError):
            turn._headed(200, b"", [(b"a", value)])
