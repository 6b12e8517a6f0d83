"""What `/v1` takes and answers, as OpenAPI: made from the table of surfaces and the types that read their bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from avow.gateway import media, surfaces, wire
from avow.gateway.batches import Wanted
from avow.gateway.filing import BATCHES, FILES
from avow.gateway.refusals import ANTHROPIC

_READS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "chat": wire.Known,
    "completions": surfaces.Completion,
    "responses": surfaces.Responses,
    "embeddings": surfaces.Embedding,
    "moderations": surfaces.Moderation,
    "rerank": surfaces.Rerank,
    "images": media.Images,
    "edits": media.Pictures,
    "variations": media.Pictures,
    "transcriptions": media.Recording,
    "translations": media.Recording,
    "speech": media.Speech,
    "messages": surfaces.Messages,
    "count_tokens": surfaces.Messages,
}
_SUMMARIES: Final = {
    "chat": "A chat completion, in OpenAI's dialect",
    "completions": "A completion of a text, in OpenAI's dialect",
    "responses": "A response, in OpenAI's dialect, of which nothing is remembered",
    "embeddings": "Vectors of texts",
    "moderations": "What a text is judged to be",
    "rerank": "Documents by nearness to a query",
    "images": "Images from a text",
    "edits": "Images from pictures, a mask and a text",
    "variations": "Images like a picture",
    "transcriptions": "What is said in a recording",
    "translations": "What is said in a recording, in English",
    "speech": "A text, spoken",
    "messages": "A message, in Anthropic's dialect",
    "count_tokens": "How many tokens a message would be; free",
}
_STREAMS: Final = frozenset(("chat", "completions", "responses", "messages", "transcriptions"))
_BINARY: Final = {"type": "string", "format": "binary"}
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
    kinds = list(dict.fromkeys((*_READS.values(), Wanted)))
    _, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/V1.{name}")
    return {**{f"V1.{name}": schema for name, schema in components.items()}, "V1.Error": _ERROR}


def _operation(surface: surfaces.Surface) -> dict[str, Any]:
    kind = _READS.get(surface.name)
    body = {"$ref": f"#/components/schemas/V1.{kind.__name__}"} if kind else {"type": "object"}
    content: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    if surface.name == "speech":
        content = {
            f"audio/{kind}": {"schema": {"type": "string", "format": "binary"}} for kind in ("mpeg", "ogg", "wav")
        }
    if surface.name in _STREAMS or surface.name == "speech":
        content["text/event-stream"] = {"schema": {"type": "string"}}
    headers = {name: {"description": says, "schema": {"type": "string"}} for name, says in _HEADERS.items()}
    answer = {"description": "The upstream's answer, unchanged", "headers": headers, "content": content}
    return {
        **_reads(_SUMMARIES.get(surface.name, surface.name), f"v1_{surface.name}", surface.shape is ANTHROPIC),
        "parameters": list(_ASKED),
        "requestBody": {"required": True, "content": {_TYPES[surface.takes_form]: {"schema": body}}},
        "responses": {"200": answer, "default": _refusal()},
    }


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
