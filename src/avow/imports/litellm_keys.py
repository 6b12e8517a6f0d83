"""LiteLLM's keys: rows of `LiteLLM_VerificationToken` and `LiteLLM_UserTable`, by the names of its Prisma schema.

A key's text is not in them, only its SHA-256: so a key is made anew, with the same limits. One with a limit that
nothing here is a match for, its own or its owner's, is not made: it could do more than before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from avow.imports import foreign, plan
from avow.imports.foreign import Row, ValueUnfit
from avow.imports.limits import Window, key_setting
from avow.imports.plan import Key, Left

_ELSEWHERE = {
    "all-team-models": "its models are those of its team, which stands in another table; list them on the key",
    "no-default-models": "it may use no model",
}
_EMPTY: tuple[Any, ...] = (None, "", "{}", "[]", "null", [], {})
_OF_KEY = (
    *("allowed_routes", "permissions", "allowed_passthrough_routes", "object_permission_id", "allowed_cache_controls"),
    *("max_parallel_requests", "model_max_budget", "budget_limits", "budget_id", "team_id", "organization_id"),
    *("project_id", "agent_id", "policies", "access_group_ids"),
)
_OF_METADATA = ("model_rpm_limit", "model_tpm_limit", "enforced_params", "guardrails", "policies")
_OF_USER = (
    *("models", "max_budget", "rpm_limit", "tpm_limit", "max_parallel_requests", "model_max_budget"),
    *("organization_id", "object_permission_id", "allowed_cache_controls", "policies"),
)
"""What limits a key there and has no match here; of a team, a project and so on the limits stand in tables of their own."""


def read(
    keys: Sequence[Row], users: Sequence[Row], now: datetime, owner: str | None, left: list[Left]
) -> tuple[Key, ...]:
    """The keys to make; to `left` goes what is not made or lost. `owner` gets those whose owner has no address."""
    known = {str(row.get("user_id")): row for row in plan.named_rows(users, "user_id")}
    made: list[Key] = []
    for row in plan.named_rows(keys, "token"):
        what = f"key {foreign.shown(row.get('key_alias') or row.get('key_name') or str(row.get('token'))[:12])}"
        try:
            key, lost = _key(row, known, now, owner)
        except ValueUnfit as wrong:
            left.append(Left(what, str(wrong)))
            continue
        made.append(key)
        left += [Left(what, why) for why in lost]
    return tuple(made)


def _key(row: Row, users: Mapping[str, Row], now: datetime, owner: str | None) -> tuple[Key, list[str]]:
    """A key, and what of it is lost. Raises ValueUnfit for one that is not made: what restricts access is never dropped."""
    token = foreign.name(row.get("token"))
    user: Row = {}
    if row.get("user_id"):
        # Without the row of its owner nobody knows what limits them there, whoever gets the key here.
        if str(row["user_id"]) not in users:
            raise ValueUnfit("its owner is not in --users, so what they may use there is not known")
        user = users[str(row["user_id"])]
    address = user.get("user_email") or owner
    if not address:
        raise ValueUnfit("its owner has no address here: give --users, or --owner ADDRESS for all such keys")
    if foreign.truth(row.get("blocked")):
        raise ValueUnfit("it is blocked")
    _refuse_lost("its", row, _OF_KEY)
    _refuse_lost("its", foreign.mapping(row.get("metadata"), "metadata"), _OF_METADATA)
    _refuse_lost("its owner's", user, _OF_USER)
    models = [name for name in foreign.texts(row.get("models")) if name != "all-proxy-models"]
    for name in models:
        if name in _ELSEWHERE:
            raise ValueUnfit(_ELSEWHERE[name])
    lost = [f"its {name} is not carried over" for name in ("soft_budget", "aliases") if row.get(name) not in _EMPTY]
    limits, remarks = _limits(row)
    alias = row.get("key_alias") or row.get("key_name") or ""
    setting = key_setting(alias, _when(row.get("expires")), now, limits, models)
    return Key(token, foreign.name(address), setting), [*lost, *remarks]


def _refuse_lost(whose: str, row: Row, names: Sequence[str]) -> None:
    """Raise ValueUnfit for the first of these limits that stands in a row."""
    for name in names:
        if row.get(name) not in _EMPTY:
            raise ValueUnfit(f"{whose} {name} would be lost, and it could do more than before")


def _limits(row: Row) -> tuple[dict[str, int], list[str]]:
    limits: dict[str, int] = {}
    for theirs, ours in (("rpm_limit", "requests_per_min"), ("tpm_limit", "tokens_per_min")):
        if row.get(theirs) is not None:
            limits[ours] = foreign.whole(row[theirs])
    if row.get("max_budget") is None:
        return limits, []
    amount, duration = foreign.nano(_plain(row["max_budget"])), row.get("budget_duration")
    if not duration:
        spent = foreign.nano(_plain(row.get("spend") or 0))
        return {**limits, "budget_total_nano": max(0, amount - spent)}, []
    window = Window.of(str(duration))
    remarks = [] if window.exact else [f"its budget per {foreign.shown(duration)} becomes one per {window.word}"]
    return {**limits, f"budget_{window.word}_nano": amount}, remarks


def _plain(value: Any) -> str:
    """What was spent there is a binary fraction; its part below a nano-dollar is of no account."""
    return str(foreign.number(value).quantize(Decimal("1e-9")))


def _when(value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        found = datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueUnfit("its end is no time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
