"""Filters: what the policy has searched for in what goes to a model and in what comes back, and what then happens.

A rule of the policy (`[filter.NAME]`) blocks, takes a piece out, or notes it. The pieces that it found are counted; no text
of them is kept. Personal data can be replaced by placeholders that are held in memory as long as the request runs, so that
the model never sees what the answer has back. Where the policy names no filter nothing here is called.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from avow.base.errors import AvowError, BadInput
from avow.gateway import personal, written
from avow.gateway.asking import Judge
from avow.gateway.personal import Span
from avow.gateway.refusals import InvalidRequest
from avow.gateway.written import Plain
from avow.policy import Policy, patterns

Stage = Literal["prompt", "image", "upload", "output"]
Action = Literal["block", "redact", "flag"]

PLACEHOLDERS_MAX = 1000
_TOKEN = re.compile(rf"<(?:{'|'.join(personal.KINDS).upper()})_[0-9]{{1,4}}>")
TOKEN_CHARS_MAX = 16
_SEARCHES = ("words", "patterns", "hashes", "personal")

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


class TooMuchPersonal(BadInput):
    """The request holds more different pieces of personal data than this service keeps out of a model's sight at once."""

    code = "too_much_personal_data"
    hint = f"Send it in parts: at most {PLACEHOLDERS_MAX} different pieces stand in one request."


class Hit(NamedTuple):
    """What a filter found on the way in or out, and what was done. `score`: how many pieces, in all texts that were searched;
    where it blocks those up to there, and 1 for a model's word."""

    filter: str
    stage: Stage
    kind: str
    action: Action
    score: int


class Passage(NamedTuple):
    """A text that is searched from `begin` on; what stands before was searched, and is there for what borders on it.
    `within_json`: it is part of a text that is JSON."""

    text: str
    begin: int = 0
    within_json: bool = False


class Change(NamedTuple):
    """A piece of a text and what stands there instead."""

    start: int
    end: int
    instead: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A filter that the policy writes out: patterns, digests of whole texts, and personal data known by its form.

    `restores`: what it takes out of a request comes back in the answer.
    """

    name: str
    finds: str
    stages: frozenset[str]
    action: Action
    restores: bool
    searched: tuple[Any, ...]
    hashes: frozenset[str]
    personal: frozenset[str]

    def check(self, text: str, begin: int = 0) -> Sequence[Span]:
        """The pieces that it finds, from left to right, none within another, those that begin before `begin` left out. Takes
        time in proportion to the text."""
        if self.hashes and digest(text) in self.hashes:
            return [Span(0, len(text), "text")]
        found = personal.find(text, self.personal, begin) if self.personal else []
        for pattern in self.searched:
            pieces = pattern.finditer(text, begin)
            found += [Span(each.start(), each.end(), "text") for each in pieces if each.end() > each.start()]
        return personal.apart(found)

    def check_written(self, passage: Passage, plain: Plain | None) -> Sequence[Span]:
        """As `check`, in a text and in what it says without its escapes."""
        found = self.check(passage.text, passage.begin)
        if plain is None:
            return found
        told = [
            Span(plain.raw(each.start), plain.raw(each.end), each.kind)
            for each in self.check(plain.text, plain.place(passage.begin))
        ]
        starts = [each.start for each in told]
        # What is said goes before what is written: an escape must not be cut.
        apart = [each for each in found if not _overlaps(each, told, bisect_left(starts, each.end) - 1)]
        return personal.apart([*told, *apart])


class Filters:
    """All filters of a policy, in its order; `judges` are those that ask a model."""

    def __init__(self, filters: Iterable[Rule], judges: Iterable[Judge] = ()) -> None:
        every, self.judges = list(filters), tuple(judges)
        self.at: Mapping[Stage, tuple[Rule, ...]] = {
            stage: tuple(each for each in every if stage in each.stages) for stage in get_args(Stage)
        }


def build(policy: Policy) -> Filters | None:
    """The filters that a policy writes out; None: there is none."""
    parts = policy.named("filter")
    rules = [_rule(part.name, part.values) for part in parts if any(map(part.values.get, _SEARCHES))]
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
        """A request as a model may see it. Raises ContentBlocked, TooMuchPersonal, and InvalidRequest for what cannot be
        searched."""
        if self._filters.at["prompt"] or self._filters.judges:
            for name in said_in:
                if _has_tokens(fields.get(name)):
                    raise InvalidRequest("Texts are searched here, so tokens are not taken; send text.", param=name)
        if self._filters.at["output"] and fields.get("logprobs"):
            raise InvalidRequest("Answers are searched here, so they are not given token by token.", param="logprobs")
        found: Counter[str] = Counter()
        made: dict[str, Any] = self._mapped("prompt", fields, found)
        return made

    def images(self, given: Iterable[frozenset[str]]) -> None:
        """Images of a request, each by the SHA-256 of its bytes as they came and as they go on. Raises ContentBlocked."""
        rules, found = self._filters.at["image"], Counter[str]()
        for known in given if rules else ():
            for each in rules:
                if not known.isdisjoint(each.hashes):
                    found[each.name] += 1
                    self.note(Hit(each.name, "image", each.finds, each.action, found[each.name]))

    def upload(self, said: str) -> None:
        """A file of lines that would be kept, each of which is searched. Raises ContentBlocked."""
        found: Counter[str] = Counter()
        for line in said.split("\n") if self._filters.at["upload"] else ():
            self.changes("upload", Passage(line), found)

    def answer(self, body: bytes) -> bytes:
        """A whole answer as it may be delivered, placeholders in it. Raises ContentBlocked."""
        if not self._filters.at["output"]:
            return body
        given = _decode(body)
        made = self._mapped("output", given, Counter())
        return body if made == given else _encode(made)

    def restored(self, body: bytes) -> bytes:
        """A whole answer with what stood behind the placeholders."""
        return _encode(written.mapped(_decode(body), self.restore)) if self._originals else body

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

    def changes(
        self, stage: Stage, passage: Passage, found: Counter[str], counted: dict[str, int] | None = None
    ) -> list[Change]:
        """What to change in a passage, from left to right, none within another. Raises ContentBlocked and TooMuchPersonal.

        `found` adds up by filter the pieces of the texts that are searched together; `counted` says by filter up to where
        this text was counted when it was searched before.
        """
        made: list[Change] = []
        text = passage.text
        plain = written.plain(text, passage.within_json or written.is_json(text))
        for each in self._filters.at[stage]:
            spans = each.check_written(passage, plain)
            if not spans:
                continue
            self._count(each, stage, spans, found, {} if counted is None else counted)
            if each.action == "redact":
                made += [Change(span.start, span.end, self._instead(each, stage, span, text)) for span in spans]
        return personal.apart(made)

    def _count(
        self, rule: Rule, stage: Stage, spans: Sequence[Span], found: Counter[str], counted: dict[str, int]
    ) -> None:
        found[rule.name] += sum(span.start >= counted.get(rule.name, 0) for span in spans)
        counted[rule.name] = spans[-1].end
        known = self.hits.get((rule.name, stage))
        # The whole answer comes after the stream whose pieces were counted already.
        score = max(found[rule.name], known.score if known else 0)
        self.note(Hit(rule.name, stage, rule.finds, rule.action, score))

    def note(self, hit: Hit) -> None:
        """Put on record what was found. Raises ContentBlocked for what must not go on."""
        self.hits[hit.filter, hit.stage] = hit
        if hit.action == "block":
            raise ContentBlocked(hit.filter)

    def told(self, passage: Passage, found: Counter[str], counted: dict[str, int] | None = None) -> list[Change]:
        """What to change in a piece of an answer before it is delivered: the findings, and placeholders to give back. Else as
        `changes`."""
        made = self.changes("output", passage, found, counted)
        if self._originals:
            known = (token for token in _TOKEN.finditer(passage.text, passage.begin) if token[0] in self._originals)
            made += [Change(*token.span(), self._originals[token[0]]) for token in known]
        return personal.apart(made)

    def _mapped(self, stage: Stage, value: Any, found: Counter[str]) -> Any:
        return written.mapped(value, lambda text: changed(text, self.changes(stage, Passage(text), found)))

    def _instead(self, each: Rule, stage: Stage, span: Span, text: str) -> str:
        if not each.restores or stage != "prompt":
            return f"[{span.kind if span.kind != 'text' else each.finds}]"
        name = (span.kind, text[span.start : span.end])
        if name not in self._tokens:
            if len(self._tokens) >= PLACEHOLDERS_MAX:
                raise TooMuchPersonal
            number = sum(kind == span.kind for kind, _ in self._tokens) + 1
            token = self._tokens[name] = f"<{span.kind.upper()}_{number}>"
            self._originals[token] = name[1]
        return self._tokens[name]


def changed(text: str, changes: Sequence[Change]) -> str:
    """A text with `changes`, which stand from left to right."""
    made, at = [], 0
    for each in changes:
        made += [text[at : each.start], each.instead]
        at = each.end
    return "".join([*made, text[at:]]) if made else text


def _overlaps(span: Span, others: Sequence[Span], number: int) -> bool:
    return number >= 0 and others[number].end > span.start


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
