"""Pictures in what people say to a model: taken out of the words, looked at, and put back as only what draws them.

They come as Base64 within the request. One that stands elsewhere is refused: what fetches it for us tells somebody else who asks,
and what it is would be known to nobody here. In the request a picture is `msgspec.Raw` from here on, so whatever reads words
(filters, estimates) passes it by.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from avow.gateway import picture_formats
from avow.gateway.picture_formats import Drawn
from avow.gateway.refusals import InvalidRequest

COUNT_MAX = 20
PIXELS_MAX = 40_000_000
"""Of a picture, all frames together."""
SIDE_MAX = 16_384
KINDS = frozenset(("image_url", "image", "input_image"))
"""Parts that are pictures: in a chat, a message, a response."""
_DATA = re.compile(r"data:[a-z]{1,16}/[a-z0-9.+-]{1,32};base64,", re.IGNORECASE)
_HOLD = ("content", "output", "summary")
"""What may hold parts: as `surfaces` looks for them."""


class RemotePicture(InvalidRequest):
    """A picture that lies elsewhere is not fetched, by us or by a model."""

    code = "remote_picture"
    hint = "Nothing was charged. Send its bytes in Base64, in a chat as `data:image/png;base64,…`."


class NoPicture(InvalidRequest):
    """This is no picture in PNG, JPEG, WebP or GIF."""

    code = "invalid_picture"
    hint = f"Nothing was charged. Send one of at most {PIXELS_MAX} pixels in all its frames and {SIDE_MAX} on a side."


class TooManyPictures(InvalidRequest):
    """A request holds fewer pictures than this."""

    code = "too_many_pictures"
    hint = f"Nothing was charged. At most {COUNT_MAX} pictures stand in one request."


class TakesNoPictures(InvalidRequest):
    """This model does not look at pictures."""

    code = "takes_no_pictures"
    hint = "Nothing was charged. Choose another model: GET /v1/models tells by `avow_pictures` which ones do."


class Picture(NamedTuple):
    """One of a request: the SHA-256 of the bytes that were sent and of those that go on, how many characters the former took,
    and what goes on of it."""

    digests: frozenset[str]
    chars: int
    url: msgspec.Raw


def take(fields: dict[str, Any]) -> tuple[Picture, ...]:
    """Put each picture of a request in as what draws it. `fields` are changed. Costs a pass over all of them: not for the loop.

    Raises RemotePicture, NoPicture, TooManyPictures and InvalidRequest."""
    found: list[Picture] = []
    for name in ("messages", "input"):
        said = fields.get(name)
        for number, turn in enumerate(said if isinstance(said, list) else ()):
            for part in _parts([turn]):
                if turn.get("role", "user") != "user":
                    raise InvalidRequest("Only a user shows pictures.", param=f"{name}[{number}]")
                if len(found) >= COUNT_MAX:
                    raise TooManyPictures(param=name)
                found.append(_take(part, f"{name}[{number}]"))
    return tuple(found)


def drawn(sent: bytes, param: str) -> Drawn:
    """What draws a picture, of what was sent. Raises NoPicture."""
    try:
        made = picture_formats.drawn(sent)
    except ValueError:
        raise NoPicture(param=param) from None
    if max(made.width, made.height) > SIDE_MAX or made.width * made.height * made.frames > PIXELS_MAX:
        raise NoPicture("This picture is too large.", param=param)
    return made


def digests(*each: bytes) -> frozenset[str]:
    """The SHA-256 by which a picture is known, as it came and as it goes on: what is appended to it makes no other of it."""
    return frozenset(hashlib.sha256(data).hexdigest() for data in each)


def as_url(part: dict[str, Any]) -> dict[str, Any]:
    """A picture of a message or a response as that of a chat."""
    if part["type"] == "image":
        source = part["source"]
        return {"type": "image_url", "image_url": {"url": _url(source["media_type"], _text(source["data"]))}}
    detail = {"detail": part["detail"]} if part.get("detail") else {}
    return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}


def as_block(part: dict[str, Any]) -> dict[str, Any]:
    """A picture of a chat as that of a message."""
    kind, _, data = _text(part["image_url"]["url"]).removeprefix("data:").partition(";base64,")
    source = {"type": "base64", "media_type": kind, "data": _raw(data)}
    return {"type": "image", "source": source}


def _parts(held: Any) -> Iterator[dict[str, Any]]:
    for part in held if isinstance(held, list) else ():
        if isinstance(part, dict):
            if str(part.get("type")) in KINDS:
                yield part
            for name in _HOLD:
                yield from _parts(part.get(name))


def _take(part: dict[str, Any], param: str) -> Picture:
    data = _sent(part, param)
    try:
        sent = binascii.a2b_base64(data, strict_mode=True)
    except (ValueError, binascii.Error):
        raise NoPicture(param=param) from None
    made = drawn(sent, param)
    shown = b64encode(made.data).decode()
    url = _url(made.media_type, shown)
    if part["type"] == "image":
        part["source"] = {"type": "base64", "media_type": made.media_type, "data": _raw(shown)}
    elif part["type"] == "image_url":
        part["image_url"] = {**part["image_url"], "url": url}
    else:
        part["image_url"] = url
    return Picture(digests(sent, made.data), len(data), url)


def _sent(part: dict[str, Any], param: str) -> str:
    """The Base64 of a picture."""
    held = part.get("source" if part["type"] == "image" else "image_url")
    if part["type"] == "image_url":
        if not isinstance(held, dict):
            raise InvalidRequest("A picture stands in `image_url.url`.", param=param)
        held = held.get("url")
    if isinstance(held, dict) and held.get("type") == "base64" and isinstance(held.get("data"), str):
        return str(held["data"])
    if isinstance(held, str) and (begin := _DATA.match(held)):
        return held[begin.end() :]
    if isinstance(held, str) and held.lower().startswith("data:"):
        raise NoPicture(param=param)
    raise RemotePicture(param=param)


def _url(media_type: str, data: str) -> msgspec.Raw:
    return _raw(f"data:{media_type};base64,{data}")


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(b'"%b"' % text.encode())


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw)[1:-1].decode()
