"""A filter that asks a model of this platform first: the moderation of a provider, or a chat model that says safe or unsafe.

The model gets what the other filters left of a request, at an upstream that may see its content, for the operator's own money.
Where it does not answer, what it would have to block goes nowhere, and what it would only have noted goes on. It is sent
`JUDGED_BYTES_MAX` at most: longer requests are refused where it may block, and else judged by their begin and their end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import structlog

from avow.base import log
from avow.base.errors import AvowError, Unavailable
from avow.gateway import refusals, upstreams
from avow.gateway.client import Client
from avow.gateway.connection import UpstreamGarbage
from avow.gateway.wire import Request

if TYPE_CHECKING:
    from avow.gateway.fleet import Route
    from avow.gateway.orders import Order
    from avow.gateway.rules import Rules

ANSWER_S_MAX = 10.0
ANSWER_BYTES_MAX = 256 * 1024
JUDGED_BYTES_MAX = 32 * 1024
"""Nobody pays for what is judged but the operator."""
WORDS_TOKENS = 16


class JudgeSilent(Unavailable):
    """The model that looks at requests here first does not answer, so this one goes nowhere."""

    code = "filter_unavailable"


class TooLongToJudge(AvowError):
    """A model looks at requests here first, and this one is longer than what it is given."""

    status = 413
    code = "too_long_to_judge"
    hint = f"Send it in parts: at most {JUDGED_BYTES_MAX} bytes of text, those of tools and schemas included."


@dataclass(frozen=True, slots=True)
class Judge:
    """A filter that asks `model`; `chats`: in a chat, as Llama Guard is asked, else by its moderation."""

    name: str
    finds: str
    action: Literal["block", "flag"]
    model: str
    chats: bool


class _Verdict(msgspec.Struct):
    flagged: bool


class _Verdicts(msgspec.Struct):
    results: list[_Verdict]


class _Message(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Message


class _Chat(msgspec.Struct):
    choices: list[_Choice]


_verdicts = msgspec.json.Decoder(_Verdicts).decode
_chat = msgspec.json.Decoder(_Chat).decode


async def objects(judge: Judge, order: Order, text: str, rules: Rules, client: Client) -> bool:
    """Whether a judge finds what it looks for in a text. Raises PolicyForbids where its model may not see the content,
    TooLongToJudge and JudgeSilent."""
    text = _bounded(judge, text)
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            shown = [each.url for each in order.request.pictures if rules.models[judge.model].picture_tokens]
            if not text and not shown:
                return False
            return await _asked(judge, _route(judge, order, rules), text, shown, client)
    except refusals.PolicyForbids:
        raise
    except Exception as wrong:  # whatever a model does, a judge has an answer
        structlog.get_logger().warning("judge_silent", **log.failure(wrong))
        if judge.action == "flag":
            return False
        raise JudgeSilent() from None


def _bounded(judge: Judge, text: str) -> str:
    said = text.encode()
    if len(said) <= JUDGED_BYTES_MAX:
        return text
    if judge.action == "block":
        raise TooLongToJudge()
    half = JUDGED_BYTES_MAX // 2
    return said[:half].decode(errors="ignore") + "\n" + said[-half + 1 :].decode(errors="ignore")


def _route(judge: Judge, order: Order, rules: Rules) -> Route:
    model = rules.models[judge.model]
    seen_by = model.seen_by(order.plan, order.at)
    if not seen_by:
        raise refusals.PolicyForbids(model.reason(order.plan))
    return seen_by[0]


async def _asked(judge: Judge, route: Route, text: str, shown: Sequence[msgspec.Raw], client: Client) -> bool:
    way, target = route.upstream.ways["chat" if judge.chats else "moderations"]
    said: Any = text
    if shown:
        parts = [{"type": "image_url", "image_url": {"url": url}} for url in shown]
        said = [*([{"type": "text", "text": text}] if text else []), *parts]
    fields: dict[str, Any] = {"input": said}
    if judge.chats:
        fields = {"messages": [{"role": "user", "content": said}], "temperature": 0}
    request = Request(judge.model, stream=False, wants_usage=False, max_tokens=None, choices=1, fields=fields)
    sent = route.upstream.message(way, request, route.their_name, WORDS_TOKENS)
    exchange = await client.send(target, sent, resend=True)
    try:
        if exchange.status != 200 or way.only_streams:
            raise upstreams.refusal(exchange.status, None)
        body = await exchange.rest(ANSWER_BYTES_MAX)
    finally:
        exchange.discard()
    if not judge.chats:
        return any(each.flagged for each in _verdicts(body).results)
    return _is_unsafe(_chat(body if way.back is None else way.back.whole(body)).choices[0].message.content)


def _is_unsafe(said: str) -> bool:
    """What a guard says first. Raises UpstreamGarbage for anything but its two words."""
    word = said.strip().lower()
    if word.startswith("unsafe"):
        return True
    if word.startswith("safe"):
        return False
    raise UpstreamGarbage("A guard said neither safe nor unsafe.")
