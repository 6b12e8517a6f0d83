"""How periods, dates and lists read in a sentence."""

from collections.abc import Iterable
from datetime import UTC, datetime

from avow.policy.model import Keep

UNITS_ZH = {"hours": "小时", "days": "天", "months": "个月", "years": "年"}
BOUNDS_ZH = {"exactly": "", "at most": "最多", "at least": "至少"}
MONTHS_EN = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def en(keep: Keep) -> str:
    """`30 days`, `at most 30 days`."""
    unit = keep.unit if keep.amount != 1 else keep.unit[:-1]
    return f"{keep.amount} {unit}" if keep.bound == "exactly" else f"{keep.bound} {keep.amount} {unit}"


def zh(keep: Keep) -> str:
    """`30 天`, `最多 30 天`."""
    return f"{BOUNDS_ZH[keep.bound]} {keep.amount} {UNITS_ZH[keep.unit]}".strip()


def date_en(date: str) -> str:
    """`17 March 2026`, or `March 2026` for a month."""
    year, month, *day = date.split("-")
    return " ".join([*(str(int(part)) for part in day), MONTHS_EN[int(month) - 1], year])


def date_zh(date: str) -> str:
    """`2026 年 3 月 17 日`, or `2026 年 3 月`."""
    year, month, *day = date.split("-")
    return f"{year} 年 {int(month)} 月" + "".join(f" {int(part)} 日" for part in day)


def day(moment: datetime, locale: str) -> str:
    """The day (UTC) of a moment in a language: `17 March 2026`, `2026 年 3 月 17 日`."""
    date = moment.astimezone(UTC).date().isoformat()
    return date_zh(date) if locale == "zh" else date_en(date)


def minute(moment: datetime, locale: str) -> str:
    """A moment in a language, to the minute, in UTC: `17 March 2026, 09:05 UTC`, `2026 年 3 月 17 日 09:05（UTC）`."""
    time = f"{moment.astimezone(UTC):%H:%M}"
    return f"{day(moment, locale)} {time}（UTC）" if locale == "zh" else f"{day(moment, locale)}, {time} UTC"


def both(parts: Iterable[str]) -> str:
    """`a, b and c`; `nothing` for none, which only two policies met can say."""
    return _joined(list(parts), "and")


def either(parts: Iterable[str]) -> str:
    """`a, b or c`; `nothing` for none."""
    return _joined(list(parts), "or")


def _joined(parts: list[str], word: str) -> str:
    if len(parts) < 2:
        return parts[0] if parts else "nothing"
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"
