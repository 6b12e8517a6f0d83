"""Filters: what the policy has searched for in what goes to a model and in what comes back, and what then happens.

A rule of the policy (`[filter.NAME]`) blocks, takes a piece out, or notes it. What it found is counted by its kind; no text
leaves the request. Personal data can be replaced by placeholders that are held in memory as long as the request runs, so that
the model never sees what the answer has back. Where the policy names no filter nothing here is called.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from avow.base.errors import AvowError
from avow.gateway import personal
from avow.gateway.asking import Judge
from avow.gateway.personal import Span
from avow.gateway.refusals import InvalidRequest
from avow.policy import Policy, patterns

Stage = Literal["prompt", "output"]
Action = Literal["block", "redact", "flag"]

PLACEHOLDERS_MAX = 1000
FRAME = frozenset(
    (
        *("role", "type", "id", "object", "model", "index", "status", "finish_reason", "stop_reason", "created"),
        *("tool_call_id", "tool_use_id", "call_id", "item_id", "system_fingerprint", "service_tier", "signature"),
    )
)
"""Fields that hold no words of anybody."""
_TOKEN = re.compile(r"<(?:EMAIL|PHONE|CARD|IBAN|IP)_[0-9]{1,4}>")
TOKEN_CHARS_MAX = 16

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class ContentBlocked(AvowError):
    """A filter of this service refused this."""

    status = 403
    code = "content_blocked"
    hint = (
        "What was not delivered is not charged. GET /api/filter/decisions lists what filters decided about your requests; a "
        "person looks at it again when you ask there."
    )

    def __init__(self, name: str) -> None:
        super().__init__(f"A filter of this service refused this (clause filter.{name}).")


class Hit(NamedTuple):
    """What a filter found in a request: how many pieces of which kind, and what was done."""

    filter: str
    stage: Stage
    kind: str
    action: Action
    score: int


class Change(NamedTuple):
    """A piece of a text and what stands there instead."""

    start: int
    end: int
    instead: str


class Filter(Protocol):
    """Looks at texts. `restores`: what it takes out of a request comes back in the answer."""

    @property
    def name(self) -> str: ...

    @property
    def finds(self) -> str: ...

    @property
    def stages(self) -> frozenset[str]: ...

    @property
    def action(self) -> Action: ...

    @property
    def restores(self) -> bool: ...

    def check(self, stage: Stage, text: str) -> Sequence[Span]:
        """The pieces that it finds, from left to right, none within another. Takes time in proportion to the text."""
        ...


@dataclass(frozen=True, slots=True)
class Rule:
    """A filter that the policy writes out: patterns, digests of whole texts, and personal data known by its form."""

    name: str
    finds: str
    stages: frozenset[str]
    action: Action
    restores: bool
    searched: tuple[Any, ...]
    hashes: frozenset[str]
    personal: frozenset[str]

    def check(self, stage: Stage, text: str) -> Sequence[Span]:
        """See Filter."""
        if self.hashes and digest(text) in self.hashes:
            return [Span(0, len(text), "text")]
        found = personal.find(text, self.personal) if self.personal else []
        for pattern in self.searched:
            found += [
                Span(each.start(), each.end(), "text") for each in pattern.finditer(text) if each.end() > each.start()
            ]
        return personal.apart(found)


class Filters:
    """All filters of a policy, in its order; `judges` are those that ask a model."""

    def __init__(self, filters: Iterable[Filter], judges: Iterable[Judge] = ()) -> None:
        every, self.judges = list(filters), tuple(judges)
        self.at: Mapping[Stage, tuple[Filter, ...]] = {
            stage: tuple(each for each in every if stage in each.stages) for stage in ("prompt", "output")
        }


def build(policy: Policy) -> Filters | None:
    """The filters that a policy writes out; None: there is none."""
    parts = policy.named("filter")
    rules = [_rule(part.name, part.values) for part in parts]
    judges = [_judge(part.name, part.values) for part in parts if "asks" in part.values]
    return Filters(rules, judges) if parts else None


def digest(text: str) -> str:
    """How a whole text is known by its hash: in small letters, with single spaces between its words."""
    return hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()


class Search:
    """One request on its way through the filters. `hits` is what they found; what stood behind placeholders dies with it."""

    __slots__ = ("_filters", "_originals", "_tokens", "hits")

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self._originals: dict[str, str] = {}
        self._tokens: dict[tuple[str, str], str] = {}
        self.hits: dict[tuple[str, Stage], Hit] = {}

    def prompt(self, fields: Mapping[str, Any], said_in: Iterable[str]) -> dict[str, Any]:
        """A request as a model may see it. Raises ContentBlocked, and InvalidRequest for what cannot be searched."""
        if self._filters.at["prompt"]:
            for name in said_in:
                if _has_tokens(fields.get(name)):
                    raise InvalidRequest("Texts are searched here, so tokens are not taken; send text.", param=name)
        if self._filters.at["output"] and fields.get("logprobs"):
            raise InvalidRequest("Answers are searched here, so they are not given token by token.", param="logprobs")
        return {name: value if name in FRAME else self._mapped("prompt", value) for name, value in fields.items()}

    def answer(self, body: bytes) -> bytes:
        """A whole answer as it may be delivered, placeholders in it. Raises ContentBlocked."""
        if not self._filters.at["output"]:
            return body
        given = _decode(body)
        made = self._mapped("output", given)
        return body if made == given else _encode(made)

    def restored(self, body: bytes) -> bytes:
        """A whole answer with what stood behind the placeholders."""
        return _encode(mapped(_decode(body), self.restore)) if self._originals else body

    def restore(self, text: str) -> str:
        """A text with what stood behind the placeholders."""
        return _TOKEN.sub(lambda token: self._originals.get(token[0], token[0]), text) if self._originals else text

    @property
    def watches(self) -> bool:
        """Whether an answer has to be looked at piece by piece."""
        return bool(self._filters.at["output"] or self._originals)

    @property
    def looks_at_answers(self) -> bool:
        return bool(self._filters.at["output"])

    def changes(self, stage: Stage, text: str) -> list[Change]:
        """What to change in a text, from left to right, none within another. Raises ContentBlocked."""
        found: list[Change] = []
        for each in self._filters.at[stage]:
            spans = each.check(stage, text)
            if not spans:
                continue
            known = self.hits.get((each.name, stage))
            score = max(len(spans), known.score if known else 0)
            self.note(Hit(each.name, stage, each.finds, each.action, score))
            if each.action == "redact":
                found += [Change(span.start, span.end, self._instead(each, stage, span, text)) for span in spans]
        return _apart(found)

    def note(self, hit: Hit) -> None:
        """Put on record what was found. Raises ContentBlocked for what must not go on."""
        self.hits[hit.filter, hit.stage] = hit
        if hit.action == "block":
            raise ContentBlocked(hit.filter)

    def told(self, text: str) -> list[Change]:
        """What to change in a piece of an answer before it is delivered: the findings, and placeholders to give back."""
        found = self.changes("output", text)
        if self._originals:
            known = (token for token in _TOKEN.finditer(text) if token[0] in self._originals)
            found += [Change(*token.span(), self._originals[token[0]]) for token in known]
        return _apart(found)

    def _mapped(self, stage: Stage, value: Any) -> Any:
        return mapped(value, lambda text: changed(text, self.changes(stage, text)))

    def _instead(self, each: Filter, stage: Stage, span: Span, text: str) -> str:
        if not each.restores or stage != "prompt" or len(self._tokens) >= PLACEHOLDERS_MAX:
            return f"[{span.kind if span.kind != 'text' else each.finds}]"
        name = (span.kind, text[span.start : span.end])
        if name not in self._tokens:
            number = sum(kind == span.kind for kind, _ in self._tokens) + 1
            token = self._tokens[name] = f"<{span.kind.upper()}_{number}>"
            self._originals[token] = name[1]
        return self._tokens[name]


def texts(value: Any) -> list[str]:
    """All texts of a JSON value, but for the fields that hold no words."""
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    mapped(value, note)
    return found


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with its texts changed, but for the fields that hold no words."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [mapped(each, change) for each in value]
    if isinstance(value, dict):
        return {name: each if name in FRAME else mapped(each, change) for name, each in value.items()}
    return value


def changed(text: str, changes: Sequence[Change]) -> str:
    """A text with `changes`, which stand from left to right."""
    made, at = [], 0
    for each in changes:
        made += [text[at : each.start], each.instead]
        at = each.end
    return "".join([*made, text[at:]]) if made else text


def _apart(changes: list[Change]) -> list[Change]:
    """From left to right, each behind the one before; of those that begin at one place the first of the list."""
    found: list[Change] = []
    for each in sorted(changes, key=lambda change: change.start):
        if not found or each.start >= found[-1].end:
            found.append(each)
    return found


def _rule(name: str, values: Mapping[str, Any]) -> Rule:
    words: tuple[str, ...] = values.get("words", ())
    texts = (*((patterns.of_words(words),) if words else ()), *values.get("patterns", ()))
    return Rule(
        name=name,
        finds=values["finds"],
        stages=frozenset(values["stages"]),
        action=values["action"],
        restores=bool(values.get("restores")),
        searched=tuple(patterns.compiled(each) for each in texts),
        hashes=frozenset(values.get("hashes", ())),
        personal=frozenset(values.get("personal", ())),
    )


def _judge(name: str, values: Mapping[str, Any]) -> Judge:
    return Judge(name, values["finds"], values["action"], values["asks"], bool(values.get("chats")))


def _has_tokens(value: Any) -> bool:
    """Whether a prompt is given as numbers of tokens, on its own or among others."""
    if not isinstance(value, list):
        return False
    inner = itertools.chain.from_iterable(each if isinstance(each, list) else (each,) for each in value)
    return any(type(each) is int for each in inner)
