"""How `/v1` says no: in OpenAI's error shape or Anthropic's, one class per reason, one renderer for each shape.

402 is money and 429 is rate only: clients retry a 429, and a retry storm against an empty wallet helps nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import msgspec

from avow.base.errors import AvowError, BadInput, Unavailable

_encode = msgspec.json.Encoder().encode

_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
    451: "policy_error",
}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    451: "permission_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class InvalidRequest(BadInput):
    """The request is not valid."""

    code = "invalid_request"


class ToolsMissing(InvalidRequest):
    """There are no tools to choose from."""

    code = "tools_missing"
    hint = "Nothing was charged. Send the `tools` that `tool_choice` demands one of, or leave `tool_choice` out."

    def __init__(self) -> None:
        super().__init__(param="tool_choice")


class TooLarge(AvowError):
    """The request is larger than the limit."""

    status = 413
    code = "request_too_large"
    hint = "Send a shorter prompt."


class TooSlow(AvowError):
    """The request did not arrive in time."""

    status = 408
    code = "request_timeout"
    hint = "Send the whole body at once."


class WrongType(AvowError):
    """The body must be JSON."""

    status = 415
    code = "unsupported_media_type"
    hint = "Send `content-type: application/json`."


class ModelUnknown(AvowError):
    """The model does not exist, has no price, or this key may not use it."""

    status = 404
    code = "model_not_found"
    hint = "`GET /v1/models` lists the models of this key."


class NoForm(WrongType):
    """The body must be a form."""

    hint = "Send `content-type: multipart/form-data` with its boundary."


class UploadsFull(Unavailable):
    """Too many large bodies are being read at once."""

    code = "uploads_full"


class NotPriced(AvowError):
    """This model has no price for what this route uses, so nothing can be reserved for it and it is not called."""

    status = 503
    code = "model_has_no_price"
    hint = "Nothing was charged. Choose a model of this kind, or ask the operator to set its price."


class RouteUnknown(AvowError):
    """There is no such route."""

    status = 404
    code = "unknown_url"
    hint = "/api/openapi.json lists the routes below /v1."


class MethodWrong(AvowError):
    """The route does not take this method."""

    status = 405
    code = "method_not_allowed"
    hint = "Use the method that the Allow header names."

    def __init__(self, allowed: str) -> None:
        super().__init__()
        self.allowed = allowed

    @property
    def headers(self) -> dict[str, str]:
        return {"allow": self.allowed}


class PolicyForbids(AvowError):
    """The policy forbids every upstream that could answer this request."""

    status = 451
    code = "policy_forbids"
    hint = "Nothing was charged. Choose a model whose upstream handles data as the policy asks."

    def __init__(self, reason: str) -> None:
        super().__init__(f"The policy forbids every upstream that could answer this request: {reason}.", param="model")


class NotOffered(AvowError):
    """The upstreams of this model do not offer this."""

    status = 400
    code = "not_offered"
    hint = "Nothing was charged. Choose a model that does, or another route."


class StoringForbidden(AvowError):
    """The policy keeps no content of this request, so its answer cannot be stored (clause category.api_content)."""

    status = 403
    code = "storing_forbidden"
    hint = "Nothing was charged. Leave out `store`, or ask for a history where the policy offers one."


class RulesChanging(Unavailable):
    """The rules changed each time that this request was judged."""

    code = "rules_changing"


class NotReady(Unavailable):
    """The platform cannot look up this key right now."""

    code = "not_ready"


class Stopping(Unavailable):
    """The platform is being stopped."""

    code = "stopping"


class UpstreamRejected(AvowError):
    """The upstream rejected the request as invalid."""

    status = 400
    code = "upstream_rejected"
    hint = "Nothing was charged. A parameter may be unknown to this model, or the prompt longer than its context."


class UpstreamBusy(Unavailable):
    """The upstream is overloaded."""

    code = "upstream_busy"

    def __init__(self, retry_after_s: int = 2) -> None:
        super().__init__()
        self.wait_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.wait_s)}


def _openai(error: AvowError) -> bytes:
    """`{"error": {"message", "type", "param", "code"}}`"""
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    return _encode({"error": {"message": _message(error), "type": kind, "param": error.param, "code": error.code}})


def _anthropic(error: AvowError) -> bytes:
    """`{"type": "error", "error": {"type", "message", "code"}}`; `code` is ours, to tell apart what is of one type."""
    kind = _ANTHROPIC_TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    return _encode({"type": "error", "error": {"type": kind, "message": _message(error), "code": error.code}})


def _responses(error: AvowError) -> bytes:
    return _encode({"type": "error", "code": error.code, "message": _message(error), "param": error.param})


@dataclass(frozen=True, slots=True)
class Shape:
    """How an error is written: as a body, and as an event of a stream that has begun."""

    render: Callable[[AvowError], bytes]
    event: Callable[[AvowError], bytes]


OPENAI = Shape(_openai, lambda error: b"data: " + _openai(error) + b"\n\n")
RESPONSES = Shape(_openai, lambda error: b"event: error\ndata: " + _responses(error) + b"\n\n")
ANTHROPIC = Shape(_anthropic, lambda error: b"event: error\ndata: " + _anthropic(error) + b"\n\n")


def headers(error: AvowError, request_id: UUID) -> list[tuple[bytes, bytes]]:
    """The headers of a refusal: its own and the id to quote."""
    own = [(name.encode(), value.encode()) for name, value in error.headers.items()]
    return [(b"avow-request-id", str(request_id).encode()), *own]


def _message(error: AvowError) -> str:
    return f"{error.sentence} {error.hint}".strip()
