"""The short way of a plain request means the same as the long way; what is not plain goes the long way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from avow import server
from avow.accounts import key_text
from avow.gateway import direct
from avow.gateway.scripted import Script
from tests import LIMIT_S

from .house import HELLO, MODEL, until

ASK = {"model": MODEL, "messages": HELLO}
VARYING = {"date", "avow-request-id", "transfer-encoding", "content-length"}


@pytest.fixture(params=[False, True], ids=["cold", "warm"])
def is_warm(request):
    return request.param


@pytest.fixture
def turns(monkeypatch):
    """How many requests took the short way to their answer."""
    counted = []
    start = direct.Turn._start

    def count(turn, body):
        counted.append(turn)
        start(turn, body)

    monkeypatch.setattr(direct.Turn, "_start", count)
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
    assert len(turns) == 1
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

    turn = direct.Turn(None, Line(), None)  # type: ignore[arg-type]
    assert turn._headed(200, b"", [(b"a", b"b")]) == b"HTTP/1.1 200 OK\r\na: b\r\n\r\n"
    for value in (b"b\r\nc: d", b"b\rc", b"b\nc"):
        with pytest.raises(ValueError):
            turn._headed(200, b"", [(b"a", value)])


class Line(asyncio.Transport):
    """A connection without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.closed, self.written = False, b""

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def pause_reading(self): ...

    def resume_reading(self): ...


def heard(pieces, *, knows, answers=False):
    """What is asked on a connection on which these come one after the other, each answered at once, and what became of it.

    `answers`: what goes the long way is answered, too, before its body is there."""
    asked = []

    async def app(scope, receive, send):
        if answers:
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
        asked.append(("long", scope["path"], (await receive()).get("body")))

    def start(turn, body):
        asked.append(("short", turn._ask.secret, body))
        turn.tell(200, [], b"{}")

    async def listen():
        config = uvicorn.Config(app, interface="asgi3", ws="none", log_config=None, access_log=False)
        config.load()
        protocol = server.protocol(direct.Direct(None).take)(config, ServerState(), {}, asyncio.get_running_loop())
        protocol.connection_made(line := Line())
        for piece in pieces:
            if line.closed:
                break
            protocol.data_received(piece)
            if not knows:
                protocol._known = None
            await asyncio.sleep(0)
        return line.closed, line.written.count(b"HTTP/1.1 200"), line.written[-20:]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(direct.Turn, "_start", start)
        return asyncio.run(listen()), asked


SECRETS = [key_text.make().text for _ in range(2)]
HEADS = st.builds(
    lambda secret, name, more, length: [
        b"POST /v1/chat/completions HTTP/1.1",
        b"host: x",
        b"authorization: Bearer " + secret.encode(),
        b"content-type: application/json",
        *more,
        name + b": " + length,
    ],
    st.sampled_from(SECRETS),
    st.sampled_from([b"content-length", b"Content-Length", b"x-content-length"]),
    st.lists(
        st.sampled_from([b"x: y", b"connection: close", b"transfer-encoding: chunked", b"idempotency-key: k"]),
        max_size=1,
    ),
    st.sampled_from([b"2", b"02", b"3", b"+2", b"2 ", b"2, 2", b"", b"70000", b"\xb2"]),
)
REQUESTS = st.builds(
    lambda head, body: b"\r\n".join(head) + b"\r\n\r\n" + body,
    HEADS,
    st.sampled_from([b"{}", b"{} ", b"", b"{}\r\n", b"{}POST / HTTP/1.1\r\n", b"2\r\n{}\r\n0\r\n\r\n"]),
)


@given(st.lists(REQUESTS, min_size=1, max_size=4), st.integers(1, 4))
@settings(max_examples=400, deadline=None)
def test_a_head_that_is_known_means_what_it_meant(requests, times):
    """Whatever comes on a connection, and however often: with and without remembering its heads the same is asked of us."""
    pieces = [each for each in requests for _ in range(times)]
    assert heard(pieces, knows=True) == heard(pieces, knows=False)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_of_a_head_that_is_known_no_byte_may_differ(data):
    known = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-type: application/json\r\n"
    known = known % SECRETS[0].encode() + b"content-length: 2\r\naccept: */*\r\n\r\n{}"
    at, byte = data.draw(st.integers(0, len(known) - 1)), data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(known))))
    other = (known[:at] + bytes([byte]) + known[at + 1 :])[:cut]
    pieces = [known, known, other, known]
    assert heard(pieces, knows=True) == heard(pieces, knows=False)


def asking(secret, body, more=b"", length=None):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-type: application/json\r\n"
    return head % secret.encode() + b"%bcontent-length: %d\r\n\r\n%b" % (more, length or len(body), body)


@pytest.mark.parametrize("length", [8, 9, 10, 97, 98, 99, 100, 996, 999, 1000, 9995, 9999])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_known_head_has_a_body_of_just_its_length(length, more):
    pieces = [asking(SECRETS[0], b"{}"), asking(SECRETS[0], b"x" * (length + more), length=length)]
    assert heard(pieces, knows=True) == heard(pieces, knows=False)


def test_the_rest_of_a_body_is_no_head():
    """Behind a proxy that shares connections one client's body could look like the head of another's request."""
    whole = asking(SECRETS[0], b"{}")
    forged = asking(SECRETS[1], whole, b"avow-retention: 0\r\n")[: -len(whole)]
    begun = b"POST /v1/nothing HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\nabc" % (3 + len(forged))
    pieces = [begun, forged + whole, asking(SECRETS[1], b"[]", b"avow-retention: 0\r\n")]
    assert heard(pieces, knows=True, answers=True) == heard(pieces, knows=False, answers=True)
    _, asked = heard(pieces, knows=True, answers=True)
    assert asked[-1][1:] == (SECRETS[1], b"[]")


def test_a_request_that_comes_again_needs_no_parser(monkeypatch):
    fed = []
    take = direct.Direct.take
    monkeypatch.setattr(direct.Direct, "take", lambda self, connection: fed.append(1) or take(self, connection))
    request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-type: application/json\r\n"
    request %= SECRETS[0].encode()
    pieces = [request + b"content-length: %d\r\n\r\n%b" % (len(body), body) for body in (b"{}", b"[1, 2, 3, 4]", b"{}")]
    _, asked = heard(pieces, knows=True)
    assert [body for _, _, body in asked] == [b"{}", b"[1, 2, 3, 4]", b"{}"] and len(fed) == 1
