"""The five profiles: every figure is its source's, every row of the source has a clause, and each runs on what is stored.

The expected values are written here by hand from the sources' own words, not read from the profiles.
"""

import csv
import importlib
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from avow import catalog
from avow.policy import Clause, Policy, compile, parse, placeholders, published, words

ROOT = Path(__file__).parents[2]
PROFILES = {
    "infiner": "INF",
    "infer-mesh": "MESH",
    "imaginprompt": "IMG",
    "imagine-trooper": "TRO",
    "deepailab": "LAB",
}
SINCE = datetime(2024, 2, 29, 12, tzinfo=UTC)


def load(name: str) -> Policy:
    return parse((ROOT / "profiles" / f"{name}.toml").read_text(), f"{name}.toml")


POLICIES = {name: load(name) for name in PROFILES}
INF, MESH, IMG, TRO, LAB = POLICIES.values()
EACH = pytest.mark.parametrize("name", PROFILES)


def clause(policy: Policy, id: str) -> Clause:
    (found,) = [clause for clause in policy.clauses if clause.id == id]
    return found


def rule(policy: Policy, practice: str) -> object:
    return policy.parts[f"practice.{practice}"].values["rule"]


def chosen(policy: Policy, *ids: str) -> bool:
    """Whether each is published as the operator's own choice."""
    return all("the operator" in clause(policy, id).en and "运营者" in clause(policy, id).zh for id in ids)


@EACH
def test_it_agrees_with_what_is_stored(name: str) -> None:
    for file in (ROOT / "src" / "avow").glob("*/tables.py"):
        importlib.import_module(f"avow.{file.parent.name}.tables")
    problems = catalog.check(POLICIES[name], frozenset())
    assert [str(problem) for problem in problems if problem.kind == "error"] == []
    assert {problem.path for problem in problems} >= {"features"}


@EACH
def test_each_row_of_the_source_has_a_clause(name: str) -> None:
    with (ROOT / "tests" / "promises" / "rows.tsv").open() as table:
        rows = {
            row["id"] for row in csv.DictReader(table, delimiter="\t") if row["id"].startswith(f"{PROFILES[name]}-")
        }
    assert rows and {row for clause in POLICIES[name].clauses for row in clause.answers} == rows


@EACH
def test_each_sentence_is_whole_in_both_languages(name: str) -> None:
    for found in POLICIES[name].clauses:
        assert re.fullmatch(r"[A-Z][^{}]*\.", found.en), found.en
        assert re.fullmatch(r"[^{}]*。", found.zh), found.zh
        assert not re.search(r"  |,,|,\.|\.\.", found.en), found.en
        assert re.search(r"[\u4e00-\u9fff]", found.zh), found.zh
        assert found.controls and found.probes
        assert set(found.probes) <= {*words.PROBES, *words.AWAITED}


@EACH
def test_both_languages_name_the_same_figures(name: str) -> None:
    for found in POLICIES[name].clauses:
        if found.id.startswith("locale."):
            continue  # a month has a name in one and a number in the other
        en, zh = (sorted(re.findall(r"\d+", text)) for text in (found.en, found.zh))
        assert en == zh, (found.en, found.zh)


@EACH
def test_nothing_of_the_source_company_stands_in_it(name: str) -> None:
    text = "\n".join(clause.en + clause.zh for clause in POLICIES[name].clauses).lower()
    for real in ("infiner", "infermesh", "infer mesh", "imaginprompt", "trooper", "deepailab", "stripe", "cloudflare"):
        assert real not in text
    found = {one.path for one in placeholders(POLICIES[name])}
    assert "operator" in found and any(path.startswith("contact.") for path in found)
    assert any(path.startswith("processor.") for path in found)
    organisation = {part.id for part in POLICIES[name].named("organisation")}
    assert organisation <= found


@EACH
def test_no_claim_about_people_is_published_without_its_document(name: str) -> None:
    policy = POLICIES[name]
    shown = {clause.id for clause in published(policy, policy.features)}
    assert not [id for id in shown if id.startswith(("organisation.", "transfer."))]
    papers = frozenset(str(part.values["evidence"]) for part in policy.parts.values() if "evidence" in part.values)
    assert {clause.id for clause in published(policy, policy.features, papers)} == {c.id for c in policy.clauses}


@EACH
def test_without_its_parts_it_publishes_only_what_runs_today(name: str) -> None:
    for found in published(POLICIES[name]):
        assert set(found.probes) <= set(words.PROBES), found.id


@pytest.mark.parametrize(
    ("policy", "fields", "required"),
    [
        (INF, {"name", "email", "company"}, {"name", "email", "company"}),
        (MESH, {"email", "username"}, {"email", "username"}),
        (IMG, {"name", "email"}, {"email"}),
        (TRO, {"name", "company", "address", "email", "phone"}, {"email"}),
        (LAB, {"name", "email", "username"}, {"name", "email", "username"}),
    ],
)
def test_sign_up_takes_the_sources_fields(policy: Policy, fields: set[str], required: set[str]) -> None:
    assert set(policy.account.fields) == fields and set(policy.account.required) == required


@pytest.mark.parametrize(
    ("policy", "category", "end", "is_choice"),
    [
        (INF, "api_content", "2024-03-30", False),
        (INF, "usage", "2024-03-30", False),
        (INF, "payment", "2031-02-28", False),
        (INF, "support", "2027-02-28", False),
        (MESH, "usage", "2024-03-30", True),
        (MESH, "security_log", "2024-03-30", True),
        (MESH, "payment", "2031-02-28", True),
        (IMG, "generation", "2024-03-30", False),
        (IMG, "technical", "2024-03-30", True),
        (TRO, "api_content", "2024-03-30", True),
        (TRO, "usage", "2024-03-30", True),
        (TRO, "technical", "2024-03-30", True),
        (LAB, "conversation", "2024-05-29", False),
        (LAB, "usage", "2025-02-28", False),
        (LAB, "interaction", "2025-02-28", False),
        (LAB, "technical", "2025-02-28", False),
        (LAB, "security_log", "2025-02-28", False),
        (LAB, "payment", "2031-02-28", False),
        (LAB, "order", "2031-02-28", False),
    ],
)
def test_each_period_is_the_sources_or_marked(policy: Policy, category: str, end: str, is_choice: bool) -> None:
    found = policy.categories[category].keep.end(SINCE)
    assert found == datetime.fromisoformat(f"{end}T12:00+00:00")
    assert chosen(policy, f"keep.{category}") is is_choice


def test_three_meanings_of_thirty_days_after_an_account_is_closed() -> None:
    closing = {name: clause(policy, "closing.account").en for name, policy in POLICIES.items()}
    assert closing["infiner"] == (
        "Once your account is closed, your account data stays for 30 days, out of use, and is gone within 30 days."
    )
    assert closing["deepailab"] == "Once your account is closed, your account data is gone within 30 days."
    assert closing["imaginprompt"] == "Once your account is closed, your account data is deleted at once."
    assert chosen(MESH, "closing.account") and chosen(TRO, "closing.account")


def test_silence_is_no_storage() -> None:
    for policy in (MESH, IMG, LAB):
        assert compile(policy).keep_h("api_content") == 0
        assert not policy.categories["api_content"].answers or policy is not IMG
    assert "IMG" not in "".join(IMG.categories["api_content"].answers)
    for policy in (INF, MESH):
        assert policy.categories["technical"].keep.kind == "never"
    assert compile(TRO).stores("api_content", "request") and not compile(TRO).stores("api_content", "response")
    assert not compile(MESH).stores("api_content", "request")


def test_content_of_the_first_serves_two_purposes_and_can_be_refused() -> None:
    content = INF.categories["api_content"]
    assert set(content.purposes) == {"abuse", "debugging"} and content.opt_out and content.self_service
    assert compile(INF).keep_h("api_content") == 720
    used = {purpose for category in INF.categories.values() for purpose in category.purposes}
    assert used.isdisjoint({"ads", "marketing", "training", "research", "develop", "history"})


def test_metadata_of_the_second_serves_four_purposes() -> None:
    assert set(MESH.categories["usage"].purposes) == {"security", "abuse", "debugging", "billing"}
    assert rule(MESH, "content_for_ads") == "never"


def test_saved_images_stay_and_are_bound_to_the_account() -> None:
    generation = IMG.categories["generation"]
    assert generation.saved is not None and generation.saved.kind == "life" and generation.self_service
    assert generation.keep.clock == "generation"
    assert set(generation.fields) >= {"upload", "prompt", "output", "thumbnail"}
    conversation = LAB.categories["conversation"]
    assert conversation.saved is not None and conversation.self_service


@pytest.mark.parametrize(
    ("policy", "minimum", "on_minor"),
    [(INF, 13, "delete"), (MESH, 18, "restrict"), (IMG, 16, "delete"), (TRO, 16, "delete"), (LAB, 16, "delete")],
)
def test_ages(policy: Policy, minimum: int, on_minor: str) -> None:
    values = policy.parts["age"].values
    assert (values["minimum"], values["on_minor"]) == (minimum, on_minor)
    assert set(values.get("by_country", {}).values()) == ({16} if policy is INF else set())
    assert chosen(policy, "age") is (policy is not LAB)


@pytest.mark.parametrize(
    ("policy", "training", "others", "ads", "marketing", "personalise"),
    [
        (INF, "consent", None, "none", "none", "objection"),
        (MESH, None, None, "none", "none", None),
        (IMG, None, None, "consent", "none", None),
        (TRO, None, None, "consent", "none", "objection"),
        (LAB, "anonymised", "consent", "consent", "consent", None),
    ],
)
def test_what_is_done_with_data(
    policy: Policy, training: str, others: str, ads: str, marketing: str, personalise: str
) -> None:
    names = ("training", "third_party_training", "ads", "marketing", "personalise")
    found = [rule(policy, name) if f"practice.{name}" in policy.parts else None for name in names]
    assert found == [training, others, ads, marketing, personalise]
    assert rule(policy, "improvement") == "aggregate"


@pytest.mark.parametrize(
    ("policy", "shares", "never"),
    [
        (INF, {"provider", "legal", "corporate", "protection", "consent"}, {"sale"}),
        (MESH, {"provider", "corporate", "legal"}, {"sale"}),
        (IMG, {"provider", "ad_cookies"}, {"sale", "rent", "trade"}),
        (TRO, {"provider", "legal", "public_safety"}, {"sale", "marketing"}),
        (LAB, {"provider", "marketplace", "legal", "interest", "corporate", "consent"}, {"sale"}),
    ],
)
def test_grounds_of_sharing(policy: Policy, shares: set[str], never: set[str]) -> None:
    assert {part.name for part in policy.named("share")} == shares
    assert set(policy.parts["sharing"].values["never"]) == never


@pytest.mark.parametrize(
    ("policy", "mode", "countries", "transit", "rest"),
    [
        (INF, "listed", {"US"}, "TLS 1.3", "AES-256"),
        (MESH, "service", {"DE", "US", "SG"}, "TLS", "encrypted"),
        (TRO, "only", {"FR", "NL", "DE"}, "TLS", "encrypted"),
        (LAB, "listed", {"US"}, "every hop", "AES-256"),
    ],
)
def test_regions_and_encryption(policy: Policy, mode: str, countries: set[str], transit: str, rest: str) -> None:
    values = policy.parts["regions"].values
    assert (values["mode"], set(values["countries"])) == (mode, countries)
    assert policy.parts["security.transit"].values["rule"] == transit
    assert policy.parts["security.rest"].values["rule"] == rest


def test_the_one_that_promises_no_encryption_claims_none() -> None:
    assert not IMG.named("security") and "regions" not in IMG.parts and not IMG.named("organisation")


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [
        (INF, {"essential", "analytics", "preference"}),
        (MESH, {"essential", "analytics", "experience"}),
        (IMG, {"essential", "advertising"}),
        (TRO, {"essential", "preference", "analytics", "advertising"}),
        (LAB, {"essential", "preference", "analytics", "advertising"}),
    ],
)
def test_kinds_of_cookies_each_asked_for(policy: Policy, kinds: set[str]) -> None:
    assert {part.name for part in policy.named("cookies")} == kinds
    asked = {"ads" if kind == "advertising" else kind for kind in kinds - {"essential"}}
    assert asked <= set(policy.parts["consent"].values["asked"])


@pytest.mark.parametrize(
    ("policy", "kind", "channels", "any_way"),
    [
        (INF, "policy_material", {"page", "email", "banner"}, False),
        (MESH, "policy_material", {"email", "banner"}, True),
        (TRO, "policy", {"page", "email"}, False),
        (LAB, "policy", {"page"}, False),
        (LAB, "policy_material", {"page", "email"}, False),
    ],
)
def test_notices_of_change(policy: Policy, kind: str, channels: set[str], any_way: bool) -> None:
    values = policy.parts[f"notice.{kind}"].values
    assert set(values["channels"]) == channels and values.get("any", False) is any_way


@pytest.mark.parametrize(
    ("policy", "how", "is_choice"),
    [
        (INF, "use", False),
        (MESH, "explicit", True),
        (IMG, "explicit", True),
        (TRO, "explicit", False),
        (LAB, "use", False),
    ],
)
def test_acceptance(policy: Policy, how: str, is_choice: bool) -> None:
    assert policy.parts["acceptance"].values["how"] == how
    assert chosen(policy, "acceptance") is is_choice
    assert "never a consent" in clause(policy, "acceptance").en


@pytest.mark.parametrize(
    ("policy", "en", "zh", "prevailing"),
    [(MESH, "2026-04-02", "2026-03-17", None), (IMG, "2026-03", "2026-03", "en")],
)
def test_dates_of_the_sources(policy: Policy, en: str, zh: str, prevailing: str | None) -> None:
    assert (policy.parts["locale.en"].values["date"], policy.parts["locale.zh"].values["date"]) == (en, zh)
    assert policy.prevailing == prevailing
    assert not chosen(policy, "locale.en")
    assert chosen(INF, "locale.en") and chosen(TRO, "locale.en") and chosen(LAB, "locale.en")


@EACH
def test_everybody_has_all_eight_rights_within_the_laws_time(name: str) -> None:
    policy = POLICIES[name]
    assert {part.name for part in policy.named("right")} == {
        *("access", "rectify", "erase", "port", "restrict", "object", "withdraw", "complain")
    }
    deadline = policy.parts["rights"].values["deadline"]
    assert (deadline["EU"].amount, deadline["EU"].unit) == (1, "months")
    assert (deadline["US-CA"].amount, deadline["US-CA"].unit) == (45, "days")


def test_payment_stays_with_the_processor_where_the_source_says_so() -> None:
    assert TRO.parts["billing"].values["local_fields"] == ("reference",)
    assert set(MESH.parts["billing"].values["local_fields"]) == {"amount", "status", "channel_id"}
    assert set(MESH.parts["billing"].values["modes"]) == {"prepaid", "refund"}
    assert IMG.parts["billing"].values["modes"] == ("subscription",)


def test_backups_and_isolation_of_the_fifth() -> None:
    backup = LAB.parts["backup"].values
    assert backup["after_deletion"].hours == 720 and "keep" in LAB.parts["backup"].chosen
    assert LAB.parts["isolation"].values["enterprise"] == "separate"
    assert LAB.categories["payment"].keep.bound == "at least"
