"""The event splitter and the reader of chat streams, cut at every place."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.gateway import sse


def event(**chunk) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def token(text: str, finish: str | None = None) -> bytes:
    return event(id="1", choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}], usage=None)


USAGE = event(id="1", choices=[], usage={"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9})
WHOLE = token("Hel") + token("lo", "stop") + USAGE + sse.DONE


def cuts(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(stream) + 1) for place in places}), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def run(reader: sse.ChatStream, pieces: list[bytes]) -> bytes:
    return b"".join(reader.feed(piece)[0] for piece in pieces)


@given(places=st.lists(st.integers(0, 10_000), max_size=40), wants=st.booleans())
def test_tokens_pass_unchanged_whatever_the_pieces(places, wants):
    reader = sse.ChatStream(wants_usage=wants)
    passed = run(reader, cuts(WHOLE, places))
    assert passed == token("Hel") + token("lo", "stop") + (USAGE if wants else b"")
    assert reader.done and reader.finish == "stop" and not reader.fault
    assert reader.usage is not None and (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (7, 2)
    assert reader.tokens == 2


LINES = st.sampled_from([b"data: a", b"data:b", b"data", b": note", b"event: x", b"id: 1", b"", b"retry: 5"])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(lines=st.lists(st.tuples(LINES, ENDS), max_size=12), places=st.lists(st.integers(0, 1000), max_size=10))
def test_events_joined_are_the_stream_and_their_data_does_not_depend_on_the_pieces(lines, places):
    stream = b"".join(line + end for line, end in lines)
    whole, cut = sse.Splitter(), sse.Splitter()
    at_once = whole.feed(stream)
    in_pieces = [found for piece in cuts(stream, places) for found in cut.feed(piece)]
    assert b"".join(at_once) + bytes(whole._rest) == b"".join(in_pieces) + bytes(cut._rest) == stream
    assert [d for d in map(sse.data_of, at_once) if d is not None] == [
        d for d in map(sse.data_of, in_pieces) if d is not None
    ]


@given(pieces=st.lists(st.binary(max_size=40), max_size=20))
def test_arbitrary_bytes_never_raise_and_are_never_held_without_end(pieces):
    reader = sse.ChatStream(wants_usage=False)
    reader._splitter = sse.Splitter(bytes_max=64)
    run(reader, pieces)
    assert reader.fault or len(reader._splitter._rest) <= 64


def test_data_of_several_lines_is_joined():
    assert sse.data_of(b"data: a\ndata:b\n\n") == b"a\nb"
    assert sse.data_of(b": only a comment\n\n") is None


def test_p08_an_event_without_end_is_garbage_and_not_kept():
    reader = sse.ChatStream(wants_usage=False)
    for _ in range(sse.EVENT_BYTES_MAX // 65536 + 2):
        assert reader.feed(b"x" * 65536) == (b"", [])
    assert reader.fault == "garbage"
    long = b"data: " + b"x" * sse.EVENT_BYTES_MAX + b"\n\n"
    reader = sse.ChatStream(wants_usage=False)
    reader.feed(long)
    assert reader.fault == "garbage"


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (b"data: {not json\n\n", "garbage"),
        (b"data: \xff\n\n", "garbage"),
        (b"data: []\n\n", "garbage"),
        (b'data: {"foo":1}\n\n', "garbage"),
        (b'data: {"choices":[],"usage":{"completion_tokens":-5}}\n\n', "garbage"),
        (b'data: {"choices":[{"delta":{"content":5}}]}\n\n', "garbage"),
        (b"data: " + b'{"choices":' + b"[" * 5000 + b"\n\n", "garbage"),
        (b'data: {"error":{"message":"key sk-secret is invalid"}}\n\n', "error"),
    ],
)
def test_garbage_stops_the_stream_after_what_was_good(bad, fault):
    reader = sse.ChatStream(wants_usage=False)
    passed, _ = reader.feed(token("good") + bad + token("late"))
    assert passed == token("good")
    assert (reader.fault, reader.tokens, reader.done) == (fault, 1, False)
    assert reader.feed(token("later")) == (b"", [])


def test_comments_pass_except_those_in_our_name():
    reader = sse.ChatStream(wants_usage=False)
    stream = b": keep-alive\n\n: avow-cost 0.000000001\n\n" + token("x") + b": avow-cost 0\r\n" + token("y")
    assert run(reader, [stream]) == b": keep-alive\n\n" + token("x") + token("y")


def test_text_that_looks_like_usage_or_like_our_comment_is_only_text():
    reader = sse.ChatStream(wants_usage=False)
    stream = token('"usage":{"prompt_tokens":1}') + token("\n: avow-cost 0\n")
    assert run(reader, [stream]) == stream
    assert reader.usage is None


def test_usage_in_a_chunk_with_choices_is_read_and_passes():
    both = event(choices=[{"index": 0, "delta": {"content": "x"}}], usage={"prompt_tokens": 1, "completion_tokens": 1})
    reader = sse.ChatStream(wants_usage=False)
    assert run(reader, [both]) == both
    assert reader.usage is not None and reader.usage.completion_tokens == 1


def test_progress_chunks_of_the_engine_are_taken_out():
    progress = event(choices=[{"index": 0, "delta": {"role": "assistant"}}], prompt_progress={"processed": 5})
    reader = sse.ChatStream(wants_usage=False, takes_progress=True)
    assert run(reader, [progress + token("x")]) == token("x")


def test_tool_calls_and_reasoning_count_as_delivered():
    reader = sse.ChatStream(wants_usage=False)
    run(reader, [event(choices=[{"delta": {"tool_calls": [{"id": "1"}]}}])])
    run(reader, [event(choices=[{"delta": {"reasoning_content": "hm"}}])])
    run(reader, [event(choices=[{"delta": {"role": "assistant"}}])])
    assert reader.tokens == 2


def test_nothing_passes_after_done():
    reader = sse.ChatStream(wants_usage=False)
    assert run(reader, [sse.DONE + token("late"), token("later")]) == b""


def test_the_cost_comment_is_one_event_that_clients_skip():
    assert sse.cost_comment(12_345) == b": avow-cost 0.000012345\n\n"
    assert sse.data_of(sse.cost_comment(12_345)) is None


@pytest.mark.parametrize("delta", ['{"function_call":{"arguments":"{}"}}', '{"reasoning":"so"}', '{"tool_calls":[{}]}'])
def test_whatever_is_delivered_is_counted(delta):
    stream = sse.ChatStream(wants_usage=False)
    passed, _ = stream.feed(b'data: {"choices":[{"index":0,"delta":' + delta.encode() + b"}]}\n\n")
    assert passed and stream.tokens == 1
