"""diff, meet and the ratchet: over random policies of the whole language."""

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avow.policy import Keep, Policy, Question, Ratchet, Standing, compile, decide, diff, meet, parse, words
from avow.policy.decide import ENDING_PURPOSES, OWN_PURPOSES, ROLES
from avow.policy.strict import age_in, deadline_in, meet_keep
from tests.policy.test_sections import FULL
from tests.policy.texts import GOOD, Tables, changed, toml, wide_policies

keeps = st.one_of(
    st.just(Keep("never")),
    st.just(Keep("life")),
    st.builds(
        Keep,
        st.just("period"),
        st.integers(1, 800),
        st.sampled_from(["hours", "days", "months", "years"]),
        st.sampled_from(["exactly", "at most", "at least"]),
        st.sampled_from(["collection", "request"]),
        st.booleans(),
    ),
)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
FAR = datetime.max.replace(tzinfo=UTC)


def ends(keep: Keep, since: datetime) -> datetime:
    return keep.end(since) or FAR


@st.composite
def edited(draw: st.DrawFn) -> tuple[Policy, Policy]:
    """Two policies: the second is another, or the first with some tables and categories from another."""
    one, other = draw(wide_policies()), draw(wide_policies())
    if draw(st.booleans()):
        mixed = copy.deepcopy(one)
        for name in draw(st.lists(st.sampled_from(sorted(other["category"])), unique=True)):
            mixed["category"][name] = other["category"][name]
        for name in draw(st.lists(st.sampled_from(sorted({*other} - {"category", "account", "name"})), unique=True)):
            mixed[name] = other[name]
        mixed["account"] = {"fields": ["email"], "required": ["email"]}
        other = mixed
    return parse(toml(one)), parse(toml(other))


@given(keeps, keeps, instants)
def test_the_met_period_ends_no_later_than_either(one: Keep, other: Keep, since: datetime) -> None:
    met = meet_keep(one, other)
    assert met == meet_keep(other, one) and meet_keep(one, one) == one and meet_keep(met, met) == met
    assert ends(met, since) <= min(ends(one, since), ends(other, since))
    assert met.kind == "never" or met.ends_with_account == (one.ends_with_account or other.ends_with_account)
    assert met.kind != "period" or met.may_shorten >= max(one.may_shorten, other.may_shorten)


@settings(max_examples=40)
@given(edited())
def test_meet_is_commutative_and_idempotent(pair: tuple[Policy, Policy]) -> None:
    one, other = pair
    met = meet(one, other)
    assert met == meet(other, one) and met.hash == meet(other, one).hash
    assert [clause.en for clause in met.clauses] == [clause.en for clause in meet(other, one).clauses]
    assert meet(one, one) == one and meet(met, met) == met


@settings(max_examples=40)
@given(edited())
def test_meet_is_no_looser_than_either(pair: tuple[Policy, Policy]) -> None:
    met = meet(*pair)
    for side in pair:
        loosened = [change for change in diff(side, met).changes if change.direction == "loosening"]
        assert loosened == []
        # What is as strict as both is as strict again when it meets one of them.
        assert not diff(met, meet(met, side)).loosens


@settings(max_examples=40)
@given(edited(), instants, st.data())
def test_meet_lets_nothing_pass_that_either_stops(
    pair: tuple[Policy, Policy], since: datetime, data: st.DataObject
) -> None:
    met = meet(*pair)
    standing = Standing(
        data.draw(st.booleans()),
        data.draw(st.frozensets(st.sampled_from(list(words.PURPOSES)), max_size=2)),
        data.draw(st.frozensets(st.sampled_from(list(words.PURPOSES)))),
    )
    role, owner = data.draw(st.sampled_from(sorted(ROLES))), data.draw(st.booleans())
    for name in met.categories:
        for purpose in words.PURPOSES:
            question = Question(name, purpose, role, owner)
            if decide(met, standing, question) and purpose not in OWN_PURPOSES | ENDING_PURPOSES:
                assert all(decide(side, standing, question) for side in pair)
        for side in pair:
            rule = side.categories.get(name)
            natural = since if rule is None else ends(rule.keep, since)
            assert ends(met.categories[name].keep, since) <= natural
            plan, theirs = compile(met), compile(side)
            for field in met.categories[name].fields:
                assert not plan.stores(name, field) or theirs.stores(name, field)


@settings(max_examples=40)
@given(edited())
def test_ages_and_deadlines_are_the_stricter_in_every_place(pair: tuple[Policy, Policy]) -> None:
    met = meet(*pair)
    for place in ("US", "DE", "FR", "JP", "US-CA"):
        for side in pair:
            if "age" in side.parts:
                assert age_in(met.parts["age"].values, place) >= age_in(side.parts["age"].values, place)
            mine, theirs = (deadline_in(p.parts["rights"].values["deadline"], place) for p in (met, side))
            assert ends(mine, datetime(2026, 2, 1, tzinfo=UTC)) <= ends(theirs, datetime(2026, 2, 1, tzinfo=UTC))


@settings(max_examples=40)
@given(edited())
def test_a_diff_names_what_changes_and_nothing_else(pair: tuple[Policy, Policy]) -> None:
    one, other = pair
    found = diff(one, other)
    assert diff(one, one).changes == () == diff(one, one).sentences
    assert bool(found.changes) == (one.hash != other.hash)
    before, after = ({c.id: c for c in policy.clauses} for policy in pair)
    for text in found.sentences:
        assert text.old == (getattr(before[text.clause], text.locale) if text.clause in before else None)
        assert text.new == (getattr(after[text.clause], text.locale) if text.clause in after else None)
    changed_ids = {
        id for id in {*before, *after} if (before.get(id) and before[id].en) != (after.get(id) and after[id].en)
    }
    assert changed_ids <= {text.clause for text in found.sentences}


@settings(max_examples=40)
@given(edited())
def test_back_is_the_reverse(pair: tuple[Policy, Policy]) -> None:
    there, back = diff(*pair), diff(*reversed(pair))
    ways = {change.path: change.direction for change in back.changes}
    for change in there.changes:
        assert (change.direction == "neutral") == (ways[change.path] == "neutral")
        assert not change.direction == ways[change.path] == "tightening"


@pytest.mark.parametrize(
    ("change", "path", "direction"),
    [
        ({"category__usage__keep": "at most 11 months"}, "category.usage.keep", "tightening"),
        ({"category__usage__keep": "at most 13 months"}, "category.usage.keep", "loosening"),
        ({"category__usage__keep": "at most 1 year"}, "category.usage.keep", "neutral"),
        ({"category__usage__keep": "12 months"}, "category.usage.keep", "loosening"),
        ({"category__usage__keep": "0"}, "category.usage.keep", "tightening"),
        ({"category__usage__keep": "life of the account"}, "category.usage.keep", "loosening"),
        ({"category__usage__purposes": ["billing", "security"]}, "category.usage.purposes", "loosening"),
        ({"category__usage__purposes": ["security"]}, "category.usage.purposes", "loosening"),
        ({"category__usage__fields": ["model"]}, "category.usage.fields", "tightening"),
        ({"category__usage__without": ["model"]}, "category.usage.without", "tightening"),
        ({"category__usage__basis": "consent"}, "category.usage.basis", "tightening"),
        ({"category__usage__basis": "interest"}, "category.usage.basis", "loosening"),
        ({"category__usage__on_expiry": "delete"}, "category.usage.on_expiry", "tightening"),
        ({"category__usage__ask": True}, "category.usage.ask", "tightening"),
        ({"category__usage__staff": ["support"]}, "category.usage.staff", "loosening"),
        ({"category__usage": None}, "category.usage", "tightening"),
        ({"category__security_log": None}, "category.security_log", "neutral"),
        ({"category__account__gone_within": "30 days"}, "category.account.gone_within", "tightening"),
        ({"category__account__grace": "30 days"}, "category.account.grace", "loosening"),
        ({"claims": []}, "claims", "loosening"),
        ({"account__fields": ["email"]}, "account.fields", "tightening"),
        ({"name": "other"}, "name", "neutral"),
    ],
)
def test_each_change_has_a_direction(change: Tables, path: str, direction: str) -> None:
    (found,) = diff(parse(toml(GOOD)), parse(toml(changed(**change)))).changes
    assert (found.path, found.direction) == (path, direction)


@pytest.mark.parametrize(
    ("path", "value", "direction"),
    [
        ("practice.ads.rule", "none", "tightening"),
        ("age.minimum", 18, "tightening"),
        ("age.minimum", 13, "loosening"),
        ("age.by_country", {"US": 13}, "loosening"),
        ("age.by_country", {"US": 18}, "tightening"),
        ("backup.after_deletion", "60 days", "loosening"),
        ("isolation.enterprise", "shared", "loosening"),
        ("security.transit.rule", "TLS", "loosening"),
        ("rights.deadline", {"default": "1 month", "EU": "15 days", "US-CA": "45 days"}, "tightening"),
        ("rights.deadline", {"default": "1 month", "EU": "1 month"}, "tightening"),
        ("notice.policy.channels", ["page", "banner"], "tightening"),
        ("acceptance.how", "explicit", "tightening"),
        ("processor.cloud.region", "DE", "neutral"),
        ("locale.en.date", "2026-05", "neutral"),
    ],
)
def test_each_value_of_a_table_has_a_direction(path: str, value: object, direction: str) -> None:
    tables = copy.deepcopy(FULL)
    *outer, last = path.split(".")
    table = tables
    for key in outer:
        table = table[key]
    table[last] = value
    if path == "practice.ads.rule":
        del tables["cookies"]["advertising"], tables["ad"]
        tables["cookie"] = {name: each for name, each in tables["cookie"].items() if each["kind"] != "advertising"}
    found = {change.path: change for change in diff(parse(toml(FULL)), parse(toml(tables))).changes}
    assert found[path].direction == direction


def test_facts_that_newly_expire_are_named_by_category() -> None:
    shorter = changed(category__usage__keep="at most 1 month", category__mail__keep="48 hours", category__payment=None)
    assert diff(parse(toml(GOOD)), parse(toml(shorter))).shortened == ("usage", "payment")


@settings(max_examples=100)
@given(st.lists(keeps, min_size=1, max_size=8), instants)
def test_a_fact_keeps_the_shortest_rule_in_force_since_it_was_collected(rules: list[Keep], since: datetime) -> None:
    ratchet = Ratchet()
    base = parse(toml(GOOD))
    for version, keep in enumerate(rules, start=1):
        ratchet = ratchet.after(with_rule(base, version, keep))
    for version in range(1, len(rules) + 1):
        since_then = rules[version - 1 :]
        expected = min(ends(keep, since) for keep in since_then)
        assert (ratchet.end("usage", version, since) or FAR) == expected
        assert ratchet.floors["usage", version].ends_with_account == any(keep.ends_with_account for keep in since_then)


@settings(max_examples=100)
@given(st.lists(keeps, min_size=2, max_size=8), instants)
def test_no_edit_ever_lengthens_what_is_stored(rules: list[Keep], since: datetime) -> None:
    ratchet, base, before = Ratchet(), parse(toml(GOOD)), dict[int, datetime]()
    for version, keep in enumerate(rules, start=1):
        ratchet = ratchet.after(with_rule(base, version, keep))
        now = {known: ratchet.end("usage", known, since) or FAR for known in range(1, version + 1)}
        assert all(now[known] <= end for known, end in before.items())
        before = now


def test_thirty_seven_thirty_days_gives_nothing_back() -> None:
    base, since = parse(toml(GOOD)), datetime(2026, 1, 1, tzinfo=UTC)
    ratchet = Ratchet()
    for version, days in ((1, 30), (2, 7), (3, 30)):
        ratchet = ratchet.after(with_rule(base, version, Keep("period", days, "days")))
    assert ratchet.end("usage", 1, since) == since + timedelta(days=7)
    assert ratchet.end("usage", 3, since) == since + timedelta(days=30)


def test_a_category_that_lost_its_rule_ends_at_once_and_does_not_come_back() -> None:
    since, base = datetime(2026, 1, 1, tzinfo=UTC), parse(toml(GOOD))
    gone = parse(toml(changed(category__usage=None, version=4)))
    back = parse(toml(changed(version=5)))
    ratchet = Ratchet().after(base).after(gone).after(back)
    assert ratchet.end("usage", 3, since) == since
    assert ratchet.end("usage", 5, since) == datetime(2027, 1, 1, tzinfo=UTC)


def test_what_holds_in_between_does_not_bind_the_new_version() -> None:
    old = parse(toml(changed(category__usage__keep="at most 7 days", version=1)))
    new = parse(toml(changed(category__usage__keep="at most 30 days", version=2)))
    since = datetime(2026, 1, 1, tzinfo=UTC)
    ratchet = Ratchet().after(old).after(meet(old, new), version=1).after(new)
    assert ratchet.end("usage", 1, since) == since + timedelta(days=7)
    assert ratchet.end("usage", 2, since) == since + timedelta(days=30)


def with_rule(policy: Policy, version: int, keep: Keep) -> Policy:

    usage = replace(policy.categories["usage"], keep=keep)
    return replace(policy, version=version, categories={**policy.categories, "usage": usage})


FILTER = {"finds": "house", "stages": ["prompt"], "action": "redact", "words": ["one", "two"]}


def with_filter(filter: dict[str, object] | None) -> Policy:
    tables = copy.deepcopy(FULL)
    tables["filter"] = {"house": filter} if filter else {}
    return parse(toml(tables))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (None, "loosening"),
        ({**FILTER, "words": ["one"]}, "loosening"),
        ({**FILTER, "action": "flag"}, "loosening"),
        ({**FILTER, "words": ["one", "three"]}, "loosening"),
        ({**FILTER, "words": ["one", "two", "three"]}, "tightening"),
        ({**FILTER, "stages": ["prompt", "output"]}, "tightening"),
        ({**FILTER, "action": "block"}, "tightening"),
        ({**FILTER, "patterns": ["x+"]}, "tightening"),
        ({**FILTER, "personal": ["email"]}, "tightening"),
        ({**FILTER, "action": "block", "asks": "guard"}, "tightening"),
        ({**FILTER, "finds": "hate"}, "neutral"),
    ],
)
def test_to_look_for_less_is_to_loosen_and_until_then_both_are_looked_for(
    other: dict[str, object] | None, what: str
) -> None:
    old, new = with_filter(FILTER), with_filter(other)
    there = diff(old, new)
    back = diff(new, old)
    turned = {"loosening": "tightening", "tightening": "loosening", "neutral": "neutral"}
    ways = [
        max((c.direction for c in d.changes if c.path.startswith("filter.")), key=ORDER.index) for d in (there, back)
    ]
    assert ways[0] == what
    if other != {**FILTER, "words": ["one", "three"]}:
        assert ways[1] == turned[what]
    met = meet(old, new).parts["filter.house"].values
    assert {"one", "two"} <= set(met["words"])
    assert met["action"] == ("block" if other and other["action"] == "block" else "redact")


ORDER = ("neutral", "tightening", "loosening")
