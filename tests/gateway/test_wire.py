"""What the gateway reads from a request body, and what it refuses."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.base.errors import AvowError
from avow.billing.refusals import BalanceShort, BudgetExceeded, RateExceeded
from avow.gateway import dialects, refusals, upstreams, wire

HELLO = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def body(**more) -> bytes:
    return json.dumps({**HELLO, **more}).encode()


def test_the_fields_that_matter_are_read():
    asked = wire.parse(body(stream=True, stream_options={"include_usage": True}, max_tokens=9, n=2, temperature=0.5))
    assert (asked.model, asked.stream, asked.wants_usage, asked.max_tokens, asked.choices) == ("m", True, True, 9, 2)
    plain = wire.parse(body())
    assert (plain.stream, plain.wants_usage, plain.max_tokens, plain.choices) == (False, False, None, 1)


def test_the_smaller_of_two_token_limits_counts():
    assert wire.parse(body(max_tokens=9, max_completion_tokens=5)).max_tokens == 5


def test_unknown_fields_pass_and_names_of_people_do_not():
    asked = wire.parse(
        body(
            temperature=0.1,
            new_thing={"a": [1, 2]},
            user="anna@example.com",
            metadata={"patient": "Anna"},
            safety_identifier="anna",
            prompt_cache_key="anna",
            service_tier="priority",
            models=["another/model"],
            provider={"order": ["somebody-else"]},
            plugins=[{"id": "web"}],
            n_predict=100_000,
        )
    )
    sent = json.loads(wire.encode(asked.fields))
    assert sent == {**HELLO, "temperature": 0.1, "new_thing": {"a": [1, 2]}}


def deep(levels: int) -> bytes:
    return b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'"x"', "object"),
        (b"\xff\xfe", "JSON"),
        (b'{"model":"m","messages":[{"role":"user","content":"\xed\xa0\x80"}]}', "JSON"),
        (b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}', "JSON"),
        (b'{"model":"m","messages":[{"role":"user","content":"\\udc00\\ud800"}],"x":1}', "JSON"),
        (b'{"model":"m","messages":[{"role":"user","content":"a\\u0000b"}]}', "NUL"),
        (b'{"model":"m","messages":[{"role":"user","content":"a\\\\\\u0000b"}]}', "NUL"),
        (b'{"model":"m","messages":[{"role":"user","content":"a\x00b"}]}', "JSON"),
        (b'{"model":"m","model":"n","messages":[{"role":"user"}]}', "twice"),
        (b'{"model":"m","max_tokens":1,"messages":[{"role":"user"}],"max_tokens":99999}', "twice"),
        (b'{"model":"m","max_tokens":1,"messages":[{"role":"user"}],"max\\u005ftokens":99999}', "twice"),
        (b'{"model":"m","messages":[{"role":"user"}],"user":1,"\\u0075ser":[1,2]}', "twice"),
        (b'{"model":"m","messages":[{"role":"user"}],"a,b":1}', "name"),
        (b'{"model":"m","messages":[{"role":"user"}],"\\u002c":1,"x":1,"x":1}', "name"),
        (deep(65), "64"),
        (deep(900), "64"),
        (deep(100_000), "too many"),
        (b'{"a":1e999,"model":"m","messages":[]}', "range"),
    ],
)
def test_what_cannot_be_read_safely_is_refused(sent, word):
    with pytest.raises(AvowError) as caught:
        wire.parse(sent)
    assert caught.value.status == 400
    assert word in caught.value.sentence


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"model": 7}, "model"),
        ({"model": ""}, "model"),
        ({"messages": "hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "hi"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages[0].content"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": 1}, "stream_options"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 2**40}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
    ],
)
def test_wrong_types_name_the_parameter_and_never_the_value(changed, param):
    marker = "marker-4711"
    with pytest.raises(refusals.InvalidRequest) as caught:
        wire.parse(body(**{"tools": marker, **changed}))
    assert caught.value.param == param
    assert marker not in refusals.OPENAI.render(caught.value).decode()


def test_too_large_is_413_before_anything_is_parsed():
    with pytest.raises(refusals.TooLarge) as caught:
        wire.parse(b"[" * (wire.BODY_BYTES_MAX + 1))
    assert caught.value.status == 413


@pytest.mark.parametrize("text", ["[[[{{{" * 100, '\\"[' * 200, "\\\\u0000 in code", "a,b,c", '"model"', "\U0001f600"])
def test_what_stands_inside_a_string_is_only_text(text):
    asked = wire.parse(body(messages=[{"role": "user", "content": text}], tools=[{"a": [1, 2]}] * 40))
    assert asked.fields["messages"][0]["content"] == text
    assert json.loads(wire.encode(asked.fields))["messages"][0]["content"] == text


def test_a_value_that_repeats_a_field_name_is_no_duplicate():
    more = {"stop": "messages", "response_format": {"model": "m", "x": [1, 2]}}
    assert json.loads(wire.encode(wire.parse(body(user="model", **more)).fields)) == {**HELLO, **more}


def test_an_unfinished_string_full_of_escapes_takes_no_time():
    with pytest.raises(refusals.InvalidRequest):
        wire.parse(b"[" * 70 + b'"' + b'\\"' * 1_000_000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(alphabet='a,"\\{}[]u0', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='k,"\\', max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(
    extra=st.dictionaries(st.from_regex(r"x[a-z_]{1,4}", fullmatch=True), JSON, max_size=4),
    ascii_only=st.booleans(),
    spaced=st.booleans(),
)
def test_every_valid_request_is_read_and_sent_on_with_the_same_meaning(extra, ascii_only, spaced):
    separators = (", ", ": ") if spaced else (",", ":")
    sent = json.dumps({**HELLO, **extra}, ensure_ascii=ascii_only, separators=separators).encode("utf-8")
    if b"\\u0000" in sent:
        return
    asked = wire.parse(sent)
    assert asked.written in (b"", sent) and not (spaced and asked.written)
    assert msgspec.json.decode(asked.written or wire.encode(asked.fields)) == {**HELLO, **extra}


def test_only_what_came_just_as_we_would_write_it_goes_on_as_it_came():
    plain = msgspec.json.encode(HELLO)
    assert wire.parse(plain).written == plain
    for taken_out in ({"user": "anna"}, {"store": False}, {"best_of": 1}):
        assert wire.parse(msgspec.json.encode({**HELLO, **taken_out})).written == b""
    assert wire.parse(body()).written == b""  # with spaces
    assert wire.parse(plain).saying({"model": "m"}).written == b""


def test_what_we_set_is_not_what_a_client_took_for_it():
    """In Python 0 is False and 1 is True; to an upstream they may not be."""
    asked = wire.parse(msgspec.json.encode({**HELLO, "max_tokens": 9, "stream": True, "cache_prompt": 0}))
    way = upstreams.Way("/chat", lambda request, *_: {**request.fields, "cache_prompt": False}, dialects.CHAT)
    there = upstreams.provider("compatible", "a", "http://127.0.0.1:1/v1", "", processor=None)
    assert json.loads(there.message(way, asked, "m", 9))["cache_prompt"] is False


@given(
    pairs=st.lists(st.tuples(st.sampled_from(["xa", "xb", "x\\u0061", "model"]), JSON), min_size=1, max_size=4),
    spaced=st.booleans(),
)
def test_a_field_that_occurs_twice_is_always_found(pairs, spaced):
    members = [f'"{name}":{json.dumps(value)}' for name, value in pairs]
    members += [f'"{name}":{json.dumps(value)}' for name, value in HELLO.items()]
    sent = ("{" + (" , " if spaced else ",").join(members) + "}").encode()
    if b"\\u0000" in sent:
        return
    names = [json.loads(f'"{name}"') for name, _ in pairs] + list(HELLO)
    if len(set(names)) == len(names):
        wire.parse(sent)
    else:
        with pytest.raises(refusals.InvalidRequest):
            wire.parse(sent)


@given(sent=st.binary(max_size=200) | st.text(alphabet='{}[]",:0123456789truefalsn\\', max_size=60).map(str.encode))
def test_p24_arbitrary_bytes_are_read_or_refused(sent):
    try:
        wire.parse(sent)
    except AvowError as error:
        assert 400 <= error.status < 500


def test_refusals_have_the_shape_that_openai_clients_read():
    shown = json.loads(refusals.OPENAI.render(refusals.InvalidRequest("No.", param="model")))
    assert set(shown) == {"error"} and set(shown["error"]) == {"message", "type", "param", "code"}
    short = json.loads(refusals.OPENAI.render(BalanceShort(5)))["error"]
    assert (BalanceShort.status, short["type"], short["code"]) == (402, "insufficient_quota", "insufficient_quota")
    over = json.loads(refusals.OPENAI.render(BudgetExceeded("day", 5)))["error"]
    assert (over["type"], over["code"]) == ("insufficient_quota", "budget_exceeded")
    assert RateExceeded().headers["retry-after"]


def test_many_fields_are_refused_before_each_is_looked_for():
    many = {f"field_{number}": 1 for number in range(200_000)}
    sent = body(**many)
    begun = time.process_time()
    with pytest.raises(refusals.InvalidRequest):
        wire.parse(sent)
    assert time.process_time() - begun < 2
    some = {f"field_{number}": 1 for number in range(wire.FIELDS_MAX - len(HELLO))}
    assert len(wire.parse(body(**some)).fields) == wire.FIELDS_MAX


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [{"type": "mcp", "server_url": "http://127.0.0.1/"}]}, "tools"),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, "cache_control"),
        ({"extra": [{"cache_control": {"ttl": "1h"}}]}, "cache_control"),
    ],
)
def test_what_would_let_a_provider_call_others_or_keep_longer_is_refused(
    changed: dict[str, object], param: str
) -> None:
    with pytest.raises(refusals.InvalidRequest) as caught:
        wire.parse(body(**changed))
    assert caught.value.param == param


def test_what_is_charged_besides_is_not_sent_on() -> None:
    request = wire.parse(body(best_of=16, search_parameters={"mode": "on"}, enable_search=True, temperature=1))
    assert set(request.fields) & {"best_of", "search_parameters", "enable_search", "temperature"} == {"temperature"}


def test_a_field_that_comes_twice_is_found_in_a_large_body_too() -> None:
    many = b"".join(b'"field%d": 1, ' % n for n in range(100))
    large = b'{"model": "m", %b"messages": [{"role": "user", "content": "%b"}]%b}'
    wire.parse(large % (many, b"x," * 1_000_000, b""))
    with pytest.raises(refusals.InvalidRequest, match="twice"):
        wire.parse(large % (many, b"x," * 1_000_000, b', "model": "n"'))
