"""The upstream client against a real socket: framing, pooling, time, back-pressure, cancelling, hostile bytes."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from avow.gateway.client import Client, Target, default_context
from avow.gateway.connection import (
    Connection,
    Exchange,
    Limits,
    Timeouts,
    UpstreamError,
    UpstreamFull,
    UpstreamGarbage,
    UpstreamLost,
    UpstreamRefused,
    UpstreamTimeout,
)

from .house import until
from .raw_server import OK, RawServer, answering, read_request, serving
from .streamed import Wire

SECRET = "sk-upstream-credential"
HEADERS = {"authorization": f"Bearer {SECRET}", "content-type": "application/json"}
QUICK = Timeouts(connect_s=0.2, first_byte_s=0.05, between_bytes_s=0.05, total_s=20.0)


def target(server: RawServer) -> Target:
    return Target(f"http://127.0.0.1:{server.port}/v1/chat/completions", HEADERS)


@asynccontextmanager
async def talking(handler, *, limits: Limits | None = None, timeouts: Timeouts | None = None):
    async with serving(handler) as server:
        client = Client(limits, timeouts)
        try:
            yield server, client, target(server)
        finally:
            client.close()


async def call(client: Client, to: Target, body: bytes = b"{}", *, resend: bool = True) -> tuple[int, bytes]:
    exchange = await client.send(to, body, resend=resend)
    return exchange.status, await exchange.rest(1 << 20)


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ((OK,), b"ok"),
        (tuple(OK[i : i + 1] for i in range(len(OK))), b"ok"),
        ((b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",), b"ok"),
        ((b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nx-trailer: 1\r\n\r\n",), b"ok"),
        ((b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", OK), b"ok"),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",), b""),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b""),
    ],
)
async def test_every_framing_gives_the_body_and_keeps_the_connection(pieces, body):
    async with talking(answering(*pieces)) as (server, client, to):
        for _ in range(3):
            assert (await call(client, to))[1] == body
        assert server.connections == 1


async def test_a_body_without_length_ends_with_the_connection():
    async with talking(answering(b"HTTP/1.1 200 OK\r\n\r\nto the", b" end", close=True)) as (server, client, to):
        assert await call(client, to) == (200, b"to the end")
        assert await call(client, to) == (200, b"to the end")
        assert server.connections == 2


async def test_the_request_arrives_whole_with_its_credential():
    seen = []

    async def handler(reader, writer):
        seen.append(await read_request(reader))
        writer.write(OK)

    async with talking(handler) as (_, client, to):
        await call(client, to, b'{"model":"m"}')
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:")
    assert f"authorization: Bearer {SECRET}".encode() in head
    assert body == b'{"model":"m"}'


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + OK,
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000 + b"\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n" + b"x: aaaaaaaaaaaaa\r\n" * 9_000 + b"content-length: 2\r\n\r\nok",
    ],
)
async def test_what_is_not_a_plain_response_is_garbage(answer):
    async with talking(answering(answer, forever=True)) as (_, client, to):
        with pytest.raises(UpstreamGarbage) as caught:
            await call(client, to)
        assert SECRET not in repr(caught.value) and "aaaa" not in str(caught.value)


async def test_a_response_that_nobody_asked_for_is_never_given_to_the_next_request():
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst"
    async with talking(answering(answer + OK.replace(b"ok", b"ev"))) as (server, client, to):
        assert (await call(client, to))[1] == b"first"
        assert (await call(client, to))[1] == b"first"
        assert server.connections == 2


async def test_an_early_end_is_lost_and_what_came_before_is_delivered_first():
    piece = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with talking(answering(piece, close=True)) as (_, client, to):
        exchange = await client.send(to, b"{}", resend=True)
        assert await exchange.read() == b"hello"
        with pytest.raises(UpstreamLost):
            await exchange.read()


async def test_what_is_poured_comes_whole_in_order_and_stops_when_told():
    numbers = [b"%03d" % n for n in range(40)]
    chunks = [b"3\r\n%b\r\n" % number for number in numbers]
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    async with talking(answering(head, *chunks, b"0\r\n\r\n")) as (server, client, to):
        for every in (1, 2, 7, 100):
            taken: list[bytes] = []

            def take(piece: bytes, taken: list[bytes] = taken, every: int = every) -> bool:
                taken.append(piece)
                return len(taken) % every != 0

            exchange, stops = await client.send(to, b"{}", resend=True), 0
            while not await exchange.pour(take):
                stops += 1
                heard = len(taken)
                await asyncio.sleep(0)
                assert len(taken) == heard, "told to stop, it goes on"
            assert b"".join(taken) == b"".join(numbers)
            assert stops == len(taken) // every
        assert server.connections == 1


async def test_pouring_ends_with_what_ended_the_answer_or_what_the_taker_raised():
    piece = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    taken: list[bytes] = []

    def keep(piece: bytes) -> bool:
        taken.append(piece)
        return True

    def choke(piece: bytes) -> bool:
        raise UpstreamGarbage("no")

    async with talking(answering(piece, close=True)) as (_, client, to):
        with pytest.raises(UpstreamLost):
            await (await client.send(to, b"{}", resend=True)).pour(keep)
        with pytest.raises(UpstreamGarbage):
            await (await client.send(to, b"{}", resend=True)).pour(choke)
    assert taken == [b"hello"]


async def test_a_body_over_the_limit_is_garbage():
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + b"x" * 2000
    async with talking(answering(answer), limits=Limits(body_bytes=1000)) as (_, client, to):
        with pytest.raises(UpstreamGarbage):
            await call(client, to)
    async with talking(answering(answer)) as (_, client, to):
        with pytest.raises(UpstreamGarbage):
            await (await client.send(to, b"{}", resend=True)).rest(1000)


async def test_nobody_listening_is_refused():
    async with serving(answering(OK)) as server:
        to = target(server)
    with pytest.raises(UpstreamRefused):
        await Client().send(to, b"{}", resend=True)


async def test_silence_before_the_first_byte_is_a_timeout():
    async with talking(answering(forever=True), timeouts=QUICK) as (server, client, to):
        with pytest.raises(UpstreamTimeout):
            await call(client, to)
        await server.gone.wait()


async def test_silence_between_bytes_is_a_timeout_after_what_came():
    piece = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello"
    async with talking(answering(piece, forever=True), timeouts=QUICK) as (_, client, to):
        exchange = await client.send(to, b"{}", resend=True)
        assert await exchange.read() == b"hello"
        with pytest.raises(UpstreamTimeout):
            await exchange.read()


async def test_an_endless_answer_meets_the_total_time():
    async def drip(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.001)

    async with talking(drip, timeouts=Timeouts(total_s=0.1)) as (server, client, to):
        with pytest.raises(UpstreamTimeout):
            await call(client, to)
        await server.gone.wait()


async def test_cancelling_closes_the_connection_at_once():
    piece = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello"
    async with talking(answering(piece, forever=True)) as (server, client, to):
        exchange = await client.send(to, b"{}", resend=True)
        exchange.cancel()
        await server.gone.wait()
        with pytest.raises(UpstreamLost):
            await exchange.rest(100)


async def test_a_cancelled_task_closes_the_connection():
    async with talking(answering(forever=True)) as (server, client, to):
        task = asyncio.create_task(call(client, to))
        await server.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.gone.wait()


async def test_p17_a_kept_connection_that_died_is_replaced_once():
    async def one_each(reader, writer):
        await read_request(reader)
        writer.write(OK)
        await writer.drain()
        await read_request(reader)

    async with talking(one_each) as (server, client, to):
        assert await call(client, to) == (200, b"ok")
        assert await call(client, to) == (200, b"ok")
        assert server.connections == 2
        with pytest.raises(UpstreamLost):
            await call(client, to, resend=False)


async def test_a_fresh_connection_that_dies_is_not_tried_again():
    async def die(reader, writer):
        await read_request(reader)

    async with talking(die) as (server, client, to):
        with pytest.raises(UpstreamLost):
            await call(client, to)
        assert server.connections == 1


async def test_a_request_whose_answer_had_begun_is_not_sent_again():
    async def second_dies_late(reader, writer):
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)
        writer.write(b"HTTP/1.1 2")
        await writer.drain()

    async with talking(second_dies_late) as (server, client, to):
        await call(client, to)
        with pytest.raises(UpstreamLost):
            await call(client, to)
        assert server.connections == 1


async def test_a_slow_reader_stops_the_upstream():
    sent, writers = 0, []
    chunk = b"x" * 65536

    async def pour(reader, writer):
        nonlocal sent
        writers.append(writer)
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(chunk) * 1000))
        for _ in range(1000):
            writer.write(chunk)
            await writer.drain()
            sent += len(chunk)

    async with talking(pour, limits=Limits(buffer_bytes=65536, body_bytes=1 << 30)) as (_, client, to):
        exchange = await client.send(to, b"{}", resend=True)
        # Nobody reads on our side, and theirs can write no more.
        await until(lambda: exchange._connection._paused and writers[0].transport.get_write_buffer_size())
        assert sent < len(chunk) * 900
        total = 0
        while piece := await exchange.read():
            total += len(piece)
        assert total == len(chunk) * 1000


async def test_no_more_connections_than_the_limit_and_the_queue_is_bounded():
    release = asyncio.Event()

    async def wait(reader, writer):
        while True:
            await read_request(reader)
            await release.wait()
            writer.write(OK)

    limits = Limits(connections=2, waiters=3)
    async with talking(wait, limits=limits) as (server, client, to):
        calls = [asyncio.create_task(call(client, to)) for _ in range(6)]
        done, pending = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert [type(task.exception()) for task in done] == [UpstreamFull]
        release.set()
        assert await asyncio.gather(*pending) == [(200, b"ok")] * 5
        assert server.connections == 2


async def test_a_place_freed_by_a_lost_connection_goes_to_the_one_who_waits():
    async def die_or_answer(reader, writer):
        request = await read_request(reader)
        if b"die" not in request:
            writer.write(OK)

    async with talking(die_or_answer, limits=Limits(connections=1)) as (_, client, to):
        first = asyncio.create_task(call(client, to, b"die"))
        second = asyncio.create_task(call(client, to, b"live"))
        with pytest.raises(UpstreamLost):
            await first
        assert await second == (200, b"ok")


async def test_a_waiter_who_gives_up_loses_no_place():
    release = asyncio.Event()

    async def wait(reader, writer):
        while True:
            await read_request(reader)
            await release.wait()
            writer.write(OK)

    async with talking(wait, limits=Limits(connections=1)) as (_, client, to):
        first = asyncio.create_task(call(client, to))
        second = asyncio.create_task(call(client, to))
        third = asyncio.create_task(call(client, to))
        await asyncio.sleep(0)
        second.cancel()
        release.set()
        assert await first == await third == (200, b"ok")


async def test_the_tail_of_a_discarded_answer_does_not_cost_the_connection():
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with talking(answering(head, b"4\r\ntail\r\n", b"0\r\n\r\n")) as (server, client, to):
        for _ in range(2):
            exchange = await client.send(to, b"{}", resend=True)
            await exchange.read()
            exchange.discard()
            assert await exchange.rest(0) == b""
        assert server.connections == 1


async def test_a_unix_socket(tmp_path):
    path = str(tmp_path / "s")
    async with serving(answering(OK), path=path) as server:
        client = Client()
        to = Target("http://engine/v1/chat/completions", {}, unix=path)
        assert await call(client, to) == await call(client, to) == (200, b"ok")
        assert server.connections == 1
        client.close()


async def test_tls_is_verified(certificate):
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=certificate)
    async with serving(answering(OK), ssl=server_side) as server:
        client = Client()
        good = Target(f"https://localhost:{server.port}/", HEADERS, context=trusting)
        assert await call(client, good) == (200, b"ok")
        for bad in (
            Target(f"https://localhost:{server.port}/", HEADERS),
            Target(f"https://127.0.0.1:{server.port}/", HEADERS, context=trusting),
        ):
            with pytest.raises(UpstreamRefused) as caught:
                await call(client, bad)
            assert SECRET not in str(caught.value)
        client.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_upstream_speaks_tls_1_3(certificate, version):
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    server_side.maximum_version = version
    ours = default_context.__wrapped__()
    ours.load_verify_locations(certificate)
    async with serving(answering(OK), ssl=server_side) as server:
        client, to = Client(), Target(f"https://localhost:{server.port}/", HEADERS, context=ours)
        if version is ssl.TLSVersion.TLSv1_3:
            assert await call(client, to) == (200, b"ok")
        else:
            with pytest.raises(UpstreamRefused):
                await call(client, to)
        client.close()


def test_a_target_shows_no_credential_and_takes_no_line_break():
    to = Target("https://api.example.com/v1", HEADERS)
    assert SECRET not in repr(to) and SECRET not in str(to)
    for url, headers in [
        ("ftp://x/", {}),
        ("http:///v1", {}),
        ("http://user:pass@x/", {}),
        ("http://x/", {"a": "b\r\nc: d"}),
    ]:
        with pytest.raises(ValueError):
            Target(url, headers)


FRAGMENTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 500 No\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"content-length: 5\r\n",
        b"content-length: -1\r\n",
        b"transfer-encoding: chunked\r\n",
        b"connection: close\r\n",
        b"\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffffff\r\n",
        b"hello",
        b"\n\n",
        b"\0",
    ]
)
PIECES = st.lists(st.one_of(FRAGMENTS, st.binary(max_size=30)), max_size=12)


@pytest.mark.parametrize("run_in_loop", [asyncio.run, uvloop.run])
@settings(max_examples=150, deadline=None)
@given(pieces=PIECES)
def test_any_bytes_in_any_pieces_end_in_a_result_or_a_named_error(run_in_loop, pieces):
    async def run() -> None:
        async with talking(answering(*pieces, close=True)) as (_, client, to):
            for _ in range(2):
                try:
                    status, _body = await asyncio.wait_for(call(client, to), 20)
                    assert 200 <= status <= 999
                except UpstreamError:
                    pass

    run_in_loop(run())


class Shelf:
    """Where connections without sockets belong."""

    limits, timeouts, keep = Limits(), Timeouts(), True

    def __init__(self) -> None:
        self.released = self.forgotten = 0

    def release(self, connection):
        self.released += 1

    def forget(self, connection):
        self.forgotten += 1


ANSWER_HEADS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(
                    b"content-length: 2",
                    b"Content-Length:2",
                    b"content-length: 3",
                    b"content-length: 02",
                    b"content-length: 2 ",
                ),
                *(b"content-length: +2", b"content-length : 2", b"connection: keep-alive", b"Connection: Keep-Alive"),
                *(
                    b"connection: close",
                    b"proxy-connection: close",
                    b"transfer-encoding: chunked",
                    b"content-encoding: gzip",
                ),
                *(
                    b"upgrade: h2c",
                    b"content-type: application/json",
                    b"x: \xc3\xa4",
                    b" folded",
                    b"x y: z",
                    b": none",
                    b"x",
                ),
                *(b"x: a\x00b", b"x: a\nb", b"x: a\rb", b"date: Sun, 22 Nov 2026 21:43:56 GMT", b"content-lengthy: 9"),
            ]
        ),
        st.binary(max_size=8),
    ),
    max_size=4,
)
WHOLE_ANSWERS = st.builds(
    lambda status, heads, body: b"\r\n".join([status, *heads]) + b"\r\n\r\n" + body,
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK",
            b"HTTP/1.1 200",
            b"HTTP/1.1 200 ",
            b"HTTP/1.0 200 OK",
            b"HTTP/1.1 201 Made",
            b"http/1.1 200 OK",
        ]
    ),
    ANSWER_HEADS,
    st.sampled_from([b"{}", b"", b"{} ", b"{", b"2\r\n{}\r\n0\r\n\r\n", b"{}HTTP/1.1 200 OK\r\n\r\n"]),
)


@given(WHOLE_ANSWERS, WHOLE_ANSWERS)
@settings(max_examples=1500, deadline=None)
def test_a_whole_answer_is_read_without_the_parser_as_with_it(first, second):
    """Whatever an upstream says in one piece: if it is taken at once, the parser would have taken it alike."""

    async def read(told):
        shelf = Shelf()
        connection = Connection(shelf)
        connection.connection_made(Wire())
        ended = []
        for said in (first, second):
            exchange = Exchange()
            connection.start(exchange, b"")
            wholes = []
            if told:
                exchange.told = wholes.append
            connection.data_received(said)
            is_over = not exchange.is_under_way
            failure = type(exchange._failure).__name__ if exchange._failure else None
            ended.append(
                (is_over, failure, exchange.status if is_over else 0, b"".join(exchange._chunks) if is_over else b"")
            )
            assert len(wholes) <= 1
            if told and is_over:
                assert wholes == [failure is None and exchange.status == 200]
            ended.append((shelf.released, shelf.forgotten))
            if not shelf.released:
                break
        if connection._timer is not None:
            connection._timer.cancel()
        return ended

    async def both():
        return [await read(told) for told in (True, False)]

    at_once, parsed = asyncio.run(both())
    assert at_once == parsed, (first, second)
