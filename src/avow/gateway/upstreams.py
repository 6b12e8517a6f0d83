"""An upstream: where it is, which of its habits differ, and the two translations, to theirs and from theirs.

An OpenAI-compatible provider is a URL and a key. The embedded engine is one more upstream, over a unix socket, that only
streams. What an upstream says when it fails is never passed on: it may hold secrets, ours or somebody's.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from avow.base.errors import AvowError
from avow.engines import llm
from avow.gateway import wire
from avow.gateway.client import Target
from avow.gateway.connection import UpstreamError, UpstreamTimeout
from avow.gateway.refusals import InvalidRequest, UpstreamBusy, UpstreamRejected
from avow.gateway.wire import ChatRequest

RETRY_AFTER_S_MAX = 3600
_PATH = "/chat/completions"

Translate = Callable[[ChatRequest, str, int], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Upstream:
    """`processor` names the outside party that sees the content; None when it stays in this house.

    `to_theirs(request, their_name, tokens_max)` gives the fields to send. `only_streams`: also JSON answers are put
    together from a stream. `shows_progress`: chunks that tell how far the prompt was read are taken out.
    """

    name: str
    processor: str | None
    target: Target
    to_theirs: Translate
    only_streams: bool = False
    shows_progress: bool = False


def openai(
    name: str, base_url: str, credential: str, *, processor: str | None, context: ssl.SSLContext | None = None
) -> Upstream:
    """An OpenAI-compatible provider. `base_url` ends before `/chat/completions`, usually in `/v1`."""
    headers = {"authorization": f"Bearer {credential}"} if credential else {}
    target = Target(base_url.rstrip("/") + _PATH, {**headers, **_JSON}, context=context)
    return Upstream(name, processor, target, _to_openai)


def engine(name: str, running: llm.Engine) -> Upstream:
    """The language model in a process of this machine."""
    headers = {"authorization": f"Bearer {running.api_key}", **_JSON}
    target = Target(f"http://engine/v1{_PATH}", headers, unix=str(running.socket_path), keep=False)
    return Upstream(name, None, target, _to_engine, only_streams=True, shows_progress=True)


def refusal(status: int, retry_after: bytes | None) -> AvowError:
    """What the client is told when the upstream answered with an error status. Nothing is charged for it."""
    if status in (400, 413, 422):
        return UpstreamRejected()
    if status == 429 or status == 503:
        return UpstreamBusy(_retry_after_s(retry_after))
    if status in (408, 504):
        return UpstreamTimeout()
    return UpstreamError(f"The upstream answered with status {status}.")


_JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


def _to_openai(request: ChatRequest, their_name: str, tokens_max: int) -> dict[str, Any]:
    """Whatever the client sent, with our model name, our token limit, nothing stored there, and usage always told."""
    limit = "max_completion_tokens" if "max_completion_tokens" in request.fields else "max_tokens"
    fields = {**request.fields, "model": their_name, "store": False, limit: tokens_max}
    if limit == "max_completion_tokens":
        fields.pop("max_tokens", None)
    fields.pop("stream_options", None)
    if request.stream:
        fields["stream_options"] = {**(request.fields.get("stream_options") or {}), "include_usage": True}
    return fields


def _to_engine(request: ChatRequest, their_name: str, tokens_max: int) -> dict[str, Any]:
    if request.choices > 1:
        raise InvalidRequest("This model gives one answer at a time.", param="n")
    return llm.to_theirs({**request.fields, "model": their_name, "max_tokens": tokens_max})


def _retry_after_s(value: bytes | None) -> int:
    seconds = int(value) if value is not None and re.fullmatch(rb"[0-9]{1,6}", value) else 2
    return min(seconds, RETRY_AFTER_S_MAX)


def message(upstream: Upstream, request: ChatRequest, their_name: str, tokens_max: int) -> bytes:
    """The body that is sent to the upstream."""
    return wire.encode(upstream.to_theirs(request, their_name, tokens_max))
