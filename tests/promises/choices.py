"""What is checked of cookies and choices, from outside: a browser that keeps its cookies, and one that keeps none."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any

import httpx

from avow.policy import Policy, cookies
from tests.platform import Platform, dated, wait_until

SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
GPC = {"sec-gpc": "1"}
EN = {"locale": "en"}
PAGES = (
    "/",
    "/privacy",
    "/privacy/changes",
    "/privacy/data",
    "/privacy/processors",
    "/privacy/ask",
    "/terms",
    "/proof",
)
PAGES += ("/status", "/cookies", "/confirm", "/reset", "/docs/errors", "/app")
ADDRESSES = re.compile(r"""(?:src|data|action)=["']?((?:https?:)?//[^"'\s>]+)""")


def set_by(answer: httpx.Response) -> dict[str, Morsel[str]]:
    """The cookies that an answer sets, by name; those that it takes away are not among them."""
    found = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        found.load(line)
    return {name: each for name, each in found.items() if each["max-age"] != "0"}


def choose(http: httpx.Client, answer: str, **kinds: str) -> httpx.Response:
    """One click on the panel."""
    made = http.post("/cookies", data={"answer": answer, "back": "/", "locale": "en", **kinds})
    assert (made.status_code, made.headers["location"]) == (303, "/"), made.text
    return made


def check_before(running: Platform, policy: Policy) -> None:
    """Reading sets nothing and calls nobody, whatever is read; the two answers on the panel are one click each."""
    asked = cookies.asked(policy)
    with running.http() as http:
        for page in PAGES * 2:
            answer = http.get(page, params=EN)
            assert answer.status_code in ((200, 503) if page == "/app" else (200,)), page
            assert not set_by(answer) and not ADDRESSES.findall(answer.text), page
            if page not in ("/cookies", "/app"):
                assert ('id="panel"' in answer.text) == bool(asked), page
        panel = http.get("/", params=EN).text
        buttons = re.findall(r'<button name="answer" value="(\w+)">', panel)
        assert buttons == (["reject", "accept"] if asked else [])
        register = http.get("/cookies", params=EN).text
    for part in policy.named("cookie"):
        assert cookies.bare(part.name) in register


def check_choices(running: Platform, policy: Policy) -> None:
    """Each kind is set only when it was allowed, for as long as the register says, and goes when it is refused."""
    ours = {name: cookies.kind_of(policy, name) for name in (cookies.LANGUAGE, cookies.VISIT)}
    for kind in cookies.asked(policy):
        with running.http() as http:
            http.headers.update(SAME_ORIGIN)
            check_ages(policy, set_by(choose(http, "save", **{kind: "on"})))
            page = http.get("/", params=EN)
            assert 'id="panel"' not in page.text
            assert set(set_by(page)) == {name for name, each in ours.items() if each == kind}
            check_ages(policy, set_by(page))
            http.get("/", params={"locale": "zh"})
            remembers = ours[cookies.LANGUAGE] == kind
            assert ('<html lang="zh">' in http.get("/").text) == remembers
            choose(http, "reject")
            assert '<html lang="en">' in http.get("/").text
            assert set(http.cookies) == {cookies.CHOICES}
            assert not set_by(http.get("/", params=EN))


def check_ages(policy: Policy, found: Mapping[str, Morsel[str]]) -> None:
    """Each is in the register; who ends with the browser has no age, the others have that of the register."""
    now = datetime.now(UTC)
    for name, each in found.items():
        keep = cookies.lifetime(policy, name)
        assert keep is not None, name
        if keep.kind == "never":
            assert not each["max-age"] and not each["expires"], name
        else:
            end = keep.end(now)
            assert end is not None and abs(int(each["max-age"]) - (end - now).total_seconds()) < 7200, name
        assert each["httponly"] and each["samesite"].lower() == "lax" and each["path"] == "/"


def check_signal(running: Platform, policy: Policy) -> None:
    """With Global Privacy Control nothing measures or advertises whatever was chosen, and the pages say so."""
    refused = cookies.OPTED_OUT & {*cookies.asked(policy)}
    with running.http() as http:
        http.headers.update(SAME_ORIGIN)
        choose(http, "accept")
        page = http.get("/", params=EN, headers=GPC)
        assert {cookies.kind_of(policy, name) for name in set_by(page)} <= {*cookies.asked(policy)} - refused
        assert ("that is honoured" in page.text) == bool(refused)
        assert "that is honoured" in http.get("/cookies", params=EN, headers=GPC).text
        assert http.get("/.well-known/gpc.json").json()["gpc"] is True


def check_blocked(running: Platform, given: Mapping[str, Any]) -> None:
    """Who keeps no cookie reads everything, and learns why a sign-in does not hold."""
    for page in PAGES:
        with running.http() as http:
            assert http.get(page, params=EN).status_code in ((200, 503) if page == "/app" else (200,)), page
    with running.http() as http:
        entered = http.post("/api/auth/login", json={"email": given["email"], "password": given["password"]})
        assert entered.status_code == 200 and set_by(entered)
    with running.http() as http:
        asked = http.get("/api/me")
        assert asked.status_code == 401 and "cookie" in asked.json()["hint"]
        assert "Signing in does not" in http.get("/cookies", params=EN).text


def check_consents(running: Platform, http: httpx.Client, name: str) -> None:
    """A consent is given and taken back by one call each; what was said stays on record, with its text and a receipt."""
    http.headers.update(SAME_ORIGIN)
    assert http.get("/api/privacy/standing").json()["consented"] == []
    for method, held in (("PUT", [name]), ("DELETE", [])):
        [asked] = [each for each in http.get("/api/privacy/consents").json() if each["name"] == name]
        shown = {"notice": asked["hash"]["en"]} if method == "PUT" else {}
        assert http.request(method, f"/api/privacy/consents/{name}", params=shown).status_code == 204
        assert http.get("/api/privacy/standing").json()["consented"] == held
    taken, given = http.get("/api/privacy/consent-records").json()
    assert (taken["name"], taken["given"], given["name"], given["given"]) == (name, False, name, True)
    assert given["at"] < taken["at"] and given["text"] and taken["text"] is None
    receipt = running.folder / f"consent-{secrets.token_hex(4)}.json"
    receipt.write_bytes(http.get(f"/api/privacy/consent-records/{given['id']}/receipt").content)
    said = running.cli("receipt", "verify", str(receipt), "--details")
    assert given["text"] in said.stdout and "ConsentGiven" in said.stdout

    def stands_in_the_log() -> bool:
        receipt.write_bytes(http.get(f"/api/privacy/consent-records/{given['id']}/receipt").content)
        key = http.get("/.well-known/avow-receipt-key").json()["key"]
        checked = running.cli("receipt", "verify", str(receipt), "--key", key, "--json").stdout
        return json.loads(checked)["in_log"] is not None

    wait_until(stands_in_the_log)


def check_vendors(running: Platform, policy: Policy, text: str, folder: Path) -> None:
    """Once the example is a real vendor: nobody is asked before an opt-in, then only on the operator's own texts, with the
    flag against personalised advertising unless the person turned that on, and never under the signal."""
    [slot] = policy.named("ad")
    for part in ("processor.ads", "ad.public", "cookie.example-ads"):
        head = f"[{part}]"
        before, _, after = text.partition(head)
        text = before + head + after.replace("placeholder = true\n", "", 1)
    text = text.replace('title = "Example Ads"', 'title = "Second Ads"').replace("version = 1", "version = 2", 1)
    file = folder / "vendor.toml"
    file.write_text(dated(text, 2))
    with running.http() as http:
        http.headers.update(SAME_ORIGIN)
        choose(http, "accept")
        shown = http.get("/", params=EN).text
        assert "An example: here would stand advertising" in shown and "<iframe" not in shown
        apply(running, file)
        # Another vendor asks again, as soon as the worker has followed.
        wait_until(lambda: 'id="panel"' in http.get("/", params=EN).text)
        assert "<iframe" not in http.get("/", params=EN).text
        choose(http, "accept")
        for page in PAGES:
            answer = http.get(page, params=EN)
            on_text = page in ("/", "/terms", "/status", "/privacy/changes")
            frames = re.findall(r'<iframe src="([^"]+)"', answer.text)
            assert frames == ([f"{slot.values['frame']}?npa=1"] if on_text else []), page
            assert ("frame-src https://ads.example.org" in answer.headers["content-security-policy"]) == on_text, page
            assert "<iframe" not in http.get(page, params=EN, headers=GPC).text
        choose(http, "save", advertising="on", personal="on")
        assert re.findall(r'<iframe src="([^"]+)"', http.get("/", params=EN).text) == [slot.values["frame"]]
        choose(http, "reject")
        assert "<iframe" not in http.get("/", params=EN).text
        page = http.get("/cookies", params=EN).text
    assert "Second Ads" in page and f'href="{slot.values["settings"]}"' in page
    assert running.cli("verify", "part_ads", "part_cookies", check=False).returncode == 0


def apply(running: Platform, file: Path) -> None:
    """Publish a policy as its operator does."""
    found = json.loads(running.cli("policy", "plan", str(file), "--json").stdout)
    running.cli("policy", "apply", found["plan"])
