"""Where the `type` of a problem leads."""

import html
import json
import re
from types import SimpleNamespace

import pytest

from avow.base.errors import AvowError
from avow.gateway.refusals import ANTHROPIC, OPENAI, RESPONSES
from avow.site import errors
from tests.house.conftest import ROOT
from tests.platform import Platform


def kinds(kind: type[AvowError] = AvowError) -> list[type[AvowError]]:
    return [kind, *(each for narrower in kind.__subclasses__() for each in kinds(narrower))]


def test_every_error_says_what_happened_and_what_to_do_next() -> None:
    silent = [k.__qualname__ for k in kinds() if not k.__doc__ or not k.hint or not k.code]
    assert not silent


def test_an_error_leads_to_its_entry(platform: Platform) -> None:
    with platform.http() as client:
        refused = client.post("/api/auth/login", json={"email": "nobody@example.org", "password": "no such password"})
        problem = refused.json()
        page, _, anchor = problem["type"].partition("#")
        assert anchor == problem["code"]
        text = html.unescape(client.get(page).text)
    assert f'<li id="{anchor}">' in text
    assert problem["hint"] in text


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__qualname__)
def test_what_v1_says_is_a_code_of_the_page(kind: type[AvowError]) -> None:
    error = kind.__new__(kind)
    AvowError.__init__(error)
    on_the_page = {entry.code for entry in errors.entries()}
    for shape in (OPENAI, RESPONSES, ANTHROPIC):
        for written in (shape.render(error), shape.event(error).partition(b"data: ")[2]):
            said = json.loads(written)
            assert said.get("error", said)["code"] in on_the_page


def test_where_a_refusal_of_v1_sends_a_stranger_there_is_a_page(platform: Platform) -> None:
    with platform.http() as http:
        for method, path, page in (
            ("POST", "/v1/chat/completions", "/app/keys"),
            ("GET", "/v1/no", "/api/openapi.json"),
        ):
            refused = http.request(method, path, json={"model": "x", "messages": []})
            assert page in refused.json()["error"]["message"]
        assert "/v1/chat/completions" in http.get("/api/openapi.json").json()["paths"]
        assert http.get("/app/keys").status_code in (200, 503)  # 503: this checkout has no built app
    assert 'screen("/keys"' in (ROOT / "ui" / "src" / "routes.tsx").read_text()


def test_what_the_router_refuses_needs_no_entry(platform: Platform) -> None:
    """RFC 9457 §4.2.1: `about:blank` where the status says all."""
    with platform.http() as client:
        refused = client.delete("/api/openapi.json")
    assert refused.status_code == 405
    assert refused.json()["type"] == "about:blank"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/privacy/99999999999999999999", 404),
        ("GET", "/privacy/2147483648", 404),
        ("PUT", "/api/privacy/consents/%00", 400),
        ("DELETE", "/api/privacy/consents/a%00b", 400),
    ],
)
def test_an_address_that_no_database_takes_is_refused_by_name(
    platform: Platform, method: str, path: str, status: int
) -> None:
    with platform.http() as http:
        platform.sign_up(http)
        answer = http.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (status, status) and answer.json()["hint"]


def test_a_browser_where_there_is_no_page_is_led_home_and_a_program_gets_a_problem(platform: Platform) -> None:
    browser = {"accept": "text/html,application/xhtml+xml", "accept-language": "zh-CN"}
    with platform.http() as client:
        for path in ("/nowhere", "/privacy/99999", "/privacy/nowhere"):
            shown = client.get(path, headers=browser)
            assert (shown.status_code, shown.headers["content-type"].partition(";")[0]) == (404, "text/html")
            assert '<a class="mark" href="/">' in shown.text and "没有此页面" in shown.text
            assert "frame-ancestors" in shown.headers["content-security-policy"]
            assert client.get(path).json()["status"] == 404
        assert client.get("/api/me/nowhere", headers=browser).json()["status"] == 404
        wrong = client.post("/privacy", headers=browser)
        assert wrong.status_code == 405 and wrong.headers["allow"] and "没有此页面" in wrong.text
        refused = client.get("/privacy/99999?locale=zh&locale=en", headers=browser)
        assert refused.json()["code"] == "invalid_request"


def test_codes_are_anchors() -> None:
    assert all(re.fullmatch("[a-z][a-z0-9_]*", entry.code) for entry in errors.entries())


def test_a_failure_of_ours_is_told_to_people_as_a_page(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendered as the server would; no address fails when it is asked to."""
    made = errors.handlers()
    browser, program = (
        SimpleNamespace(headers={"accept": accept}, url=SimpleNamespace(path="/proof"), scope={}, method="GET")
        for accept in ("text/html", "application/json")
    )
    monkeypatch.setattr(errors, "_page", lambda _request, answer, about: (about, answer.status_code))
    assert made[Exception](browser, RuntimeError("x")) == ("broken", 500)  # type: ignore[arg-type,operator]
    assert made[Exception](program, RuntimeError("x")).content["code"] == "internal_error"  # type: ignore[arg-type,operator]
