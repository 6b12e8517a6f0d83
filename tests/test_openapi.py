"""The OpenAPI document against the running platform: it is whole, no request that it allows or forbids ends in a 5xx, and what
asks for a caller is closed to everybody else."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.generation import GenerationMode

from avow.gateway import surfaces
from tests.platform import MODEL, Platform
from tests.upstream import Upstream, scripted_platform

FEW = settings(
    max_examples=4, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
SENT = {"params": "params", "json": "json", "data": "content"}
SHOWN = {"authorization", "x-api-key", "cookie"}
Ask = Callable[[str, dict[str, str], schemathesis.Case], None]
METHODS = ("get", "post", "put", "patch", "delete")
# They end the session that asks; each is called without one below, and tested by its own slice.
LEAVES = {"/api/auth/logout", "/api/me/sessions", "/api/tenant/leave", "/api/me/password", "/api/auth/login"}
# Each of these hashes a password; a few dozen of them are minutes.
SLOW = {"/api/auth/signup", "/api/auth/step-up", "/api/invitations/accept", "/api/auth/reset/finish"}


@pytest.fixture(scope="module")
def ground() -> Iterator[tuple[Platform, Upstream]]:
    with scripted_platform() as made:
        yield made


@pytest.fixture(scope="module")
def document(ground: tuple[Platform, Upstream]) -> dict[str, Any]:
    with ground[0].http() as http:
        found: dict[str, Any] = http.get("/api/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(m, path, item[m]) for path, item in document["paths"].items() for m in METHODS if m in item]


def test_every_operation_says_what_it_does_who_may_and_how_it_refuses(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        assert len(operation["summary"].split()) > 1, where
        assert {name for each in operation["security"] for name in each} <= set(schemes), where
        assert "default" in operation["responses"], where
    assert {surface.path for surface in surfaces.ALL} <= set(document["paths"])
    public = {path for _, path, operation in operations(document) if not operation["security"]}
    assert "/api/auth/signup" in public and "/api/me" not in public


def test_whoever_shows_nothing_or_something_made_up_is_let_in_nowhere(
    ground: tuple[Platform, Upstream], document: dict[str, Any]
) -> None:
    with ground[0].http() as http:
        for method, path, operation in operations(document):
            if not operation["security"]:
                continue
            url = "/".join(str(uuid4()) if "{" in part else part for part in path.split("/"))
            body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1, "input": "a"}
            content = json.dumps(body) if "requestBody" in operation else None
            for headers in (
                {},
                {"authorization": f"Bearer {secrets.token_hex(20)}"},
                {"cookie": f"avow={secrets.token_hex(20)}"},
                {"x-api-key": "sk-avow-x"},
            ):
                answer = http.request(
                    method, url, content=content, headers={"content-type": "application/json", **headers}
                )
                assert answer.status_code in (401, 403), (method, path, headers, answer.text)


@pytest.fixture(scope="module")
def caller(ground: tuple[Platform, Upstream]) -> Iterator[tuple[httpx.Client, str]]:
    """Somebody signed in, and a key of theirs."""
    with ground[0].http() as http:
        ground[0].sign_up(http)
        yield http, ground[0].key(http)["secret"]


def test_nothing_that_is_sent_ends_in_a_failure_of_ours(
    document: dict[str, Any], caller: tuple[httpx.Client, str]
) -> None:
    """Schemathesis makes what the document allows, and what it does not, for every operation."""
    http, secret = caller
    schema = schemathesis.openapi.from_dict(document)
    asked: Counter[str] = Counter()

    def ask(label: str, bearer: dict[str, str], case: schemathesis.Case) -> None:
        given_ = case.as_transport_kwargs(base_url=str(http.base_url))
        sent = {ours: given_[theirs] for theirs, ours in SENT.items() if given_.get(theirs) is not None}
        headers = {k: v for k, v in (given_.get("headers") or {}).items() if k.lower() not in SHOWN and _fits(v)}
        headers |= bearer
        answer = http.request(given_["method"], given_["url"], headers=headers, **sent)
        asked[label] += 1
        assert answer.status_code < 500 or _is_meant(answer), (label, sent, answer.status_code, answer.text)
        if answer.status_code >= 400:
            assert {"detail", "error"} & set(answer.json()), (label, answer.text)

    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in LEAVES | SLOW:
            continue
        bearer = {"authorization": f"Bearer {secret}"} if operation.path.startswith("/v1/") else {}
        takes = operation.body or operation.query or operation.path_parameters
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if takes else (GenerationMode.POSITIVE,):
            cases = operation.as_strategy(generation_mode=mode)
            seed(7)(FEW(given(case=cases)(_about(ask, operation.label, bearer))))()
    assert len(asked) > 60 and http.get("/api/me").status_code == 200


def _about(ask: Ask, label: str, bearer: dict[str, str]) -> Callable[[schemathesis.Case], None]:
    def told(case: schemathesis.Case) -> None:
        ask(label, bearer, case)

    return told


def _fits(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _is_meant(answer: httpx.Response) -> bool:
    """A model that has no upstream or price here is 503 by its own name; nothing broke."""
    body = answer.json()
    code = (body.get("error") or {}).get("code") if isinstance(body.get("error"), dict) else body.get("code")
    return answer.status_code == 503 and code in ("model_has_no_price", "upstreams_down")
