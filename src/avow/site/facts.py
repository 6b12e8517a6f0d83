"""What anybody may ask of the public pages as data: the words in which they speak, and what the probes found."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.datastructures import State
from litestar.params import QueryParameter

from avow.policy import words
from avow.proof.evidence import Verdict
from avow.site.field_words import FIELDS
from avow.site.layout import Site
from avow.site.registers import pick
from avow.site.words import LOCALES, WORDS

KINDS = ("category_", "probe_", "verdict_")


class Found(msgspec.Struct):
    """What a probe found last, under the policy in force; older than a day, it is `unproved`."""

    probe: str
    verdict: Verdict
    figure: str
    at: datetime


@get("/api/evidence")
async def read_evidence(state: State) -> list[Found]:
    """What each probe found last, as `/proof` shows it."""
    site: Site = state.site
    return [Found(each.probe, each.verdict, each.figure, each.at) for each in await site.evidence()]


@get("/api/words")
async def read_words(locale: Annotated[Literal["en", "zh"], QueryParameter()] = "en") -> dict[str, str]:
    """What categories, purposes, fields, staff roles, probes and verdicts are called in a language."""
    place = LOCALES.index(locale)
    return {
        **{name: said[place] for name, said in WORDS.items() if name.startswith(KINDS)},
        **{f"field_{name}": said[place] for name, said in FIELDS.items()},
        **{f"purpose_{name}": pick(word, locale) for name, word in words.PURPOSES.items()},
        **{f"role_{name}": pick(word, locale) for name, word in words.STAFF.items()},
    }


ROUTES = (read_evidence, read_words)
