"""How much a request can cost that is not only text: images, sound, speech.

An extent is what can be told of such a request before anybody has answered it. By what a model is paid for (`Price.counts`) it
becomes the upper bound that is held, and with the upstream's word the use that is charged. What an upstream does not say is
guessed on the client's side, but for what we count ourselves: characters to be spoken, and the images of an answer. Where no
answer came to who left, the images that were asked for are charged: they are made by then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from avow.billing.events import TOKENS_MAX
from avow.billing.prices import Price, Used
from avow.gateway import estimate
from avow.gateway.refusals import InvalidRequest
from avow.gateway.usage import MediaUsage

SOUND_BYTES_PER_S_GUESS = 32_000
"""16-bit samples, 16,000 a second: what compresses nothing."""
SOUND_TOKENS_PER_S_MAX, SOUND_TOKENS_PER_S_GUESS = 50, 10
PICTURE_TOKENS_MAX = 16_384
"""Of an image that is sent."""
IMAGE_TOKENS_GUESS = 272
"""Of an image that is made: the smallest there is."""
QUALITIES = frozenset(("standard", "hd", "low", "medium", "high"))
_SIZE = re.compile(r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}")


class ImageNotKnown(InvalidRequest):
    """The price of this model goes by sizes and qualities, and this is none that is known."""

    code = "unknown_image_kind"
    hint = (
        "Nothing was charged. Say `auto`, or nothing; a size as 1024x1024; a quality as standard, hd, low, medium or high, "
        "or as the price of the model names it."
    )


class Extent(msgspec.Struct, frozen=True):
    """Images to be made, of what size and quality (None: not said), pictures that are sent, bytes of sound that are sent and how
    many seconds they are at most (`durations`), characters to be spoken."""

    images: int = 0
    size: str | None = None
    quality: str | None = None
    pictures: int = 0
    sound_bytes: int = 0
    seconds: int = 0
    characters: int = 0


def check(price: Price, fields: Mapping[str, Any]) -> None:
    """Where sizes and qualities have prices, what a request says of them goes on only as it is understood here.

    Raises ImageNotKnown."""
    rows = [key.partition(",") for key in price.sizes or ()]
    for name, at, is_usual in (("size", 0, _SIZE.fullmatch), ("quality", 2, QUALITIES.__contains__)):
        given = fields.get(name) if rows else None
        if given is None or given == "auto":
            continue
        if not isinstance(given, str) or not (is_usual(given) or given in {row[at] for row in rows if row[at]}):
            raise ImageNotKnown(param=name)


def bounds(price: Price, extent: Extent, text_tokens: int, answer_tokens: int) -> Used:
    """The most that a request can use, with so many tokens of text in it and in each answer."""
    seconds = extent.seconds
    if price.counts == "images":
        return Used(image=extent.images * price.image_units(extent.size, extent.quality)[1])
    if price.counts == "seconds":
        return Used(audio=seconds)
    if price.counts == "characters":
        return Used(input=extent.characters)
    spoken = answer_tokens if extent.characters else 0
    return Used(
        input=text_tokens,
        output=0 if extent.characters else answer_tokens * max(extent.images, 1),
        image=extent.pictures * PICTURE_TOKENS_MAX,
        audio=seconds * SOUND_TOKENS_PER_S_MAX + spoken,
    )


def used(price: Price, extent: Extent, told: Any, said: Any, tokens: int) -> tuple[Used, bool]:
    """What a request used, and whether that is a guess. `told` is the upstream's word, `said` the texts that were sent, `tokens`
    a guess of what was delivered."""
    usage = told if isinstance(told, MediaUsage) else MediaUsage(images=extent.images)
    if price.counts == "images":
        least, most = price.image_units(usage.size or extent.size, usage.quality or extent.quality)
        asked, made = extent.size or extent.quality, usage.size or usage.quality
        units = most if asked and not made else least  # who asks for something and is not told otherwise got it
        return Used(image=min(usage.images, extent.images) * units), told is None or least < most
    if price.counts == "characters":
        return Used(input=min(extent.characters, TOKENS_MAX)), False
    seconds = _seconds(usage, extent)
    if price.counts == "seconds":
        return Used(audio=seconds), usage.seconds is None
    if usage.tokens is not None:
        parts = usage.tokens
        read, written = min(parts.read, TOKENS_MAX), min(parts.written, TOKENS_MAX)
        image, audio = min(parts.image, TOKENS_MAX), min(parts.audio, TOKENS_MAX)
        return Used(read, parts.cached, written, reasoning=parts.reasoning, image=image, audio=audio), False
    guessed = Used(
        input=estimate.tokens(said),
        output=usage.images * IMAGE_TOKENS_GUESS or (tokens if extent.sound_bytes else 0),
        audio=seconds * SOUND_TOKENS_PER_S_GUESS + (extent.characters if tokens else 0),
    )
    return guessed, True


def outlasts(told: Any, extent: Extent | None) -> bool:
    """Whether an upstream heard a recording for longer than was held for."""
    seconds = told.seconds if isinstance(told, MediaUsage) else None
    return extent is not None and bool(extent.seconds) and seconds is not None and seconds > extent.seconds


def _seconds(usage: MediaUsage, extent: Extent) -> int:
    """Seconds as they are charged: what was begun counts."""
    if usage.seconds is None:
        return min(extent.seconds, -(-extent.sound_bytes // SOUND_BYTES_PER_S_GUESS))
    return min(math.ceil(usage.seconds), TOKENS_MAX) if 0 <= usage.seconds < math.inf else 0
