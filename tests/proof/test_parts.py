"""Parts that are there: what they publish has code behind it and a probe before it, and the probes see what they are for."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator

import pytest

from avow import app, catalog, settings
from avow.gateway.scripted import Script
from avow.policy import parse, published
from avow.policy.words import AWAITED
from avow.proof import probes
from avow.site.words import WORDS
from tests.platform import Platform
from tests.upstream import Upstream, scripted_platform

PROFILES = sorted(settings.profiles())
NAMES = (
    *("part_api", "part_opt_out", "part_self_service", "part_staff", "part_backups", "part_rights", "part_consents"),
    *("part_age_gate", "part_notices", "part_acceptance", "part_cache", "part_filter", "part_cookies"),
)


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Platform, Upstream]]:
    """A platform that keeps content unasked, lets people refuse it, and delete it item by item."""
    with scripted_platform(app.policy_text("infiner")) as made:
        yield made


@pytest.fixture
def target(both: tuple[Platform, Upstream]) -> Platform:
    return both[0]


def verdicts(platform: Platform, *names: str) -> dict[str, tuple[str, str]]:
    lines = platform.cli("verify", "--json", *names, check=False).stdout.splitlines()
    return {row["probe"]: (row["verdict"], row["figure"]) for row in map(json.loads, lines)}


def exists(module: str) -> bool:
    try:
        return importlib.import_module(f"avow.{module}") is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("name", PROFILES)
def test_every_published_sentence_has_code_that_makes_it_true_and_a_probe(name: str) -> None:
    policy = parse(app.policy_text(name), name)
    installed = frozenset(catalog.parts()) | {"tls"}
    documents = frozenset(str(clause.evidence) for clause in policy.clauses if clause.evidence)
    silent = [
        clause.id
        for clause in published(policy, installed, documents)
        if not (clause.probes and set(clause.probes) <= set(probes.ALL))
        or not (catalog.controls(clause) and all(exists(module) for module in catalog.controls(clause)))
    ]
    assert silent == []
    assert len(published(policy, installed, documents)) > 40


def test_every_part_has_a_probe_that_is_explained() -> None:
    built = {name for name in probes.ALL if name in AWAITED}
    assert {part.probe for part in catalog.parts().values()} == built
    assert all(f"probe_{name}" in WORDS for name in probes.ALL)


def test_a_part_that_the_language_does_not_know_or_without_code_is_refused() -> None:
    with pytest.raises(catalog.Undeclared, match="teleport"):
        catalog.part("teleport", controls=["gateway.completion"])
    with pytest.raises(catalog.Undeclared, match="controls"):
        catalog.part("grace", controls=[])
    assert not {"teleport", "grace"} & set(catalog.parts())


def test_the_parts_of_a_sound_platform_are_proved(target: Platform) -> None:
    found = verdicts(target, *NAMES, "part_erasure")
    assert {verdict for verdict, _ in found.values()} == {"proved"}, found


@pytest.mark.parametrize(
    ("probe", "fault", "mended", "words"),
    [
        ("part_self_service", "CREATE RULE keep AS ON DELETE TO trace DO INSTEAD NOTHING",
         "DROP RULE keep ON trace", "still stored: True"),
        ("part_staff", "CREATE RULE unsaid AS ON INSERT TO audit DO INSTEAD NOTHING",
         "DROP RULE unsaid ON audit", "0 lines"),
        ("part_backups", "INSERT INTO backup_folder (id, path, made_at, ends_at, reachable) VALUES "
         "(gen_random_uuid(), '/nowhere', now() - interval '90 days', now() - interval '60 days', false)",
         "DELETE FROM backup_folder", "outlived"),
    ],
)  # fmt: skip
def test_a_part_that_does_not_work_is_found(target: Platform, probe: str, fault: str, mended: str, words: str) -> None:
    target.sql(fault)
    try:
        verdict, figure = verdicts(target, probe)[probe]
    finally:
        target.sql(mended)
    assert verdict == "failed" and words in figure


def test_an_api_that_does_not_answer_is_found(both: tuple[Platform, Upstream]) -> None:
    platform, upstream = both
    upstream.answer(Script(status=500))
    try:
        verdict, figure = verdicts(platform, "part_api")["part_api"]
    finally:
        upstream.answer(Script())
    assert (verdict, "502" in figure) == ("failed", True), figure
