"""Clients that leave at every byte, read nothing, send nonsense, or speak HTTP in ways that two parsers read differently."""

from __future__ import annotations

import asyncio
import json
import random
import select
import socket
import struct
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from avow.gateway.scripted import Script
from avow.gateway.scripted_answers import event
from tests.faults import LONG
from tests.faults.ground import HOSTILE_MODEL, Ground
from tests.platform import MODEL, wait_until

PLACES = 24
"""In the short form a client leaves at so many places of a request, and of an answer."""
MIB = 1 << 20
SPARE_FILES = 12
"""Connections of pools that may come to be while others leave."""
HALF_OPEN = 300
WORD, TRAP = "client", "trap"


def request(key: str, body: bytes | None = None, *, head: str = "", **fields: object) -> bytes:
    """A completion as bytes; `head` has further header lines."""
    asked = {"model": MODEL, "messages": [{"role": "user", "content": WORD}], "max_tokens": 8, **fields}
    body = json.dumps(asked).encode() if body is None else body
    lines = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: avow\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{head}\r\n"
    )
    return lines.encode() + body


def read_all(connection: socket.socket) -> bytes:
    """Until the other side closes."""
    found = b""
    with suppress(ConnectionResetError, BrokenPipeError):
        while piece := connection.recv(65536):
            found += piece
    return found


def reset(connection: socket.socket) -> None:
    """Close without a farewell."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def open_files(ground: Ground) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in ground.workers())


def back_at_rest(ground: Ground, files: int, tasks: float) -> None:
    """Nothing of those who left stays behind: no request, task or connection, and no money held."""
    wait_until(lambda: ground.figure("avow_running") == 0)
    wait_until(lambda: ground.figure("avow_process_tasks") <= tasks)
    wait_until(lambda: open_files(ground) <= files + SPARE_FILES)
    ground.settled()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_at_any_byte_of_its_request_leaves_nothing_behind(
    ground: Ground, chance: random.Random, stream: bool
) -> None:
    files, tasks = open_files(ground), ground.figure("avow_process_tasks")
    sent = request(ground.key, stream=stream)
    places = range(len(sent)) if LONG else chance.sample(range(len(sent)), PLACES)
    calls = ground.calls_with(WORD)
    for place in places:
        with ground.connection() as connection:
            connection.sendall(sent[:place])
            if place % 2:
                reset(connection)
    back_at_rest(ground, files, tasks)
    assert ground.calls_with(WORD) == calls, "a part of a request was taken for a whole one"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_at_any_byte_of_its_answer_leaves_nothing_behind(
    ground: Ground, chance: random.Random, stream: bool
) -> None:
    files, tasks = open_files(ground), ground.figure("avow_process_tasks")
    sent = request(ground.key, stream=stream, head="connection: close\r\n")
    with ground.connection() as connection:
        connection.sendall(sent)
        size = len(read_all(connection))
    for place in range(size) if LONG else chance.sample(range(size), PLACES):
        with ground.connection() as connection:
            connection.sendall(sent)
            left = place
            while left and (piece := connection.recv(left)):
                left -= len(piece)
            reset(connection)
    back_at_rest(ground, files, tasks)


def test_a_client_that_reads_nothing_stops_its_upstream_and_then_pays_what_it_took(ground: Ground) -> None:
    written = 0
    piece = event({"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}) * 100

    async def play(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for _ in range(256 * MIB // len(piece)):
            writer.write(piece)
            await writer.drain()
            written += len(piece)

    ground.hostile.play = play
    before_bytes = ground.memory_bytes()
    with ground.connection() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(request(ground.key, model=HOSTILE_MODEL, stream=True, max_tokens=16_000))
        seen: list[int] = []
        wait_until(lambda: seen.append(written) or (written > 0 and len(seen) > 20 and seen[-20] == written))
        assert written < 64 * MIB
        assert ground.memory_bytes() <= before_bytes + 64 * MIB
    wait_until(lambda: ground.figure("avow_running") == 0)
    ground.settled()
    assert ground.last()["why"] == "client_left"


def test_connections_that_were_begun_and_say_no_more_hinder_nobody(ground: Ground) -> None:
    sent = request(ground.key)
    with ExitStack() as stack:
        for n in range(HALF_OPEN):
            stack.enter_context(ground.connection()).sendall(sent[: n % len(sent)])
        assert ground.ask().status_code == 200
    wait_until(lambda: ground.figure("avow_running") == 0)


ASKED = b'{"model":"' + MODEL.encode() + b'","max_tokens":8,"messages":[{"role":"user","content":"trap"}]'
BODIES: dict[str, bytes] = {
    "depth of 100,000": ASKED + b',"tools":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "depth without end": b"[" * 1_000_000,
    "twice the same key": ASKED + b',"max_tokens":99999}',
    "a number too large": ASKED + b',"temperature":1e400}',
    "5,000 digits": ASKED + b',"seed":' + b"9" * 5000 + b"}",
    "NaN": ASKED + b',"temperature":NaN}',
    "Infinity": ASKED + b',"temperature":-Infinity}',
    "half a character": ASKED + rb',"stop":"\ud800"}',
    "a NUL": ASKED + b',"stop":"\x00"}',
    "a BOM": b"\xef\xbb\xbf" + ASKED + b"}",
    "overlong UTF-8": ASKED + b',"stop":"\xc0\xaf"}',
    "UTF-16": (ASKED + b"}").decode().encode("utf-16"),
    "a million keys": b"{" + b",".join(b'"%d":0' % n for n in range(1_000_000)) + b"}",
    "a tail": ASKED + b"}{}",
    "nothing": b"",
    "no object": b"[]",
}


def test_bodies_that_are_traps_are_refused_and_memory_stays(ground: Ground) -> None:
    """By their head, their size, or what they hold; never by what it costs to read them."""
    before_bytes, slowest_s = ground.memory_bytes(), 0.0
    for _ in range(20 if LONG else 1):
        for name, body in BODIES.items():
            headers = {"authorization": f"Bearer {ground.key}", "content-type": "application/json"}
            since_s = time.monotonic()
            answer = ground.http.post("/v1/chat/completions", content=body, headers=headers)
            slowest_s = max(slowest_s, time.monotonic() - since_s)
            assert answer.status_code in (400, 413), f"{name}: {answer.status_code}"
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}, name
    assert ground.calls_with(TRAP) == 0
    assert ground.memory_bytes() <= before_bytes + 64 * MIB
    print(f"the slowest of {len(BODIES)} traps was refused in {slowest_s * 1000:.0f} ms")


@pytest.mark.parametrize("framing", ["content-length: 104857600", "transfer-encoding: chunked"])
def test_a_hundred_megabytes_are_refused_long_before_they_have_come(ground: Ground, framing: str) -> None:
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: avow\r\nauthorization: Bearer {ground.key}\r\n"
        f"content-type: application/json\r\n{framing}\r\n\r\n"
    )
    piece = b"10000\r\n" + b"[" * 65536 + b"\r\n" if "chunked" in framing else b"[" * 65536
    before_bytes, sent = ground.memory_bytes(), 0
    with ground.connection() as connection:
        connection.sendall(head.encode())
        while sent < 100 * MIB and not select.select([connection], [], [], 0)[0]:
            connection.sendall(piece)
            sent += 65536
        assert connection.recv(12) == b"HTTP/1.1 413"
    assert ground.memory_bytes() <= before_bytes + 64 * MIB


LINE = "POST /v1/chat/completions HTTP/1.1\r\n"
SMUGGLED = "GET /healthz HTTP/1.1\r\nhost: avow\r\n\r\n"
HEADS: dict[str, str] = {
    "both lengths, chunked last": f"{LINE}host: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "both lengths, length last": f"{LINE}host: a\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "two lengths": f"{LINE}host: a\r\ncontent-length: 0\r\ncontent-length: 40\r\n\r\n{SMUGGLED}",
    "a length with a sign": f"{LINE}host: a\r\ncontent-length: +0\r\n\r\n{SMUGGLED}",
    "a list of lengths": f"{LINE}host: a\r\ncontent-length: 0, 0\r\n\r\n{SMUGGLED}",
    "a space before the colon": f"{LINE}host: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "another encoding": f"{LINE}host: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "chunked and more": f"{LINE}host: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "lines that end with LF alone": f"{LINE}host: a\r\n\n{SMUGGLED}",
    "a folded line": f"{LINE}host: a\r\nx-y: 1\r\n transfer-encoding: chunked\r\n\r\n{SMUGGLED}",
    "a chunk's size with a sign": f"{LINE}host: a\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n\r\n{SMUGGLED}",
    "a chunk larger than all": f"{LINE}host: a\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n{SMUGGLED}",
    "a chunk that ends with LF": f"{LINE}host: a\r\ntransfer-encoding: chunked\r\n\r\n1\n0\r\n0\r\n\r\n{SMUGGLED}",
    "two hosts": f"{LINE}host: a\r\nhost: b\r\ncontent-length: 0\r\n\r\n{SMUGGLED}",
    "no host": f"{LINE}content-length: 0\r\n\r\n{SMUGGLED}",
    "a NUL in a value": f"{LINE}host: a\r\nx-y: \x00\r\ncontent-length: 0\r\n\r\n{SMUGGLED}",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08" * 100,
    "HTTP/0.9": "GET /healthz\r\n\r\n",
    "a megabyte of header": f"{LINE}host: a\r\nx-y: {'x' * MIB}\r\n\r\n",
}


@pytest.mark.parametrize("name", HEADS)
def test_what_two_parsers_could_read_differently_is_refused_and_the_connection_ends(ground: Ground, name: str) -> None:
    with ground.connection() as connection:
        with suppress(ConnectionError):
            connection.sendall(HEADS[name].encode("latin-1"))
        told = read_all(connection)
    answers = told.count(b"HTTP/1.1 ")
    assert answers <= 1, told
    assert not told or told.split(b" ")[1].startswith(b"4"), told


def test_who_says_where_they_come_from_is_not_believed(ground: Ground) -> None:
    key = ground.platform.key(ground.http, networks=["203.0.113.0/24"])["secret"]
    for name in ("x-forwarded-for", "x-real-ip", "forwarded", "true-client-ip", "cf-connecting-ip"):
        value = "for=203.0.113.7" if name == "forwarded" else "203.0.113.7"
        headers = {"authorization": f"Bearer {key}", name: value}
        answer = ground.http.post("/v1/chat/completions", json={"model": MODEL, "messages": []}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "network_refused"), name


@pytest.mark.parametrize("stream", [False, True])
def test_a_silent_upstream_holds_nothing_once_its_client_has_gone_and_paid_for_its_input(
    ground: Ground, stream: bool
) -> None:
    """Half of a conversation: the client is cut off from us without a word of its network, and then resets."""
    ground.upstream.scripted.left.clear()
    ground.upstream.answer(Script(silent=True))
    calls = ground.calls_with(WORD)
    with ground.connection() as connection:
        connection.sendall(request(ground.key, stream=stream))
        wait_until(lambda: ground.calls_with(WORD) > calls)
        reset(connection)
    wait_until(ground.upstream.scripted.left.is_set)
    ground.settled()
    row = ground.last()
    assert (row["why"], row["output_tokens"]) == ("client_left", 0)
    assert row["input_tokens"] > 0 and float(row["cost"]) > 0
