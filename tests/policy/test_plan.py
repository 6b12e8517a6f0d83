"""The lattice: every level may only tighten, and a plan says exactly when a fact ends."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.policy import NEVER, Clip, Never, Overrides, Plan, Policy, compile, parse
from tests.policy.texts import GOOD, Tables, policies, toml

POLICY = parse(toml(GOOD))
SINCE = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
CATEGORIES = [*POLICY.categories, "conversation"]

hours = st.one_of(st.integers(0, 3), st.integers(0, 20_000))
wishes = st.dictionaries(st.sampled_from(CATEGORIES), hours)
processors = st.none() | st.frozensets(st.sampled_from(["alpha", "beta", "gamma"]))
overrides = st.builds(Overrides, wishes, processors)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))

FAR = datetime.max.replace(tzinfo=UTC)


def length(end: datetime | Never | None) -> datetime:
    """Ends in order: never stored, an instant, the life of the account."""
    if isinstance(end, Never):
        return datetime.min.replace(tzinfo=UTC)
    return FAR if end is None else end


def after(hours: int) -> datetime:
    return SINCE + timedelta(hours=hours)


def test_nothing_is_kept_that_the_tenant_did_not_ask_for() -> None:
    plan = compile(POLICY)
    assert plan.keep_h("api_content") == 0
    assert plan.end("api_content", SINCE) is NEVER
    assert plan.end("api_content", SINCE, header_h=24) is NEVER
    below = compile(POLICY, None, Overrides({"api_content": 24}), Overrides({"api_content": 48}))
    assert below.end("api_content", SINCE) is NEVER
    assert [(clip.level, clip.asked_h, clip.given_h) for clip in below.clipped] == [("project", 24, 0), ("key", 48, 0)]


def test_what_the_tenant_asks_for_is_kept_up_to_the_policy() -> None:
    assert compile(POLICY, Overrides({"api_content": 100})).end("api_content", SINCE) == after(100)
    assert compile(POLICY, Overrides({"api_content": 720}), Overrides({"api_content": 720})).clipped == ()
    plan = compile(POLICY, Overrides({"api_content": 9_999}))
    assert plan.end("api_content", SINCE) == after(720)
    assert plan.clipped == (Clip("tenant", "api_content", 9_999, 720, "the level above allows no more"),)


def test_each_level_shortens_the_one_above() -> None:
    plan = compile(
        POLICY, Overrides({"api_content": 500}), Overrides({"api_content": 300}), Overrides({"api_content": 200})
    )
    assert plan.end("api_content", SINCE) == after(200)
    assert plan.end("api_content", SINCE, header_h=7) == after(7)
    assert plan.end("api_content", SINCE, header_h=201) == after(200)
    assert plan.end("api_content", SINCE, header_h=0) is NEVER
    assert plan.end("api_content", SINCE, header_h=-5) is NEVER
    assert plan.clipped == ()


def test_a_calendar_period_ends_at_the_earlier_of_the_two() -> None:
    assert compile(POLICY).end("usage", SINCE) == datetime(2027, 11, 22, 10, 30, tzinfo=UTC)
    assert compile(POLICY, Overrides({"usage": 24})).end("usage", SINCE) == after(24)
    # 8 760 hours are twelve months of a common year: in a leap year the hours end first, never later.
    plan = compile(POLICY, Overrides({"usage": 365 * 24}))
    assert plan.end("usage", SINCE) == datetime(2027, 11, 22, 10, 30, tzinfo=UTC)
    assert plan.end("usage", datetime(2027, 3, 1, tzinfo=UTC)) == datetime(2028, 2, 29, tzinfo=UTC)
    assert compile(POLICY, Overrides({"usage": 366 * 24 + 49 * 24})).clipped[0].given_h is None


def test_what_is_not_at_most_stays_as_it_is() -> None:
    plan = compile(POLICY, Overrides({"payment": 1, "account": 0, "mail": 1, "security_log": 5, "conversation": 5}))
    assert plan.end("payment", SINCE, header_h=0) == datetime(2033, 11, 22, 10, 30, tzinfo=UTC)
    assert plan.end("account", SINCE, header_h=0) is None
    assert plan.end("mail", SINCE, header_h=0) == after(24)
    assert plan.end("security_log", SINCE) is NEVER
    assert plan.end("conversation", SINCE) is NEVER
    assert [clip.category for clip in plan.clipped] == ["payment", "account", "mail", "security_log", "conversation"]
    assert [plan.keep_h(name) for name in ("payment", "account", "mail", "security_log", "conversation")] == [
        None,
        None,
        24,
        0,
        0,
    ]


@given(overrides, overrides, overrides, st.none() | hours, instants)
def test_no_level_lengthens_what_the_ones_above_allow(
    tenant: Overrides, project: Overrides, key: Overrides, header_h: int | None, since: datetime
) -> None:
    plans = [
        compile(POLICY, tenant),
        compile(POLICY, tenant, project),
        compile(POLICY, tenant, project, key),
    ]
    for name in CATEGORIES:
        category = POLICY.categories.get(name)
        natural = NEVER if category is None or category.keep.kind == "never" else category.keep.end(since)
        ends = [natural, *(plan.end(name, since) for plan in plans), plans[-1].end(name, since, header_h)]
        assert [length(end) for end in ends] == sorted((length(end) for end in ends), reverse=True)
        assert all(_hours_agree(plan, name, since) for plan in plans)


def _hours_agree(plan: Plan, name: str, since: datetime) -> bool:
    kept, end = plan.keep_h(name), plan.end(name, since)
    if kept is None or isinstance(end, Never) or end is None:
        return kept is None or (kept == 0 and end is NEVER)
    return end <= since + timedelta(hours=kept)


@given(policies(), wishes)
def test_every_wish_is_granted_or_reported(tables: Tables, asked: dict[str, int]) -> None:
    policy = parse(toml(tables))
    plan = compile(policy, Overrides(asked))
    refused = {clip.category: clip for clip in plan.clipped}
    for name, asked_h in asked.items():
        assert name in refused or plan.keep_h(name) == asked_h
        if name in refused:
            assert refused[name].given_h == plan.keep_h(name)
            assert refused[name].asked_h == asked_h != plan.keep_h(name)


@given(processors, processors, processors)
def test_only_processors_that_every_level_allows_may_see_content(
    one: frozenset[str] | None, two: frozenset[str] | None, three: frozenset[str] | None
) -> None:
    plan = compile(POLICY, Overrides(processors=one), Overrides(processors=two), Overrides(processors=three))
    for name in ("alpha", "beta", "gamma", "delta"):
        assert plan.may_see(name) == all(level is None or name in level for level in (one, two, three))


@pytest.mark.parametrize("wrong", [-1, True, 1.5, "24", None])
def test_hours_are_whole_numbers(wrong: object) -> None:
    with pytest.raises(ValueError, match="whole number of hours"):
        Overrides({"api_content": wrong})  # type: ignore[dict-item]


def test_a_plan_carries_what_tells_whether_it_is_stale() -> None:
    plan = compile(POLICY, epoch=41)
    assert (plan.policy_hash, plan.policy_version, plan.epoch) == (POLICY.hash, 3, 41)


def test_policies_and_plans_are_values(policy: Policy = POLICY) -> None:
    assert compile(policy, Overrides({"usage": 5})) == compile(parse(toml(GOOD)), Overrides({"usage": 5}))
