"""Requests for images and sound, as OpenAI has them: images made, edited and varied, speech written down, translated, spoken.

What they cost beyond their text is their `Extent`. Images of a request are files of a form; an answer is JSON, but for speech,
which is sound, and for a transcription in a format of subtitles or plain text.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import msgspec

from avow.gateway import durations, pictures, wire
from avow.gateway.extents import Extent
from avow.gateway.forms import File, Form
from avow.gateway.refusals import InvalidRequest
from avow.gateway.wire import Name, Request

IMAGES_MAX = 10
SPOKEN_CHARS_MAX = 32_768
PLAIN = "text"
TIMED = ("srt", "vtt")
"""Formats of a transcription that are no JSON."""
SOUNDS = {
    "mp3": b"audio/mpeg",
    "opus": b"audio/ogg",
    "aac": b"audio/aac",
    "flac": b"audio/flac",
    "wav": b"audio/wav",
    "pcm": b"audio/pcm",
}
UNKNOWN_SOUND = b"application/octet-stream"
"""What a format is that is not of these; the upstream knows."""
TEXT = b"text/plain; charset=utf-8"

THREADS_MAX = 2
_beside = ThreadPoolExecutor(THREADS_MAX, "media")
"""Not the loop's own threads: who sends what takes long to measure waits for others like them, and nobody else does."""
_NAMED = re.compile(r"[A-Za-z0-9_.:-]{1,32}")
_count = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=1, le=IMAGES_MAX)]).decode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class Images(msgspec.Struct):
    model: Name
    prompt: str
    n: Annotated[int, msgspec.Meta(ge=1, le=IMAGES_MAX)] | None = None
    stream: bool | None = None
    partial_images: int | None = None


class Speech(msgspec.Struct):
    model: Name
    input: Annotated[str, msgspec.Meta(min_length=1, max_length=SPOKEN_CHARS_MAX)]
    voice: str | dict[str, Any]
    instructions: str | None = None
    response_format: str | None = None
    stream_format: str | None = None


_images = msgspec.json.Decoder(Images).decode
_speech = msgspec.json.Decoder(Speech).decode


async def read(parse: Callable[[Form], Request], form: Form) -> Request:
    """A request of a form, whose files are looked through beside the loop."""
    return await asyncio.get_running_loop().run_in_executor(_beside, parse, form)


def images(body: bytes) -> Request:
    """Images from a text."""
    fields, known = wire.read(body, _images)
    if known.stream or known.partial_images:
        raise InvalidRequest("Images are answered whole.", param="stream" if known.stream else "partial_images")
    return _made(fields, (), Extent(known.n or 1, *_wanted(fields)), choices=known.n or 1)


def edits(form: Form) -> Request:
    """Images from pictures, a mask and a text."""
    if not isinstance(form.fields.get("prompt"), str):
        raise InvalidRequest("This parameter is required.", param="prompt")
    return _pictured(form, ("image", "image[]", "mask"))


def variations(form: Form) -> Request:
    """Images like a picture."""
    return _pictured(form, ("image",))


def transcription(form: Form) -> Request:
    """What is said in a recording."""
    return _heard(form, streams=True)


def translation(form: Form) -> Request:
    """What is said in a recording, in English."""
    return _heard(form, streams=False)


def speech(body: bytes) -> Request:
    """A text, spoken: the sound as it comes, or events that hold it."""
    fields, known = wire.read(body, _speech)
    asked = known.stream_format or "audio"
    if asked not in ("audio", "sse"):
        raise InvalidRequest("This is `audio` or `sse`.", param="stream_format")
    kind = SOUNDS.get(known.response_format or "mp3", UNKNOWN_SOUND)
    made = _made(fields, (), Extent(characters=len(known.input)), answered_as=b"" if asked == "sse" else kind)
    return msgspec.structs.replace(made, stream=True)


def for_client(answer: bytes, request: Request) -> bytes:
    """A transcription as it was asked for: its text alone where that is no JSON."""
    return str(_decode(answer)["text"]).encode() if request.answered_as == TEXT else answer


def named(given: Any) -> str | None:
    """A size or a quality by its name; None: it is left to the upstream, or none that a price could have."""
    return given.lower() if isinstance(given, str) and given != "auto" and _NAMED.fullmatch(given) else None


def _wanted(fields: dict[str, Any]) -> tuple[str | None, str | None]:
    """Which size and quality a request names."""
    return named(fields.get("size")), named(fields.get("quality"))


def without_images(answer: bytes) -> bytes:
    """What is kept of an answer with images: what is said of them, and how large they were."""
    said = _decode(answer)
    for each in said.get("data") or ():
        if isinstance(each, dict) and isinstance(each.get("b64_json"), str):
            each["b64_json"] = f"{len(each['b64_json'])} bytes, not kept"
    return _encode(said)


def _pictured(form: Form, names: tuple[str, ...]) -> Request:
    fields, files = dict(form.fields), _files(form, names)
    if not any(file.field != "mask" for file in files):
        raise InvalidRequest("A picture is missing: send it as a file.", param="image")
    if fields.get("stream", "false") != "false" or fields.get("partial_images", "0") != "0":
        raise InvalidRequest("Images are answered whole.", param="stream")
    for name in fields:
        if name.partition("[")[0] in ("size", "quality") and "[" in name:
            raise InvalidRequest("This occurs once.", param=name)
    try:
        count = _count(fields.get("n", "1"))
    except (msgspec.MsgspecError, TypeError):
        raise InvalidRequest(f"This is a whole number from 1 to {IMAGES_MAX}.", param="n") from None
    files = tuple(_drawn(file) for file in files)
    return _made(fields, files, Extent(count, *_wanted(fields), pictures=len(files)), choices=count)


def _drawn(file: File) -> File:
    """A picture as what draws it."""
    made = pictures.drawn(file.data, file.field).data
    return msgspec.structs.replace(file, data=made, digests=pictures.digests(file.data, made))


def _heard(form: Form, *, streams: bool) -> Request:
    fields, files = dict(form.fields), _files(form, ("file",))
    if len(files) != 1:
        raise InvalidRequest("A recording is one file.", param="file")
    stream, asked = fields.get("stream", "false"), fields.get("response_format")
    if stream not in (("true", "false") if streams else ("false",)):
        raise InvalidRequest("This is `true` or `false`." if streams else "This is answered whole.", param="stream")
    plain = asked == PLAIN or asked in TIMED
    if plain and stream == "true":
        raise InvalidRequest("A stream is of events, so its format is `json`.", param="response_format")
    sound, kind = files[0].data, TEXT if plain else b""
    extent = Extent(sound_bytes=len(sound), seconds=durations.seconds_max(sound))
    made = _made(fields, files, extent, choices=1, answered_as=kind)
    return msgspec.structs.replace(made, stream=stream == "true")


def _files(form: Form, names: tuple[str, ...]) -> tuple[File, ...]:
    if any(file.field not in names for file in form.files):
        raise InvalidRequest(f"Files stand in {' or '.join(names)}.")
    return form.files


def _made(
    fields: dict[str, Any], files: tuple[File, ...], extent: Extent, *, choices: int = 0, answered_as: bytes = b""
) -> Request:
    model = fields.get("model")
    if not isinstance(model, str) or not 1 <= len(model) <= 256:
        raise InvalidRequest("This parameter is required.", param="model")
    stores = fields.pop("store", None) in (True, "true")
    for name in [name for name in fields if name.partition("[")[0] in wire.PERSONAL + wire.REPRICING and "[" in name]:
        del fields[name]
    return Request(
        model=model,
        stream=False,
        wants_usage=True,
        max_tokens=None,
        choices=choices,
        fields=fields,
        end_user=wire.take_personal(fields),
        stores=stores,
        files=files,
        extent=extent,
        answered_as=answered_as,
    )
