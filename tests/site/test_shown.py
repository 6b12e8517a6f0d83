"""What the pages show: all of one version, also where the process has not heard of the next, and whether all of it holds."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from avow.accounts.surface import AnyRequest
from avow.base.clock import FileClock
from avow.policy import Policy, parse, published, render
from avow.policy.periods import minute
from avow.privacy import versions
from avow.proof import evidence
from avow.proof.evidence import Evidence, Verdict
from avow.proof.log import Log
from avow.proof.receipts import Receipts
from avow.site import pages
from avow.site.layout import Site
from avow.site.reader import Reader
from avow.site.words import translate
from avow.vault import Ring
from tests.conftest import Databases
from tests.platform import policy_text

SITE = "https://avow.example"
BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST = policy_text()
SECOND = policy_text(("version = 1", "version = 2"), ('keep = "12 months"', 'keep = "6 months"'))
POLICY = "/.well-known/avow-policy.json"
NONE: frozenset[str] = frozenset()


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    made = Ring(tmp_path / "home" / "keyring" / "ring.db")
    yield made
    made.close()


@pytest.fixture
async def shown(database: Databases, ring: Ring, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Answers of a process under version 1."""
    policy, clock = parse(FIRST), FileClock(tmp_path / "clock")
    async with database.keeper.begin() as c:
        await versions.begin(c, policy, FIRST, BEGUN)
    served = app(site(database, ring, Log(tmp_path / "home", ring, SITE), clock, policy))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url=SITE) as made:
        yield made


@pytest.fixture
async def late(shown: httpx.AsyncClient, database: Databases) -> httpx.AsyncClient:
    """The same with evidence, where the database has had version 2 for a moment."""
    old, now = parse(FIRST), datetime.now(UTC)
    async with database.keeper.begin() as c:
        await evidence.record(c, Evidence("sums", "proved", "of the old", now, 1), old.hash)
        new = parse(SECOND)
        await versions.publish(c, new, SECOND, now, now, "system:test", material=True)
        await versions.enforce(c, new.version, now)
        await evidence.record(c, Evidence("sums", "failed", "of the new", now, 1), new.hash)
    return shown


def site(database: Databases, ring: Ring, log: Log, clock: FileClock, held: Policy) -> Site:
    async def found(policy_hash: str) -> Sequence[Evidence]:
        async with database.app.begin() as c:
            return await evidence.latest(c, policy_hash, clock.now())

    async def documents() -> frozenset[str]:
        return NONE

    async def nothing() -> dict[str, bool]:
        return {}

    async def nobody() -> dict[str, Sequence[str]]:
        return {}

    return Site(
        *("Avow", SITE, "", lambda: held, NONE, Receipts(ring), log, clock, clock.now() - timedelta(days=1)),
        *(database.app, found, nothing, nobody, documents, (), None, Counter, "", Counter()),  # type: ignore[arg-type]
    )


def app(site: Site) -> Litestar:
    def reader(request: AnyRequest) -> Reader:
        asked = request.query_params.get("locale")
        return Reader(site.policy, site.clock.now(), "/", asked, "", {}, gpc=False, secure=True)

    return Litestar(
        pages.ROUTES,
        state=State({"site": site}),
        dependencies={"reader": Provide(reader, sync_to_thread=False)},
        openapi_config=None,
    )


@pytest.mark.parametrize("locale", ["en", "zh"])
async def test_the_policy_page_is_wholly_of_the_version_that_its_process_holds(
    late: httpx.AsyncClient, locale: str
) -> None:
    old = parse(FIRST)
    shown = (await late.get("/privacy", params={"locale": locale})).text
    said = translate(locale, "version_since").format(time=minute(BEGUN, locale))
    assert f"{translate(locale, 'version').format(number=1)} · {said}" in shown
    whole = render(old, locale)
    assert all(sentence.text in html.unescape(shown) for sentence in whole.sentences)
    assert old.hash[:12] in shown and whole.text_hash[:16] in shown
    assert parse(SECOND).hash[:12] not in shown


async def test_what_stands_behind_its_sentences_was_found_under_that_version(late: httpx.AsyncClient) -> None:
    for page in ("/proof", "/api/evidence", "/api/proof/sentences", "/api/proof/sentences/claim.sums"):
        shown = (await late.get(page)).text
        assert "of the old" in shown and "of the new" not in shown, page


async def test_no_program_is_told_of_a_policy_in_force_that_is_not_the_one_served(late: httpx.AsyncClient) -> None:
    told, signed = (await late.get("/api/proof/sentences")).json(), (await late.get(POLICY)).content
    assert told["policy"] == json.loads(signed)["hash"] == parse(FIRST).hash
    # The verifier then looks again, where a leaf about another policy would be a lie.
    assert told["in_force"] is None


@pytest.mark.parametrize("page", ["/privacy", "/proof"])
@pytest.mark.parametrize(
    ("last", "is_held"), [("proved", True), ("attested", True), ("unproved", False), ("failed", False)]
)
async def test_the_count_has_the_colour_of_what_is_proved_only_where_nothing_is_open(
    shown: httpx.AsyncClient, database: Databases, page: str, last: Verdict, is_held: bool
) -> None:
    policy, now = parse(FIRST), datetime.now(UTC)
    names = sorted({probe for clause in published(policy) for probe in clause.probes})
    async with database.keeper.begin() as c:
        for name in names:
            verdict = last if name == names[-1] else "proved"
            await evidence.record(c, Evidence(name, verdict, "", now, 1), policy.hash)
    box = re.findall(r'<p class="([^"]+)" role="status">', (await shown.get(page)).text)
    assert box == ["note held" if is_held else "note"]
