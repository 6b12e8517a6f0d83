"""LiteLLM's proxy: `config.yaml` and its list of prices, as upstreams and models (the keys: `litellm_keys`).

Field names are those of docs.litellm.ai/docs/proxy/configs and /config_settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from avow.gateway.fleet import Routing
from avow.imports import foreign, litellm_keys, plan
from avow.imports.foreign import ImportUnreadable, Row, ValueUnfit
from avow.imports.plan import Left, Model, Plan, Price, Route, Upstream, Upstreams

SOURCE = "litellm"
_MILLION = Decimal(10**6)


class Provider(NamedTuple):
    """What a prefix of `litellm_params.model` means here: the kind, its usual address ("": none), the variable of its key."""

    kind: str
    base_url: str
    variable: str = ""


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    "text-completion-openai": Provider("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    "azure": Provider("azure", "", "AZURE_API_KEY"),
    "anthropic": Provider("anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "openrouter": Provider("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "mistral": Provider("compatible", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "groq": Provider("compatible", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "deepseek": Provider("compatible", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "together_ai": Provider("compatible", "https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    "fireworks_ai": Provider("compatible", "https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY"),
    "xai": Provider("compatible", "https://api.x.ai/v1", "XAI_API_KEY"),
    "perplexity": Provider("compatible", "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "cerebras": Provider("compatible", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepinfra": Provider("compatible", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "nvidia_nim": Provider("compatible", "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    "gemini": Provider("compatible", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "ollama": Provider("compatible", "http://localhost:11434"),
    "ollama_chat": Provider("compatible", "http://localhost:11434"),
    "hosted_vllm": Provider("compatible", ""),
    "openai_like": Provider("compatible", ""),
    "xinference": Provider("compatible", ""),
    "lm_studio": Provider("compatible", ""),
    "llamafile": Provider("compatible", ""),
}
_BARE = {"openai": ("gpt-", "o1", "o3", "o4", "chatgpt-", "text-embedding-"), "anthropic": ("claude-",)}
"""A model without a prefix is one of these, by how it begins; LiteLLM guesses so too."""
_ROUTINGS: Mapping[str, Routing] = {
    "simple-shuffle": "weight",
    "least-busy": "finish",
    "latency-based-routing": "finish",
    "usage-based-routing": "finish",
    "usage-based-routing-v2": "finish",
    "cost-based-routing": "price",
}
_PART_COSTS = ("cache_read_input_token_cost", "cache_creation_input_token_cost", "output_cost_per_reasoning_token")
_COSTS = (
    *("input_cost_per_token", "output_cost_per_token", *_PART_COSTS),
    *("input_cost_per_image_token", "output_cost_per_image_token"),
    *("input_cost_per_audio_token", "output_cost_per_audio_token"),
)
_TAKEN = frozenset(
    [
        *_COSTS,
        *("model", "api_base", "base_url", "api_key", "weight", "order", "rpm", "tpm", "custom_llm_provider"),
    ]
)
"""Parameters that are carried over."""
_DECIDED = frozenset(["max_retries", "num_retries", "timeout", "stream_timeout"])


class Files(NamedTuple):
    """What was read: the config, the rows of keys and users, and the list of prices; and the environment of the command."""

    config: Any
    environment: Mapping[str, str]
    keys: Sequence[Row] = ()
    users: Sequence[Row] = ()
    prices: Mapping[str, Any] = MappingProxyType({})


def read(files: Files, now: datetime, owner: str | None = None) -> Plan:
    """The plan that LiteLLM's files come to. `owner` gets the keys whose owner has no address. Raises ImportUnreadable."""
    config = _mapping(files.config, "The config")
    left: list[Left] = []
    upstreams = Upstreams()
    given = config.get("model_list") or []
    if not isinstance(given, list):
        raise ImportUnreadable("model_list is no list.")
    variables = {**_mapping(config.get("environment_variables") or {}, "environment_variables"), **files.environment}
    found: dict[str, list[_Deployment]] = {}
    for number, row in enumerate(given, 1):
        what = f"model_list entry {number}"
        try:
            entry = _mapping(row, what)
            name = foreign.name(entry.get("model_name"))
            what = f"model {name} (entry {number})"
            found.setdefault(name, []).append(_deployment(entry, what, variables, upstreams, files.prices, left))
        except ValueUnfit as wrong:
            left.append(Left(what, str(wrong)))
    settings = {**_section(config, "litellm_settings"), **_section(config, "router_settings")}
    models = _models(found, settings, left)
    left += _ignored(config, settings)
    keys = litellm_keys.read(files.keys, files.users, now, owner, left)
    return Plan(SOURCE, upstreams.used(models), models, keys, tuple(left))


class _Deployment(NamedTuple):
    """One entry of `model_list`. `price` None: not known."""

    upstream: Upstream
    their_name: str
    rank: int
    weight: int
    price: Price | None
    context_tokens: int | None
    output_tokens_max: int | None


def _deployment(
    entry: Row,
    what: str,
    variables: Mapping[str, Any],
    upstreams: Upstreams,
    prices: Mapping[str, Any],
    left: list[Left],
) -> _Deployment:
    params = _mapping(entry.get("litellm_params"), what)
    info = _mapping(entry.get("model_info") or {}, what)
    named = foreign.name(_value(params.get("model"), variables))
    if "*" in named or "*" in str(entry["model_name"]):
        raise ValueUnfit("it is a pattern; here every model is offered by its name and has a price")
    prefix, model = _provider(named, params)
    provider = PROVIDERS[prefix]
    base_url, standard = _address(prefix, provider, params, variables)
    kind = "compatible" if provider.kind == "openai" and not standard else provider.kind
    credential, origin = _credential(provider, params, variables, standard)
    wanted = prefix if standard or prefix == "azure" else plan.host(base_url)
    upstream = upstreams.add(wanted, kind, base_url, credential, origin)
    left += [Left(what, why) for why in _lost(params, prefix)]
    listed = _listed(prices, named, model, info)
    told = {**listed, **info, **params}
    output = told.get("max_output_tokens") or listed.get("max_tokens") or info.get("max_tokens")
    return _Deployment(
        upstream,
        model,
        int(foreign.number(params.get("order") or "0")),
        plan.weight(params.get("weight") or params.get("rpm") or params.get("tpm")),
        _price(told),
        plan.size(told.get("max_input_tokens"), 0) or None,
        plan.size(output, 0) or None,
    )


def _lost(params: Row, prefix: str) -> Iterator[str]:
    """What becomes of a deployment's parameters that are not carried over: a sentence for each reason."""
    lost = params.keys() - _TAKEN
    if prefix == "azure" and "api_version" in lost:
        lost -= {"api_version"}
        yield "its api_version is not carried over: Azure is spoken to by its v1 API, which has none"
    for names, why in (
        (lost & _DECIDED, "these the gateway decides itself"),
        (lost - _DECIDED, "these parameters are not carried over"),
    ):
        if names:
            yield f"{why}: {', '.join(sorted(map(foreign.shown, names)))}"


def _provider(named: str, params: Row) -> tuple[str, str]:
    given = params.get("custom_llm_provider")
    prefix, slash, rest = named.partition("/")
    if given is not None:
        prefix, rest = foreign.name(given), named.removeprefix(f"{given}/")
    elif not slash:
        rest, prefix = named, next((p for p, heads in _BARE.items() if named.startswith(heads)), "")
        if not prefix:
            raise ValueUnfit(f"whose model {foreign.shown(named)!r} is cannot be told; write PROVIDER/MODEL")
    if prefix not in PROVIDERS or not rest:
        raise ValueUnfit(f"no kind of upstream here speaks {foreign.shown(prefix)!r}")
    return prefix, rest


def _address(prefix: str, provider: Provider, params: Row, variables: Mapping[str, Any]) -> tuple[str, bool]:
    """The base URL, and whether it is the provider's usual one."""
    given = _value(params.get("api_base") or params.get("base_url"), variables)
    base = str(given or provider.base_url).rstrip("/")
    if not base:
        raise ValueUnfit("it has no api_base")
    plan.host(base)
    standard = base == provider.base_url.rstrip("/") or not given
    if prefix == "azure":
        # The v1 API of Azure, whose `model` is the name of the deployment.
        base = base.removesuffix("/openai/v1").removesuffix("/openai") + "/openai/v1"
    elif prefix.startswith("ollama"):
        base = base.removesuffix("/v1") + "/v1"
    elif prefix == "anthropic" and not base.endswith("/v1"):
        base += "/v1"
    return base, standard


def _credential(
    provider: Provider, params: Row, variables: Mapping[str, Any], standard: bool
) -> tuple[str | None, str]:
    """A credential, and where it is from. Raises ValueUnfit for a variable that is not set."""
    given = params.get("api_key")
    if given is None and (not provider.variable or not (standard or provider.kind == "azure")):
        return None, "no credential"
    wanted = given if given is not None else f"os.environ/{provider.variable}"
    found = _value(wanted, variables)
    origin = f"credential from {foreign.shown(wanted).removeprefix('os.environ/')}" if found != wanted else ""
    if not isinstance(found, str) or not found.isascii() or not found.isprintable() or " " in found or not found:
        raise ValueUnfit("its api_key is no text that can stand in a header")
    if found.lower() in ("none", "null", "dummy", "fake-key", "anything"):
        return None, "no credential"
    return found, origin or "credential from the file"


def _value(given: Any, variables: Mapping[str, Any]) -> Any:
    """A value, read from the environment where it says so. Raises ValueUnfit, which names the variable."""
    if not isinstance(given, str) or not given.startswith("os.environ/"):
        return given
    name = given.removeprefix("os.environ/").strip()
    if not variables.get(name):
        raise ValueUnfit(f"{foreign.shown(name)} is not set in the environment of this command")
    return variables[name]


def _listed(prices: Mapping[str, Any], named: str, model: str, info: Row) -> Row:
    """What LiteLLM's list of prices says of a model, under the names by which it is looked up there."""
    for name in (info.get("base_model"), named, model):
        row = prices.get(name) if isinstance(name, str) else None
        if isinstance(row, dict):
            return row
    return {}


def _price(told: Row) -> Price | None:
    if told.get("input_cost_per_token") is None:
        return None
    given = {name: foreign.nano(told[name], _MILLION) for name in _COSTS if told.get(name) is not None}
    base = given["input_cost_per_token"], given.get("output_cost_per_token", 0)
    # Images and audio have one price here, both ways: the dearer.
    ways = ("input_cost_per_{}_token", "output_cost_per_{}_token")
    media = {
        f"{kind}_nano": max(given.get(way.format(kind), rate) for way, rate in zip(ways, base, strict=True))
        for kind in ("image", "audio")
        if any(way.format(kind) in given for way in ways)
    }
    parts = (given.get(name) for name in _PART_COSTS)
    return Price(*base, *parts, **media)


def _models(found: Mapping[str, list[_Deployment]], settings: Row, left: list[Left]) -> tuple[Model, ...]:
    strategy = str(settings.get("routing_strategy") or "simple-shuffle")
    if strategy not in _ROUTINGS:
        left.append(Left("router_settings", f"the strategy {foreign.shown(strategy)!r} is not known here: weight is"))
    routing = _ROUTINGS.get(strategy, "weight")
    second = _fallbacks(settings, left)
    made: dict[str, Model] = {}
    for name, own in found.items():
        if not own:
            continue  # none of its entries is carried over, and the line of each says why
        model = _model(name, own, [found[other] for other in second.get(name, ()) if other in found], routing, left)
        if model is not None:
            made[name] = model
    for alias, target in _aliases(settings, left):
        if alias in made:
            left.append(Left(f"alias {alias}", "there is a model of this name already"))
        elif target in made:
            made[alias] = replace(made[target], id=alias)
        else:
            why = "is not carried over either" if target in found else "is not there"
            left.append(Left(f"alias {alias}", f"the model that it stands for, {target}, {why}"))
    return tuple(made.values())


def _model(
    name: str, own: list[_Deployment], others: list[list[_Deployment]], routing: Routing, left: list[Left]
) -> Model | None:
    known = [each.price for each in own if each.price is not None]
    if not known:
        why = "it has no price, and nothing is free by accident: give --prices, or its costs in model_info"
        left.append(Left(f"model {name}", why))
        return None
    # One price for whoever calls it: none of its own deployments whose price is known costs more than is charged.
    price = Price.dearest(known)
    if len(set(known)) > 1:
        left.append(
            Left(f"model {name}", "its deployments have several prices; of each kind of token the dearest is taken")
        )
    steps = [own, *others]
    top = max(each.rank for each in own) + 1
    routes = [
        Route(each.upstream.name, each.their_name, each.rank if not step else top + step, each.weight)
        for step, deployments in enumerate(steps)
        for each in deployments
    ]
    once = plan.ranked(routes)
    if len(once) < len({(route.upstream, route.their_name) for route in routes}):
        left.append(Left(f"model {name}", "it runs under several names at one upstream; the first is taken"))
    context = min((each.context_tokens for each in own if each.context_tokens), default=plan.CONTEXT_TOKENS)
    output = min((each.output_tokens_max for each in own if each.output_tokens_max), default=plan.OUTPUT_TOKENS_MAX)
    return Model(name, price, once, routing, context, min(output, context))


def _fallbacks(settings: Row, left: list[Left]) -> dict[str, list[str]]:
    """`fallbacks: [{model: [other, …]}]`; those of a kind of error alone have no counterpart."""
    found: dict[str, list[str]] = {}
    given = settings.get("fallbacks") or []
    for each in given if isinstance(given, list) else [given]:
        for name, others in each.items() if isinstance(each, dict) else [("", None)]:
            if isinstance(others, list) and all(isinstance(other, str) for other in others):
                found.setdefault(name, []).extend(others)
            else:
                left.append(Left("fallbacks", f"that of {foreign.shown(name)!r} is no list of models"))
    return found


def _aliases(settings: Row, left: list[Left]) -> Iterable[tuple[str, str]]:
    given = settings.get("model_group_alias") or {}
    for alias, target in given.items() if isinstance(given, dict) else ():
        model = target.get("model") if isinstance(target, dict) else target
        try:
            yield foreign.name(alias), foreign.name(model)
        except ValueUnfit as wrong:
            left.append(Left(f"alias {foreign.shown(alias)}", str(wrong)))


def _ignored(config: Row, settings: Row) -> list[Left]:
    taken = {"routing_strategy", "fallbacks", "model_group_alias"}
    lost = [
        *(foreign.shown(name) for name in config.keys() - {"model_list", "environment_variables"}),
        *(f"{foreign.shown(name)} (of litellm_settings or router_settings)" for name in settings.keys() - taken),
    ]
    kept = ("litellm_settings", "router_settings")
    return [Left(name, "this setting is LiteLLM's own") for name in sorted(lost) if name not in kept]


def _section(config: Row, name: str) -> dict[str, Any]:
    return dict(_mapping(config.get(name) or {}, name))


def _mapping(value: Any, what: str) -> Row:
    if not isinstance(value, dict):
        raise ImportUnreadable(f"{what[:1].upper()}{what[1:]} is no mapping of names to values.")
    return value
