"""What filters find in requests and answers, what is then done, and that nothing of a text stays behind."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from datetime import timedelta

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from avow.accounts.tables import api_key, person
from avow.base.metrics import Sheet
from avow.billing.tables import wallet
from avow.gateway import asking, filters, guard, personal, tables
from avow.gateway.filters import ContentBlocked, Filters, Passage, Search
from avow.gateway.guard import Guard
from avow.gateway.refusals import InvalidRequest
from avow.gateway.scripted import Script
from avow.gateway.watch import FAMILIES
from avow.policy import parse
from tests import LIMIT_S

from . import shown
from .house import CLAUDE, DOLLAR, HELLO, MODEL, TEXT, open_house, until
from .test_traces import opened

PICTURE = shown.png(5, 5)
BAD = "A text that is known to be bad"
RULES = f"""
[filter.house]
finds = "house"
stages = ["prompt", "output"]
action = "block"
words = ["zebra crossing", "斑马"]
patterns = ['(?i)forbidden\\s+fruit']

[filter.known]
finds = "illicit"
stages = ["prompt"]
action = "block"
hashes = ["{filters.digest(BAD)}"]

[filter.pictures]
finds = "minors"
stages = ["image"]
action = "block"
hashes = ["{hashlib.sha256(PICTURE).hexdigest()}"]

[filter.files]
finds = "illicit"
stages = ["upload"]
action = "block"
words = ["wormwood"]

[filter.private]
finds = "personal"
stages = ["prompt"]
action = "redact"
personal = ["email", "phone", "card", "iban", "ip"]
restores = true

[filter.told]
finds = "personal"
stages = ["output"]
action = "redact"
personal = ["email"]

[filter.mood]
finds = "hate"
stages = ["prompt", "output"]
action = "flag"
words = ["grumble"]
"""
ASK = {"model": MODEL, "messages": HELLO}


def policy_of(rules):
    text = TEXT.replace('features = ["tls"', 'features = ["tls", "processors", "filter"')
    never = 'purposes = ["abuse", "security"]\nbasis = "interest"\nkeep = "0"'
    return parse(text.replace(never, never.replace('"0"', '"at most 30 days"')) + rules)


@pytest.fixture
async def house(database, tmp_path):
    async with open_house(database, tmp_path, policy=policy_of(RULES)) as made:
        yield made


def said(text):
    return {**ASK, "messages": [{"role": "user", "content": text}]}


def texts(answer):
    """What a client reads of a stream of chat."""
    lines = [line[6:] for line in answer.text.split("\n\n") if line.startswith("data: {")]
    chunks = [json.loads(line) for line in lines]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c.get("choices"))


async def decisions(house):
    async with house.databases.keeper.begin() as c:
        return list((await c.execute(select(tables.filter_decision).order_by(tables.filter_decision.c.id))).all())


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
        ("/v1/chat/completions", CLAUDE, {"messages": HELLO}),
        ("/v1/completions", MODEL, {"prompt": "x"}),
        ("/v1/responses", MODEL, {"input": "x"}),
        ("/v1/messages", CLAUDE, {"messages": HELLO, "max_tokens": 900}),
        ("/v1/messages", MODEL, {"messages": HELLO, "max_tokens": 900}),
    ],
)
async def test_a_stream_ends_before_what_is_blocked_and_is_charged_for_what_came_before(house, path, model, body):
    ann = await house.customer(tenant_keep_h=48)
    harmless = tuple("word " for _ in range(4 * guard.WINDOW_CHARS // 5))
    gate, text = asyncio.Event(), ""
    words = (*harmless, "zeb", "ra", " cross", "ing", " and more")
    house.upstream.then(Script(tokens=words, gate=gate, gate_after=len(harmless)))
    headers = {"authorization": f"Bearer {ann.secret}"}
    async with (
        httpx.AsyncClient(base_url=house.url, headers=headers, timeout=LIMIT_S) as http,
        http.stream("POST", path, json={"model": model, "stream": True, **body}) as answer,
    ):
        assert answer.status_code == 200
        async for piece in answer.aiter_text():
            text += piece
            gate.set()
    assert text.count("word ") > 50 and "zeb" not in text and "content_blocked" in text
    row = await house.settled(ann)
    assert (row.why, row.status) == ("refused", 200) and 0 < row.amount <= row.held
    came = text.count("word ")
    assert came - 1 <= row.output_tokens <= came * len("word ") // 4 + 2 < len(harmless)
    assert await house.traces() == []
    assert [(each.filter, each.stage) for each in await decisions(house)] == [("house", "output")]


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
    search = Search(
        searching('[filter.provider]\nfinds = "hate"\nstages = ["prompt"]\naction = "block"\nasks = "test/plain"\n')
    )
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


async def test_who_leaves_before_anything_came_pays_for_no_answer(house):
    ann = await house.customer()
    gate = asyncio.Event()
    house.upstream.then(Script(tokens=("word ",) * 90, gate=gate, gate_after=80))
    asked = asyncio.create_task(house.post(ann, {**ASK, "stream": True}))
    await until(lambda: any(each._searching and each._searching._guard for each in house.gateway._running))
    (running,) = house.gateway._running
    await until(lambda: running._searching._guard._chars >= 75 * len("word "))
    asked.cancel()
    row = await house.settled(ann)
    assert (row.why, row.output_tokens) == ("client_left", 0)


async def test_who_leaves_a_searched_stream_is_settled(house):
    ann = await house.customer()
    gate = asyncio.Event()
    house.upstream.then(Script(tokens=tuple("word " for _ in range(300)), gate=gate, gate_after=280))
    stream = await house.client(ann).chat.completions.create(**ASK, stream=True)
    async for _ in stream:
        break
    await stream.close()
    row = await house.settled(ann)
    assert (row.why, row.status) == ("client_left", 499) and row.amount <= row.held


# where words stand, and how they are written

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
    rule = """
[filter.words]
finds = "house"
stages = ["prompt", "output"]
action = "block"
words = ["role", "assistant", "content", "call_7", "tool_use", "id", "type"]
"""
    turn = {"role": "assistant", "content": [{"type": "tool_use", "id": "call_7", "name": "n", "input": {"a": "b"}}]}
    body = {"model": "id", "messages": [turn]}
    assert Search(searching(rule)).prompt(body, ()) == body


def test_an_escape_is_not_cut_and_two_names_stay_two():
    search = Search(FOUND)
    told = {"arguments": r'{"a":"x\nann@example.org"}', "input": {"a@b.org": 1, "c@b.org": 2}}
    body = json.dumps({"choices": [{"message": {"function_call": told}}]}).encode()
    made = json.loads(search.answer(body))["choices"][0]["message"]["function_call"]
    assert json.loads(made["arguments"]) == {"a": "x\n[email]"}
    assert made["input"] == {"[email]": 1, "[email]_": 2}


# models that judge

JUDGES = """
[filter.provider]
finds = "violence"
stages = ["prompt"]
action = "block"
asks = "test/plain"

[filter.guard]
finds = "sexual"
stages = ["prompt"]
action = "flag"
asks = "test/claude"
chats = true

[filter.private]
finds = "personal"
stages = ["prompt"]
action = "redact"
personal = ["email"]
"""


@pytest.fixture
async def house_with_judges(database, tmp_path):
    async with open_house(database, tmp_path, policy=policy_of(JUDGES)) as made:
        yield made


async def test_a_model_is_asked_before_a_request_goes_on_and_sees_no_more_than_it(house_with_judges):
    house = house_with_judges
    ann = await house.customer()
    house.upstream.then(Script(), Script(tokens=("unsafe", "\nS1")), Script())
    answer = await house.post(ann, said("Mail ann@example.org, please."))
    assert answer.status_code == 200
    assert house.upstream.paths == ["/v1/moderations", "/v1/messages", "/v1/chat/completions"]
    judged, guarded, sent = house.upstream.requests
    assert judged["input"] == "Mail [email], please." and "Mail [email], please." in str(guarded["messages"])
    assert sent["messages"][0]["content"] == "Mail [email], please." and guarded["temperature"] == 0
    found = {(each.filter, each.kind, each.action) for each in await decisions(house)}
    assert found == {("guard", "sexual", "flag"), ("private", "personal", "redact")}
    row = await house.settled(ann)
    assert row.amount == 20_000, "the answer alone is paid"


async def test_what_a_model_objects_to_goes_nowhere(house_with_judges):
    house = house_with_judges
    ann = await house.customer()
    house.upstream.then(Script(flagged=True))
    answer = await house.post(ann, said("Something."))
    assert answer.status_code == 403 and "filter.provider" in answer.text
    assert house.upstream.paths == ["/v1/moderations"] and (await house.settled(ann)).amount == 0


async def test_who_is_refused_by_a_model_pays_nothing_for_it_and_cannot_ask_it_without_end(house_with_judges):
    """The operator pays the model that judges, so what is refused counts against the limits like any other request."""
    house = house_with_judges
    ann = await house.customer()
    await house.execute(update(api_key).where(api_key.c.id == ann.key_id).values(requests_per_min=2))
    house.clock.move(timedelta(seconds=60 - house.clock.now().second))  # a whole minute is ahead
    house.upstream.script = Script(flagged=True)
    assert [(await house.post(ann, said("Something."))).status_code for _ in range(4)] == [403, 403, 429, 429]
    assert house.upstream.paths == ["/v1/moderations"] * 2
    assert await house.wallet(ann) == (DOLLAR, 0)


@pytest.mark.parametrize("fault", [Script(status=500), Script(garbage_after=0), Script(raw=b"nonsense")])
async def test_what_cannot_be_judged_goes_nowhere_if_it_would_be_blocked_and_on_if_it_would_be_noted(
    house_with_judges, fault
):
    house = house_with_judges
    ann = await house.customer()
    house.upstream.then(fault)
    answer = await house.post(ann, said("Something."))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "filter_unavailable")
    assert "retry-after" in answer.headers and (await house.settled(ann)).amount == 0
    house.upstream.then(Script(), fault, Script())
    assert (await house.post(ann, said("Something."))).status_code == 200


SAYING = [
    (
        "/v1/chat/completions",
        {"messages": HELLO, "tools": [{"type": "function", "function": {"description": "HIDDEN"}}]},
    ),
    ("/v1/chat/completions", {"messages": HELLO, "response_format": {"json_schema": {"schema": {"HIDDEN": 1}}}}),
    ("/v1/completions", {"prompt": "x", "suffix": "HIDDEN"}),
    ("/v1/responses", {"input": "x", "text": {"format": {"description": "HIDDEN"}}}),
]


@pytest.mark.parametrize(("path", "body"), SAYING)
async def test_a_model_judges_all_that_is_said(house_with_judges, path, body):
    house = house_with_judges
    ann = await house.customer()
    house.upstream.then(Script(flagged=True))
    assert (await house.post(ann, {"model": MODEL, **body}, path=path)).status_code == 403
    (judged,) = house.upstream.requests
    assert "HIDDEN" in judged["input"]


async def test_what_is_only_counted_is_judged_and_searched_too(house_with_judges):
    house = house_with_judges
    ann = await house.customer()
    house.upstream.then(Script(flagged=True))
    body = {"model": CLAUDE, "messages": [{"role": "user", "content": "Mail ann@example.org"}]}
    assert (await house.post(ann, body, path="/v1/messages/count_tokens")).status_code == 403
    assert house.upstream.paths == ["/v1/moderations"] and house.upstream.requests[0]["input"] == "Mail [email]"


async def test_a_model_judges_so_much_and_no_more(house_with_judges):
    house = house_with_judges
    ann = await house.customer()
    answer = await house.post(ann, said("é" * asking.JUDGED_BYTES_MAX))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_long_to_judge")
    assert house.upstream.requests == [] and (await house.settled(ann)).amount == 0


async def test_what_is_only_noted_is_judged_by_its_begin_and_its_end(database, tmp_path):
    rule = JUDGES.replace('action = "block"', 'action = "flag"')
    async with open_house(database, tmp_path, policy=policy_of(rule)) as house:
        ann = await house.customer()
        text = "begin " + "é" * asking.JUDGED_BYTES_MAX + " end"
        house.upstream.then(Script(), Script(tokens=("safe",)))
        assert (await house.post(ann, said(text))).status_code == 200
        judged = house.upstream.requests[0]["input"]
        assert len(judged.encode()) <= asking.JUDGED_BYTES_MAX
        assert judged.startswith("begin é") and judged.endswith("é end")


async def test_who_leaves_while_a_model_judges_stops_it(house_with_judges):
    house = house_with_judges
    ann = await house.customer()
    house.upstream.then(Script(gate=asyncio.Event()))
    asked = asyncio.create_task(house.post(ann, said("Something.")))
    await house.upstream.arrived.wait()
    asked.cancel()
    await asyncio.wait_for(house.upstream.left.wait(), 8)
    row = await house.settled(ann)
    assert (row.why, row.status, row.amount) == ("client_left", 499, 0)
    assert house.upstream.paths == ["/v1/moderations"]
    assert (await house.post(ann, said("Something."))).status_code == 200


async def test_a_model_that_may_not_see_content_is_not_asked(house_with_judges):
    house = house_with_judges
    ann = await house.customer()
    await house.execute(update(tables.upstream).where(tables.upstream.c.name == "messages").values(trains=True))
    await house.bump_epoch()
    await house.gateway.rules.renew(2)
    answer = await house.post(ann, said("Something."))
    assert answer.status_code == 451 and house.upstream.paths == ["/v1/moderations"]
    assert (await house.settled(ann)).amount == 0


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


async def test_the_platforms_own_moderation_judges_by_its_filters_for_nothing(house):
    ann = await house.customer(tenant_keep_h=48)
    given = ["zebra crossing", "hello", "ann@example.org and a grumble"]
    for model in ({}, {"model": "avow/filters"}):
        answer = await house.client(ann).moderations.create(input=given, **model)
        assert [each.flagged for each in answer.results] == [True, False, True]
        found = [{name for name, is_so in each.categories.model_dump().items() if is_so} for each in answer.results]
        assert found == [{"house"}, set(), {"personal", "hate"}] and answer.model == "avow/filters"
    parts = [{"type": "text", "text": "zebra crossing"}]
    assert (await house.client(ann).moderations.create(input=parts)).results[0].category_scores.house == 1.0
    assert house.upstream.requests == [] and await house.traces() == [] and await decisions(house) == []
    assert [(row.model, row.amount, row.input_tokens) for row in await house.usages(ann)] == [
        ("avow/filters", 0, 0)
    ] * 3
    assert await house.wallet(ann) == (DOLLAR, 0)
    assert (await house.post(None, {"input": "x"}, path="/v1/moderations")).status_code == 401
    sheet = Sheet(FAMILIES)
    house.gateway.watch.tell(sheet)
    [ended] = sheet.rows_of("avow_requests_total")
    assert (ended.labels[1:], ended.values) == (("avow/filters", "2xx"), [3]), (
        "each once; who has no key got no further than the head"
    )


async def test_the_platforms_own_moderation_falls_under_every_limit(house):
    ann, path = await house.customer(balance=1), "/v1/moderations"
    for status, body in ((200, "x" * 64 * 1024), (413, ["斑" * 10_000, {"type": "text", "text": "y" * 40_000}])):
        answer = await house.post(ann, {"input": body}, path=path)
        assert answer.status_code == status, answer.text
    assert answer.json()["error"]["code"] == "request_too_large" and len(await house.usages(ann)) == 1
    await house.execute(update(api_key).where(api_key.c.id == ann.key_id).values(requests_per_min=2))
    house.clock.move(timedelta(minutes=1, seconds=-house.clock.now().second))  # three answers of one minute
    for status in (200, 200, 429):
        assert (await house.post(ann, {"input": "x"}, path=path)).status_code == status
    await house.execute(update(wallet).where(wallet.c.id == ann.wallet_id).values(state="frozen"))
    assert (await house.post(ann, {"input": "x"}, path=path)).status_code == 402
    assert len(await house.usages(ann)) == 3


async def test_our_own_moderation_is_judged_by_the_rules_in_force(house):
    """A hold that names a newer epoch is given back, and the request is judged once more."""
    ann = await house.customer()
    await house.bump_epoch()
    assert (await house.post(ann, {"input": "zebra crossing"}, path="/v1/moderations")).status_code == 200
    assert [row.why for row in await house.usages(ann)] == ["void", "done"]
    assert house.gateway.rules.current.epoch == 2


# the window


def searching(rules=RULES):
    made = filters.build(policy_of(rules))
    assert made is not None
    return made


FOUND = searching()
WORDS = st.lists(
    st.sampled_from(
        ["word", "a", "ann@example.org", "<EMAIL_1>", "<EMAIL_2>", "x" * 300, "grumble", ", ", "\n", "é中"]
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(WORDS, st.lists(st.integers(1, 60), min_size=1, max_size=30), st.sampled_from([1, 2]))
def test_a_stream_says_what_the_whole_answer_would_however_it_is_cut(words, sizes, choices):
    text = " ".join(words)
    search = Search(FOUND)
    search.prompt({"messages": "to bob@example.org"}, ["messages"])
    watch = Guard(search, "chat")
    out, at, number = b"", 0, 0
    while at < len(text):
        piece = text[at : at + sizes[number % len(sizes)]]
        at += len(piece)
        number += 1
        for index in range(choices):
            data = {"choices": [{"index": index, "delta": {"content": piece}}]}
            out += watch.feed(b"data: " + json.dumps(data).encode() + b"\n\n")
    out += watch.close()
    counts = {hit.filter: hit.score for hit in search.hits.values() if hit.stage == "output"}
    whole = {rule.name: choices * len(rule.check(text)) for rule in FOUND.at["output"]}
    assert counts == {name: count for name, count in whole.items() if count}
    events = [json.loads(line[6:]) for line in out.decode().split("\n\n") if line]
    assert len(events) == number * choices
    for index in range(choices):
        told = "".join(c["delta"]["content"] for e in events for c in e["choices"] if c["index"] == index)
        assert told == filters.changed(text, search.told(Passage(text), Counter()))
        assert "ann@example.org" not in told and "<EMAIL_1>" not in told


def chunk(**delta):
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


PLANTED = "bob.smith@example.org"
PIECE_CHARS_MAX = 400
PIECES = st.lists(st.tuples(st.integers(0, 3), st.integers(1, PIECE_CHARS_MAX)), max_size=80)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text("xyz ", max_size=900), st.text("xyz ", max_size=900)), min_size=2, max_size=4), PIECES
)
def test_however_unevenly_texts_grow_side_by_side_nothing_slips_through(around, pieces):
    """Each choice holds an address, at any place; they come cut anywhere and in any order."""
    said = {index: f"{before} {PLANTED} {after}" for index, (before, after) in enumerate(around)}
    left, search = dict(said), Search(FOUND)
    watch, out, held = Guard(search, "chat"), b"", 0
    held_max = guard.WINDOW_CHARS * (3 + len(said)) + PIECE_CHARS_MAX + len(said) * len(PLANTED)
    rest = [(index, 50) for index in said for _ in range(len(said[index]) // 50 + 1)]
    for index, size in [*((index % len(said), size) for index, size in pieces), *rest]:
        piece, left[index] = left[index][:size], left[index][size:]
        event = {"choices": [{"index": index, "delta": {"content": piece}}]}
        gone = watch.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
        out += gone
        held += len(piece) - sum(map(len, told(gone, said).values()))
        assert held <= held_max, "what is held back is bounded"
    got = told(out + watch.close(), said)
    for index, text in said.items():
        before, _, after = text.partition(PLANTED)
        assert PLANTED not in got[index]
        assert got[index].startswith(before) and got[index].endswith(f"[email]{after}")
    assert search.hits["told", "output"].score == len(said)


def told(out, said):
    """What a client has of each choice."""
    events = [json.loads(line[6:]) for line in out.decode().split("\n\n") if line]
    return {
        index: "".join(c["delta"]["content"] for e in events for c in e["choices"] if c["index"] == index)
        for index in said
    }


def test_a_text_that_stops_within_what_is_blocked_and_goes_on_later_is_stopped_there():
    watch = Guard(Search(FOUND), "chat")
    out = watch.feed(chunk(content="Cross at the zebra "))
    other = {"choices": [{"index": 1, "delta": {"content": "and so on, "}}]}
    for _ in range(400):
        out += watch.feed(b"data: " + json.dumps(other).encode() + b"\n\n")
    assert b"zebra" in out, "the control: others that go on do not wait for ever"
    with pytest.raises(ContentBlocked):
        watch.feed(chunk(content="crossing."))
        watch.close()


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x", "function_call": {"name": "n", "arguments": "zebra crossing"}},
        {"content": "x", "reasoning_details": [{"type": "reasoning.text", "text": "zebra crossing"}]},
        {"content": "x", "annotations": [{"url_citation": {"title": "zebra crossing"}}]},
        {"content": "x", "tool_calls": [{"index": 0, "type": "custom", "custom": {"input": "zebra crossing"}}]},
        {"content": "x", "tool_calls": [{"index": 0, "function": {"arguments": r'{"a":"\\nzebra\\u0020crossing"}'}}]},
    ],
)
def test_nothing_of_an_event_goes_unsearched(delta):
    watch = Guard(Search(FOUND), "chat")
    with pytest.raises(ContentBlocked):
        watch.feed(chunk(**delta))
        watch.close()


def test_an_event_is_changed_in_all_its_fields():
    watch = Guard(Search(FOUND), "chat")
    note = {"title": "ann@example.org"}
    out = (
        watch.feed(chunk(content="Ask bob@exam", annotations=[note]))
        + watch.feed(chunk(content="ple.org."))
        + watch.close()
    )
    first, second = (json.loads(each[6:])["choices"][0]["delta"] for each in out.decode().split("\n\n") if each)
    assert first == {"content": "Ask [email]", "annotations": [{"title": "[email]"}]} and second == {"content": "."}


WORDS_RULE = """
[filter.words]
finds = "house"
stages = ["output"]
action = "block"
words = ["ass"]
patterns = ['^is .* green']
"""


def test_a_word_begins_where_it_begins_in_the_whole_answer():
    watch = Guard(Search(searching(WORDS_RULE)), "chat")
    pieces = [piece for n in range(200) for piece in ("gr", "ass ", "is " + n % 7 * "x", " green ")]
    out = b"".join(watch.feed(chunk(content=piece)) for piece in pieces) + watch.close()
    assert out.count(b"data: ") == len(pieces)
    with pytest.raises(ContentBlocked):
        for piece in ("gr", "ass ", "and ", "ass", ".") * 200:
            watch.feed(chunk(content=piece))


def test_events_without_a_finding_pass_byte_for_byte():
    watch = Guard(Search(FOUND), "chat")
    made = [
        b": a comment\n\n",
        b'event: x\r\ndata:  {"choices" : [{"index":0, "delta":{"content":"h\\u00e9"}}], "n": 1.0}\r\n\r\n',
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        b"data: not JSON\n\n",
    ]
    assert b"".join([*(watch.feed(each) for each in made), watch.close()]) == b"".join(made)


def test_no_pattern_can_make_a_request_wait():
    """Under an engine that goes back and forth each of these would take longer than the sun will burn."""
    rule = """
[filter.slow]
finds = "house"
stages = ["prompt"]
action = "block"
patterns = ['(a+)+$', '(a|aa)+c', '([a-z]+)*1', '(.*)*x1']
"""
    search = Search(searching(rule))
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
    (found,) = await decisions_of(house)
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
    (found,) = await decisions_of(house)
    assert (found.filter, found.stage, found.action) == ("files", "upload", "block")
    await send(file=("a.jsonl", b'{"a": 1}\n'), purpose="batch")
    assert len((await house.client(ann).files.list()).data) == 1


async def decisions_of(house):
    async with house.databases.keeper.begin() as c:
        return list(await c.execute(select(tables.filter_decision)))
