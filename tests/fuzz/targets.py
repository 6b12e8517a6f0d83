"""What strangers' bytes are read by, each as a function of nothing but bytes.

A target returns whatever the bytes are, or ends in a named error that it expects; anything else that it raises is a bug.
Where bytes come in pieces, it also reads them cut in two ways and asks that nothing differs but the pieces.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from avow.base.errors import AvowError
from avow.gateway import durations, forms, picture_formats, pictures, reading, surfaces, upstreams, wire
from avow.gateway.connection import Connection, Exchange, Limits, Timeouts, UpstreamError
from avow.gateway.dialects import Dialect
from avow.gateway.sse import Splitter
from avow.gateway.upstreams import Way
from avow.policy import PolicyError, parse
from avow.proof import receipts, verifier
from avow.proof.log import signed
from tests.gateway import streamed

HERE = Path(__file__).parent
RECORDINGS = HERE.parent / "gateway" / "recordings"
PROFILES = HERE.parents[1] / "profiles"
EVENT_BYTES_MAX = 512
BETWEEN = b"between"
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEY = verifier.Key("log.example", SIGNER.public_key().public_bytes_raw())
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HEAD = verifier.Checkpoint(
    KEY.name, 1, verifier.leaf_hash(verifier.commitment(bytes(32), b'{"hash":"h","sentences":{}}'))
)
_LINE_ENDS = re.compile(rb"[\r\n]+")
_MOMENT = re.compile(rb'"created(_at)?":[0-9]+')


@dataclass(frozen=True, slots=True)
class Target:
    """`read` takes the bytes; `seeds` are some that it reads to their end."""

    read: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def _ways() -> dict[str, tuple[tuple[str, Way], ...]]:
    """By the surface's name, each way that some kind of upstream has, once for each dialect."""
    found: dict[str, dict[object, tuple[str, Way]]] = {}
    for kind in upstreams.KINDS:
        made = upstreams.provider(kind, kind, "http://upstream.example/v1", "", processor=None)
        for surface, (way, _) in made.ways.items():
            found.setdefault(surface, {}).setdefault((way.dialect, way.back, way.to_theirs), (kind, way))
    return {surface: tuple(each.values()) for surface, each in found.items()}


WAYS = _ways()
SURFACES = tuple(surfaces.ALL)
STREAMED = tuple((surface, way) for surface, ways in WAYS.items() for _, way in ways if way.dialect.stream is not None)
READ = tuple((surface, way) for surface, ways in WAYS.items() for _, way in ways)
UPSTREAMS = {
    kind: upstreams.provider(kind, kind, "http://upstream.example/v1", "", processor="them", opaque_key=b"k" * 32)
    for kind in upstreams.KINDS
}


def requests(data: bytes) -> None:
    """A body to a surface, and what becomes of it on the way to each kind of upstream."""
    surface, body = SURFACES[data[0] % len(SURFACES)] if data else SURFACES[0], data[1:]
    with contextlib.suppress(AvowError):
        given: Any = forms.read(body, BETWEEN) if surface.takes_form else body
        request = surface.parse(given)
        pictures.take(request.fields)
        for made in UPSTREAMS.values():
            if surface.name in made.ways:
                with contextlib.suppress(AvowError):
                    made.message(made.ways[surface.name][0], request, "theirs", 16)


def answers(data: bytes) -> None:
    """A whole answer, read, told in the client's words, and told as events."""
    surface, way = READ[data[0] % len(READ)] if data else READ[0]
    body, dialect = data[1:], way.dialect
    with contextlib.suppress(*reading.UNFIT):
        if dialect.wrap is not None:
            dialect.wrap(body)
    with contextlib.suppress(*reading.UNFIT):
        answer = dialect.read(body)
        if answer.usage is not None:
            assert min(answer.usage.buckets().read, answer.usage.buckets().written) >= 0
        if dialect.in_events is not None:
            stream = dialect.in_events(body)
            reader = cast(Any, dialect.stream)(wants_usage=True, takes_progress=False)
            reader.feed(stream)
            assert not reader.fault, surface
    if way.back is not None:
        with contextlib.suppress(UpstreamError):
            reading.translate(way.back, body)


def streams(data: bytes) -> None:
    """A stream of events, whole and cut at the places that its second byte says."""
    if len(data) < 2:
        return
    surface, way = STREAMED[data[0] % len(STREAMED)]
    whole = _streamed(surface, way, [data[2:]])
    cut = _streamed(surface, way, _pieces(data[2:], data[1]))
    assert whole == cut, (surface, whole, cut)


def _streamed(surface: str, way: Way, pieces: Iterable[bytes]) -> tuple[object, ...]:
    dialect: Dialect = way.dialect
    assert dialect.stream is not None and dialect.assembly is not None
    reader, assembly = dialect.stream(wants_usage=False), dialect.assembly()
    reader._splitter = Splitter(EVENT_BYTES_MAX)
    request = wire.Request(model="m", stream=True, wants_usage=True, max_tokens=16, choices=1, fields={})
    retold = way.back.stream(request) if way.back is not None else None
    passed, told, events = b"", b"", 0
    for piece in pieces:
        out, found = reader.feed(piece)
        passed, events = passed + out, events + len(found)
        try:
            reading.join(assembly, found)
            told += b"" if retold is None else reading.retell(retold, found)
        except UpstreamError:
            return "garbage", surface
    assert len(reader._splitter._rest) <= EVENT_BYTES_MAX or reader.fault
    assert reader.tokens >= 0
    made = assembly.body(reader.usage)
    if retold is not None:
        told += b"".join(retold.close(reader.usage))
    # An event that is too long ends a stream where it is seen, which is earlier when it comes in pieces.
    if reader.fault == "garbage":
        return ("garbage", surface)
    usage = None if reader.usage is None else reader.usage.buckets()
    told = _MOMENT.sub(b"", told)
    # An empty line more between two events, or none yet behind the last, is no event.
    return (
        _LINE_ENDS.sub(b"\n", passed).strip(b"\n"),
        told,
        events,
        made,
        reader.done,
        reader.fault,
        reader.finish,
        reader.tokens,
        usage,
        reader.tail,
    )


class _Home:
    """A pool of which nothing is needed."""

    limits, timeouts, keep = Limits(head_bytes=2048, body_bytes=4096, buffer_bytes=8192), Timeouts(), True

    def release(self, connection: Connection) -> None:
        pass

    def forget(self, connection: Connection) -> None:
        pass


_loop = asyncio.new_event_loop()


def connection(data: bytes) -> None:
    """What an upstream sends, whole and in pieces, and then closes."""
    if not data:
        return
    whole = _loop.run_until_complete(_exchanged([data[1:]]))
    cut = _loop.run_until_complete(_exchanged(_pieces(data[1:], data[0])))
    # Of what is no answer, an earlier fault may be seen first when it comes in pieces.
    assert whole == cut or "failed" in (whole[0], cut[0]), (whole, cut)
    assert whole[0] == cut[0] or ({whole[0], cut[0]} == {"failed", "answered"} and _is_behind(data[1:])), (whole, cut)


def _is_behind(data: bytes) -> bool:
    """Whether something may stand behind a whole answer, which is told from it only if it comes with it."""
    return data.count(b"HTTP/") > 0


async def _exchanged(pieces: Iterable[bytes]) -> tuple[str, int, bytes]:
    held, exchange = Connection(_Home()), Exchange()
    held.connection_made(cast(Any, streamed.Wire()))
    held.start(exchange, b"")
    for piece in pieces:
        held.data_received(piece)
    held.connection_lost(None)
    try:
        await exchange.head()
        return "answered", exchange.status, await exchange.rest(1 << 20)
    except UpstreamError:
        return "failed", 0, b""


def straight(data: bytes) -> None:
    """The body of a stream in chunks, in reads that end where events do or anywhere, with the short way and without it."""
    if not data:
        return
    body, size = data[1:], data[0] * 4
    reads = [body[at : at + size] for at in range(0, len(body), size)] if size else re.split(rb"(?<=\n\r\n)", body)
    _loop.run_until_complete(streamed.compared(reads))


def recordings(data: bytes) -> None:
    """How long a recording is, by what a player would play of it."""
    with contextlib.suppress(durations.NotMeasured):
        assert durations.seconds_max(data) >= 1


def images(data: bytes) -> None:
    """A picture as it goes out, without what a camera wrote into it; what goes out is a picture again and goes out as it is."""
    try:
        drawn = picture_formats.drawn(data)
    except picture_formats.Malformed:
        return
    assert picture_formats.drawn(drawn.data) == drawn
    assert len(drawn.data) <= len(data)


def proofs(data: bytes) -> None:
    """A receipt, the proof on one that is signed, a checkpoint, and what a service tells of its sentences."""
    with contextlib.suppress(receipts.ReceiptBroken):
        receipts.verify(data, KEY.public)
    with contextlib.suppress(verifier.Wrong):
        verifier.opened(data, KEY)
    with contextlib.suppress(verifier.Wrong):
        verifier.parse_key(data.decode(errors="replace"))
    try:
        told = json.loads(data)
        signed = {"salt": "00" * 32, "signature": {"algorithm": receipts.ALGORITHM, "key": receipts.key_id(KEY.public)}}
        value = base64.b64encode(SIGNER.sign(receipts.canonical(signed))).decode()
        receipt = {**signed, "signature": {**signed["signature"], "value": value}, "log": told}  # type: ignore[dict-item]
        with contextlib.suppress(receipts.ReceiptBroken):
            receipts.in_log(receipts.canonical(receipt), KEY.public)
    except (ValueError, RecursionError):
        return
    if isinstance(told, dict):
        checks: tuple[Callable[[], object], ...] = (
            partial(verifier.check_policy, data, told, KEY, NOW),
            partial(verifier.check_sentences, told, data, HEAD, NOW),
            partial(verifier.check_clauses, data, told, HEAD),
            partial(verifier.check_page, data, data, "en"),
        )
        for check in checks:
            with contextlib.suppress(verifier.Wrong, verifier.Missing):
                check()


def policies(data: bytes) -> None:
    """A policy as an operator writes it."""
    with contextlib.suppress(PolicyError):
        parse(data)


def _pieces(data: bytes, how: int) -> list[bytes]:
    size = how % 16 + 1
    return [data[at : at + size] for at in range(0, len(data), size)]


def _said(said: object) -> bytes:
    return json.dumps(said).encode()


def _events(*each: object) -> bytes:
    return b"".join(b"data: %b\n\n" % _said(one) for one in each)


def _form(**fields: bytes) -> bytes:
    part = b'--between\r\ncontent-disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    named = {"file": b'; filename="a.wav"', "image": b'; filename="a.png"'}
    made = [part % (name.encode(), named.get(name, b""), value) for name, value in fields.items()]
    return b"".join((*made, b"--between--\r\n"))


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082".replace(" ", "")
)
SPOKEN = (RECORDINGS / "speech.mp3").read_bytes()
GIF = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
_TOOL = {"type": "function", "function": {"name": "f", "arguments": "{}"}, "id": "c", "index": 0}
_SAID = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "é"}]}], "n": 2},
    "completions": {"model": "m", "prompt": ["a", [1, 2]], "max_tokens": 3},
    "responses": {"model": "m", "input": [{"type": "message", "role": "user", "content": "a"}], "user": "ann"},
    "embeddings": {"model": "m", "input": ["a", "b"]},
    "moderations": {"input": [{"type": "text", "text": "a"}]},
    "rerank": {"model": "m", "query": "q", "documents": ["a", {"text": "b"}]},
    "images": {"model": "m", "prompt": "a", "size": "1024x1024", "n": 1},
    "speech": {"model": "m", "input": "a", "voice": "v"},
    "messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}], "system": "s"},
    "count_tokens": {"model": "m", "messages": [{"role": "user", "content": "a"}]},
}
_FORMS = {
    "edits": _form(model=b"m", prompt=b"a", image=PNG),
    "variations": _form(model=b"m", image=PNG),
    "transcriptions": _form(model=b"m", file=SPOKEN, response_format=b"json"),
    "translations": _form(model=b"m", file=SPOKEN),
}
_WHOLE = {
    "choices": [{"message": {"role": "assistant", "content": "a", "tool_calls": [_TOOL]}, "finish_reason": "stop"}],
    "content": [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}],
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
    "data": [{"b64_json": "aGk="}],
    "results": [{"index": 0, "relevance_score": 0.5}],
    "text": "a",
    "input_tokens": 3,
    "id": "x",
    "model": "m",
    "object": "response",
    "type": "message",
    "role": "assistant",
    "stop_reason": "end_turn",
    "status": "completed",
}
_STREAMS = (
    _events(
        {"choices": [{"index": 0, "delta": {"content": "a", "tool_calls": [_TOOL]}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    )
    + b": avow-cost 1\r\n\r\ndata: [DONE]\n\n",
    _events(
        {"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ),
    _events({"type": "response.output_text.delta", "delta": "a"}, {"type": "response.completed", "response": _WHOLE}),
    _events({"type": "transcript.text.delta", "delta": "a"}, {"type": "transcript.text.done", "text": "a"}),
    _events({"type": "speech.audio.delta", "audio": "aGk="}, {"type": "speech.audio.done", "usage": {}}),
)
_TOLD = {
    "hash": "h",
    "policy": "h",
    "at": "2026-01-01T00:00:00+00:00",
    "evidence": {"p": {"log": None, "content": "{}", "at": "2026-01-01T00:00:00+00:00"}},
    "sentences": [{"id": "a", "verdict": "proved", "evidence": ["p"]}],
    "clauses": [{"id": "a", "sentence": {"en": "A.", "zh": "B"}}],
    "in_force": {"content": '{"hash":"h","sentences":{}}', "log": {"salt": "00" * 32, "index": 0, "path": []}},
}
_DELTAS = [{"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]} for text in ("a", "b c", "", "é", '"')]
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"

TARGETS: Mapping[str, Target] = {
    "requests": Target(
        requests,
        tuple(
            bytes([number]) + (_FORMS[each.name] if each.takes_form else _said(_SAID[each.name]))
            for number, each in enumerate(SURFACES)
        ),
    ),
    "answers": Target(answers, tuple(bytes([number]) + _said(_WHOLE) for number in range(len(READ)))),
    "streams": Target(
        streams,
        tuple(bytes([number, 3]) + said for number in range(len(STREAMED)) for said in _STREAMS),
    ),
    "connection": Target(
        connection,
        (
            b"\x05" + _HEAD + b"content-length: 5\r\n\r\nhello",
            b"\x01" + _HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"\x02HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 500 No\r\nconnection: close\r\n\r\nhello",
        ),
    ),
    "straight": Target(
        straight,
        tuple(
            bytes([size]) + b"".join(map(streamed.chunk, (*map(_events, _DELTAS), b"data: [DONE]\n\n"))) + b"0\r\n\r\n"
            for size in (0, 60, 255)
        ),
    ),
    "recordings": Target(recordings, tuple(path.read_bytes() for path in sorted(RECORDINGS.iterdir()))),
    "images": Target(images, (PNG, GIF)),
    "proofs": Target(
        proofs,
        (
            signed(HEAD.text, KEY, SIGNER.sign(HEAD.text)),
            str(KEY).encode(),
            _said({"checkpoint": "", "index": 0, "path": ["00" * 32], "salt": "00" * 32}),
            _said(_TOLD),
        ),
    ),
    "policies": Target(policies, tuple(path.read_bytes() for path in sorted(PROFILES.glob("*.toml")))),
}
