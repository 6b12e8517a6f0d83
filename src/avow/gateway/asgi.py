"""`/v1/*` as a plain ASGI application: what is HTTP about it, and nothing else.

Heads are judged before bodies are read, bodies are bounded in size and time, and every answer, also the refusal of a route
that does not exist, has OpenAI's shape, or Anthropic's below its route.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec
import structlog

from avow.accounts import key_text
from avow.accounts.directory import KeyMissing, KeyRecord, KeyRefused
from avow.base import log
from avow.base.db import AWAY
from avow.base.errors import AvowError
from avow.base.ids import uuid7
from avow.billing.claims import NAME_BYTES_MAX
from avow.gateway import forms, refusals, surfaces, wire
from avow.gateway.ask import Ask, Headers
from avow.gateway.cache import Asked
from avow.gateway.completion import Completion, Gateway
from avow.gateway.filing import JSONL, Errand, Filing, bytes_max, is_filing
from avow.gateway.rules import Model
from avow.gateway.surfaces import Surface
from avow.gateway.uploads import Grow, Uploads

BODY_S_MAX = 30.0
BODY_BYTES_UNKNOWN = 64 * 1024  # more is read only for a key that works and has means
SWEEP_S = 1.0
RETENTION_H_MAX = 10_000_000
_JUDGED = frozenset((b"content-type", b"content-length", b"avow-retention", b"avow-cache", b"idempotency-key"))
CACHE_WORDS: Mapping[bytes, Asked] = {b"use": "use", b"off": "off"}
MODELS, MESSAGES = "/v1/models", surfaces.MESSAGES.path

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_encode = msgspec.json.Encoder().encode


class ClientLeft(Exception):
    """The client closed its connection before the request was complete."""


class AsgiReply:
    """A response over ASGI; servers drop what is sent to a client that has gone. `ended`: nothing more will be sent."""

    __slots__ = ("_send", "_waiting", "begun", "ended")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: list[Message] = []
        self.begun = self.ended = False

    async def whole(self, status: int, headers: Headers, body: bytes, kind: bytes = b"") -> None:
        self.ended = True
        fixed = [*_fixed(kind, JSON), (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
        await self._send({"type": "http.response.body", "body": body})

    def begin(self, headers: Headers, kind: bytes = b"") -> None:
        self.begun = True
        head = [*_fixed(kind, STREAM), *headers]
        self._waiting.append({"type": "http.response.start", "status": 200, "headers": head})

    def pass_on(self, data: bytes) -> bool:
        self._waiting.append({"type": "http.response.body", "body": data, "more_body": True})
        return False

    def outlet(self) -> None:
        """Between here and the connection everything is a message."""
        return

    async def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            await self._send(message)

    async def end(self, data: bytes) -> None:
        self.ended = True
        await self.flush()
        await self._send({"type": "http.response.body", "body": data})


class V1:
    """The ASGI application; `worker.Front` puts it in front of everything else for paths below `/v1`."""

    def __init__(self, gateway: Gateway, filing: Filing | None = None, *, body_s_max: float = BODY_S_MAX) -> None:
        self._gateway, self._filing = gateway, filing
        self._body_s_max = body_s_max
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._uploads = Uploads()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = AsgiReply(send)
        try:
            surface = surfaces.BY_PATH.get(scope["path"])
            if surface is not None:
                await self._complete(surface, scope, receive, reply)
            elif self._filing is not None and is_filing(scope["path"]):
                await self._file(self._filing, scope, receive, reply)
            else:
                await self._other(scope, reply)
        except AvowError as error:
            await self._refuse(error, scope, reply)
        except ClientLeft:
            return
        except AWAY:
            await self._refuse(refusals.NotReady(), scope, reply)
        except Exception as wrong:
            structlog.get_logger().error("request_failed", **log.failure(wrong))
            await self._refuse(AvowError(), scope, reply)

    async def _refuse(self, error: AvowError, scope: Scope, reply: AsgiReply) -> None:
        self._gateway.watch.turned_away(error.status)
        if reply.begun or reply.ended:
            return
        shape = refusals.ANTHROPIC if scope["path"].startswith(MESSAGES) else refusals.OPENAI
        await reply.whole(error.status, refusals.headers(error, uuid7()), shape.render(error))

    async def _complete(self, surface: Surface, scope: Scope, receive: Receive, reply: AsgiReply) -> None:
        if scope["method"] != "POST":
            raise refusals.MethodWrong("POST")
        secret, retention_h, cache, claim = judge(scope["headers"], surface)
        between = _boundary(scope["headers"]) if surface.takes_form else b""
        key_id = (await self._admit_large(secret, scope)).key_id if is_large(scope["headers"]) else None
        with self._uploads.begin(key_id, surface.bytes_max) as grow:
            body = await self._read(receive, surface.bytes_max, grow)
            ask = Ask(secret, body, retention_h, _address(scope), surface, cache, claim, between)
            await self._answer(ask, receive, reply)

    async def _answer(self, ask: Ask, receive: Receive, reply: AsgiReply) -> None:
        completion = self._gateway.start(ask, reply)
        await self._stay(completion, receive, reply)

    async def _stay(self, completion: Completion, receive: Receive, reply: AsgiReply) -> None:
        """Wait for the end of the response, and say so when the client has gone before it."""
        running, waiting = completion.task, asyncio.current_task()
        assert running is not None and waiting is not None
        running.add_done_callback(lambda _: None if reply.ended else waiting.cancel())
        try:
            # Returns when the client has gone or the response is complete.
            await receive()
        except asyncio.CancelledError:
            if not running.done() or reply.ended:
                raise
            # Given up although the client is still there: the server closes the connection.
            waiting.uncancel()
            return
        if not running.done():
            reply.ended = True
            completion.leave()
            await asyncio.wait((running,))

    async def _admit(self, secret: str, scope: Scope) -> KeyRecord:
        try:
            return await self._gateway.keys.admit(secret, "inference", _address(scope))
        except AWAY:
            raise refusals.NotReady() from None

    async def _admit_large(self, secret: str, scope: Scope) -> KeyRecord:
        try:
            return await self._gateway.admit_large(secret, _address(scope))
        except AWAY:
            raise refusals.NotReady() from None

    async def _read(self, receive: Receive, bytes_max: int, grow: Grow) -> bytes:
        """The body, in time: a larger one may take longer. One timer serves all requests: a timeout of its own would cost each
        as much as parsing."""
        task = asyncio.current_task()
        assert task is not None
        body_s_max = self._body_s_max * bytes_max / wire.BODY_BYTES_MAX
        self._reading[task] = asyncio.get_running_loop().time() + body_s_max
        if self._sweeper is None:
            self._sweep()
        try:
            return await _body(receive, bytes_max, grow)
        except asyncio.CancelledError:
            if task in self._reading:
                raise
            task.uncancel()
            raise refusals.TooSlow() from None
        finally:
            self._reading.pop(task, None)

    def _sweep(self) -> None:
        """Cancel those who are late; a task that is not in the list any more knows that it was us."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task in [task for task, due in self._reading.items() if due < now]:
            del self._reading[task]
            task.cancel()
        self._sweeper = loop.call_later(min(SWEEP_S, self._body_s_max), self._sweep) if self._reading else None

    async def _file(self, filing: Filing, scope: Scope, receive: Receive, reply: AsgiReply) -> None:
        """Files and batches; what has begun to be told and cannot be told to its end is cut."""
        headers, path, body = scope["headers"], scope["path"], b""
        posts, size_max = scope["method"] == "POST", bytes_max(path)
        # A file costs nothing itself, but who sends a large one can pay for something.
        costs = posts and size_max > wire.BODY_BYTES_MAX and is_large(headers)
        admit = self._admit_large if costs else self._admit
        key = await admit(_secret(headers), scope)
        hours = [_hours(value) for name, value in headers if name == b"avow-retention"]
        with self._gateway.entered(key.key_id), self._uploads.begin(key.key_id, size_max) as grow:
            if posts:
                _check_length(headers, size_max)
                body = await self._read(receive, size_max, grow)
            between = forms.boundary(next((value for name, value in headers if name == b"content-type"), b""))
            query = scope.get("query_string", b"")
            asked = Errand(key, scope["method"], path, query, body, between, min(hours, default=None))
            try:
                told = await filing.answer(asked)
                if told.texts is None:
                    return await reply.whole(200, [], _encode(told.value))
                reply.begin([], JSONL)
                async for text in told.texts:
                    reply.pass_on(text)
                    await reply.flush()
            except AWAY:
                if reply.begun:
                    return
                raise refusals.NotReady() from None
        await reply.end(b"")

    async def _other(self, scope: Scope, reply: AsgiReply) -> None:
        path = scope["path"]
        if path != MODELS and not path.startswith(MODELS + "/"):
            raise refusals.RouteUnknown()
        if scope["method"] != "GET":
            raise refusals.MethodWrong("GET")
        key = await self._admit(_secret(scope["headers"]), scope)
        rules = self._gateway.rules.current
        plan, now = rules.plan(key), self._gateway.clock.now()
        # Anthropic's clients send the version of their words; the same list is theirs in those.
        show = _show_anthropic if any(name == b"anthropic-version" for name, _ in scope["headers"]) else _show
        shown = {
            name: show(model) for name, model in rules.models.items() if model.seen_by(plan, now) and model.open_to(key)
        }
        if path == MODELS:
            page: dict[str, Any] = {"object": "list", "data": list(shown.values())}
            if show is _show_anthropic:
                page |= {"has_more": False, "first_id": next(iter(shown), None), "last_id": next(reversed(shown), None)}
            await reply.whole(200, [], _encode(page))
            return
        one = shown.get(path.removeprefix(MODELS + "/"))
        if one is None:
            raise refusals.ModelUnknown(param="model")
        await reply.whole(200, [], _encode(one))


async def _body(receive: Receive, bytes_max: int, grow: Grow) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientLeft
    grow(len(body))
    if not message.get("more_body"):
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > bytes_max:
            raise refusals.TooLarge()
        grow(len(parts[-1]))
    return b"".join(parts)


def is_large(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a body is, or without a length may become, more than is read for somebody unknown."""
    length = dict(headers).get(b"content-length")
    return length is None or int(length) > BODY_BYTES_UNKNOWN


def judge(
    headers: list[tuple[bytes, bytes]], surface: Surface = surfaces.CHAT
) -> tuple[str, int | None, Asked | None, bytes | None]:
    """The key's text, the hours that may be kept, the word about the cache and the idempotency key, from a head whose body is
    worth reading."""
    content_type, retention_h = b"", None
    cache: Asked | None = None
    claim: bytes | None = None
    for name, value in headers:
        if name not in _JUDGED:
            continue
        if name == b"content-type":
            content_type = value
        elif name == b"avow-retention":
            hours = _hours(value)
            retention_h = hours if retention_h is None else min(hours, retention_h)
        elif name == b"avow-cache":
            cache = "off" if cache == "off" else _cache_word(value)
        elif name == b"idempotency-key":
            claim = _claim(value, claim)
        elif name == b"content-length" and int(value) > surface.bytes_max:
            raise refusals.TooLarge()
    if not surface.takes_form and content_type.partition(b";")[0].strip().lower() != b"application/json":
        raise refusals.WrongType()
    return _secret(headers), retention_h, cache, claim


def _check_length(headers: list[tuple[bytes, bytes]], bytes_max: int) -> None:
    if any(name == b"content-length" and int(value) > bytes_max for name, value in headers):
        raise refusals.TooLarge()


def _boundary(headers: list[tuple[bytes, bytes]]) -> bytes:
    """What stands between the parts of a form. Raises NoForm."""
    found = forms.boundary(next((value for name, value in headers if name == b"content-type"), b""))
    if found is None:
        raise refusals.NoForm()
    return found


def _fixed(kind: bytes, usual: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", kind), (b"cache-control", b"no-store")] if kind else usual


def _secret(headers: list[tuple[bytes, bytes]]) -> str:
    """What has the form of a key; only then is anything else looked at. Raises KeyMissing or KeyRefused."""
    refused: type[KeyRefused] = KeyMissing
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            secret = value[7:].strip().decode("latin-1")
        elif name == b"x-api-key":
            secret = value.decode("latin-1")
        else:
            continue
        if key_text.PATTERN.fullmatch(secret):
            return secret
        refused = KeyRefused if secret else refused
    raise refused


def _address(scope: Scope) -> str | None:
    """Who is at the other end of the connection, for the keys that may be used from some networks only."""
    client = scope.get("client")
    return client[0] if client else None


def _hours(value: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,8}", value) or int(value) > RETENTION_H_MAX:
        raise refusals.InvalidRequest("The header is a whole number of hours, 0 or more.", param="avow-retention")
    return int(value)


def _cache_word(value: bytes) -> Asked:
    word = CACHE_WORDS.get(value)
    if word is None:
        raise refusals.InvalidRequest("The header is `use` or `off`.", param="avow-cache")
    return word


def _claim(value: bytes, before: bytes | None) -> bytes:
    if before is not None or not re.fullmatch(rb"[!-~]{1,%d}" % NAME_BYTES_MAX, value):
        sentence = f"The header is one text of 1 to {NAME_BYTES_MAX} visible ASCII characters without spaces."
        raise refusals.InvalidRequest(sentence, param="idempotency-key")
    return value


def _show(model: Model) -> dict[str, Any]:
    """`avow_leaving`: what a client pays that leaves before the end, by the rules of the upstreams where the model runs;
    `avow_pictures`: whether it looks at pictures in what is said to it."""
    owner = model.routes[0].upstream.processor or "avow"
    leaving = sorted({route.upstream.leaving for route in model.routes})
    shown = {"id": model.id, "object": "model", "created": 0, "owned_by": owner, "avow_leaving": leaving}
    return {**shown, "avow_pictures": model.picture_tokens is not None}


def _show_anthropic(model: Model) -> dict[str, Any]:
    return {"id": model.id, "type": "model", "display_name": model.id, "created_at": "1970-01-01T00:00:00Z"}
