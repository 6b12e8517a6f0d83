"""Staff at a browser: hired by the operator's command, with a second factor, and signed in."""

from __future__ import annotations

import secrets

import httpx
import pyotp

from tests.browser.conftest import Visitor
from tests.platform import Platform

DESK = {
    "/desk": "operator",
    "/desk/requests": "privacy",
    "/desk/policy": "operator",
    "/desk/evidence": "operator",
    "/desk/registers": "operator",
    "/desk/incidents": "operator",
    "/desk/upstreams": "operator",
    "/desk/models": "operator",
    "/desk/limits": "operator",
    "/desk/accounts": "operator",
    "/desk/record": "auditor",
    "/desk/retention": "operator",
    "/desk/jobs": "operator",
}
"""The screens of the desk, and a role that sees each."""


class Colleague:
    """Somebody of the staff, signed in on a client of their own."""

    def __init__(self, platform: Platform, role: str) -> None:
        self.email, self.password = f"{role}-{secrets.token_hex(4)}@avow.example", secrets.token_hex(12)
        platform.hire(role, self.email, self.password)
        self.http = httpx.Client(base_url=platform.base_url, timeout=60, headers={"sec-fetch-site": "same-origin"})
        platform.sign_in(self.http, self.email, self.password)
        secret = self.http.post("/api/me/second-factor").json()["secret"]
        code = {"code": pyotp.TOTP(secret).now()}
        confirmed = self.http.post("/api/me/second-factor/confirm", json=code)
        self._codes: list[str] = confirmed.raise_for_status().json()["recovery_codes"]

    def show(self) -> None:
        """Show once more who they are, by a recovery code: those of an app work once in 30 seconds."""
        assert self.http.post("/api/auth/step-up", json={"code": self._codes.pop()}).is_success
        if not self._codes:
            made = self.http.post("/api/me/second-factor/recovery-codes")
            self._codes = made.raise_for_status().json()["recovery_codes"]

    def enter(self, at: Visitor) -> Visitor:
        """Sit down at a browser."""
        self.show()
        at.page.context.add_cookies(
            [
                {"name": each.name, "value": str(each.value), "url": at.platform.base_url}
                for each in self.http.cookies.jar
            ]
        )
        return at
