"""The body of a request: read with suspicion, and sent on as we write it.

What came byte for byte so may go on as it came: it leaves no room for another reading. All else is encoded anew.

Counted before it is parsed: its size and how deep it nests. Refused: duplicate top-level keys (two readers could take two
different values), NUL and lone surrogates (databases and upstreams disagree on them), and what cannot be priced. Taken out:
fields that name the end user to the upstream. Unknown fields pass: they are between the client and the upstream.
What a chat completion is stands here; the other surfaces read theirs by the same rules in `surfaces`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Annotated, Any, TypeVar

import msgspec

from avow.gateway.extents import Extent
from avow.gateway.forms import File
from avow.gateway.pictures import Picture
from avow.gateway.refusals import InvalidRequest, TooLarge, ToolsMissing

BODY_BYTES_MAX = 4 * 1024 * 1024
DEPTH_MAX = 64
BRACKETS_MAX = 32_768
CHOICES_MAX = 16
FIELDS_MAX = 128
SEARCHED_BYTES_MAX = 8 * 1024 * 1024  # fields times bytes: each field is looked for in the whole body

# Names of the person behind the request, or orders to keep data at the upstream: never sent on.
PERSONAL = ("user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")
# They change what the upstream charges or who answers there; our price and the policy do not know them.
REPRICING = (
    *("service_tier", "models", "route", "provider", "plugins", "n_predict"),
    *("search_parameters", "enable_search", "inference_geo", "speed"),
)
_TAKEN_OUT = frozenset(PERSONAL + REPRICING)
UNPRICED = ("audio", "web_search_options")
_UNPRICED = frozenset(UNPRICED)
NO_CHOICE = (None, "auto", "none")
"""What a `tool_choice` may say where there are no tools: nothing is demanded."""
TOOLS = frozenset(("function", "custom"))
TEXT_PARTS = frozenset(("text", "refusal"))
PICTURE = "image_url"

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_QUOTED = {
    name: b'"%b"' % name.encode()
    for name in ("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature")
}
TOOLS_TOKENS = 1024
"""What a provider may write around the tools of a request, beyond their bytes (Anthropic: up to 700 tokens)."""
_AT = re.compile(r" - at `\$\.?(.*)`$")

Positive = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
T = TypeVar("T")


class Part(msgspec.Struct):
    type: str


class Message(msgspec.Struct):
    role: str
    content: str | list[Part] | None = None


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Known(msgspec.Struct):
    """The fields that we must understand; the rest passes."""

    model: Name
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=CHOICES_MAX)] | None = None
    modalities: list[str] | None = None


_decode_fields = msgspec.json.Decoder(dict[str, Any]).decode
_decode_known = msgspec.json.Decoder(Known).decode
_decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct, frozen=True):
    """What the client asks for. `fields` is the body without what is never sent on; `max_tokens` is per choice.

    `choices` is how many answers of that length there may be at most, 0 for what generates no text. `input_extra`: tokens
    that an upstream may count beyond the bytes of the body. `end_user`: whom the client names behind the request; sent on
    as an opaque id only, kept nowhere. `stores`: the client asks that the answer be stored.
    """

    model: str
    stream: bool
    wants_usage: bool
    max_tokens: int | None
    choices: int
    fields: dict[str, Any]
    input_extra: int = 0
    end_user: str | None = None
    stores: bool = False
    files: tuple[File, ...] = ()
    extent: Extent | None = None
    """What it costs that is not only text."""
    answered_as: bytes = b""
    """The media type of the answer; empty: JSON, or the events of a stream."""
    shows: bool = False
    """Whether it has pictures among its words; `pictures` are those, once they were taken."""
    pictures: tuple[Picture, ...] = ()
    written: bytes = b""
    """`fields` as JSON, where they came just as we would write them."""

    def saying(self, fields: dict[str, Any]) -> Request:
        """The same request with other fields."""
        return msgspec.structs.replace(self, fields=fields, written=b"")

    @property
    def is_raw(self) -> bool:
        """Whether its answer passes as bytes, without events."""
        return self.stream and bool(self.answered_as)

    def __repr__(self) -> str:
        return f"Request({self.model!r}, stream={self.stream})"


def parse(body: bytes) -> Request:
    """Read a chat completion request. Raises `TooLarge` or `InvalidRequest`; neither repeats what was sent."""
    fields, known, is_ours = _read(body, _decode_known)
    shows = _check_priced(known, fields)
    said, options = len(fields), known.stream_options
    fields.pop("best_of", None)  # no parameter of chat, yet servers exist that answer and charge so often
    stores, end_user = fields.pop("store", None) is True, take_personal(fields)
    limit = known.max_tokens
    if limit is None or (known.max_completion_tokens is not None and known.max_completion_tokens < limit):
        limit = known.max_completion_tokens
    return Request(
        known.model,
        bool(known.stream),
        options is not None and options.include_usage is True,
        limit,
        known.n or 1,
        fields,
        TOOLS_TOKENS if "tools" in fields else 0,
        end_user,
        stores,
        shows=shows,
        written=body if is_ours and not shows and len(fields) == said else b"",
    )


def read(body: bytes, decode: Callable[[bytes], T]) -> tuple[dict[str, Any], T]:
    """All fields of a body, and those that `decode` knows. Raises `TooLarge` or `InvalidRequest`."""
    fields, known, _ = _read(body, decode)
    return fields, known


def _read(body: bytes, decode: Callable[[bytes], T]) -> tuple[dict[str, Any], T, bool]:
    """As `read`, and whether the body is just as we would write it."""
    if len(body) > BODY_BYTES_MAX:
        raise TooLarge()
    _check_depth(body)
    try:
        fields = _decode_fields(body)
        known = decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_type(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("The body is not valid JSON in UTF-8.") from None
    # One byte is found many times as quickly as two.
    escaped = body.find(b"\\") >= 0 and body.find(b"\\u") >= 0
    is_ours = encode(fields) == body
    _check_keys(body, fields, escaped, is_ours)
    if escaped or body.find(b"cache_control") >= 0:
        _check_caches(fields)
    if escaped and body.find(b"\\u0000") >= 0 and _NUL.search(body):
        raise InvalidRequest("The body holds a NUL character.")
    return fields, known, is_ours


def take_personal(fields: dict[str, Any]) -> str | None:
    """Take out what names people or changes prices; returns whom the client names as its user."""
    if _TAKEN_OUT.isdisjoint(fields):
        return None
    named = fields.get("safety_identifier") or fields.get("user")
    for name in _TAKEN_OUT & fields.keys():
        del fields[name]
    return named if type(named) is str else None


def encode(fields: Mapping[str, Any]) -> bytes:
    """The body that is sent on."""
    return _encode(fields)


def _check_depth(body: bytes) -> None:
    if not (_has_many(body, b"[") or _has_many(body, b"{")):
        return
    brackets = _STRING.sub(b"", body).translate(_ONE_KIND, _NOT_BRACKETS)
    if len(brackets) > BRACKETS_MAX:
        raise InvalidRequest("The body has too many objects and lists.")
    # "[" is one below 0x5c and "]" one above
    if max(accumulate(map((0x5C).__sub__, brackets)), default=0) > DEPTH_MAX:
        raise InvalidRequest(f"The body nests deeper than {DEPTH_MAX} levels.")


def _has_many(body: bytes, bracket: bytes) -> bool:
    """Whether there are so many that they could nest too deep; quicker than to count them."""
    at = -1
    for _ in range(DEPTH_MAX // 2):
        at = body.find(bracket, at + 1)
        if at < 0:
            return False
    return True


def _check_keys(body: bytes, fields: dict[str, Any], escaped: bool, is_ours: bool) -> None:
    if len(fields) > FIELDS_MAX:
        raise InvalidRequest("The body has too many fields.")
    quoted: list[Any] = [*map(_QUOTED.get, fields)]
    if None in quoted:
        quoted = [_quoted(name) for name in fields]
    if is_ours:  # as we write them, none occurs twice
        return
    if not escaped and len(fields) * len(body) <= SEARCHED_BYTES_MAX and max(map(body.count, quoted), default=1) == 1:
        return
    # Commas tell exactly: those inside the values that were kept, plus one between two fields, and no others.
    values = _decode_raw(body).values()
    if body.count(b",") != len(fields) - 1 + sum(bytes(value).count(b",") for value in values):
        raise InvalidRequest("A field occurs twice.")


def _quoted(name: str) -> bytes:
    if not _NAME.fullmatch(name):
        raise InvalidRequest("The name of a field is not valid.")
    return b'"%b"' % name.encode()


def _check_caches(value: Any) -> None:
    """At every depth: an upstream is not told to keep anything for longer than it does unasked."""
    if isinstance(value, list):
        for each in value:
            _check_caches(each)
    elif isinstance(value, dict):
        cache = value.get("cache_control")
        if cache is not None and (not isinstance(cache, dict) or cache.get("ttl", "5m") != "5m"):
            raise InvalidRequest("A provider's cache may be asked for five minutes only.", param="cache_control")
        for each in value.values():
            _check_caches(each)


def _check_priced(known: Known, fields: dict[str, Any]) -> bool:
    """Refuse what cannot be priced; returns whether there are pictures."""
    shows = False
    if not _UNPRICED.isdisjoint(fields):
        for name in UNPRICED:
            if fields.get(name) is not None:
                raise InvalidRequest("This parameter is not supported.", param=name)
    if known.modalities is not None and known.modalities != ["text"]:
        raise InvalidRequest("Only text is supported.", param="modalities")
    for number, message in enumerate(known.messages):
        if type(message.content) is not list:
            continue
        for part in message.content:
            if part.type not in TEXT_PARTS and part.type != PICTURE:
                raise InvalidRequest("Only text and pictures are supported.", param=f"messages[{number}].content")
            shows = shows or part.type == PICTURE
    if "tool_choice" in fields and not fields.get("tools") and fields["tool_choice"] not in NO_CHOICE:
        raise ToolsMissing
    if "tools" not in fields:
        return shows
    for tool in fields["tools"] or ():
        if not isinstance(tool, dict) or str(tool.get("type", "function")) not in TOOLS:
            raise InvalidRequest("Only tools that the client runs are supported.", param="tools")
    return shows


def _wrong_type(sentence: str) -> InvalidRequest:
    """msgspec names the type expected and the path, never the value."""
    at = _AT.search(sentence)
    path = at.group(1) if at else None
    said = sentence[: at.start()] if at else sentence
    if path is not None and not re.fullmatch(r"[a-z_.\[\]0-9]{1,100}", path):
        path = None
    return InvalidRequest(f"{said}.", param=path or None)
