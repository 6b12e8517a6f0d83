"""The policy in the words of others, the schema for editors, and where each value of a request comes from."""

import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avow.policy import REACHED, Overrides, Policy, compile, explain, export, language, parse, words
from avow.policy.schema import schema
from avow.policy.sections import SECTIONS
from avow.policy.vocabularies import BASES, CATEGORIES, DPV, PD, PURPOSES
from tests.policy.texts import GOOD, Tables, toml, wide_policies

ROOT = Path(__file__).parents[2]
PROFILES = sorted((ROOT / "profiles").glob("*.toml"))
POLICY = parse(toml(GOOD))
SCHEMA: dict[str, Any] = json.loads(schema())


def test_every_word_has_its_peer_in_both_vocabularies() -> None:
    assert set(CATEGORIES) == set(words.CATEGORIES)
    assert set(PURPOSES) == set(words.PURPOSES)
    assert set(BASES) == set(words.BASES)
    for known in (*CATEGORIES.values(), *PURPOSES.values()):
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", known.fides)
        assert known.dpv.startswith((DPV, PD)) and re.fullmatch(r"[A-Z][A-Za-z]+", known.dpv.split("#")[1])


@settings(max_examples=30)
@given(wide_policies())
def test_each_stored_category_is_exported_with_its_purposes_and_end(tables: Tables) -> None:
    policy = parse(toml(tables))
    stored = [category for category in policy.categories.values() if category.keep.kind != "never"]
    dpv, fides = export(policy, "dpv"), export(policy, "fides")
    json.dumps([dpv, fides])
    assert [process["dct:title"] for process in dpv["dpv:hasProcess"]] == [category.name for category in stored]
    (system,) = fides["system"]
    assert [entry["name"] for entry in system["privacy_declarations"]] == [
        f"{category.name} {purpose}" for category in stored for purpose in category.purposes
    ]


def test_an_export_says_period_basis_and_recipient() -> None:
    policy = parse((ROOT / "profiles" / "infiner.toml").read_text())
    processes = {process["dct:title"]: process for process in export(policy, "dpv")["dpv:hasProcess"]}
    assert processes["api_content"]["dpv:hasDuration"] == "P30D"
    assert processes["payment"]["dpv:hasDuration"] == "P7Y"
    assert processes["payment"]["dpv:hasLegalBasis"] == {"@id": "https://w3id.org/dpv#LegalObligation"}
    assert [entry["dct:title"] for entry in processes["usage"]["dpv:hasRecipient"]] == [
        "Example Hosting",
        "Example Analytics",
    ]
    assert "security_log" not in processes
    (system,) = export(policy, "fides")["system"]
    declared = {entry["name"]: entry for entry in system["privacy_declarations"]}
    assert declared["api_content abuse"]["data_use"] == "essential.fraud_detection"
    assert declared["api_content abuse"]["retention_period"] == "at most 30 days"
    assert system["fides_key"] == "infiner"


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="known are dpv and fides"):
        export(POLICY, "xml")  # type: ignore[arg-type]


def test_the_shipped_schema_is_the_generated_one() -> None:
    assert (ROOT / "profiles" / "policy.schema.json").read_text() == schema(), "write it anew as schema.py says"


def valid(node: dict[str, Any], value: Any) -> bool:
    """Whether `value` fits a schema that uses only what ours uses."""
    if "$ref" in node:
        return valid(SCHEMA["$defs"][node["$ref"].removeprefix("#/$defs/")], value)
    if "enum" in node and value not in node["enum"]:
        return False
    if "pattern" in node and re.search(node["pattern"], str(value)) is None:
        return False
    kind = node["type"]
    if kind == "object":
        return isinstance(value, dict) and _valid_object(node, value)
    if kind == "array":
        return (
            isinstance(value, list)
            and len(value) >= node.get("minItems", 0)
            and all(valid(node["items"], v) for v in value)
        )
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool) and value >= node["minimum"]
    return isinstance(value, bool if kind == "boolean" else str)


def _valid_object(node: dict[str, Any], value: dict[str, Any]) -> bool:
    if not set(node.get("required", ())) <= set(value):
        return False
    for key, inner in value.items():
        fits = [found for pattern, found in node.get("patternProperties", {}).items() if re.search(pattern, key)]
        known = node.get("properties", {}).get(key) or (fits[0] if fits else node.get("additionalProperties"))
        if not isinstance(known, dict) or not valid(known, inner):
            return False
    return True


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_each_profile_fits_the_schema(path: Path) -> None:
    tables = tomllib.loads(path.read_text())
    assert valid(SCHEMA, tables)
    tables["category"]["usage"]["kep"] = "30 days"
    assert not valid(SCHEMA, tables)


def test_the_schema_knows_every_key() -> None:
    top = SCHEMA["properties"]
    assert set(top) == {*(key.name for key in language.POLICY), "account", "category", "answers", *SECTIONS}
    assert set(top["category"]["properties"]) == set(words.CATEGORIES)
    assert top["practice"]["properties"]["ads"]["properties"]["rule"]["enum"] == ["none", "consent"]
    assert not valid(top["practice"], {"ads": {"rule": "never"}})


SINCE = datetime(2026, 11, 22, 10, tzinfo=UTC)


def lines(policy: Policy, *levels: Overrides | None, **more: Any) -> dict[str, tuple[str, str, str | None, str]]:
    found = explain(policy, *levels, **more)
    return {line.name: (line.value, line.level, line.clause, line.clipped) for line in found}


def test_each_line_names_value_level_and_clause() -> None:
    asked = lines(POLICY, Overrides({"api_content": 500}), None, Overrides({"api_content": 100, "payment": 1}))
    assert asked["keep api_content"] == ("100 hours", "key", "keep.api_content", "")
    assert asked["keep usage"] == ("12 months", "platform", "keep.usage", "")
    assert asked["keep account"] == ("life of the account", "platform", "keep.account", "")
    assert asked["keep security_log"][0] == "not stored"
    assert asked["keep payment"][:2] == ("7 years", "platform")
    assert "at most" in asked["keep payment"][3]
    assert asked["processors"] == ("any that is declared", "platform", None, "")


def test_what_the_request_shortens_and_the_end_of_the_fact() -> None:
    asked = lines(POLICY, Overrides({"api_content": 500}), header_h=7, since=SINCE)
    assert asked["keep api_content"][:2] == ("7 hours, until 2026-11-22T17:00:00+00:00", "request")
    assert lines(POLICY, header_h=7)["keep api_content"][:2] == ("not stored", "platform")
    longer = lines(POLICY, Overrides({"api_content": 5}), header_h=7)
    assert longer["keep api_content"][:2] == ("5 hours", "tenant")
    below = lines(POLICY, None, Overrides(processors=frozenset({"b", "a"})))
    assert below["processors"][:2] == ("a, b", "project")
    assert lines(POLICY, Overrides(processors=frozenset()))["processors"][0] == "none"


hours = st.integers(0, 20_000)
wishes = st.none() | st.builds(Overrides, st.dictionaries(st.sampled_from(list(words.CATEGORIES)), hours))


@settings(max_examples=60)
@given(wide_policies(), wishes, wishes, wishes, st.none() | hours)
def test_what_is_explained_is_what_holds(
    tables: Tables, tenant: Overrides | None, project: Overrides | None, key: Overrides | None, header_h: int | None
) -> None:
    policy = parse(toml(tables))
    plan = compile(policy, tenant, project, key)
    told = lines(policy, tenant, project, key, header_h=header_h, since=SINCE)
    for name in policy.categories:
        end = plan.end(name, SINCE, header_h if name in REACHED else None)
        value = told[f"keep {name}"][0]
        stamp = end.isoformat(timespec="seconds") if isinstance(end, datetime) else None
        assert value.endswith(f"until {stamp}") if stamp else value in ("not stored", "life of the account")
        # Nothing is stored longer than the level above allows, whatever a lower level asks for.
        above = compile(policy, tenant, project).end(name, SINCE)
        assert not isinstance(end, datetime) or not isinstance(above, datetime) or end <= above
