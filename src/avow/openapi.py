"""The OpenAPI document at `/api/openapi.json`: what the routes say of themselves, with who may call each (from the table of
permissions), how a caller is known, how an error looks, and the routes of `/v1`."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

from avow.accounts import callers, permissions, surface
from avow.gateway import openapi as of_v1

_METHODS = ("get", "post", "put", "patch", "delete")
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "detail", "code", "hint", "param")},
        "status": {"type": "integer"},
    },
}
_REFUSED = {
    "description": "Refused: what is wrong and what to do next",
    "content": {surface.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class Document(JsonRenderPlugin):
    """Answers with the completed document. `secure`: whether the session's cookie is that of a place with TLS."""

    def __init__(self, secure: bool) -> None:
        super().__init__(path="/openapi.json")
        self._secure = secure
        self._made: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if self._made is None:
            self._made = self.render_json(request, complete(openapi_schema, self._secure))
        return self._made


def complete(found: dict[str, Any], secure: bool) -> dict[str, Any]:
    """The document of the routes, completed."""
    components = found.get("components", {})
    paths = {path: _path(path, item) for path, item in found["paths"].items()}
    return {
        **found,
        "paths": {**paths, **of_v1.paths()},
        "components": {
            **components,
            "schemas": {**components.get("schemas", {}), "Problem": _PROBLEM, **of_v1.schemas()},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": callers.cookie_name(secure)},
                "key": {"type": "http", "scheme": "bearer", "bearerFormat": "sk-avow-…"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _path(path: str, item: dict[str, Any]) -> dict[str, Any]:
    return {name: _operation(name, path, part) if name in _METHODS else part for name, part in item.items()}


def _operation(method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """An operation with its first sentence as its summary, who may call it, and how it refuses."""
    says = " ".join(str(operation.get("description") or "").split())
    summary = says.partition(". ")[0].rstrip(".") or operation["summary"]
    # What the framework writes for its own refusals is not how they look here.
    responses = {status: each for status, each in operation["responses"].items() if not status.startswith("4")}
    return {
        **operation,
        "summary": summary,
        "tags": [path.split("/")[2]],
        "security": _callers(f"{method.upper()} {path}"),
        "responses": {**responses, "default": _REFUSED},
    }


def _callers(route: str) -> list[dict[str, list[str]]]:
    roles = permissions.ROUTES[route]
    if roles == permissions.PUBLIC:
        return []
    return [{"session": []}, {"key": []}] if roles >= permissions.KEY else [{"session": []}]
