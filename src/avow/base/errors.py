"""Errors that people see: a class with a sentence, a status, whether anything was charged, and what to do next.

The class's docstring is its default sentence. Classes live beside the code that raises them; one handler in each surface
(`/v1`, `/api`, the command line) renders all of them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar


class AvowError(Exception):
    """Something went wrong on our side."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    hint: str = "Try again; if it persists, tell the operator when it was, and the request id if the answer has one."
    charged: bool = False

    def __init__(self, sentence: str | None = None, *, hint: str | None = None, param: str | None = None) -> None:
        self.sentence = sentence or " ".join((type(self).__doc__ or "").split())
        self.param = param
        if hint is not None:
            self.hint = hint
        super().__init__(self.sentence)

    @property
    def headers(self) -> dict[str, str]:
        return {}

    def problem(self) -> dict[str, Any]:
        """The error as RFC 9457 problem details."""
        body: dict[str, Any] = {
            "type": f"/docs/errors#{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.sentence,
            "code": self.code,
            "hint": self.hint,
        }
        if self.param:
            body["param"] = self.param
        return body


class BadInput(AvowError):
    """The request is not valid."""

    status = 400
    code = "invalid_request"
    hint = "Correct what is named and send the request again; /api/openapi.json says what each route takes."


class NotFound(AvowError):
    """There is nothing here under that name for you."""

    status = 404
    code = "not_found"
    hint = "Check the id; what has ended or belongs to somebody else is not shown."


class Unavailable(AvowError):
    """The platform cannot answer this right now."""

    status = 503
    code = "unavailable"
    hint = "Nothing was charged. Wait as long as Retry-After says and try again."
    retry_after_s: ClassVar[int] = 2

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.retry_after_s)}


class Slowed(AvowError):
    """There were too many attempts; `wait_s` are the seconds until the next is taken."""

    status = 429
    code = "slowed"
    hint = "Wait as long as Retry-After says and try again."

    def __init__(self, wait_s: int, *, param: str | None = None) -> None:
        super().__init__(param=param)
        self.wait_s = wait_s

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.wait_s)}
