"""When a fact ends: exact hours, calendar months and years, in UTC."""

import calendar
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.policy import Keep

instants = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "unit", "since", "end"),
    [
        (30, "days", "2026-02-14T10:20:30.000001", "2026-03-16T10:20:30.000001"),
        (30, "days", "2028-02-14T00:00", "2028-03-15T00:00"),
        (24, "hours", "2026-12-31T23:59", "2027-01-01T23:59"),
        (1, "months", "2026-01-31T08:00", "2026-02-28T08:00"),
        (1, "months", "2028-01-31T08:00", "2028-02-29T08:00"),
        (1, "months", "2028-02-29T08:00", "2028-03-29T08:00"),
        (3, "months", "2026-11-30T08:00", "2027-02-28T08:00"),
        (12, "months", "2026-11-22T08:00", "2027-11-22T08:00"),
        (12, "months", "2028-02-29T08:00", "2029-02-28T08:00"),
        (13, "months", "2026-12-31T08:00", "2028-01-31T08:00"),
        (1, "years", "2028-02-29T23:59:59", "2029-02-28T23:59:59"),
        (4, "years", "2028-02-29T00:00", "2032-02-29T00:00"),
        (7, "years", "2026-03-01T00:00", "2033-03-01T00:00"),
        (100, "years", "2000-02-29T00:00", "2100-02-28T00:00"),
    ],
)
def test_ends(amount: int, unit: str, since: str, end: str) -> None:
    assert Keep("period", amount, unit).end(at(since)) == at(end)  # type: ignore[arg-type]


def test_the_life_of_the_account_has_no_end_and_never_ends_at_once() -> None:
    assert Keep("life").end(at("2026-01-01")) is None
    assert Keep("never").end(at("2026-01-01")) == at("2026-01-01")


@given(instants, st.integers(1, 36_500))
def test_a_day_is_24_hours(since: datetime, days: int) -> None:
    end = Keep("period", days, "days").end(since)
    assert end is not None
    assert end == Keep("period", days * 24, "hours").end(since)
    assert (end - since).total_seconds() == days * 86_400


@given(instants, st.integers(1, 1_200))
def test_a_calendar_end_has_the_same_day_and_time_or_the_last_of_its_month(since: datetime, months: int) -> None:
    end = Keep("period", months, "months").end(since)
    assert end is not None and end.time() == since.time()
    assert (end.year * 12 + end.month) - (since.year * 12 + since.month) == months
    assert end.day == since.day or (end.day < since.day and end.day == calendar.monthrange(end.year, end.month)[1])


@given(instants, instants, st.integers(1, 100), st.sampled_from(["hours", "days", "months", "years"]))
def test_what_began_later_never_ends_sooner(one: datetime, other: datetime, amount: int, unit: str) -> None:
    keep = Keep("period", amount, unit)  # type: ignore[arg-type]
    first, second = sorted([one, other])
    ends = [keep.end(first), keep.end(second)]
    assert ends[0] is not None and ends[1] is not None and ends[0] <= ends[1]


@given(instants, st.integers(1, 100), st.sampled_from(["hours", "days", "months", "years"]))
def test_no_period_lasts_longer_than_its_longest(since: datetime, amount: int, unit: str) -> None:
    keep = Keep("period", amount, unit)  # type: ignore[arg-type]
    end, most_h = keep.end(since), keep.hours_max
    assert end is not None and most_h is not None
    assert end - since <= timedelta(hours=most_h)
    assert keep.hours is None or end - since == timedelta(hours=keep.hours)


@given(instants, st.sampled_from(["hours", "days", "months", "years"]), st.integers(-23, 23))
def test_the_same_instant_in_another_zone_ends_at_the_same_instant(since: datetime, unit: str, hours: int) -> None:
    keep = Keep("period", 5, unit)  # type: ignore[arg-type]
    there = since.astimezone(timezone(timedelta(hours=hours)))
    assert keep.end(there) == keep.end(since)


def test_a_clock_change_moves_no_end() -> None:
    before = datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    assert Keep("period", 1, "days").end(before) == at("2026-03-29T11:00")


def test_a_time_without_a_zone_is_refused() -> None:
    for keep in (Keep("period", 1, "days"), Keep("period", 1, "years"), Keep("life"), Keep("never")):
        with pytest.raises(ValueError, match="without a zone"):
            keep.end(datetime(2026, 1, 1))


def test_only_at_most_may_be_shortened() -> None:
    assert Keep("period", 1, "days", "at most").may_shorten
    assert not Keep("period", 1, "days", "exactly").may_shorten
    assert not Keep("period", 1, "days", "at least").may_shorten
    assert not Keep("life").may_shorten and not Keep("never").may_shorten
