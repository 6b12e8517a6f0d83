"""Writes `ui/api.json`: that part of the OpenAPI document which the app uses, from which its build makes types.

    python tools/api.py

A test compares the file with what the routes say now, so that a change of a route that the app uses shows here first.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig

from avow import openapi, worker

ROOT = Path(__file__).parents[1]
FILE = ROOT / "ui" / "api.json"
USED = re.compile(r"\bapi\s*\.\s*(GET|POST|PUT|PATCH|DELETE)\(\s*\"(/api/[^\"]+)\"")
GIVEN = ("accounts", "current", "fresh", "person", "proved", "who", "staff", "privacy", "home", "reader")
"""What the routes ask for by name; the document does not say it."""
TOLD: dict[str, type] = {"description": str, "summary": str, "operationId": str, "tags": list, "security": list}
"""What an operation says of itself in words; a property of the same name is a schema, and stays."""


def used() -> set[tuple[str, str]]:
    """Each (method, path) that the app calls."""
    sources = sorted((ROOT / "ui" / "src").rglob("*.ts*"))
    return {(method.lower(), path) for each in sources for method, path in USED.findall(each.read_text())}


def part() -> dict[str, Any]:
    """The document of the used operations, and the schemas that they need."""
    whole = _whole()
    paths: dict[str, dict[str, Any]] = {}
    for method, path in sorted(used(), key=lambda each: (each[1], each[0])):
        paths.setdefault(path, {})[method] = whole["paths"][path][method]
    schemas, wanted = {}, set(_names(paths))
    while wanted - schemas.keys():
        for name in sorted(wanted - schemas.keys()):
            schemas[name] = whole["components"]["schemas"][name]
        wanted |= set(_names(schemas))
    components = {"schemas": dict(sorted(schemas.items()))}
    return {"openapi": whole["openapi"], "info": whole["info"], "paths": paths, "components": components}


def text() -> str:
    """The file as it should be: shapes only, so that a better sentence in a description changes nothing here."""
    return json.dumps(_shapes(part()), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _whole() -> dict[str, Any]:
    made = Litestar(
        route_handlers=worker.handlers(),
        dependencies={name: Provide(lambda: None, sync_to_thread=False) for name in GIVEN},
        openapi_config=OpenAPIConfig("Avow", "1", path="/api", use_handler_docstrings=True),
        logging_config=None,
    )
    return openapi.complete(made.openapi_schema.to_schema(), secure=False)


def _shapes(value: Any) -> Any:
    if isinstance(value, list):
        return [_shapes(each) for each in value]
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if not (name in TOLD and isinstance(each, TOLD[name]))}
        return {name: _shapes(each) for name, each in kept.items()}
    return value


def _names(value: object) -> list[str]:
    return re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(value))


if __name__ == "__main__":
    FILE.write_text(text())
