"""What the plan of a LiteLLM proxy says, from its own files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from avow.imports import foreign, litellm
from avow.imports.foreign import ImportUnreadable
from avow.imports.plan import Model, Plan, Price, Route
from tests.imports.files import CONFIG, ENVIRONMENT, KEYS, PRICES, USERS

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DOLLAR = 1_000_000_000


def plan_of(folder: Path, config: str = CONFIG, *, keys: str = KEYS, owner: str | None = None, **more: Any) -> Plan:
    for name, text in (("config.yaml", config), ("keys.csv", keys), ("users.csv", more.get("users", USERS))):
        (folder / name).write_text(text.replace("HOUSE", "http://127.0.0.1:8000/v1"))
    (folder / "prices.json").write_text(json.dumps(PRICES))
    files = litellm.Files(
        foreign.yaml_of(folder / "config.yaml"),
        more.get("environment", ENVIRONMENT),
        foreign.rows_of(folder / "keys.csv", "keys"),
        foreign.rows_of(folder / "users.csv", "users"),
        foreign.json_of(folder / "prices.json"),
    )
    return litellm.read(files, NOW, owner)


def models(plan: Plan) -> dict[str, Model]:
    return {model.id: model for model in plan.models}


def reasons(plan: Plan) -> dict[str, str]:
    found: dict[str, str] = {}
    for left in plan.left:
        found[left.what] = f"{found.get(left.what, '')} {left.why}".strip()
    return found


def test_deployments_become_upstreams_and_routes(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    ups = {each.name: each for each in plan.upstreams}
    assert set(ups) == {"azure", "azure-2", "anthropic", "127-0-0-1-8000"}
    assert (ups["azure"].kind, ups["azure"].base_url) == ("azure", "https://eu.openai.azure.com/openai/v1")
    assert ups["azure"].credential == ups["azure-2"].credential == "azure-key-1"
    assert ups["azure"].origin == "credential from AZURE_API_KEY_EU"
    assert ups["azure"].processor == ups["azure-2"].processor == "azure"
    here = ups["127-0-0-1-8000"]
    assert (here.kind, here.processor, here.credential) == ("compatible", None, None)
    known = models(plan)
    assert set(known) == {"gpt-4o", "gpt-4", "claude", "house"}
    assert known["gpt-4o"].routes == (Route("azure", "gpt-4o-eu", 0, 60), Route("azure-2", "gpt-4o-ca", 1, 60))
    assert known["gpt-4"].routes == known["gpt-4o"].routes, "an alias"
    steps = [(route.upstream, route.rank) for route in known["claude"].routes]
    assert steps == [("anthropic", 0), ("azure", 1), ("azure-2", 1)], "fallbacks come after its own"
    assert {model.routing for model in plan.models} == {"finish"}, "by latency"
    assert (known["house"].context_tokens, known["house"].output_tokens_max) == (32768, 4096)


@pytest.mark.parametrize("address", ["https://a.example/v1#x", "https://a.example/v 1", "https://例.example/v1"])
def test_an_address_that_no_request_could_be_sent_to_is_left_and_the_rest_is_not(tmp_path: Path, address: str) -> None:
    good = "{model_name: good, litellm_params: {model: openai/x, api_key: k, input_cost_per_token: 0, output_cost_per_token: 0}}"
    bad = good.replace("good", "bad").replace("api_key: k", f'api_key: k, api_base: "{address}"')
    plan = plan_of(tmp_path, f"model_list: [{bad}, {good}]", keys="token\n")
    assert [each.name for each in plan.upstreams] == ["openai"] and set(models(plan)) == {"good"}
    assert "without spaces, #" in str(reasons(plan)), reasons(plan)


def test_prices_are_exact_and_none_is_free_by_accident(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    known = models(plan)
    assert known["claude"].price == Price(3 * DOLLAR, 15 * DOLLAR, 3 * DOLLAR // 10)
    assert known["gpt-4o"].price == Price(25 * DOLLAR // 10, 10 * DOLLAR), "from the list of prices"
    assert known["house"].price == Price(0, 0), "said to be free"
    assert "no price" in reasons(plan)["model free-lunch"] and "free-lunch" not in known


def test_no_deployment_of_a_model_costs_more_than_its_price(tmp_path: Path) -> None:
    """Each is the dearer one in something: the first in output, the second in the rest."""
    costs = (
        "input_cost_per_token: 1e-6, output_cost_per_token: 9e-6, output_cost_per_audio_token: 2e-5",
        "input_cost_per_token: 2e-6, output_cost_per_token: 3e-6, cache_read_input_token_cost: 1e-7, "
        "cache_creation_input_token_cost: 3e-6, output_cost_per_reasoning_token: 4e-6",
    )
    entries = [
        f"{{model_name: m, litellm_params: {{model: openai/x, api_key: k{number}, {each}}}}}"
        for number, each in enumerate(costs)
    ]
    plan = plan_of(tmp_path, f"model_list: [{', '.join(entries)}]", keys="token\n")
    nano = DOLLAR  # of a million tokens at 1e-6 each
    parts = {"cached_nano": nano, "cache_write_nano": 3 * nano, "reasoning_nano": 9 * nano, "audio_nano": 20 * nano}
    assert models(plan)["m"].price == Price(2 * nano, 9 * nano, **parts)
    assert reasons(plan) == {
        "model m": "its deployments have several prices; of each kind of token the dearest is taken"
    }


@pytest.mark.parametrize(
    ("cost", "why"),
    [
        ("-0.1", "negative"),
        (".nan", "no number"),
        ("nan", "no number"),
        (".inf", "no number"),
        ("1e999999999", "no number"),
        ("1.00000000000000000001e-6", "finer"),
        ("99999999999", "more money"),
        ("[1]", "no number"),
        ("0x10", "no number"),
        ("1_000", "no number"),
        ("true", "no number"),
    ],
)
def test_a_price_that_is_no_exact_amount_is_named_and_not_guessed(tmp_path: Path, cost: str, why: str) -> None:
    config = f"model_list: [{{model_name: m, litellm_params: {{model: openai/x, api_key: k, input_cost_per_token: {cost}}}}}]"
    plan = plan_of(tmp_path, config)
    assert not plan.models and why in reasons(plan)["model m (entry 1)"]


def test_seven_decimals_of_a_float_stay_what_was_written(tmp_path: Path) -> None:
    config = (
        "model_list: [{model_name: m, litellm_params: {model: openai/x, api_key: k, input_cost_per_token: 1.1e-07}}]"
    )
    assert models(plan_of(tmp_path, config))["m"].price.input_nano == 110_000_000


def test_what_is_not_carried_over_is_told_with_its_reason(tmp_path: Path) -> None:
    why = reasons(plan_of(tmp_path))
    assert "'bedrock'" in why["model bedrock-claude (entry 5)"]
    assert "pattern" in why["model * (entry 7)"]
    assert "MISTRAL_API_KEY is not set" in why["model forgotten (entry 8)"]
    assert "extra_headers" in why["model gpt-4o (entry 2)"]
    assert {"general_settings", "drop_params (of litellm_settings or router_settings)"} <= set(why)
    assert "api_version" in why["model gpt-4o (entry 1)"] and "v1 API" in why["model gpt-4o (entry 1)"]


def test_what_is_left_out_is_named_once_with_its_first_cause(tmp_path: Path) -> None:
    config = """
model_list:
  - model_name: paid
    litellm_params: {model: openai/gpt-4o, timeout: 60}
    model_info: {input_cost_per_token: 1e-6, output_cost_per_token: 1e-6}
  - {model_name: weird, litellm_params: {model: weird/thing}}
  - {model_name: "*", litellm_params: {model: "openai/*"}}
  - model_name: mine
    litellm_params: {model: openai/x, api_key: k, input_cost_per_token: 1e-6, timeout: 60, stream_timeout: 9}
router_settings: {model_group_alias: {a: mine, b: paid, c: nowhere, mine: mine, a2: a}}
"""
    plan = plan_of(tmp_path, config, keys="token\n", environment={})
    assert {*models(plan)} == {"mine", "a", "a2"}
    assert [(each.what, each.why) for each in plan.left] == [
        ("model paid (entry 1)", "OPENAI_API_KEY is not set in the environment of this command"),
        ("model weird (entry 2)", "no kind of upstream here speaks 'weird'"),
        ("model * (entry 3)", "it is a pattern; here every model is offered by its name and has a price"),
        ("model mine (entry 4)", "these the gateway decides itself: stream_timeout, timeout"),
        ("alias b", "the model that it stands for, paid, is not carried over either"),
        ("alias c", "the model that it stands for, nowhere, is not there"),
        ("alias mine", "there is a model of this name already"),
    ]


def test_keys_keep_their_limits_and_get_no_looser_ones(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    known = {key.setting.name: key for key in plan.keys}
    assert set(known) == {"ci", "monthly", "weekly", "stranger"}
    ci = known["ci"].setting.limits
    assert (ci.requests_per_min, ci.tokens_per_min) == (60, 100_000)
    assert ci.budget_total_nano == 8_750_000_000, "what is left of it"
    assert known["ci"].setting.models is None
    assert known["monthly"].setting.limits.budget_month_nano == 5_500_000_000
    assert known["monthly"].setting.models == ["house", "gpt-4o"]
    assert known["monthly"].setting.expires_at == datetime(2099, 1, 1, tzinfo=UTC)
    assert known["weekly"].setting.limits.budget_month_nano == 3_000_000_000, "a longer time for the same money"
    assert {key.owner for key in plan.keys} == {"ada@example.org", "bob@example.org"}
    why = reasons(plan)
    assert "expired" in why["key old"] and "blocked" in why["key blocked"]
    assert "team_id" in why["key team"] and "permissions" in why["key special"]
    assert "no address" in why["key nobodys"] and "7d" in why["key weekly"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("max_parallel_requests", "3"),
        ("model_max_budget", '"{""gpt-4o"": 1}"'),
        ("budget_id", "b-1"),
        ("team_id", "t-1"),
        ("organization_id", "o-1"),
        ("metadata", '"{""model_rpm_limit"": {""gpt-4o"": 1}}"'),
    ],
)
def test_a_key_whose_limit_would_be_lost_is_not_made(tmp_path: Path, column: str, value: str) -> None:
    plan = plan_of(tmp_path, keys=f"token,key_alias,user_id,models,{column}\nt1,held,u-ada,{{house}},{value}\n")
    assert not plan.keys and "could do more than before" in reasons(plan)["key held"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("max_budget", "0"),
        ("rpm_limit", "6"),
        ("tpm_limit", "6"),
        ("max_parallel_requests", "1"),
        ("models", "{house}"),
    ],
)
def test_a_key_whose_owner_is_limited_is_not_made(tmp_path: Path, column: str, value: str) -> None:
    users = f"user_id,user_email,{column}\nu-ada,ada@example.org,{value}\nu-bob,bob@example.org,\n"
    keys = "token,key_alias,user_id\nt1,held,u-ada\nt2,free,u-bob\n"
    plan = plan_of(tmp_path, keys=keys, users=users)
    assert [key.setting.name for key in plan.keys] == ["free"]
    assert f"its owner's {column}" in reasons(plan)["key held"]


def test_a_key_of_whose_owner_nothing_is_known_is_nobodys_to_take(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, keys="token,key_alias,user_id\nt1,held,u-eve\n", owner="ops@example.org")
    assert not plan.keys and "not in --users" in reasons(plan)["key held"]


def test_an_owner_takes_only_what_is_nobodys(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, owner="ops@example.org")
    assert [key.setting.name for key in plan.keys if key.owner == "ops@example.org"] == ["nobodys"]


def test_no_secret_of_theirs_is_shown_by_a_plan(tmp_path: Path) -> None:
    assert "azure-key-1" not in repr(plan_of(tmp_path)) and "sk-in-the-file" not in repr(plan_of(tmp_path))


@pytest.mark.parametrize(
    "config",
    [
        "- a\n- b",
        "model_list: {a: b}",
        "model_list: [1]",
        "model_list: [{model_name: m, litellm_params: [1]}]",
        "model_list: [\n",
        "a: 1\na: 2",
        "? [1]\n: 2",
        "a: &a [*a]",
        "a: " + "[" * 500 + "]" * 500,
        "a: " + "[" * 40 + "]" * 40,
        "&a a: &b [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"k{n}: &c{n} [{','.join([f'*c{n - 1}' if n else '*b'] * 10)}]\n" for n in range(9)),
        "a: !!python/object/apply:os.system [x]\nmodel_list: 7",
        "<<: 3",
    ],
)
def test_a_hostile_config_is_refused_and_nothing_is_called(tmp_path: Path, config: str) -> None:
    with pytest.raises(ImportUnreadable):
        plan_of(tmp_path, config)


def test_a_hundred_deployments_of_one_account_are_one_upstream(tmp_path: Path) -> None:
    entry = "{{model_name: m{0}, litellm_params: {{model: openai/m{0}, api_key: k, input_cost_per_token: 1e-6}}}}"
    config = f"model_list: [{', '.join(entry.format(n) for n in range(100))}]"
    plan = plan_of(tmp_path, config)
    assert [each.name for each in plan.upstreams] == ["openai"] and len(plan.models) == 100
