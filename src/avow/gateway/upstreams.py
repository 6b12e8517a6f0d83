"""An upstream: where it is, and for each surface its path, the translation to theirs and the way back.

A provider is a row of `KINDS`; anything that speaks OpenAI is a URL and a key. The embedded engine is one more upstream, over
a unix socket, that only streams. What an upstream says when it fails is never passed on: it may hold secrets, ours or
somebody's. What a provider could keep is asked not to be kept, whatever the client sent.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from avow.base.errors import AvowError
from avow.engines import llm
from avow.gateway import as_chat, as_messages, dialects, estimate, forms, media, responses_as_chat, wire
from avow.gateway.client import Target
from avow.gateway.connection import UpstreamError, UpstreamTimeout
from avow.gateway.dialects import Dialect, Translation
from avow.gateway.handling import Admission
from avow.gateway.refusals import InvalidRequest, UpstreamBusy, UpstreamRejected
from avow.gateway.wire import Request

RETRY_AFTER_S_MAX = 3600
ANTHROPIC_VERSION = "2023-06-01"
OPAQUE_CHARS = 32
HERE = Admission(None)

Leaving = Literal["estimate", "drain", "unbilled"]
"""When a client leaves before the end. `estimate`: the upstream is stopped, and the input and what was delivered are charged.
`drain`: for an upstream that charges the whole answer anyway; it is read to its end, within bounds, and charged as the upstream
counts. `unbilled`: for one that charges nothing to who leaves before the first token; neither do we."""

Translate = Callable[[Request, str, int], dict[str, Any]]
"""`(request, their_name, tokens_max)` to the fields to send. `request.end_user` is an opaque id by then."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a kind of upstream serves a surface: at `path`, in `dialect`; `back` where that is not the client's.

    `only_streams`: also whole answers are put together from a stream. `shows_progress`: chunks that tell how far the prompt
    was read are taken out. `sends_form`: the request goes there as a form, with its files.
    """

    path: str
    to_theirs: Translate
    dialect: Dialect
    back: Translation | None = None
    only_streams: bool = False
    shows_progress: bool = False
    sends_form: bool = False


@dataclass(frozen=True, slots=True)
class Upstream:
    """`processor` names the outside party that sees the content; None when it stays in this house.

    `ways` are by the surface's name, each with the target that its requests go to. `opaque_key` makes the ids that stand
    for a client's users there. `admission` says whether it may see content at all, `probe` is asked whether it lives.
    `fits` tells of a large request whether it can be read there at all; None: that is for the upstream to say.
    `revision` counts how often the upstream was changed until it was so.
    """

    name: str
    processor: str | None
    ways: Mapping[str, tuple[Way, Target]]
    opaque_key: bytes = field(default=b"", repr=False)
    admission: Admission = HERE
    probe: Target | None = None
    fits: Callable[[Request], bool] | None = None
    leaving: Leaving = "estimate"
    revision: int = 0
    place: str = field(init=False, repr=False)
    """What stands for the upstream as it is: another once its address or its credential is."""

    def __post_init__(self) -> None:
        said = b"" if self.probe is None else repr(self.probe.key).encode() + self.probe.head
        object.__setattr__(self, "place", f"{self.name} {hashlib.blake2b(said, digest_size=16).hexdigest()}")

    def message(self, way: Way, request: Request, their_name: str, tokens_max: int) -> bytes:
        """The body that is sent. Raises `InvalidRequest` for what this upstream cannot do."""
        if request.end_user is not None:
            request = msgspec.structs.replace(request, end_user=self._opaque(request.end_user))
        fields = way.to_theirs(request, their_name, tokens_max)
        if way.sends_form:
            return forms.encode(fields, request.files)
        return request.written if request.written and _is_same(fields, request.fields) else wire.encode(fields)

    def _opaque(self, named: str) -> str | None:
        """An id that is always the same for a name, here only, and tells nobody which; none for what stays in this house."""
        if self.processor is None:
            return None
        return hmac.new(self.opaque_key, named.encode(), hashlib.sha256).hexdigest()[:OPAQUE_CHARS]


@dataclass(frozen=True, slots=True)
class Kind:
    """A family of providers. `headers` takes the credential."""

    ways: Mapping[str, Way]
    headers: Callable[[str], dict[str, str]]


def provider(
    kind: str,
    name: str,
    base_url: str,
    credential: str,
    *,
    processor: str | None,
    admission: Admission = HERE,
    context: ssl.SSLContext | None = None,
    opaque_key: bytes = b"",
    leaving: Leaving = "estimate",
    revision: int = 0,
) -> Upstream:
    """A provider of a kind. `base_url` ends before the path of a surface, usually in `/v1`; its query is sent with each."""
    known = KINDS[kind]
    own = known.headers(credential) if credential else {}
    base, _, query = base_url.partition("?")
    base, query = base.rstrip("/"), query and f"?{query}"
    made: dict[str, Target] = {}
    for way in known.ways.values():
        if way.path not in made:
            headers = {**own, **(_FORM if way.sends_form else _JSON)}
            made[way.path] = Target(base + way.path + query, headers, context=context)
    ways = {surface: (way, made[way.path]) for surface, way in known.ways.items()}
    probe = Target(base + "/models" + query, {**own, **_JSON}, method="GET", context=context)
    return Upstream(name, processor, ways, opaque_key, admission, probe, leaving=leaving, revision=revision)


def engine(name: str, running: llm.Engine) -> Upstream:
    """The language model in a process of this machine."""
    headers = {"authorization": f"Bearer {running.api_key}", **_JSON}
    target = Target(f"http://engine/v1{_CHAT}", headers, unix=str(running.socket_path), keep=False)
    return Upstream(name, None, {surface: (way, target) for surface, way in _ENGINE.items()}, fits=_fits_engine)


def _is_same(fields: dict[str, Any], others: dict[str, Any]) -> bool:
    """Whether they are the same JSON: to Python `0` is `False`, and what we set must not be what a client took for it."""
    return fields == others and [*map(type, fields.values())] == [*map(type, others.values())]


def refusal(status: int, retry_after: bytes | None) -> AvowError:
    """What the client is told when the upstream answered with an error status. Nothing is charged for it."""
    if status in (400, 413, 422):
        return UpstreamRejected()
    if status in (429, 503, 529):
        return UpstreamBusy(_retry_after_s(retry_after))
    if status in (408, 504):
        return UpstreamTimeout()
    return UpstreamError(f"The upstream answered with status {status}.")


_JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
_FORM = {"content-type": f"multipart/form-data; boundary={forms.BOUNDARY}", "accept": "application/json, text/*"}
_CHAT = "/chat/completions"
_COUNTED = frozenset(("messages", "system", "tools", "tool_choice", "thinking"))


def _to_openai(request: Request, their_name: str, tokens_max: int) -> dict[str, Any]:
    """Whatever the client sent, with our model name, our token limit, nothing stored there, and usage always told."""
    fields = _to_compatible(request, their_name, tokens_max)
    fields["store"] = False
    if request.end_user is not None:
        fields["safety_identifier"] = request.end_user
    return fields


def _to_compatible(request: Request, their_name: str, tokens_max: int) -> dict[str, Any]:
    """As to OpenAI, without the fields that a strict reader of its older API refuses."""
    limit = "max_completion_tokens" if "max_completion_tokens" in request.fields else "max_tokens"
    fields = {**request.fields, "model": their_name, limit: tokens_max}
    if limit == "max_completion_tokens":
        fields.pop("max_tokens", None)
    fields.pop("stream_options", None)
    if request.stream:
        fields["stream_options"] = {**(request.fields.get("stream_options") or {}), "include_usage": True}
    return fields


def _to_openrouter(request: Request, their_name: str, tokens_max: int) -> dict[str, Any]:
    """A broker passes requests on: only to those who keep nothing and train on nothing."""
    fields = _to_compatible(request, their_name, tokens_max)
    return {**fields, "provider": {"data_collection": "deny", "zdr": True}, "usage": {"include": True}}


def _to_responses(request: Request, their_name: str, tokens_max: int) -> dict[str, Any]:
    fields = {**request.fields, "model": their_name, "max_output_tokens": tokens_max, "store": False}
    if request.end_user is not None:
        fields["safety_identifier"] = request.end_user
    return fields


def _to_messages(request: Request, their_name: str, tokens_max: int) -> dict[str, Any]:
    return _named({**request.fields, "model": their_name, "max_tokens": tokens_max}, request)


def _chat_to_messages(request: Request, their_name: str, tokens_max: int) -> dict[str, Any]:
    return _named(as_messages.to_theirs(request, their_name, tokens_max), request)


def _to_count(request: Request, their_name: str, _: int) -> dict[str, Any]:
    """Only what has tokens: what says how to answer is refused there."""
    return {**{name: request.fields[name] for name in _COUNTED & request.fields.keys()}, "model": their_name}


def _named(fields: dict[str, Any], request: Request) -> dict[str, Any]:
    return fields if request.end_user is None else {**fields, "metadata": {"user_id": request.end_user}}


def _to_plain(request: Request, their_name: str, _: int) -> dict[str, Any]:
    """Input only: nothing is generated that would need a limit."""
    fields = {**request.fields, "model": their_name}
    fields.pop("stream", None)
    return fields


def _to_media(request: Request, their_name: str, _: int) -> dict[str, Any]:
    return {**request.fields, "model": their_name}


def _to_named_media(request: Request, their_name: str, _: int) -> dict[str, Any]:
    """As to OpenAI, whose images have a field for who asks."""
    fields = {**request.fields, "model": their_name}
    return fields if request.end_user is None else {**fields, "user": request.end_user}


def _to_heard(request: Request, their_name: str, _: int) -> dict[str, Any]:
    """A text alone is asked for as JSON, which tells what it used."""
    fields = {**request.fields, "model": their_name}
    return {**fields, "response_format": "json"} if fields.get("response_format") == media.PLAIN else fields


def _to_engine(request: Request, their_name: str, tokens_max: int) -> dict[str, Any]:
    if request.choices > 1:
        raise InvalidRequest("This model gives one answer at a time.", param="n")
    return llm.to_theirs({**request.fields, "model": their_name, "max_tokens": tokens_max})


def _fits_engine(request: Request) -> bool:
    if "messages" not in request.fields:
        request = responses_as_chat.to_theirs(request)
    said = [request.fields.get("system"), request.fields["messages"]]
    return llm.fits(estimate.text_bytes(said, estimate.FRAME), len(request.fields["messages"]))


def _from_messages(to_theirs: Translate) -> Translate:
    """The same for a request in Anthropic's words."""
    return lambda request, their_name, tokens_max: to_theirs(as_chat.to_theirs(request), their_name, tokens_max)


def _from_responses(to_theirs: Translate) -> Translate:
    """The same for a request in the words of OpenAI's responses."""
    return lambda request, their_name, tokens_max: to_theirs(
        responses_as_chat.to_theirs(request), their_name, tokens_max
    )


def _retry_after_s(value: bytes | None) -> int:
    seconds = int(value) if value is not None and re.fullmatch(rb"[0-9]{1,6}", value) else 2
    return min(seconds, RETRY_AFTER_S_MAX)


def _bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


def _openai_ways(to_chat: Translate) -> dict[str, Way]:
    return {
        "chat": Way(_CHAT, to_chat, dialects.CHAT),
        "messages": Way(_CHAT, _from_messages(to_chat), dialects.CHAT, dialects.MESSAGES_AS_CHAT),
        "completions": Way("/completions", _to_compatible, dialects.TEXT),
        "responses": Way("/responses", _to_responses, dialects.RESPONSES),
        "embeddings": Way("/embeddings", _to_plain, dialects.EMBEDDINGS),
        "moderations": Way("/moderations", _to_plain, dialects.MODERATIONS),
        "rerank": Way("/rerank", _to_plain, dialects.RERANK),
    }


def _chat_only(to_chat: Translate) -> dict[str, Way]:
    """For who speaks chat and may not speak responses: these are said in the words of a chat."""
    spoken = Way(_CHAT, _from_responses(to_chat), dialects.CHAT, dialects.RESPONSES_AS_CHAT)
    return {**_openai_ways(to_chat), "responses": spoken}


def _media_ways(to_images: Translate) -> dict[str, Way]:
    return {
        "images": Way("/images/generations", to_images, dialects.IMAGES),
        "edits": Way("/images/edits", to_images, dialects.IMAGES, sends_form=True),
        "variations": Way("/images/variations", to_images, dialects.IMAGES, sends_form=True),
        "transcriptions": Way("/audio/transcriptions", _to_heard, dialects.HEARD, sends_form=True),
        "translations": Way("/audio/translations", _to_heard, dialects.HEARD, sends_form=True),
        "speech": Way("/audio/speech", _to_media, dialects.SPOKEN),
    }


_OPENAI = _openai_ways(_to_openai) | _media_ways(_to_named_media)
_ENGINE = {
    "chat": Way(_CHAT, _to_engine, dialects.CHAT, None, True, True),
    "messages": Way(_CHAT, _from_messages(_to_engine), dialects.CHAT, dialects.MESSAGES_AS_CHAT, True, True),
    "responses": Way(_CHAT, _from_responses(_to_engine), dialects.CHAT, dialects.RESPONSES_AS_CHAT, True, True),
}
_ANTHROPIC = {
    "chat": Way("/messages", _chat_to_messages, dialects.MESSAGES, dialects.CHAT_AS_MESSAGES),
    "responses": Way(
        "/messages", _from_responses(_chat_to_messages), dialects.MESSAGES, dialects.RESPONSES_AS_MESSAGES
    ),
    "messages": Way("/messages", _to_messages, dialects.MESSAGES),
    "count_tokens": Way("/messages/count_tokens", _to_count, dialects.COUNT),
}

KINDS: Mapping[str, Kind] = {
    "openai": Kind(_OPENAI, _bearer),
    "compatible": Kind(_chat_only(_to_compatible) | _media_ways(_to_media), _bearer),
    "openrouter": Kind(_chat_only(_to_openrouter), _bearer),
    "azure": Kind(_OPENAI, lambda credential: {"api-key": credential}),
    "anthropic": Kind(_ANTHROPIC, lambda credential: {"x-api-key": credential, "anthropic-version": ANTHROPIC_VERSION}),
}
"""Providers by the word that an operator writes. `compatible`: without the fields that only OpenAI itself knows."""
