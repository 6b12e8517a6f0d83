"""Images and sound by the official client, over a real server, the real ledger and a scripted upstream: answered, paid for
exactly, refused where no price says what they cost; and the forms in which they come, however broken."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from typing import Any

import httpx
import msgspec
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avow.base.ids import uuid7
from avow.billing.prices import PER
from avow.billing.refusals import RateExceeded
from avow.gateway import V1, call, forms, media, openapi, surfaces
from avow.gateway.connection import UpstreamTooLarge
from avow.gateway.fleet import FAILURES_MAX, may_retry
from avow.gateway.refusals import InvalidRequest, TooLarge, UploadsFull
from avow.gateway.scripted import Script
from avow.gateway.uploads import BYTES_MAX, KEY_BYTES_MAX, Uploads
from tests import LIMIT_S

from . import shown
from .house import CREDENTIAL, HELLO, INPUT, MODEL, OUTPUT, chunks_of, until
from .sound import wav
from .test_traces import opened

PAINTS, PAINTS_BY_TOKENS = "media/paints", "media/paints-by-tokens"
HEARS, HEARS_BY_TOKENS = "media/hears", "media/hears-by-tokens"
SPEAKS, SPEAKS_BY_TOKENS = "media/speaks", "media/speaks-by-tokens"
IMAGE, SECOND, CHARACTER = 40_000_000, 100_000, 15_000
SOUND = wav(b"\x04\r\n--\xff\xfb sound " * 4000)
SOUND_S = -(-len(SOUND) // 8000)
PICTURE, MASK = shown.png(), shown.png(4, 4)
TOKENS = {"input_nano": INPUT, "cached_nano": INPUT, "output_nano": OUTPUT}


async def offer_all(house):
    """One model of each kind."""
    await house.offer(PAINTS, counts="images", image_nano=IMAGE * PER)
    await house.offer(HEARS, counts="seconds", audio_nano=SECOND * PER)
    await house.offer(SPEAKS, counts="characters", input_nano=CHARACTER * PER)
    await house.offer(PAINTS_BY_TOKENS, **TOKENS, image_nano=2 * INPUT)
    await house.offer(HEARS_BY_TOKENS, **TOKENS, audio_nano=5 * INPUT)
    await house.offer(SPEAKS_BY_TOKENS, **TOKENS, audio_nano=5 * INPUT)


async def test_images_are_paid_by_their_number_or_by_tokens(house):
    await offer_all(house)
    ann = await house.customer()
    client = house.client(ann)
    made = await client.images.generate(
        model=PAINTS, prompt="A boat.", n=3, user="ann@example.org", extra_body={"hue": 1}
    )
    assert len(made.data) == 3 and made.data[0].b64_json == "iVBORw0KGgo="
    row = await house.settled(ann)
    assert (row.image_tokens, row.amount, row.held) == (3, 3 * IMAGE, 3 * IMAGE) and not row.estimated
    (sent,) = house.upstream.requests
    assert (sent["model"], sent["hue"]) == ("their-paints", 1) and "user" not in sent
    await client.images.generate(model=PAINTS_BY_TOKENS, prompt="A boat.")
    row = await house.settled(ann, 2)
    assert row.amount == 8 * 1000 + 272 * 3000 <= row.held
    told = {"input_tokens": 30, "input_tokens_details": {"text_tokens": 10, "image_tokens": 20}, "output_tokens": 100}
    house.upstream.then(Script(usage_fields={**told, "total_tokens": 130}))
    await client.images.edit(model=PAINTS_BY_TOKENS, image=[("a.png", PICTURE), ("b.png", PICTURE)], prompt="More sun.")
    row = await house.settled(ann, 3)
    assert (row.input_tokens, row.image_tokens, row.output_tokens) == (10, 20, 100)
    assert row.amount == 10 * 1000 + 20 * 2000 + 100 * 3000 <= row.held


async def test_edits_and_variations_send_their_pictures_without_their_names(house):
    await offer_all(house)
    ann = await house.customer()
    client = house.client(ann)
    await client.images.edit(
        **{"model": PAINTS, "prompt": "x", "n": 2, "user": "ann"},
        image=("Ann Miller.png", shown.png(said=b"Ann Miller at N 47.07")),
        mask=("Ann.png", shown.png(4, 4, after=b"Ann Miller")),
    )
    await client.images.create_variation(model=PAINTS, image=("Ann Miller.png", PICTURE))
    edit, variation = house.upstream.requests
    assert house.upstream.paths == ["/v1/images/edits", "/v1/images/variations"]
    assert edit == {
        **{"model": "their-paints", "prompt": "x", "n": "2"},
        **{"image": PICTURE.decode("latin-1"), "mask": MASK.decode("latin-1")},
    }
    assert variation["image"] == PICTURE.decode("latin-1")
    assert (await house.settled(ann, 2)).amount == IMAGE and (await house.usages(ann))[0].amount == 2 * IMAGE


@pytest.mark.parametrize("surface", ["transcriptions", "translations"])
async def test_a_recording_is_paid_by_its_seconds_as_the_upstream_tells_them(house, surface):
    await offer_all(house)
    ann = await house.customer()
    ask = getattr(house.client(ann).audio, surface).create
    file = ("Ann Miller.mp3", SOUND)
    formats = ["json", "verbose_json", "text", "srt", "vtt"]
    told = [await ask(model=HEARS, file=file, response_format=each, prompt="Names.") for each in formats]
    assert told[0].text == told[1].text == told[2] == "Hello there."
    assert told[3].startswith("1\n00:00:00,000 -->") and told[4].startswith("WEBVTT")
    row = await house.settled(ann, 5)
    rows = await house.usages(ann)
    assert [each.audio_tokens for each in rows] == [5] * 5 and not any(each.estimated for each in rows)
    assert row.amount == 5 * SECOND and row.held == SOUND_S * SECOND
    assert [each.get("response_format") for each in house.upstream.requests] == [
        "json",
        "verbose_json",
        "json",
        "srt",
        "vtt",
    ]
    assert all(each["file"] == SOUND.decode("latin-1") for each in house.upstream.requests)
    assert house.upstream.heads[0]["authorization"] == f"Bearer {CREDENTIAL}"


async def test_seconds_that_nobody_tells_are_guessed_low_and_never_above_the_hold(house):
    await offer_all(house)
    ann = await house.customer()
    create = house.client(ann).audio.transcriptions.create
    house.upstream.then(Script(usage=False), Script(usage_fields={"type": "duration", "seconds": 1e9}))
    await create(model=HEARS, file=("a.wav", wav(bytes(40_000))))
    row = await house.settled(ann)
    assert (row.audio_tokens, row.amount, row.estimated) == (2, 2 * SECOND, True)
    await create(model=HEARS, file=("a.wav", wav(bytes(40_000))))
    row = await house.settled(ann, 2)
    assert row.amount == row.held == 6 * SECOND


async def test_a_recording_by_tokens_whole_and_as_a_stream(house):
    await offer_all(house)
    ann = await house.customer()
    create = house.client(ann).audio.transcriptions.create
    told = {"input_tokens": 14, "input_token_details": {"text_tokens": 4, "audio_tokens": 10}, "output_tokens": 3}
    house.upstream.then(Script(usage_fields={"type": "tokens", **told, "total_tokens": 17}))
    answer = await create(model=HEARS_BY_TOKENS, file=("a.mp3", SOUND), include=["logprobs"])
    assert answer.text == "Hello there." and answer.usage.output_tokens == 3
    stream = await create(model=HEARS_BY_TOKENS, file=("a.mp3", SOUND), stream=True)
    events = [event async for event in stream]
    assert [event.type for event in events][-1] == "transcript.text.done" and events[-1].text == "Hello there."
    row = await house.settled(ann, 2)
    for each in await house.usages(ann):
        assert (each.input_tokens, each.audio_tokens, each.output_tokens) == (4, 10, 3)
        assert each.amount == 4 * 1000 + 10 * 5000 + 3 * 3000 <= each.held
    assert house.upstream.requests[0]["include"] == "logprobs" and not row.estimated


async def test_speech_passes_as_it_comes_and_is_paid_by_its_characters(house):
    await offer_all(house)
    ann = await house.customer()
    gate = asyncio.Event()
    house.upstream.then(Script(tokens=("\x01\x02", "\x03"), gate=gate, gate_after=1))
    create = house.client(ann).audio.speech.with_streaming_response.create
    async with create(model=SPEAKS, voice="nova", input="Grüß dich.", response_format="opus") as answer:
        pieces = answer.iter_bytes()
        assert await anext(pieces) == b"\x01\x02"
        gate.set()
        assert [each async for each in pieces] == [b"\x03"]
        assert answer.headers["content-type"] == "audio/ogg" and "avow-request-id" in answer.headers
    row = await house.settled(ann)
    assert (row.input_tokens, row.amount, row.held) == (10, 10 * CHARACTER, 10 * CHARACTER) and not row.estimated


async def test_speech_as_events_tells_its_tokens(house):
    await offer_all(house)
    ann = await house.customer()
    body = {"model": SPEAKS_BY_TOKENS, "voice": "nova", "input": "Hello.", "stream_format": "sse"}
    answer = await house.post(ann, body, path="/v1/audio/speech")
    cost, last = answer.text.split("\n\n")[-3:-1]
    assert json.loads(last.removeprefix("data: "))["type"] == "speech.audio.done"
    row = await house.settled(ann)
    assert row.amount == 11 * 1000 + 40 * 5000 <= row.held and cost == f": avow-cost 0.{row.amount:09d}"
    del body["stream_format"]
    assert (await house.post(ann, body, path="/v1/audio/speech")).content == b"Hello there."
    guessed = await house.settled(ann, 2)
    assert guessed.estimated and guessed.audio_tokens == 6 and guessed.amount <= guessed.held


async def test_each_format_is_answered_in_a_kind_that_the_document_names(house):
    await offer_all(house)
    ann = await house.customer()
    spoken, heard = "/v1/audio/speech", "/v1/audio/transcriptions"
    told: dict[str, set[str]] = {spoken: set(), heard: set()}
    for each in (*media.SOUNDS, "of another year"):
        body = {"model": SPEAKS, "voice": "nova", "input": "Hello.", "response_format": each}
        told[spoken].add((await house.post(ann, body, path=spoken)).headers["content-type"])
    for each in ("json", "verbose_json", "text", "srt", "vtt"):
        fields = {"model": HEARS, "response_format": each}
        form = httpx.Request("POST", "http://x", data=fields, files={"file": ("a.mp3", SOUND)})
        kind = form.headers["content-type"]
        answer = await house.post(ann, await form.aread(), path=heard, **{"content-type": kind})
        told[heard].add(answer.headers["content-type"].partition(";")[0])
    for path, kinds in told.items():
        named = openapi.paths()[path]["post"]["responses"]["200"]["content"].keys()
        assert kinds == named - {"text/event-stream"}


async def test_speech_that_breaks_off_is_cut_and_costs_nothing(house):
    await offer_all(house)
    ann = await house.customer()
    house.upstream.then(Script(tokens=("one", "two"), die_after=1))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await house.post(ann, {"model": SPEAKS, "voice": "nova", "input": "Hello."}, path="/v1/audio/speech")
    row = await house.settled(ann)
    assert (row.amount, row.why) == (0, "upstream_failed") and await house.wallet(ann) == (1_000_000_000, 0)


async def test_speech_whose_client_leaves_is_paid_for_the_upstream_has_read_all_of_it(house):
    await offer_all(house)
    ann = await house.customer()
    house.upstream.then(Script(gate=asyncio.Event(), gate_after=1))
    create = house.client(ann).audio.speech.with_streaming_response.create
    async with create(model=SPEAKS, voice="nova", input="Hello.") as answer:
        await anext(answer.iter_bytes())
    row = await house.settled(ann)
    assert (row.amount, row.why) == (6 * CHARACTER, "client_left")


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/images/generations", MODEL),
        ("/v1/images/generations", HEARS),
        ("/v1/audio/speech", MODEL),
        ("/v1/audio/speech", PAINTS),
        ("/v1/chat/completions", PAINTS),
        ("/v1/chat/completions", SPEAKS),
    ],
)
async def test_a_model_without_a_price_for_what_a_route_uses_is_refused(house, path, model):
    """Never free, and never at a price that counts something else."""
    await offer_all(house)
    ann = await house.customer()
    body = {"model": model, "prompt": "x", "input": "x", "voice": "nova", "messages": HELLO}
    fields = {"generations": ("prompt",), "speech": ("input", "voice"), "completions": ("messages",)}[
        path.rpartition("/")[2]
    ]
    answer = await house.post(ann, {"model": model, **{name: body[name] for name in fields}}, path=path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_has_no_price")
    assert house.upstream.requests == [] and await house.wallet(ann) == (1_000_000_000, 0)


async def test_who_cannot_pay_for_the_most_that_it_may_cost_is_refused(house):
    await offer_all(house)
    ann = await house.customer(balance=2 * IMAGE)
    client = house.client(ann)
    with pytest.raises(openai.APIStatusError) as refused:
        await client.images.generate(model=PAINTS, prompt="x", n=3)
    assert refused.value.status_code == 402
    with pytest.raises(openai.APIStatusError) as refused:
        await client.audio.transcriptions.create(model=HEARS, file=("a.mp3", wav(bytes(4_000_000), rate=4000)))
    assert refused.value.status_code == 402 and house.upstream.requests == []


@pytest.mark.parametrize(
    "script", [Script(status=400), Script(status=429), Script(garbage_after=0), Script(die_after=0)]
)
async def test_a_form_whose_upstream_fails_costs_nothing(house, script):
    await offer_all(house)
    ann = await house.customer()
    house.upstream.script = script
    with pytest.raises(openai.APIStatusError) as refused:
        await house.client(ann).audio.transcriptions.create(model=HEARS, file=("a.mp3", SOUND))
    assert refused.value.status_code in (400, 502, 503)
    assert (await house.settled(ann)).amount == 0


async def test_a_form_sent_again_with_its_idempotency_key_is_the_same_request(house):
    """Whatever the client puts between its parts this time."""
    await offer_all(house)
    ann = await house.customer()
    create = house.client(ann).audio.transcriptions.create
    again = {"extra_headers": {"idempotency-key": "once"}}
    await create(model=HEARS, file=("a.mp3", SOUND), **again)
    for file, code in ((SOUND, "already_answered"), (SOUND[:-1], "idempotency_key_reused")):
        with pytest.raises(openai.APIStatusError) as refused:
            await create(model=HEARS, file=("a.mp3", file), **again)
        assert refused.value.code == code
    assert len(house.upstream.requests) == 1


async def test_forms_are_told_apart_by_what_is_in_them(house):
    """Not by their bytes without what stands between their parts, which others may be, too; nor by the order of their fields."""
    await offer_all(house)
    ann = await house.customer()

    async def ask(sound: bytes, names: tuple[str, str]) -> httpx.Response:
        fields = {"model": HEARS.encode(), "prompt": b"x"}
        parts = [
            b'--a\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (n.encode(), fields[n]) for n in names
        ]
        head = b'--a\r\ncontent-disposition: form-data; name="file"; filename="f.mp3"\r\n\r\n'
        body, kind = b"".join([*parts, head, sound, b"\r\n--a--\r\n"]), "multipart/form-data; boundary=a"
        headers = {"content-type": kind, "idempotency-key": "once"}
        return await house.post(ann, body, path="/v1/audio/transcriptions", **headers)

    assert (await ask(wav(b"banana"), ("model", "prompt"))).status_code == 200
    for sound, code in ((wav(b"bnn"), "idempotency_key_reused"), (wav(b"banana"), "already_answered")):
        assert (await ask(sound, ("prompt", "model"))).json()["error"]["code"] == code


def whole(kind: str, body: bytes) -> Script:
    """An answer in one, whatever was asked for."""
    return Script(raw=f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)


@pytest.mark.parametrize("usage", [{"usage": {"type": "duration", "seconds": 5}}, {"duration": 4.2}])
async def test_a_transcription_that_comes_whole_is_the_last_event_of_the_stream_that_was_asked_for(house, usage):
    """As of a model that can do no streams: it is answered and paid, not asked again."""
    await offer_all(house)
    ann = await house.customer()
    house.upstream.script = whole("application/json", json.dumps({"text": "Hello.", **usage}).encode())
    stream = await house.client(ann).audio.transcriptions.create(model=HEARS, file=("a.mp3", SOUND), stream=True)
    (event,) = [each async for each in stream]
    assert (event.type, event.text) == ("transcript.text.done", "Hello.")
    row = await house.settled(ann)
    assert (row.audio_tokens, row.amount, row.estimated, row.why) == (5, 5 * SECOND, False, "done")
    assert len(house.upstream.requests) == 1


async def test_speech_that_comes_as_sound_is_told_in_the_events_that_were_asked_for(house):
    await offer_all(house)
    ann = await house.customer()
    sound = SOUND * 20
    house.upstream.script = whole("audio/mpeg", sound)
    body = {"model": SPEAKS, "voice": "nova", "input": "Hello.", "stream_format": "sse"}
    told = chunks_of(await house.post(ann, body, path="/v1/audio/speech"))
    assert b"".join(base64.b64decode(each["audio"]) for each in told[:-1]) == sound and len(sound) > 1024**2
    assert told[-1]["type"] == "speech.audio.done" and (await house.settled(ann)).amount == 6 * CHARACTER


async def leaves(house, ask) -> None:
    """Ask, and go away once the upstream has the request."""
    asking = asyncio.create_task(ask)
    await house.upstream.arrived.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize(("model", "paid"), [(PAINTS, 3 * IMAGE), (PAINTS_BY_TOKENS, 3 * 272 * 3000)])
async def test_images_whose_client_leaves_are_paid_as_they_were_asked_for(house, model, paid):
    await offer_all(house)
    ann = await house.customer()
    house.upstream.script = Script(gate=asyncio.Event())
    await leaves(house, house.client(ann).images.generate(model=model, prompt="A boat.", n=3))
    row = await house.settled(ann)
    assert (row.why, row.estimated) == ("client_left", True) and paid <= row.amount <= row.held


async def test_a_recording_whose_client_leaves_its_stream_is_paid_as_the_outside_party_tells(house):
    """It has all of the sound, and bills it."""
    await house.offer(HEARS, at="outside", counts="seconds", audio_nano=SECOND * PER)
    ann = await house.customer()
    gate = asyncio.Event()
    house.upstream.script = Script(gate=gate, usage_fields={"type": "duration", "seconds": 7})
    await leaves(house, house.client(ann).audio.transcriptions.create(model=HEARS, file=("a.mp3", SOUND), stream=True))
    await until(lambda: any(running._left for running in house.gateway._running))
    gate.set()
    row = await house.settled(ann)
    assert (row.why, row.audio_tokens, row.estimated) == ("client_left", 7, False)


async def test_an_answer_is_as_large_as_its_images_and_a_larger_one_is_no_failure_of_the_upstream(house, monkeypatch):
    await offer_all(house)
    ann = await house.customer()
    monkeypatch.setattr(call, "ANSWER_BYTES_MAX", 10)
    monkeypatch.setattr(call, "IMAGE_BYTES_MAX", 400)
    client = house.client(ann)
    assert len((await client.images.generate(model=PAINTS, prompt="x", n=3)).data) == 3
    monkeypatch.setattr(call, "IMAGE_BYTES_MAX", 20)
    for _ in range(FAILURES_MAX + 1):
        with pytest.raises(openai.APIStatusError) as refused:
            await client.images.generate(model=PAINTS, prompt="x", n=3)
        assert refused.value.code == "upstream_answer_too_large"
    assert len(house.upstream.requests) == FAILURES_MAX + 2
    assert not may_retry(UpstreamTooLarge(), elsewhere=True)


# uploads


async def test_bodies_that_do_not_come_keep_nobody_out(house):
    """However many there are, and whatever they announce."""
    ann = await house.customer()
    v1, waiting = V1(house.gateway), asyncio.Semaphore(0)
    bearer = (b"authorization", b"Bearer " + ann.secret.encode())
    kind = (b"content-type", b"multipart/form-data; boundary=x")
    scope = {"method": "POST", "path": "/v1/audio/transcriptions", "headers": [bearer, kind], "client": None}
    told: list[int] = []

    async def never() -> Any:
        waiting.release()
        await asyncio.Event().wait()

    async def empty() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        told.append(message.get("status", 0))

    slow = [asyncio.create_task(v1(scope, never, send)) for _ in range(5)]
    async with asyncio.timeout(LIMIT_S):
        for _ in slow:
            await waiting.acquire()
    await v1(scope, empty, send)
    assert told[0] == 400  # an empty body is no form: it was read
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


def test_no_key_takes_all_the_room_for_uploads():
    uploads, ann, bea = Uploads(), uuid7(), uuid7()
    with uploads.begin(ann, forms.BYTES_MAX) as grow:
        grow(KEY_BYTES_MAX)
        with pytest.raises(RateExceeded):
            grow(1)
        with uploads.begin(bea, forms.BYTES_MAX) as other:
            other(BYTES_MAX - KEY_BYTES_MAX)
            with pytest.raises(UploadsFull):
                other(1)
    with uploads.begin(ann, forms.BYTES_MAX) as grow:
        grow(KEY_BYTES_MAX)


async def test_kept_is_what_is_said_of_media_and_not_the_media(house):
    await offer_all(house)
    ann = await house.customer(keep_h=24, tenant_keep_h=24)
    client = house.client(ann)
    await client.images.generate(model=PAINTS, prompt="A boat.", response_format="b64_json")
    await client.audio.transcriptions.create(model=HEARS, file=("Ann Miller.mp3", SOUND), prompt="Names.")
    await (await client.audio.speech.create(model=SPEAKS, voice="nova", input="Hello.")).aread()
    await house.settled(ann, 3)
    kept = [await opened(house, ann, row) for row in await house.traces()]
    assert [each["request"].get("file") for each in kept] == [None, f"audio/mpeg, {len(SOUND)} bytes, not kept", None]
    assert kept[0]["response"]["data"][0] == {"revised_prompt": "Hello there.", "b64_json": "12 bytes, not kept"}
    assert kept[1]["response"]["text"] == "Hello there." and kept[1]["request"]["prompt"] == "Names."
    assert kept[2] == {
        "request": house.upstream.requests[2] | {"model": SPEAKS},
        "response": {"audio": "12 bytes, not kept"},
    }


# forms


def test_what_is_sent_on_names_no_file():
    sent = forms.encode({}, [forms.File("file", "mp3", "audio/mpeg", SOUND, name="Ann Miller.mp3")])
    assert b'filename="file.mp3"' in sent and b"Ann" not in sent


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"--x--\r\n", 415),
        ("multipart/form-data; boundary=" + "x" * 71, b"--x--\r\n", 415),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data; boundary=x", b"--x\r\n", 400),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nm', 400),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a b"\r\n\r\nm\r\n--x--\r\n',
            400,
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n" * 4000 + b"--x--", 400),
    ],
)
async def test_what_is_no_form_is_refused(house, kind, body, status):
    ann = await house.customer()
    answer = await house.post(ann, body, path="/v1/audio/transcriptions", **{"content-type": kind})
    assert answer.status_code == status and set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_forms_that_say_what_cannot_be_done_are_refused_by_name(house):
    await offer_all(house)
    ann = await house.customer()

    async def ask(path: str, fields: dict[str, str], *files: tuple[str, bytes]) -> tuple[int, str | None]:
        request = httpx.Request(
            "POST", "http://x", data=fields, files=[(name, ("f.mp3", data)) for name, data in files]
        )
        kind = request.headers["content-type"]
        answer = await house.post(ann, await request.aread(), path=path, **{"content-type": kind})
        return answer.status_code, answer.json()["error"]["param"]

    heard, edits = "/v1/audio/transcriptions", "/v1/images/edits"
    assert await ask(heard, {}, ("file", SOUND)) == (400, "model")
    assert await ask(heard, {"model": HEARS}, ("file", SOUND), ("file", SOUND)) == (400, "file")
    assert await ask(heard, {"model": HEARS}, ("other", SOUND)) == (400, None)
    assert await ask(heard, {"model": HEARS, "stream": "perhaps"}, ("file", SOUND)) == (400, "stream")
    asked = {"model": HEARS, "stream": "true", "response_format": "srt"}
    assert await ask(heard, asked, ("file", SOUND)) == (400, "response_format")
    assert await ask(edits, {"model": PAINTS, "prompt": "x"}, ("mask", PICTURE)) == (400, "image")
    assert await ask(edits, {"model": PAINTS}, ("image", PICTURE)) == (400, "prompt")
    for count in ("0", "11", "x", "1e99", "²"):
        assert await ask(edits, {"model": PAINTS, "prompt": "x", "n": count}, ("image", PICTURE)) == (400, "n")
    for name in ("size[]", "quality[]", "size[0]"):
        asked = {"model": PAINTS, "prompt": "x", name: "1792x1024"}
        assert await ask(edits, asked, ("image", PICTURE)) == (400, name)
    for broken in (b"no picture", shown.png(20_000, 20_000)):
        assert await ask(edits, {"model": PAINTS, "prompt": "x"}, ("image", broken)) == (400, "image")
        assert await ask(edits, {"model": PAINTS, "prompt": "x"}, ("image", PICTURE), ("mask", broken)) == (400, "mask")
    assert house.upstream.requests == []


async def test_forms_are_measured_beside_all_others():
    """On threads of their own: those that others wait for are not taken."""
    form = forms.Form({}, ())
    seen = await media.read(lambda _: threading.current_thread().name, form)  # type: ignore[arg-type,return-value]
    assert str(seen).startswith("media")


@pytest.mark.parametrize("surface", [each for each in surfaces.ALL if each.takes_form], ids=lambda each: each.name)
def test_the_files_that_a_form_takes_are_those_that_the_document_names(surface):
    names = {"image", "image[]", "mask", "file", "other"}
    taken = set()
    for name in names:
        sent = ("image", name) if name == "mask" else (name,)
        data = SOUND if name == "file" else PICTURE
        files = tuple(forms.File(each, "bin", "application/octet-stream", data) for each in sent)
        try:
            surface.parse(forms.Form({"model": "m", "prompt": "x"}, files))
        except InvalidRequest:
            continue
        taken.add(name)
    assert taken == names & {field.encode_name for field in msgspec.structs.fields(surface.reads)}


async def test_a_body_that_is_too_large_for_a_form_is_refused_before_it_is_read(house):
    ann = await house.customer()
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ann.secret}\r\n"
    kind = f"content-type: multipart/form-data; boundary=x\r\ncontent-length: {forms.BYTES_MAX + 1}\r\n\r\n"
    writer.write((head + kind).encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


FIELDS = st.dictionaries(
    st.from_regex(r"[a-z_]{1,9}", fullmatch=True), st.text(st.characters(codec="utf-8", exclude_characters="\0"))
)


@settings(max_examples=40, deadline=None)
@given(FIELDS, st.binary(max_size=200), st.binary(max_size=20))
def test_a_form_comes_out_of_the_writer_as_it_goes_into_the_reader(fields, data, noise):
    made = forms.encode(fields, (forms.File("file", "mp3", "audio/mpeg", data),))
    read = forms.read(made, forms.BOUNDARY.encode())
    assert read.fields == fields and read.files[0].data == data
    for broken in (made[: len(made) // 2] + noise, noise + made, noise):
        try:
            forms.read(broken, forms.BOUNDARY.encode())
        except (InvalidRequest, TooLarge) as refused:
            assert refused.sentence
