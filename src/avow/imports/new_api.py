"""new-api and one-api: rows of `channels`, `tokens`, `users` and `options`, by the names of its Go models.

Money there is quota: 500,000 of it are a dollar unless the option `QuotaPerUnit` says otherwise. A model's price is a ratio: 1 is
2 dollars per million input tokens; `CompletionRatio` and `CacheRatio` multiply it for output and for cached input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from avow.base.money import NANO
from avow.imports import foreign, plan
from avow.imports.foreign import ImportUnreadable, Row, ValueUnfit
from avow.imports.limits import key_setting
from avow.imports.plan import Key, Left, Model, Plan, Price, Route, Upstream, Upstreams

SOURCE = "new-api"
TABLES = ("channels", "tokens", "users", "options")
ENABLED = "1"
QUOTA_PER_DOLLAR = "500000"
_RATIO_DOLLARS = Decimal(2)


class Channel(NamedTuple):
    """What a channel's type means here: the kind, the usual host ("": none), and the path before that of a surface."""

    word: str
    kind: str
    host: str
    path: str = "/v1"


TYPES: Mapping[str, Channel] = {
    "1": Channel("openai", "openai", "https://api.openai.com"),
    "3": Channel("azure", "azure", "", "/openai/v1"),
    "4": Channel("ollama", "compatible", "http://localhost:11434"),
    "8": Channel("custom", "compatible", ""),
    "14": Channel("anthropic", "anthropic", "https://api.anthropic.com"),
    "17": Channel("ali", "compatible", "https://dashscope.aliyuncs.com", "/compatible-mode/v1"),
    "20": Channel("openrouter", "openrouter", "https://openrouter.ai/api"),
    "24": Channel("gemini", "compatible", "https://generativelanguage.googleapis.com", "/v1beta/openai"),
    "25": Channel("moonshot", "compatible", "https://api.moonshot.cn"),
    "26": Channel("zhipu", "compatible", "https://open.bigmodel.cn", "/api/paas/v4"),
    "27": Channel("perplexity", "compatible", "https://api.perplexity.ai", ""),
    "31": Channel("lingyiwanwu", "compatible", "https://api.lingyiwanwu.com"),
    "35": Channel("minimax", "compatible", "https://api.minimax.chat"),
    "40": Channel("siliconflow", "compatible", "https://api.siliconflow.cn"),
    "42": Channel("mistral", "compatible", "https://api.mistral.ai"),
    "43": Channel("deepseek", "compatible", "https://api.deepseek.com"),
    "45": Channel("volcengine", "compatible", "https://ark.cn-beijing.volces.com", "/api/v3"),
    "47": Channel("xinference", "compatible", ""),
    "48": Channel("xai", "compatible", "https://api.x.ai"),
}
_LOST = ("param_override", "header_override", "status_code_mapping", "setting", "openai_organization")


def read(tables: Mapping[str, Sequence[Row]], now: datetime, owner: str | None = None) -> Plan:
    """The plan that these rows come to. `owner` gets the tokens whose owner has no address. Raises ImportUnreadable."""
    left: list[Left] = []
    upstreams = Upstreams()
    options = _options(tables.get("options", ()))
    offered: dict[str, list[tuple[Decimal, Route]]] = {}
    for row in plan.named_rows(_live(tables.get("channels", ())), "id"):
        what = f"channel {foreign.shown(row.get('name') or row.get('id'))}"
        try:
            for model, priority, route in _channel(row, what, upstreams, left):
                offered.setdefault(model, []).append((priority, route))
        except ValueUnfit as wrong:
            left.append(Left(what, str(wrong)))
    models = _models(offered, options, left)
    keys = _keys(tables, options, now, owner, left)
    return Plan(SOURCE, upstreams.used(models), models, keys, tuple(left))


def _channel(row: Row, what: str, upstreams: Upstreams, left: list[Left]) -> list[tuple[str, Decimal, Route]]:
    """The models of a channel, each with its priority and route."""
    if str(row.get("status")) != ENABLED:
        raise ValueUnfit("it is switched off")
    number = str(row.get("type"))
    kind = TYPES.get(number)
    if kind is None:
        raise ValueUnfit(f"no kind of upstream here speaks what its type {foreign.shown(number)} does")
    names = [each.strip() for each in str(row.get("models") or "").split(",") if each.strip()]
    mapping = foreign.mapping(row.get("model_mapping"), "model_mapping")
    weight = plan.weight(row.get("weight"))
    # A larger priority comes first there; it may be negative.
    priority = _signed(row.get("priority"))
    made = _upstreams(row, kind, upstreams)
    for name in _LOST:
        if row.get(name) not in (None, "", "{}", {}):
            left.append(Left(what, f"its {name} is not carried over"))
    if str(row.get("group") or "default") != "default":
        left.append(Left(what, "groups are not carried over: whoever may call a model may be served here"))
    found = []
    for each in names:
        model, theirs = foreign.name(each), mapping.get(each, each)
        found += [(model, priority, Route(up.name, foreign.name(theirs), 0, weight)) for up in made]
    return found


def _upstreams(row: Row, kind: Channel, upstreams: Upstreams) -> list[Upstream]:
    """One upstream for each key of a channel."""
    given = str(row.get("base_url") or "").strip().rstrip("/")
    base = given or kind.host
    if not base:
        raise ValueUnfit("it has no base_url")
    plan.host(base)
    url = base if base.endswith(kind.path) else base + kind.path
    standard = base.removesuffix(kind.path) == kind.host
    protocol = "compatible" if kind.kind == "openai" and not standard else kind.kind
    wanted = kind.word if standard or kind.word == "azure" else plan.host(base)
    off = foreign.mapping(
        foreign.mapping(row.get("channel_info"), "channel_info").get("multi_key_status_list"), "multi_key_status_list"
    )
    texts = [
        each.strip()
        for number, each in enumerate(str(row.get("key") or "").strip("\n").split("\n"))
        if each.strip() and str(off.get(str(number), ENABLED)) == ENABLED
    ]
    if any(not each.isascii() or not each.isprintable() or " " in each or each[0] in "[{" for each in texts):
        raise ValueUnfit("its key is no text that can stand in a header")
    origin = "credential from the file"
    if not texts:
        return [upstreams.add(wanted, protocol, url, None, "no credential")]
    return [upstreams.add(wanted, protocol, url, each, origin) for each in texts]


def _models(
    offered: Mapping[str, list[tuple[Decimal, Route]]], options: Mapping[str, Any], left: list[Left]
) -> tuple[Model, ...]:
    made = []
    for name, routes in offered.items():
        try:
            price = _price(name, options)
        except ValueUnfit as wrong:
            left.append(Left(f"model {name}", str(wrong)))
            continue
        steps = {priority: step for step, priority in enumerate(sorted({p for p, _ in routes}, reverse=True))}
        ordered = sorted(routes, key=lambda each: steps[each[0]])
        there = [Route(r.upstream, r.their_name, steps[priority], r.weight) for priority, r in ordered]
        made.append(Model(name, price, plan.ranked(there)))
    return tuple(made)


def _price(model: str, options: Mapping[str, Any]) -> Price:
    """A model's price by the operator's own ratios; the program's built-in ones are in no table. Raises ValueUnfit."""
    if model in options["ModelPrice"]:
        raise ValueUnfit("it costs per call there, and per token here: avow model add sets its price")
    if model not in options["ModelRatio"]:
        raise ValueUnfit("it has no ModelRatio in the options, and nothing is free by accident: save the ratios there")
    dollars = foreign.product(options["ModelRatio"][model], options["GroupRatio"].get("default", "1"), _RATIO_DOLLARS)
    if not dollars:
        return Price(0, 0)
    if model not in options["CompletionRatio"]:
        raise ValueUnfit("it has no CompletionRatio in the options: save the ratios there")
    cached = options["CacheRatio"].get(model)
    return Price(
        foreign.nano(dollars),
        foreign.nano(dollars, options["CompletionRatio"][model]),
        None if cached is None else foreign.nano(dollars, cached),
    )


def _options(rows: Sequence[Row]) -> dict[str, Any]:
    """The options that matter, each a mapping of names to numbers; and the quota of a dollar."""
    given = {str(row.get("key")): row.get("value") for row in plan.named_rows(rows, "key")}
    names = ("ModelRatio", "CompletionRatio", "CacheRatio", "ModelPrice", "GroupRatio")
    try:
        found: dict[str, Any] = {name: foreign.mapping(given.get(name), name) for name in names}
        found["QuotaPerUnit"] = foreign.number(given.get("QuotaPerUnit") or QUOTA_PER_DOLLAR)
    except ValueUnfit as wrong:
        raise ImportUnreadable(f"An option cannot be read: {wrong}.") from None
    if not found["QuotaPerUnit"]:
        raise ImportUnreadable("QuotaPerUnit is 0.")
    return found


def _keys(
    tables: Mapping[str, Sequence[Row]],
    options: Mapping[str, Any],
    now: datetime,
    owner: str | None,
    left: list[Left],
) -> tuple[Key, ...]:
    people = {str(row.get("id")): row for row in plan.named_rows(_live(tables.get("users", ())), "id")}
    made = []
    for row in plan.named_rows(_live(tables.get("tokens", ())), "id"):
        what = f"token {foreign.shown(row.get('name') or row.get('id'))}"
        try:
            made.append(_key(row, people.get(str(row.get("user_id"))), options["QuotaPerUnit"], now, owner))
        except ValueUnfit as wrong:
            left.append(Left(what, str(wrong)))
            continue
        if str(row.get("group") or "default") not in ("default", "auto"):
            left.append(Left(what, "its group is not carried over"))
    for row in people.values():
        if row.get("quota") and _signed(row["quota"]) > 0:
            dollars = _signed(row["quota"]) / options["QuotaPerUnit"]
            why = f"the balance of {dollars:.2f} dollars is money, and is not carried over by a file"
            left.append(Left(f"user {foreign.shown(row.get('username') or row.get('id'))}", why))
    return tuple(made)


def _key(row: Row, person: Row | None, per_dollar: Decimal, now: datetime, owner: str | None) -> Key:
    if str(row.get("status")) != ENABLED:
        raise ValueUnfit("it is switched off, has expired or is used up")
    if person is not None and str(person.get("status")) != ENABLED:
        raise ValueUnfit("its owner is switched off")
    address = (person or {}).get("email") or owner
    if not address:
        raise ValueUnfit("its owner has no address: give --owner ADDRESS for all such tokens")
    models: list[str] = []
    if foreign.truth(row.get("model_limits_enabled")):
        models = [each.strip() for each in str(row.get("model_limits") or "").split(",") if each.strip()]
        if not models:
            raise ValueUnfit("it may use no model")
    limits = {}
    if not foreign.truth(row.get("unlimited_quota")):
        # Rounded down to the nano-dollar.
        limits["budget_total_nano"] = int(foreign.number(row.get("remain_quota") or 0) * NANO / per_dollar)
    networks = str(row.get("allow_ips") or "").replace(",", "\n").split()
    name = str(row.get("name") or "")
    origin = f"{row['id']}/{row.get('created_time')}"
    return Key(
        origin, foreign.name(address), key_setting(name, _when(row.get("expired_time")), now, limits, models, networks)
    )


def _when(value: Any) -> datetime | None:
    if value is None or str(value) == "-1":
        return None
    try:
        return datetime.fromtimestamp(foreign.whole(value), UTC)
    except (OverflowError, OSError, ValueError):
        raise ValueUnfit("its end is no time") from None


def _signed(value: Any) -> Decimal:
    if value is None:
        return Decimal(0)
    text = str(value).strip()
    return -foreign.number(text[1:]) if text.startswith("-") else foreign.number(text)


def _live(rows: Sequence[Row]) -> list[Row]:
    """Rows that were not deleted; deleting leaves a row there."""
    return [row for row in rows if not row.get("deleted_at")]
