"""What is explained is what holds: value by value as the plan says, with the level that last changed it."""

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from avow.policy import REACHED, Line, Overrides, compile, explain, parse
from tests.policy.test_plan import hours, overrides

POLICY = parse((Path(__file__).parents[2] / "profiles" / "default.toml").read_text())


def line(lines: tuple[Line, ...], name: str) -> Line:
    return next(each for each in lines if each.name == name)


def test_each_level_is_named_where_it_decided() -> None:
    content = "keep api_content"
    tenant, key = Overrides({"api_content": 100}), Overrides({"api_content": 50})
    assert line(explain(POLICY), content).level == "platform"
    found = line(explain(POLICY, tenant), content)
    assert (found.value, found.level, found.clause) == ("100 hours", "tenant", "keep.api_content")
    found = line(explain(POLICY, tenant, None, key), content)
    assert (found.value, found.level) == ("50 hours", "key")
    found = line(explain(POLICY, tenant, None, key, header_h=20), content)
    assert (found.value, found.level) == ("20 hours", "request")
    found = line(explain(POLICY, tenant, None, key, header_h=80), content)
    assert (found.value, found.level) == ("50 hours", "key")


def test_a_header_reaches_what_was_said_and_nothing_else() -> None:
    """The record that a request was made is kept by its own rule, whatever the request asks for."""
    tenant, since = Overrides({"api_content": 100}), datetime(2026, 3, 1, tzinfo=UTC)
    silent, asking = (explain(POLICY, tenant, header_h=h, since=since) for h in (None, 1))
    reached = {each.name for each, other in zip(silent, asking, strict=True) if each != other}
    assert {"keep api_content"} <= reached <= {f"keep {name}" for name in REACHED}
    assert line(asking, "keep usage").value == "720 hours, until 2026-03-31T00:00:00+00:00"
    assert line(asking, "keep api_content").value == "1 hour, until 2026-03-01T01:00:00+00:00"


def test_a_wish_beyond_the_level_above_is_cut_and_says_so() -> None:
    found = line(
        explain(POLICY, Overrides({"api_content": 10}), None, Overrides({"api_content": 20})), "keep api_content"
    )
    assert found.value == "10 hours" and "allows no more" in found.clipped


@given(overrides, overrides, overrides, st.none() | hours)
def test_what_is_explained_is_what_the_plan_says(
    tenant: Overrides, project: Overrides, key: Overrides, header_h: int | None
) -> None:
    plan, lines = compile(POLICY, tenant, project, key), explain(POLICY, tenant, project, key, header_h=header_h)
    for name, category in POLICY.categories.items():
        most_h = plan.keep_h(name)
        if (
            header_h is not None
            and name in REACHED
            and category.keep.may_shorten
            and (most_h is None or header_h < most_h)
        ):
            most_h = header_h
        said = line(lines, f"keep {name}").value
        assert (said == "not stored") == (most_h == 0 or category.keep.kind == "never")
        if most_h:
            assert said == f"{most_h} hour{'s' if most_h > 1 else ''}"
