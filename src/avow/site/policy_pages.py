"""Routes of the published policy: its sentences with what the last checks found, its versions and what changed in them,
the data map, the processors, the operator's terms, and the same for programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import MediaType, Response, get
from litestar.datastructures import State
from litestar.params import FromPath, QueryParameter

from avow.policy import Policy, render
from avow.policy.periods import minute
from avow.privacy import versions
from avow.privacy.versions import Version
from avow.registers.documents import Event, history
from avow.site import registers, sentences, signed_policy
from avow.site.differences import marked
from avow.site.layout import Site, page
from avow.site.reader import Reading
from avow.site.sentences import Sentence
from avow.site.words import LOCALES, translate

CHANGES_PER_PAGE = 20

Before = Annotated[int | None, QueryParameter(name="before", ge=1, le=2**31 - 1)]


@dataclass(frozen=True, slots=True)
class Shown:
    """A sentence as the page shows it. `verdict`: of evidence, `awaited`, `example`, or None where none belongs to it."""

    id: str
    text: str
    verdict: str | None = None
    at: str = ""


@get("/privacy", include_in_schema=False)
async def privacy(state: State, reader: Reading) -> Response[str]:
    """The policy in force, sentence by sentence, each with what the last check found."""
    site: Site = state.site
    policy, chosen = reader.policy, reader.locale
    async with site.database.begin() as c:
        now, coming = await versions.one(c, policy.version), await versions.upcoming(c)
    held = await site.documents()
    shown = [_shown(each, chosen) for each in await sentences.assessed(site, policy, now.in_force_at)]
    whole = render(policy, chosen, site.installed, held)
    return page(
        *(site, "privacy.html", reader),
        groups=grouped(shown, chosen),
        page=whole,
        stale_own=chosen in whole.stale,
        stale_others=_languages([each for each in whole.stale if each != chosen], chosen),
        version=now.number,
        since=minute(now.in_force_at or now.effective_at, chosen),
        upcoming=[(each.number, minute(each.effective_at, chosen)) for each in coming],
        proved=sum(each.verdict == "proved" for each in shown),
        count=len(shown),
        all_held=all(each.verdict in sentences.HELD for each in shown),
        first_round=any(each.verdict == "awaited" for each in shown),
    )


@get("/privacy/{number:int}", include_in_schema=False)
async def version(state: State, number: FromPath[int], reader: Reading) -> Response[str]:
    """One published version, as it read then."""
    site: Site = state.site
    chosen = reader.locale
    async with site.database.begin() as c:
        found = await versions.one(c, number)
        now, coming = await versions.current(c), await versions.upcoming(c)
    held = await site.documents()
    shown = [Shown(each.clause, each.text) for each in found.sentences(chosen, site.installed, held)]
    return page(
        *(site, "version.html", reader),
        groups=grouped(shown, chosen),
        version=_version(found, now, coming, chosen),
        is_current=found.number == now.number,
    )


@get("/privacy/changes", include_in_schema=False)
async def changes(state: State, reader: Reading, before: Before = None) -> Response[str]:
    """The versions, newest first, each with the sentences that read otherwise than in the one before."""
    site: Site = state.site
    chosen = reader.locale
    async with site.database.begin() as c:
        found = await versions.listed(c, CHANGES_PER_PAGE + 1, before)
        now, coming, events = await versions.current(c), await versions.upcoming(c), await history(c)
    held = await site.documents()
    told = [
        {**_version(new, now, coming, chosen), "rewordings": _rewordings(site, held, old, new, chosen)}
        for new, old in zip(found, [*found[1:], None], strict=True)
    ][:CHANGES_PER_PAGE]
    older = found[CHANGES_PER_PAGE - 1].number if len(found) > CHANGES_PER_PAGE else None
    behind = [] if before is not None else _became(reader.policy, events, chosen)
    return page(site, "changes.html", reader, versions=told, older=older, behind=behind)


@get("/privacy/data", include_in_schema=False)
async def data(state: State, reader: Reading) -> Response[str]:
    """Every kind of data: what it is, why, how long, where, who else."""
    site: Site = state.site
    chosen = reader.locale
    rows = registers.data_map(reader.policy, site.installed, chosen) + registers.places(site.places, chosen)
    return page(site, "register.html", reader, about="data", rows=rows)


@get("/privacy/processors", include_in_schema=False)
async def processors(state: State, reader: Reading) -> Response[str]:
    """Every outside party that may get data, and whether it is connected."""
    site: Site = state.site
    rows = registers.processors(reader.policy, await site.connected(), reader.locale)
    return page(site, "register.html", reader, about="processors", rows=rows)


@get("/terms", include_in_schema=False)
async def terms(state: State, reader: Reading) -> Response[str]:
    """The operator's terms of use, of the same version as the policy."""
    site: Site = state.site
    part = reader.policy.parts.get(f"terms.{reader.locale}")
    blocks = [] if part is None else registers.paragraphs(str(part.values["text"]))
    return page(site, "terms.html", reader, blocks=blocks, number=reader.policy.version)


@get("/.well-known/avow-policy.json", include_in_schema=False, media_type=MediaType.JSON)
async def policy_json(state: State) -> Response[bytes]:
    """The policy for programs, signed."""
    site: Site = state.site
    held = await site.documents()
    document = signed_policy.of(site.policy, site.installed, held, site.signer, site.base_url, site.clock.now())
    return Response(document, media_type=MediaType.JSON, headers={"cache-control": "no-cache"})


ROUTES = (privacy, version, changes, data, processors, terms, policy_json)


def _shown(one: Sentence, locale: str) -> Shown:
    return Shown(one.clause.id, one.text(locale), one.verdict, minute(one.at, locale) if one.at else "")


def grouped(shown: Sequence[Any], locale: str) -> list[dict[str, Any]]:
    """Sentences (whatever has an `id`) below their headings; within the data, below each kind."""
    texts = {each.id: each for each in shown}
    found: list[dict[str, Any]] = []
    for group in registers.groups(texts):
        if not found or found[-1]["name"] != group.name:
            found.append({"name": group.name, "title": translate(locale, f"section_{group.name}"), "kinds": []})
        title = translate(locale, f"category_{group.category}") if group.category else None
        found[-1]["kinds"].append({"title": title, "sentences": [texts[id] for id in group.clauses]})
    return found


def _version(one: Version, now: Version, coming: Sequence[Version], locale: str) -> dict[str, Any]:
    """A version's number, dates and state in words."""
    if one.in_force_at is not None:
        word = "version_since" if one.number == now.number else "version_came"
        state = translate(locale, word).format(time=minute(one.in_force_at, locale))
    elif one.number in {each.number for each in coming}:
        state = translate(locale, "version_waits").format(time=minute(one.effective_at, locale))
    else:
        state = translate(locale, "version_replaced")
    return {
        "number": one.number,
        "state": state,
        "published": translate(locale, "version_published").format(time=minute(one.published_at, locale)),
        "is_current": one.number == now.number,
        "hash": one.hash,
    }


def _rewordings(
    site: Site, held: frozenset[str], old: Version | None, new: Version, locale: str
) -> list[dict[str, Any]] | None:
    """What reads otherwise, piece by piece; None for the first version."""
    if old is None:
        return None
    return [
        {
            "clause": each.clause,
            "kind": "added" if each.old is None else "removed" if each.new is None else "reworded",
            "pieces": marked(each.old or "", each.new or "", locale),
        }
        for each in versions.rewordings(old, new, locale, site.installed, held)
    ]


def _became(policy: Policy, events: Sequence[Event], locale: str) -> list[dict[str, Any]]:
    """What documents let stand on the page, or not any more, with the sentences that name each."""
    texts: dict[str, list[str]] = {}
    for clause in policy.clauses:
        if clause.evidence:
            texts.setdefault(clause.evidence, []).append(clause.zh if locale == "zh" else clause.en)
    return [
        {
            "at": minute(each.at, locale),
            "state": "proved" if each.became == "valid" else "failed",
            "became": translate(locale, f"document_{each.became}"),
            "sentences": texts[each.name],
        }
        for each in events
        if each.name in texts
    ]


def _languages(locales: Sequence[str], locale: str) -> str:
    names = {"en": ("English", "英文"), "zh": ("Chinese", "中文")}
    return ", ".join(names[each][LOCALES.index(locale)] for each in locales)
