"""What `/v1` takes and answers, as OpenAPI: made from the table of surfaces and the types that read their bodies."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from avow.gateway import media, surfaces
from avow.gateway.batches import Wanted
from avow.gateway.filing import BATCHES, FILES
from avow.gateway.refusals import ANTHROPIC

_BINARY: Final = {"type": "string", "format": "binary"}
_ANSWER: Final = "The answer in this route's dialect and the format asked for, as the policy's filters leave it"
_TYPES: Final = ("application/json", "multipart/form-data")
_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type"],
            "properties": {name: {"type": ["string", "null"]} for name in ("message", "type", "param", "code")},
        }
    },
}
_HEADERS: Final = {
    "avow-request-id": "The id by which the request is found again.",
    "avow-policy": "The hash of the policy under which it was answered.",
    "avow-stored": "What was kept of it: `trace` or `none`.",
    "avow-cache": "`hit`, `miss` or `off`.",
    "avow-cost": "What was charged, in the wallet's currency; a stream tells it in its last comment.",
}
_ASKED: Final = (
    {
        "name": "avow-retention",
        "in": "header",
        "description": "For how many hours its content may be kept at most; never longer than the policy says.",
        "schema": {"type": "integer", "minimum": 0},
    },
    {
        "name": "avow-cache",
        "in": "header",
        "description": "Whether an answer that was given before may be given again.",
        "schema": {"enum": ["use", "off"]},
    },
)
KEYS: Final[list[dict[str, list[str]]]] = [{"key": []}, {"x-api-key": []}]
"""An API key, in either of two headers."""


def paths() -> dict[str, Any]:
    """The routes of `/v1` by their path."""
    made: dict[str, Any] = {surface.path: {"post": _operation(surface)} for surface in surfaces.ALL}
    made["/v1/models"] = {"get": _reads("The models that this key may call", "v1_models")}
    one = _reads("One of the models that this key may call", "v1_model")
    where = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    made["/v1/models/{id}"] = {"get": {**one, "parameters": [where]}}
    return made | _filed()


def _filed() -> dict[str, Any]:
    """Files and batches."""

    one = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    form = {
        "type": "object",
        "required": ["file", "purpose"],
        "properties": {"file": _BINARY, "purpose": {"enum": ["batch"]}},
    }
    batch = {"$ref": "#/components/schemas/V1.Wanted"}
    page = [
        {"name": "after", "in": "query", "schema": {"type": "string"}},
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 99_999}},
    ]
    content = {**_reads("What is in a file", "v1_file_content"), "parameters": one}
    content["responses"]["200"] = {
        "description": "Lines of JSON",
        "content": {"application/jsonl": {"schema": _BINARY}},
    }
    return {
        FILES: {
            "post": _writes("Send a file for a batch", "v1_send_file", _TYPES[1], form),
            "get": {**_reads("One's files, newest first", "v1_files"), "parameters": page},
        },
        f"{FILES}/{{id}}": {
            "get": {**_reads("A file, without what is in it", "v1_file"), "parameters": one},
            "delete": {**_reads("Delete a file", "v1_delete_file"), "parameters": one},
        },
        f"{FILES}/{{id}}/content": {"get": content},
        BATCHES: {
            "post": _writes("Have the requests of a file answered within a day", "v1_begin_batch", _TYPES[0], batch),
            "get": {**_reads("One's batches, newest first", "v1_batches"), "parameters": page},
        },
        f"{BATCHES}/{{id}}": {"get": {**_reads("A batch, and how far it is", "v1_batch"), "parameters": one}},
        f"{BATCHES}/{{id}}/cancel": {
            "post": {**_reads("Begin nothing more of a batch", "v1_cancel_batch"), "parameters": one}
        },
    }


def _writes(summary: str, id: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    body = {"required": True, "content": {kind: {"schema": schema}}}
    return {**_reads(summary, id), "parameters": [_ASKED[0]], "requestBody": body}


def schemas() -> dict[str, Any]:
    """The bodies of `/v1`, by the names that the paths point to. Fields that are not named pass to the upstream."""
    kinds = list(dict.fromkeys((*(surface.reads for surface in surfaces.ALL), Wanted)))
    _, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/V1.{name}")
    return {**{f"V1.{name}": schema for name, schema in components.items()}, "V1.Error": _ERROR}


def _operation(surface: surfaces.Surface) -> dict[str, Any]:
    body = {"$ref": f"#/components/schemas/V1.{surface.reads.__name__}"}
    content = {kind.decode().partition(";")[0]: {"schema": _schema(kind)} for kind in surface.answers}
    if surface.streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    headers = {name: {"description": says, "schema": {"type": "string"}} for name, says in _HEADERS.items()}
    answer = {"description": _ANSWER, "headers": headers, "content": content}
    return {
        **_reads(surface.says, f"v1_{surface.name}", surface.shape is ANTHROPIC),
        "parameters": list(_ASKED),
        "requestBody": {"required": True, "content": {_TYPES[surface.takes_form]: {"schema": body}}},
        "responses": {"200": answer, "default": _refusal()},
    }


def _schema(kind: bytes) -> dict[str, Any]:
    if kind == surfaces.JSON:
        return {"type": "object"}
    return {"type": "string"} if kind == media.TEXT else _BINARY


def _reads(summary: str, id: str, anthropic: bool = False) -> dict[str, Any]:
    found = {"description": "Found", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        "summary": summary,
        "operationId": id,
        "tags": ["anthropic" if anthropic else "inference"],
        "security": KEYS,
        "responses": {"200": found, "default": _refusal()},
    }


def _refusal() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/V1.Error"}}}
    return {"description": "Refused: what is wrong, whether anything was charged, what to do next", "content": content}
