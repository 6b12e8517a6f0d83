"""Pictures in what people say to a model: let through as what draws them, bounded, searched, held for, kept sealed."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from avow.gateway import picture_formats, pictures, surfaces, tables, wire
from avow.gateway.picture_formats import Malformed, drawn
from avow.gateway.refusals import InvalidRequest
from avow.gateway.scripted import Script

from . import shown
from .filtering import PRIVATE, policy_of, rule
from .house import CLAUDE, INPUT, MODEL, OUTPUT, open_house
from .test_traces import opened

SECRET = b"N 47.0707 E 15.4395 Ann's phone"
PICTURE_TOKENS = 1500
FORMATS = (shown.png, shown.jpeg, shown.webp, shown.gif)


async def with_eyes(house, *models: str) -> None:
    chosen = tables.model.c.id.in_(models or (MODEL, CLAUDE))
    await house.execute(update(tables.model).where(chosen).values(picture_tokens=PICTURE_TOKENS))
    await house.bump_epoch()
    await house.gateway.rules.renew(house.gateway.rules.current.epoch + 1)


def chat(*urls: str, model: str = MODEL, words: str = "What is this?") -> dict:
    parts = [{"type": "image_url", "image_url": {"url": each, "detail": "low"}} for each in urls]
    return {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": [text(words), *parts]}]}


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def block(data: bytes) -> dict:
    source = {"type": "base64", "media_type": "image/gif", "data": b64encode(data).decode()}
    return {"type": "image", "source": source}


@pytest.mark.parametrize("make", FORMATS)
def test_only_what_draws_a_picture_is_left_of_it(make):
    plain, told = drawn(make()), drawn(make(said=SECRET))
    assert (told.width, told.height) == (2, 3) and SECRET not in told.data and b"Ann" not in told.data
    assert told.data.replace(_turned(told.data), b"") == plain.data
    assert drawn(told.data).data == told.data


def _turned(data: bytes) -> bytes:
    """The one thing that is told of a JPEG beside itself: that it is turned."""
    begin = data.find(b"\xff\xe1")
    if begin < 0:
        return b"\0never\0"
    assert picture_formats._orientation(data[begin + 4 :]) == 6
    return data[begin : begin + 2 + int.from_bytes(data[begin + 2 : begin + 4], "big")]


def test_a_jpeg_holds_tables_and_a_mark_of_adobe_no_longer_than_they_are():
    head, rest, plain = shown.jpeg()[:2], shown.jpeg()[2:], drawn(shown.jpeg()).data
    mark = b"Adobe\0\x64\0\0\0\0\1"
    for more, left in ((mark, mark), (mark + SECRET, mark), (mark[:-1], None)):
        made = drawn(head + segment(0xEE, more) + rest).data
        assert made == plain[:2] + (segment(0xEE, left) if left else b"") + plain[2:]
    for kind, size in ((0xC4, 8 * 273), (0xDB, 4 * 129), (0xCC, 64), (0xDD, 2)):
        assert drawn(head + segment(kind, bytes(size)) + rest).width == 2
        with pytest.raises(Malformed):
            drawn(head + segment(kind, bytes(size) + SECRET) + rest)


def segment(mark: int, data: bytes) -> bytes:
    return b"\xff%c" % mark + (len(data) + 2).to_bytes(2, "big") + data


@pytest.mark.parametrize("picture", [shown.url(shown.png()), "https://example.org/a.png", 7, None])
def test_a_picture_of_a_chat_that_is_no_object_is_refused(picture):
    part = {"type": "image_url", "image_url": picture}
    with pytest.raises(InvalidRequest):
        pictures.take({"messages": [{"role": "user", "content": [part]}]})


def test_a_part_whose_kind_is_no_word_is_refused():
    parts = [{"type": [], "text": "x"}]
    said = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": parts}]}
    for parse, body in (
        (surfaces.message, said),
        (surfaces.response, {"model": "m", "input": parts}),
        (surfaces.response, {"model": "m", "input": "x", "tools": parts}),
        (wire.parse, {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": parts}),
    ):
        with pytest.raises(InvalidRequest):
            parse(json.dumps(body).encode())
    assert pictures.take({"messages": [{"role": "user", "content": [{"type": "text", "content": parts}]}]}) == ()


begun = st.builds(lambda make, at, rest: make()[:at] + rest, st.sampled_from(FORMATS), st.integers(0, 120), st.binary())


@given(st.one_of(st.binary(max_size=300), begun))
@example(b"\xff\xd8\xff")
@example(b"RIFF\0\0\0\0WEBP")
@example(b"GIF89a")
@settings(max_examples=300)
def test_any_bytes_are_a_picture_or_none(data):
    try:
        made = drawn(data)
    except Malformed:
        return
    assert made.width > 0 < made.height and drawn(made.data).data == made.data


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_shows_pictures_to_a_model_that_takes_them(house, model, stream):
    await with_eyes(house)
    ann = await house.customer(tenant_keep_h=24)
    sent = shown.png(said=SECRET, after=SECRET)
    body = {**chat(shown.url(sent), model=model), "stream": stream}
    answer = await house.post(ann, body)
    assert answer.status_code == 200, answer.text
    row = await house.settled(ann)
    (request,) = house.upstream.requests
    words, picture = request["messages"][0]["content"]
    assert words == text("What is this?")
    clean = b64encode(shown.png()).decode()
    if model == MODEL:
        assert picture == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{clean}", "detail": "low"}}
    else:
        assert picture == {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": clean},
        }
    # Held for the most that a picture makes, and not for the bytes of its Base64.
    words_max = len(json.dumps(body, separators=(",", ":"))) - len(b64encode(sent)) + 64
    assert row.held == (words_max + PICTURE_TOKENS) * INPUT // 10**6 + 5 * OUTPUT // 10**6
    (trace,) = await house.traces()
    assert clean[40:] in str(await opened(house, ann, trace)) and clean.encode()[40:] not in trace.box


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
async def test_a_message_shows_pictures_its_own_and_those_of_a_tool(house, model):
    await with_eyes(house)
    ann = await house.customer()
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text("see"), block(shown.gif(said=SECRET))]}
    call = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
    turns = [
        {"role": "user", "content": [text("a"), block(shown.jpeg(said=SECRET)), text("b")]},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result, text("c")]},
    ]
    body = {"model": model, "max_tokens": 5, "messages": turns}
    answer = await house.post(ann, body, path="/v1/messages")
    assert answer.status_code == 200, answer.text
    (request,) = house.upstream.requests
    said = json.dumps(request)
    for clean in (drawn(shown.jpeg(said=SECRET)).data, shown.gif()):
        assert said.count(b64encode(clean).decode()) == 1
    if model == MODEL:
        kinds = [[part["type"] for part in turn["content"]] for turn in request["messages"] if turn["role"] == "user"]
        assert kinds == [["text", "image_url", "text"], ["image_url", "text"]]
        assert request["messages"][2] == {"role": "tool", "tool_call_id": "t", "content": "see"}
    else:
        assert "image/gif" in said and "image/jpeg" in said


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
async def test_a_response_shows_pictures(house, model):
    await with_eyes(house)
    ann = await house.customer()
    parts = [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": shown.url(shown.webp(said=SECRET))},
    ]
    answer = await house.post(
        ann, {"model": model, "input": [{"role": "user", "content": parts}]}, path="/v1/responses"
    )
    assert answer.status_code == 200, answer.text
    assert b64encode(drawn(shown.webp(said=SECRET)).data).decode() in json.dumps(house.upstream.requests[0])


@pytest.mark.parametrize(
    "hold", [lambda p: p, lambda p: {"type": "function_call_output", "call_id": "c", "output": [p]}]
)
async def test_no_picture_goes_on_as_it_was_wherever_it_stands(house, hold):
    await with_eyes(house)
    ann = await house.customer()
    part = {"type": "input_image", "image_url": shown.url(shown.png(said=SECRET))}
    body = {"model": MODEL, "input": [{"role": "user", "content": "a"}, hold(part)]}
    assert (await house.post(ann, body, path="/v1/responses")).status_code == 200
    sent = json.dumps(house.upstream.requests[0])
    assert b64encode(shown.png()).decode() in sent and b64encode(shown.png(said=SECRET)).decode() not in sent
    part["image_url"] = "https://example.org/a.png"
    assert (await house.post(ann, body, path="/v1/responses")).json()["error"]["code"] == "remote_picture"


async def test_a_picture_is_part_of_what_an_answer_is_given_again_for(house):
    await with_eyes(house)
    ann = await house.customer(tenant_keep_h=24)
    said = []
    for width in (2, 2, 5):
        body = {**chat(shown.url(shown.png(width))), "temperature": 0}
        said.append((await house.post(ann, body)).headers["avow-cache"])
        await house.settled(ann, len(said))
    assert said == ["miss", "hit", "miss"]


REFUSED = [
    ("remote_picture", "https://example.org/cat.png"),
    ("remote_picture", "http://169.254.169.254/"),
    ("remote_picture", "file:///etc/passwd"),
    ("invalid_picture", "data:image/png;base64,%%%"),
    ("invalid_picture", "data:image/svg+xml;utf8,<svg/>"),
    ("invalid_picture", shown.url(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/png")),
    ("invalid_picture", shown.url(shown.png(20_000, 20_000))),
    ("invalid_picture", shown.url(shown.png(1, 2**31))),
    ("invalid_picture", shown.url(shown.png(0, 5))),
    ("invalid_picture", shown.url(shown.gif(4000, 4000, frames=3))),
    ("invalid_picture", shown.url(shown.jpeg()[:20], "image/jpeg")),
]


@pytest.mark.parametrize(("code", "url"), REFUSED)
async def test_what_is_no_picture_or_lies_elsewhere_is_refused_and_nothing_is_asked(house, code, url):
    await with_eyes(house)
    ann = await house.customer()
    answer = await house.post(ann, chat(url))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    remote = {"type": "image", "source": {"type": "url", "url": url}}
    asked = {"model": CLAUDE, "max_tokens": 5, "messages": [{"role": "user", "content": [remote]}]}
    assert (await house.post(ann, asked, path="/v1/messages")).status_code == 400
    assert house.upstream.requests == [] and await house.usages(ann) == []


async def test_pictures_are_bounded_in_number_shown_by_users_and_to_models_that_take_them(house):
    ann = await house.customer()
    one = shown.url(shown.png())
    answer = await house.post(ann, chat(one))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "takes_no_pictures")
    await with_eyes(house, MODEL)
    assert (await house.post(ann, chat(*[one] * pictures.COUNT_MAX))).status_code == 200
    answer = await house.post(ann, chat(*[one] * (pictures.COUNT_MAX + 1)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "too_many_pictures")
    body = chat(one)
    body["messages"][0]["role"] = "system"
    assert (await house.post(ann, body)).status_code == 400
    file = {"model": MODEL, "input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]}
    assert (await house.post(ann, file, path="/v1/responses")).json()["error"]["code"] == "remote_picture"
    assert len(house.upstream.requests) == 1
    told = {each.id: each.avow_pictures for each in (await house.client(ann).models.list()).data}
    assert (told[MODEL], told[CLAUDE]) == (True, False)


async def test_filters_see_pictures_by_their_hash_and_by_a_judge_and_leave_them_whole(database, tmp_path):
    known = shown.png(5, 5)
    by_hash = rule("known", "illicit", "image", "block", hashes=[hashlib.sha256(known).hexdigest()])
    judge = rule("judge", "sexual", "prompt", "block", asks="test/costly", chats=True)
    async with open_house(database, tmp_path, policy=policy_of(by_hash + PRIVATE + judge)) as house:
        await with_eyes(house, MODEL, "test/costly")
        ann = await house.customer()
        house.upstream.then(Script(tokens=("safe",)), Script(), Script(tokens=("unsafe",)))
        sent = shown.png(said=b"@ann@example.org")
        answer = await house.post(ann, chat(shown.url(sent), words="ann@example.org"))
        assert answer.status_code == 200, answer.text
        judged, asked = house.upstream.requests
        for request in (judged, asked):
            words, picture = request["messages"][0]["content"]
            assert "ann@" not in words["text"]
            assert b64decode(picture["image_url"]["url"].partition(",")[2]) == shown.png()
        for picture in (sent, known, known + b"!", shown.png(5, 5, said=SECRET)):
            answer = await house.post(ann, chat(shown.url(picture)))
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "content_blocked")
        assert len(house.upstream.requests) == 3  # the judge of the second; a known picture is shown to nobody
