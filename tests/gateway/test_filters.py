"""What the rules of a policy find in requests and answers, what is then done, and that nothing of a text stays behind."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest
from sqlalchemy import delete

from avow.accounts.tables import person
from avow.gateway import filters, personal
from avow.gateway.filters import ContentBlocked, Filters, Search
from avow.gateway.refusals import InvalidRequest
from avow.gateway.scripted import Script
from avow.policy import parse

from . import shown
from .filtering import ASK, FOUND, PICTURE, RULES, decisions, policy_of, rule, said, searching
from .house import CLAUDE, HELLO, MODEL, TEXT, until
from .test_traces import opened


@pytest.fixture
def house_policy():
    return policy_of(RULES)


def texts(answer):
    """What a client reads of a stream of chat."""
    lines = [line[6:] for line in answer.text.split("\n\n") if line.startswith("data: {")]
    chunks = [json.loads(line) for line in lines]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c.get("choices"))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", said("Where is the Zebra Crossing?")),
        ("/v1/chat/completions", {**said("Where is the zebra crossing?"), "stream": True}),
        ("/v1/chat/completions", said("斑马在哪里")),
        ("/v1/chat/completions", said("the forbidden   FRUIT")),
        ("/v1/chat/completions", said("  a text that IS known\nto be bad ")),
        ("/v1/chat/completions", {**ASK, "messages": [*HELLO, {"role": "tool", "content": "zebra crossing"}]}),
        ("/v1/completions", {"model": MODEL, "prompt": ["hello", "zebra crossing"]}),
        ("/v1/responses", {"model": MODEL, "input": "x", "instructions": "zebra crossing"}),
        ("/v1/embeddings", {"model": MODEL, "input": ["zebra crossing"]}),
        ("/v1/moderations", {"model": MODEL, "input": "zebra crossing"}),
        ("/v1/rerank", {"model": MODEL, "query": "q", "documents": [{"text": "zebra crossing"}]}),
        ("/v1/messages", {**said("hello"), "max_tokens": 9, "system": "zebra crossing"}),
        ("/v1/messages", {**said("zebra crossing"), "model": CLAUDE, "max_tokens": 9}),
    ],
)
async def test_a_request_that_is_blocked_goes_nowhere_costs_nothing_and_leaves_a_kind_and_a_count(house, path, body):
    ann = await house.customer(tenant_keep_h=48)
    answer = await house.post(ann, body, path=path)
    assert answer.status_code == 403 and answer.json()["error"]["code"] == "content_blocked"
    assert "clause filter." in answer.text and "zebra" not in answer.text.lower()
    assert house.upstream.requests == [] and await house.traces() == []
    row = await house.settled(ann)
    assert (row.why, row.status, row.amount) == ("refused", 403, 0)
    (found,) = await decisions(house)
    assert (found.stage, found.action, found.score, found.state) == ("prompt", "block", 1, "stands")
    assert found.kind in ("house", "illicit") and found.request_id == row.id
    assert (found.ends_at - found.since).days == 30


async def test_what_no_filter_finds_passes_unchanged(house):
    ann = await house.customer()
    body = said("zebras cross, fruit is forbidding, 12:30 on 2026-11-22 for 1234567 people at a@b")
    assert (await house.post(ann, body)).status_code == 200
    assert house.upstream.requests[0]["messages"] == body["messages"]
    assert await decisions(house) == []


ADDRESSES = "Mail ann.b@example.org or +49 30 1234567; card 4111 1111 1111 1111, DE89370400440532013000, 192.0.2.7."
HIDDEN = "Mail <EMAIL_1> or <PHONE_1>; card <CARD_1>, <IBAN_1>, <IP_1>."


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_sees_placeholders_and_the_answer_has_back_what_stood_there(house, stream):
    ann = await house.customer(tenant_keep_h=48)
    pieces = ("So I wrote to <EM", "AIL_1", "> and c", "alled <PHONE_1>, not <PHONE_2>.")
    house.upstream.then(Script(tokens=pieces))
    answer = await house.post(ann, {**said(f"{ADDRESSES} Again: ann.b@example.org"), "stream": stream})
    (sent,) = house.upstream.requests
    assert sent["messages"][0]["content"] == f"{HIDDEN} Again: <EMAIL_1>"
    told = texts(answer) if stream else answer.json()["choices"][0]["message"]["content"]
    assert told == "So I wrote to ann.b@example.org and called +49 30 1234567, not <PHONE_2>."
    await house.settled(ann)
    (row,) = await house.traces()
    kept = await opened(house, ann, row)
    assert kept["request"]["messages"][0]["content"] == f"{HIDDEN} Again: <EMAIL_1>"
    assert "ann.b" not in str(kept) and kept["response"]["choices"][0]["message"]["content"] == "".join(pieces)
    assert {(each.filter, each.score) for each in await decisions(house)} == {("private", 6)}


async def test_tools_see_placeholders_and_their_calls_have_back_what_stood_there(house):
    ann = await house.customer()
    house.upstream.then(Script(tool=("mail", '{"to":"<EMAIL_1>"}')))
    body = said("Mail ann@example.org.")
    answer = await house.post(ann, {**body, "tools": [{"type": "function", "function": {"name": "mail"}}]})
    (call,) = answer.json()["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"to": "ann@example.org"}


async def test_the_same_words_of_two_people_share_a_cached_answer_and_neither_sees_the_others_data(house):
    ann = await house.customer(tenant_keep_h=48)
    house.upstream.then(Script(tokens=("To <EMAIL_1>.",)))
    got = []
    for address in ("ann@example.org", "bob@example.org"):
        answer = await house.post(ann, {**said(f"Whom? {address}"), "temperature": 0})
        got.append((answer.headers["avow-cache"], answer.json()["choices"][0]["message"]["content"]))
    assert got == [("miss", "To ann@example.org."), ("hit", "To bob@example.org.")]


async def test_an_answer_that_is_blocked_is_not_delivered_kept_or_charged(house):
    ann = await house.customer(tenant_keep_h=48)
    for stream in (False, True):
        house.upstream.then(Script(tokens=("Cross at the ze", "bra cros", "sing.")))
        answer = await house.post(ann, {**ASK, "stream": stream})
        assert answer.status_code == 403 and answer.json()["error"]["code"] == "content_blocked"
        assert "ze" not in answer.text.replace("filter.house", "")
    row = await house.settled(ann, 2)
    assert [each.amount for each in await house.usages(ann)] == [0, 0] and row.why == "refused"
    assert await house.traces() == [] and len(await decisions(house)) == 2
    assert (await house.wallet(ann))[1] == 0


@pytest.mark.parametrize(
    ("path", "model", "body"),
    [
        ("/v1/chat/completions", MODEL, {"messages": HELLO}),
        ("/v1/completions", MODEL, {"prompt": "x"}),
        ("/v1/responses", MODEL, {"input": "x"}),
        ("/v1/messages", CLAUDE, {"messages": HELLO, "max_tokens": 900}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_an_answer_must_not_tell_is_taken_out_wherever_it_stands(house, path, model, body, stream):
    ann = await house.customer(tenant_keep_h=48)
    house.upstream.then(Script(tokens=("Write to ki", "m@exam", "ple.or", "g to", "day. ", "I grumble.")))
    answer = await house.post(ann, {"model": model, "stream": stream, **body}, path=path)
    assert answer.status_code == 200 and "kim" not in answer.text and "example.org" not in answer.text
    assert "[email]" in answer.text and "grumble" in answer.text
    await house.settled(ann)
    (row,) = await house.traces()
    assert "[email]" in str(await opened(house, ann, row)) and "kim@" not in str(await opened(house, ann, row))
    assert {(each.filter, each.action) for each in await decisions(house)} == {("told", "redact"), ("mood", "flag")}


@pytest.mark.parametrize(
    ("path", "param", "body"),
    [
        ("/v1/completions", "prompt", {"prompt": [1, 2, 3]}),
        ("/v1/completions", "prompt", {"prompt": [[1, 2], [3]]}),
        ("/v1/embeddings", "input", {"input": [[1, 2]]}),
        ("/v1/chat/completions", "logprobs", {"messages": HELLO, "logprobs": True}),
    ],
)
async def test_what_cannot_be_searched_is_refused(house, path, param, body):
    ann = await house.customer()
    answer = await house.post(ann, {"model": MODEL, **body}, path=path)
    assert answer.status_code == 400 and answer.json()["error"]["param"] == param
    assert house.upstream.requests == [] and (await house.settled(ann)).amount == 0


def test_tokens_are_refused_too_where_only_a_model_judges():
    search = Search(searching(rule("provider", "hate", "prompt", "block", asks="test/plain")))
    with pytest.raises(InvalidRequest):
        search.prompt({"prompt": [1, 2, 3]}, ["prompt"])


async def test_more_pieces_than_can_be_given_back_are_refused_and_go_nowhere(house):
    ann = await house.customer()
    pieces = [f"p{number}@example.org" for number in range(filters.PLACEHOLDERS_MAX + 1)]
    answer = await house.post(ann, said(" ".join(pieces)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "too_much_personal_data")
    assert house.upstream.requests == [] and (await house.settled(ann)).amount == 0
    house.upstream.then(Script(tokens=("Not ", f"<EMAIL_{filters.PLACEHOLDERS_MAX}>")))
    answer = await house.post(ann, said(" ".join(pieces[:-1] * 2)))
    assert answer.json()["choices"][0]["message"]["content"] == f"Not {pieces[-2]}"


def test_what_was_found_is_counted_over_all_texts():
    search = Search(FOUND)
    two, one = "ann@example.org, bob@example.org", "ann@example.org"
    search.prompt({"messages": [{"content": two}, {"content": one}], "instructions": one}, ["messages"])
    search.answer(json.dumps({"choices": [{"message": {"content": text}} for text in (two, one)]}).encode())
    assert {at: hit.score for at, hit in search.hits.items()} == {("private", "prompt"): 4, ("told", "output"): 3}


async def test_a_record_that_cannot_be_written_lets_nothing_through_and_stops_nobody(house, monkeypatch):
    def lost(*_):
        raise ConnectionError

    ann = await house.customer()
    monkeypatch.setattr(house.gateway.decisions._database, "tenant", lost)
    assert (await house.post(ann, said("zebra crossing"))).status_code == 403
    assert (await house.post(ann, said("I grumble."))).status_code == 200


async def test_nothing_is_written_of_somebody_who_was_erased_meanwhile(house):
    ann, bob = await house.customer(), await house.customer()
    gate = asyncio.Event()
    house.upstream.script = Script(gate=gate)
    asked = [asyncio.create_task(house.post(who, said("a grumble"))) for who in (ann, bob)]
    await until(lambda: len(house.upstream.requests) == 2)
    await house.execute(delete(person).where(person.c.id == ann.subject_id))
    gate.set()
    await asyncio.gather(*asked)
    assert [each.subject_id for each in await decisions(house)] == [bob.subject_id]


HIDING = [
    {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "input": {"id": "PUT"}}]}]},
    {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "PUT", "input": {}}]}]},
    {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "input": {"input": [{"status": "PUT"}]}}]}]},
    {"tools": [{"name": "n", "input_schema": {"properties": {"id": {"description": "PUT", "type": "PUT"}}}}]},
    {"tools": [{"type": "function", "function": {"name": "n", "parameters": {"properties": {"PUT": {}}}}}]},
    {"input": [{"type": "function_call", "call_id": "c1", "arguments": '{"to":"ESCAPED"}'}]},
    {
        "messages": [
            {"role": "assistant", "tool_calls": [{"function": {"arguments": '{"a":"{\\"to\\":\\"ESCAPED\\"}"}'}}]}
        ]
    },
    {"response_format": {"json_schema": {"schema": {"model": "PUT"}}}},
    {"metadata": {"signature": "PUT"}},
    {"messages": [{"role": {"id": "PUT"}}]},
]


@pytest.mark.parametrize("fields", HIDING)
def test_words_are_found_in_every_field_and_in_every_writing(fields):
    def holding(plain, escaped):
        return json.loads(json.dumps(fields).replace("PUT", plain).replace("ESCAPED", json.dumps(escaped)[1:-1]))

    hidden = holding("bob@example.org", r"bob\u0040example\u002Eorg")
    search = Search(FOUND)
    made = search.prompt(hidden, ())
    assert "bob" not in json.dumps(made) and "<EMAIL_1>" in json.dumps(made)
    with pytest.raises(ContentBlocked):
        Search(FOUND).prompt(holding("a zebra crossing", r"a\nzebra\u0020crossing"), ())
    with pytest.raises(ContentBlocked):
        Search(FOUND).answer(json.dumps(holding("zebra crossing", r"zebra\u0020crossing")).encode())


def test_what_a_dialect_writes_is_no_word_of_anybody():
    words = ["role", "assistant", "content", "call_7", "tool_use", "id", "type"]
    rules = rule("words", "house", "prompt output", "block", words=words)
    turn = {"role": "assistant", "content": [{"type": "tool_use", "id": "call_7", "name": "n", "input": {"a": "b"}}]}
    body = {"model": "id", "messages": [turn]}
    assert Search(searching(rules)).prompt(body, ()) == body


def test_an_escape_is_not_cut_and_two_names_stay_two():
    search = Search(FOUND)
    told = {"arguments": r'{"a":"x\nann@example.org"}', "input": {"a@b.org": 1, "c@b.org": 2}}
    body = json.dumps({"choices": [{"message": {"function_call": told}}]}).encode()
    made = json.loads(search.answer(body))["choices"][0]["message"]["function_call"]
    assert json.loads(made["arguments"]) == {"a": "x\n[email]"}
    assert made["input"] == {"[email]": 1, "[email]_": 2}


def test_no_pattern_can_make_a_request_wait():
    """Under an engine that goes back and forth each of these would take longer than the sun will burn."""
    patterns = ["(a+)+$", "(a|aa)+c", "([a-z]+)*1", "(.*)*x1"]
    search = Search(searching(rule("slow", "house", "prompt", "block", patterns=patterns)))
    search.prompt({"messages": "a" * 200_000 + "!"}, ["messages"])
    with pytest.raises(ContentBlocked):
        search.prompt({"messages": "aaa"}, ["messages"])


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("x ann@example.org.", ["email"]),
        ("+1 415 555 2671 and (030) 12", ["phone"]),
        ("0171 2345678", ["phone"]),
        ("GB82 WEST 1234 5698 7654 32", ["iban"]),
        ("GB82 WEST 1234 5698 7654 33", []),
        ("4111-1111-1111-1111 and 4111-1111-1111-1112", ["card"]),
        ("2001:db8::1, ::ffff:192.0.2.7", ["ip", "ip"]),
        ("std::cout << std::dec; a::b, cafe::add; 1::b", []),
        ("at [2001:db8::1]:443 or ip:192.0.2.7:80; fe80:1::2.", ["ip", "ip", "ip"]),
        ("x2001:db8::1, 2001:db8::1g", []),
        ("999.1.1.1 at 12:30 on 2026-11-22, 3.14159", []),
        ("", []),
    ],
)
def test_personal_data_is_known_by_its_form(text, kinds):
    found = personal.find(text, frozenset(personal.KINDS))
    assert [each.kind for each in found] == kinds


def test_nothing_is_searched_without_a_filter():
    assert filters.build(parse(TEXT.replace('features = ["tls"', 'features = ["tls", "processors"'))) is None
    assert Filters([]).at == dict.fromkeys(("prompt", "image", "upload", "output"), ())


async def test_an_image_that_is_known_goes_nowhere_and_its_finding_is_on_record(house):
    await house.offer("media/paints", counts="images", image_nano=1_000_000)
    ann = await house.customer()
    edit = house.client(ann).images.edit
    with pytest.raises(openai.PermissionDeniedError) as refused:
        await edit(model="media/paints", image=[("a.png", shown.png()), ("b.png", PICTURE)], prompt="x")
    assert refused.value.code == "content_blocked" and "filter.pictures" in str(refused.value)
    assert house.upstream.requests == [] and (await house.settled(ann)).amount == 0
    (found,) = await decisions(house)
    assert (found.filter, found.stage, found.kind, found.action, found.score) == (
        "pictures",
        "image",
        "minors",
        "block",
        1,
    )
    with pytest.raises(openai.PermissionDeniedError):  # with a byte behind its end it is the same
        await edit(model="media/paints", image=("b.png", PICTURE + b"!"), prompt="x")
    await edit(model="media/paints", image=("a.png", shown.png()), prompt="x")
    assert len(house.upstream.requests) == 1


async def test_a_file_with_what_is_not_wanted_is_not_kept_and_its_finding_is_on_record(house):
    ann = await house.customer(tenant_keep_h=24)
    send = house.client(ann).files.create
    with pytest.raises(openai.PermissionDeniedError) as refused:
        await send(file=("a.jsonl", b'{"a": 1}\n{"b": "worm\\u0077ood"}\n'), purpose="batch")
    assert refused.value.code == "content_blocked" and "filter.files" in str(refused.value)
    (found,) = await decisions(house)
    assert (found.filter, found.stage, found.action) == ("files", "upload", "block")
    await send(file=("a.jsonl", b'{"a": 1}\n'), purpose="batch")
    assert len((await house.client(ann).files.list()).data) == 1
