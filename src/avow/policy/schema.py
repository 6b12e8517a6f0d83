"""The JSON Schema of the policy language, for editors that complete TOML; from the tables that the parser reads.

To write profiles/policy.schema.json anew:
    python -c "from avow.policy.schema import schema; print(schema(), end='')" > profiles/policy.schema.json
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from avow.policy import language, reading, words
from avow.policy.language import Key
from avow.policy.sections import SECTIONS, Section

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PERIOD = rf"^(0|life of the account|{language.PERIOD.pattern})$"


def schema() -> str:
    """The schema as JSON text that ends with a line end."""
    top = _object(language.POLICY)
    top["properties"] |= {
        "account": _object((*language.ACCOUNT, *language.COMMON)),
        "category": {
            "type": "object",
            "properties": {name: _category(name) for name in words.CATEGORIES},
            "additionalProperties": False,
        },
        "answers": {"type": "object", "additionalProperties": _of(language.COMMON[0])},
        **{name: _section(name, section) for name, section in SECTIONS.items()},
    }
    top["required"] += ["account", "category"]
    document = {"$schema": DRAFT, "title": "An Avow policy", **top, "$defs": _definitions()}
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _definitions() -> dict[str, Any]:
    """The tables that stand under many names, once each."""
    tables = {kind: _table(kind, "") for kind, section in SECTIONS.items() if section.names is not None}
    return {"category": _object((*language.CATEGORY, *language.COMMON)), **tables}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _category(name: str) -> dict[str, Any]:
    return {"description": words.CATEGORIES[name].en.rstrip(","), **_ref("category")}


def _section(kind: str, section: Section) -> dict[str, Any]:
    if section.names is None:
        return {"description": section.meaning, **_table(kind, "")}
    found: dict[str, Any] = {"description": section.meaning, "type": "object", "additionalProperties": False}
    if isinstance(section.names, re.Pattern):
        return found | {"patternProperties": {f"^{section.names.pattern}$": _ref(kind)}}
    tables = {name: _table(kind, name) if kind in reading.LEVELS else _ref(kind) for name in section.names}
    return found | {"properties": tables}


def _table(kind: str, name: str) -> dict[str, Any]:
    return _object((*reading.keys_of(kind, name), *language.COMMON, language.CHOOSES))


def _object(keys: Iterable[Key]) -> dict[str, Any]:
    keys = tuple(keys)
    return {
        "type": "object",
        "properties": {key.name: {"description": key.meaning, **_of(key)} for key in keys},
        "required": [key.name for key in keys if key.required],
        "additionalProperties": False,
    }


def _of(key: Key) -> dict[str, Any]:
    one: dict[str, Any] = {"type": "string"}
    if key.words is not None:
        one["enum"] = list(key.words)
    elif key.shape is not None:
        one["pattern"] = f"^{key.shape.pattern}$"
    shapes: dict[str, dict[str, Any]] = {
        "text": one,
        "list": {"type": "array", "items": one, "uniqueItems": True} | ({"minItems": 1} if key.required else {}),
        "flag": {"type": "boolean"},
        "integer": {"type": "integer", "minimum": 1},
        "keep": {"type": "string", "pattern": _PERIOD},
        "date": {"type": "string", "pattern": f"^{language.DATE.pattern}$"},
        "ages": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        "periods": {
            "type": "object",
            "additionalProperties": {"type": "string", "pattern": _PERIOD},
            "required": ["default"],
        },
    }
    return shapes[key.takes]
