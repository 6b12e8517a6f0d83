"""What upstreams speak: for each dialect how an answer is read, whole and as a stream, and how a stream becomes one answer.

A surface is served in its own dialect where the upstream has one, and passes unchanged; else its request is put into the
dialect that the upstream speaks, and the answer back (`Translation`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from avow.billing.events import TOKENS_MAX
from avow.gateway import (
    as_chat,
    as_messages,
    estimate,
    media,
    messages,
    responses,
    responses_as_chat,
    sounds,
    texts,
    told_whole,
)
from avow.gateway.assembly import Assembly
from avow.gateway.messages import MessagesAssembly, MessagesStream
from avow.gateway.responses import ResponsesAssembly, ResponsesStream
from avow.gateway.sse import ChatStream, EventStream
from avow.gateway.texts import TextAssembly, TextStream
from avow.gateway.usage import Buckets, ChatUsage, ImagesUsage, MediaUsage, RerankMeta, TotalUsage, Usage
from avow.gateway.wire import Request


class Answer(NamedTuple):
    """What an answer says of its use, and how many tokens it is guessed to have when it does not."""

    usage: Usage | None
    tokens: int = 0


class Joined(Protocol):
    """One answer from the data of a stream's events, in order."""

    def add(self, data: bytes) -> None: ...

    def body(self, usage: Usage | None) -> bytes: ...


class Retold(Protocol):
    """A stream of theirs, event by event in the client's dialect."""

    def feed(self, data: bytes) -> bytes: ...

    def close(self, usage: Usage | None) -> tuple[bytes, bytes]:
        """What is left to say before the cost, and the event that ends the answer."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """`read` raises msgspec's errors for what is no answer. Without `stream` there are whole answers only."""

    read: Callable[[bytes], Answer]
    stream: Callable[..., EventStream] | None = None
    assembly: Callable[[], Joined] | None = None
    raw: Callable[..., EventStream] | None = None
    """How an answer is read that is no JSON and no events, where the client asked for one."""
    wrap: Callable[[bytes], bytes] | None = None
    """Makes JSON of an answer in one of the formats of subtitles."""
    in_events: Callable[[bytes], bytes] | None = None
    """Makes the events of an answer that came whole where a stream was asked for."""


@dataclass(frozen=True, slots=True)
class Translation:
    """The way back from their dialect to the client's: for a whole answer, and for a stream."""

    whole: Callable[[bytes], bytes]
    stream: Callable[[Request], Retold]


class _Message(msgspec.Struct):
    """What of a choice is estimated: all that it says and calls."""

    content: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None


class _Choice(msgspec.Struct):
    message: _Message


class _Chat(msgspec.Struct):
    choices: list[_Choice]
    usage: ChatUsage | None = None


class _Vectors(msgspec.Struct):
    data: list[msgspec.Raw]
    usage: ChatUsage | None = None


class _Verdicts(msgspec.Struct):
    results: list[dict[str, Any]]
    usage: ChatUsage | None = None


class _Images(msgspec.Struct):
    data: list[msgspec.Raw]
    usage: ImagesUsage | None = None
    size: Any = None
    quality: Any = None


class _Ranks(msgspec.Struct):
    results: list[dict[str, Any]]
    usage: TotalUsage | None = None
    meta: RerankMeta | None = None


_chat = msgspec.json.Decoder(_Chat).decode
_vectors = msgspec.json.Decoder(_Vectors).decode
_verdicts = msgspec.json.Decoder(_Verdicts).decode
_images = msgspec.json.Decoder(_Images).decode
_ranks = msgspec.json.Decoder(_Ranks).decode


def _read_chat(body: bytes) -> Answer:
    answer = _chat(body)
    if answer.usage is not None:
        return Answer(answer.usage)
    said = [choice.message for choice in answer.choices]
    thoughts = [each.reasoning_content or each.reasoning for each in said]
    return _guessed(thoughts + [[each.content, each.refusal, each.tool_calls, each.function_call] for each in said])


def _read_text(body: bytes) -> Answer:
    answer = texts.read(body)
    return Answer(answer.usage) if answer.usage else _guessed([choice.text for choice in answer.choices])


def _read_message(body: bytes) -> Answer:
    answer = messages.read(body)
    if answer.type != "message":
        raise msgspec.ValidationError("not a message")
    return Answer(answer.usage) if answer.usage else _guessed(answer.content)


def _read_response(body: bytes) -> Answer:
    answer = responses.read(body)
    return Answer(answer.usage) if answer.usage else _guessed(answer.output)


def _guessed(said: Any) -> Answer:
    return Answer(None, estimate.tokens(said, estimate.FRAME))


def _read_ranks(body: bytes) -> Answer:
    answer = _ranks(body)
    billed = answer.meta.billed_units if answer.meta else None
    if answer.usage is None and billed is not None and billed.input_tokens is not None:
        return Answer(TotalUsage(min(max(0, int(billed.input_tokens)), TOKENS_MAX)))
    return Answer(answer.usage)


def _read_images(body: bytes) -> Answer:
    answer = _images(body)
    tokens = None if answer.usage is None else answer.usage.buckets()
    named = media.named(answer.size), media.named(answer.quality)
    return Answer(MediaUsage(tokens, len(answer.data), *named))


def _read_heard(body: bytes) -> Answer:
    answer = sounds.read(body)
    return Answer(sounds.used(answer), estimate.tokens(answer.text))


def _read_spoken(_: bytes) -> Answer:
    raise msgspec.ValidationError("speech comes as a stream")


def _read_count(body: bytes) -> Answer:
    messages.read_count(body)
    return Answer(NOTHING)


class _Nothing:
    """What is not billed."""

    def buckets(self) -> Buckets:
        return Buckets()


NOTHING = _Nothing()
CHAT = Dialect(_read_chat, ChatStream, Assembly, in_events=told_whole.chat)
TEXT = Dialect(_read_text, TextStream, TextAssembly, in_events=told_whole.completion)
MESSAGES = Dialect(_read_message, MessagesStream, MessagesAssembly, in_events=told_whole.message)
RESPONSES = Dialect(_read_response, ResponsesStream, ResponsesAssembly, in_events=told_whole.response)
EMBEDDINGS = Dialect(lambda body: Answer(_vectors(body).usage))
MODERATIONS = Dialect(lambda body: Answer(_verdicts(body).usage))
RERANK = Dialect(_read_ranks)
IMAGES = Dialect(_read_images)
HEARD = Dialect(
    _read_heard, sounds.HeardStream, sounds.HeardAssembly, wrap=sounds.wrapped, in_events=sounds.heard_events
)
SPOKEN = Dialect(
    *(_read_spoken, sounds.SpokenStream, sounds.SpokenAssembly, sounds.SoundStream), in_events=sounds.spoken_events
)
COUNT = Dialect(_read_count)

CHAT_AS_MESSAGES = Translation(as_messages.whole, as_messages.Stream)
MESSAGES_AS_CHAT = Translation(as_chat.whole, as_chat.Stream)
RESPONSES_AS_CHAT = Translation(responses_as_chat.whole, responses_as_chat.Stream)
RESPONSES_AS_MESSAGES = Translation(responses_as_chat.whole_of_message, responses_as_chat.StreamOfMessage)
