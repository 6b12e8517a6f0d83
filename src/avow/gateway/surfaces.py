"""What clients can call: one row per route. The flow is the same for all; a row says how its body is read, how much its
answer can be, in which shape it is refused, and where the words lie that are charged when an upstream does not count.

Whatever would let an upstream charge more than the bytes of a body and the length of an answer tell is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any

import msgspec

from avow.billing.prices import Price
from avow.gateway import form_bodies, forms, media, wire
from avow.gateway.pictures import KINDS
from avow.gateway.refusals import ANTHROPIC, OPENAI, RESPONSES, InvalidRequest, Shape
from avow.gateway.wire import TOOLS_TOKENS, Name, Positive, Request, StreamOptions

PROMPTS_MAX = 256
DOCUMENTS_MAX = 1000
DOCUMENT_TOKENS = 16
"""What a reranker writes around each pair of query and document."""
MODERATION_MODEL = "omni-moderation-latest"
JSON = b"application/json"

Tokens = Annotated[list[int], msgspec.Meta(min_length=1)]
Texts = str | Annotated[list[str | int | Tokens], msgspec.Meta(min_length=1, max_length=2048)]


@dataclass(frozen=True, slots=True)
class Surface:
    """A route of `/v1`. `said_in` names the fields whose texts are input; `bills`: whether its tokens cost anything; `repeats`:
    the same request has the same answer. `parse` reads its body, with `takes_form` a form. `part`: what a model has to have
    a price for to be called here, by tokens (a field of `Price`) or by `counts`. `kept` makes of an answer what is kept.

    For the OpenAPI document: what a route `says` of itself, the type that `reads` its body, the media types of what it `answers`
    whole, and whether it `streams` events too.
    """

    name: str
    path: str
    parse: Callable[[Any], Request]
    said_in: tuple[str, ...]
    shape: Shape = OPENAI
    _: KW_ONLY
    says: str
    reads: type[msgspec.Struct]
    answers: tuple[bytes, ...] = (JSON,)
    streams: bool = False
    bills: bool = True
    repeats: bool = False
    takes_form: bool = False
    part: str | None = None
    counts: str | None = None
    kept: Callable[[bytes], bytes] | None = None

    @property
    def bytes_max(self) -> int:
        return forms.BYTES_MAX if self.takes_form else wire.BODY_BYTES_MAX

    def is_priced(self, price: Price) -> bool:
        """Whether a price says what this route costs."""
        if price.counts is not None:
            return price.counts == self.counts
        return self.part is None or getattr(price, self.part) is not None


class Completion(msgspec.Struct):
    model: Name
    prompt: Texts
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Positive | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=wire.CHOICES_MAX)] | None = None
    best_of: Annotated[int, msgspec.Meta(ge=1, le=wire.CHOICES_MAX)] | None = None


class Embedding(msgspec.Struct):
    model: Name
    input: Texts


class TextPart(msgspec.Struct):
    type: str


class Moderation(msgspec.Struct):
    input: str | Annotated[list[str | TextPart], msgspec.Meta(min_length=1, max_length=1000)]
    model: Name | None = None


class Rerank(msgspec.Struct):
    model: Name
    query: str
    documents: Annotated[list[str | dict[str, Any]], msgspec.Meta(min_length=1, max_length=DOCUMENTS_MAX)]


class Turn(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]]


class Messages(msgspec.Struct):
    model: Name
    messages: Annotated[list[Turn], msgspec.Meta(min_length=1)]
    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    metadata: dict[str, Any] | None = None
    max_tokens: Positive | None = None
    stream: bool | None = None


class Responses(msgspec.Struct):
    model: Name
    input: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    max_output_tokens: Positive | None = None
    stream: bool | None = None


_completion = msgspec.json.Decoder(Completion).decode
_embedding = msgspec.json.Decoder(Embedding).decode
_moderation = msgspec.json.Decoder(Moderation).decode
_rerank = msgspec.json.Decoder(Rerank).decode
_messages = msgspec.json.Decoder(Messages).decode
_responses = msgspec.json.Decoder(Responses).decode

MESSAGE_BLOCKS = frozenset(("text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking"))
ITEMS = frozenset(
    (
        *(
            "message",
            "function_call",
            "function_call_output",
            "custom_tool_call",
            "custom_tool_call_output",
            "reasoning",
        ),
        *("input_text", "input_image", "output_text", "refusal", "summary_text", "reasoning_text"),
    )
)
# They point at what an upstream would have to keep between two requests, or let it call others.
STATEFUL = ("previous_response_id", "conversation", "prompt", "background", "container", "mcp_servers")


def completion(body: bytes) -> Request:
    """OpenAI's completions: each prompt gets each of its answers."""
    fields, known = wire.read(body, _completion)
    given = known.prompt
    prompts = 1 if type(given) is str or all(type(part) is int for part in given) else len(given)
    if prompts > PROMPTS_MAX:
        raise InvalidRequest(f"There are more than {PROMPTS_MAX} prompts.", param="prompt")
    options = known.stream_options
    return _request(
        fields,
        known.model,
        stream=known.stream,
        wants_usage=options is not None and options.include_usage is True,
        max_tokens=known.max_tokens,
        choices=max(known.n or 1, known.best_of or 1) * prompts,
    )


def embedding(body: bytes) -> Request:
    """Vectors of texts: input only."""
    fields, known = wire.read(body, _embedding)
    return _request(fields, known.model)


def moderation(body: bytes) -> Request:
    """What a text is judged to be: input only."""
    fields, known = wire.read(body, _moderation)
    if isinstance(known.input, list) and any(
        isinstance(part, TextPart) and part.type != "text" for part in known.input
    ):
        raise InvalidRequest("Only text is supported.", param="input")
    return _request(fields, known.model or MODERATION_MODEL)


def rerank(body: bytes) -> Request:
    """Documents by nearness to a query, which is read once more with each of them."""
    fields, known = wire.read(body, _rerank)
    for number, document in enumerate(known.documents):
        if isinstance(document, dict) and (document.keys() != {"text"} or not isinstance(document["text"], str)):
            raise InvalidRequest(
                "A document is a text, or an object with nothing but its text.", param=f"documents[{number}]"
            )
    again = (len(known.query.encode()) + DOCUMENT_TOKENS) * len(known.documents)
    return _request(fields, known.model, input_extra=again)


def message(body: bytes) -> Request:
    """Anthropic's messages."""
    made = message_count(body)
    if made.max_tokens is None:
        raise InvalidRequest("This parameter is required.", param="max_tokens")
    return msgspec.structs.replace(made, choices=1, stream=made.fields.get("stream") is True)


def message_count(body: bytes) -> Request:
    """How many tokens a messages request would be: counted, not answered."""
    fields, known = wire.read(body, _messages)
    _check_stateless(fields)
    shows = False
    for number, turn in enumerate(known.messages):
        shows = _check_blocks(turn.content, MESSAGE_BLOCKS, f"messages[{number}].content") or shows
    _check_blocks(known.system, frozenset(("text",)), "system")
    if any(tool.get("type", "custom") != "custom" for tool in known.tools or ()):
        raise InvalidRequest("Only tools that the client runs are supported.", param="tools")
    _check_blocks([{**tool, "type": "custom"} for tool in known.tools or ()], frozenset(("custom",)), "tools")
    named = (known.metadata or {}).get("user_id")
    made = _request(fields, known.model, wants_usage=True, max_tokens=known.max_tokens)
    return msgspec.structs.replace(made, end_user=named if type(named) is str else None, shows=shows)


def response(body: bytes) -> Request:
    """OpenAI's responses, without what would have to be remembered between two of them."""
    fields, known = wire.read(body, _responses)
    _check_stateless(fields)
    shows = _check_blocks(known.input, ITEMS, "input")
    if any(str(tool.get("type")) not in wire.TOOLS for tool in known.tools or ()):
        raise InvalidRequest("Only tools that the client runs are supported.", param="tools")
    made = _request(fields, known.model, stream=known.stream, wants_usage=True, max_tokens=known.max_output_tokens)
    return msgspec.structs.replace(made, choices=1, shows=shows)


def _request(
    fields: dict[str, Any],
    model: str,
    *,
    stream: bool | None = None,
    wants_usage: bool = False,
    max_tokens: int | None = None,
    choices: int = 0,
    input_extra: int = 0,
) -> Request:
    return Request(
        model=model,
        stream=bool(stream),
        wants_usage=wants_usage,
        max_tokens=max_tokens,
        choices=choices,
        input_extra=input_extra + (TOOLS_TOKENS if "tools" in fields else 0),
        stores=fields.pop("store", None) is True,
        end_user=wire.take_personal(fields),
        fields=fields,
    )


def _check_stateless(fields: dict[str, Any]) -> None:
    for name in STATEFUL:
        if fields.get(name):
            raise InvalidRequest("Nothing is remembered between requests, so this is not supported.", param=name)


def _check_blocks(content: Any, known: frozenset[str], param: str) -> bool:
    """Only text, pictures and calls, at every depth; and no order to a provider to keep a cache for longer than it must.
    Returns whether there are pictures."""
    if not isinstance(content, list):
        return False
    shows = False
    for block in content:
        if not isinstance(block, dict) or str(block.get("type", "message")) not in known:
            raise InvalidRequest("Only text, pictures and tools that the client runs are supported.", param=param)
        shows = shows or block.get("type") in KINDS
        cache = block.get("cache_control")
        if cache is not None and (not isinstance(cache, dict) or cache.get("ttl", "5m") != "5m"):
            raise InvalidRequest("A provider's cache may be asked for five minutes only.", param=param)
        for name in ("content", "output", "summary"):
            shows = _check_blocks(block.get(name), known, param) or shows
    return shows


_IMAGES: dict[str, Any] = {"part": "image_nano", "counts": "images", "kept": media.without_images}
_HEARD: dict[str, Any] = {
    **{"part": "audio_nano", "counts": "seconds"},
    **{"takes_form": True, "answers": (JSON, media.TEXT)},
}
CHAT = Surface(
    *("chat", "/v1/chat/completions", wire.parse, ("messages",)),
    says="A chat completion, in OpenAI's dialect",
    reads=wire.Known,
    streams=True,
)
MESSAGES = Surface(
    *("messages", "/v1/messages", message, ("system", "messages"), ANTHROPIC),
    says="A message, in Anthropic's dialect",
    reads=Messages,
    streams=True,
)
ALL: Iterable[Surface] = (
    CHAT,
    Surface(
        *("completions", "/v1/completions", completion, ("prompt",)),
        says="A completion of a text, in OpenAI's dialect",
        reads=Completion,
        streams=True,
    ),
    Surface(
        *("responses", "/v1/responses", response, ("instructions", "input"), RESPONSES),
        says="A response, in OpenAI's dialect, of which nothing is remembered",
        reads=Responses,
        streams=True,
    ),
    Surface(
        *("embeddings", "/v1/embeddings", embedding, ("input",)),
        says="Vectors of texts",
        reads=Embedding,
        repeats=True,
    ),
    Surface(
        *("moderations", "/v1/moderations", moderation, ("input",)),
        says="What a text is judged to be",
        reads=Moderation,
        repeats=True,
    ),
    Surface(
        *("rerank", "/v1/rerank", rerank, ("query", "documents")),
        says="Documents by nearness to a query",
        reads=Rerank,
        repeats=True,
    ),
    Surface(
        *("images", "/v1/images/generations", media.images, ("prompt",)),
        says="Images from a text",
        reads=media.Images,
        **_IMAGES,
    ),
    Surface(
        *("edits", "/v1/images/edits", media.edits, ("prompt",)),
        says="Images from pictures, a mask and a text",
        reads=form_bodies.Edit,
        takes_form=True,
        **_IMAGES,
    ),
    Surface(
        *("variations", "/v1/images/variations", media.variations, ()),
        says="Images like a picture",
        reads=form_bodies.Variation,
        takes_form=True,
        **_IMAGES,
    ),
    Surface(
        *("transcriptions", "/v1/audio/transcriptions", media.transcription, ("prompt",)),
        says="What is said in a recording",
        reads=form_bodies.Transcribed,
        streams=True,
        **_HEARD,
    ),
    Surface(
        *("translations", "/v1/audio/translations", media.translation, ("prompt",)),
        says="What is said in a recording, in English",
        reads=form_bodies.Recording,
        **_HEARD,
    ),
    Surface(
        *("speech", "/v1/audio/speech", media.speech, ("input", "instructions")),
        says="A text, spoken",
        reads=media.Speech,
        answers=(*media.SOUNDS.values(), media.UNKNOWN_SOUND),
        streams=True,
        part="audio_nano",
        counts="characters",
    ),
    MESSAGES,
    Surface(
        *("count_tokens", "/v1/messages/count_tokens", message_count, (), ANTHROPIC),
        says="How many tokens a message would be; free",
        reads=Messages,
        bills=False,
    ),
)
BY_PATH = {surface.path: surface for surface in ALL}
