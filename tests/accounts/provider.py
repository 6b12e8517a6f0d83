"""An OpenID provider on loopback, as strict as a real one: one use of a code, PKCE, client secret, signed tokens."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from litestar import Litestar, Request, Response, get, post
from tests.listening import listening

from avow.accounts.oidc import encode
from avow.base.clock import Clock

CLIENT, SECRET = "avow", "the secret of the client"


@dataclass
class Person:
    """Who is signed in at the provider."""

    sub: str = "sub-ada"
    email: str = "ada@example.org"
    email_verified: Any = True
    name: str = "Ada Lovelace"


@cache
def one_key() -> RSAKey:
    """The key of every provider of a process: to make one takes longer than to use it."""
    return RSAKey.generate_key(2048, {"kid": "one"})


@dataclass
class LocalProvider:
    """Whoever comes is `person` and agrees. `claims` and `header` change what the next ID token says, `answer` the way back."""

    clock: Clock
    key: RSAKey = field(default_factory=one_key)
    person: Person = field(default_factory=Person)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    sign_with: RSAKey | OctKey | None = None
    published: list[RSAKey] | None = None
    issuer: str = ""
    token: str | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        app = Litestar([self._configuration(), self._keys(), self._token()], openapi_config=None)
        self.issuer = f"http://127.0.0.1:{await self._running.enter_async_context(listening(app))}"

    async def stop(self) -> None:
        await self._running.aclose()

    def agree(self, address: str, **answer: str) -> dict[str, str]:
        """What a browser at `address` brings back, once its person has agreed."""
        asked = dict(parse_qsl(urlsplit(address).query))
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.issuer, **answer}

    def id_token(self, nonce: str) -> str:
        now = int(datetime.timestamp(self.clock.now()))
        told = {"iss": self.issuer, "aud": CLIENT, "nonce": nonce, "iat": now, "exp": now + 300, **vars(self.person)}
        claims = {name: value for name, value in {**told, **self.claims}.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": self.key.kid, **self.header}, claims, self.sign_with or self.key)

    def _configuration(self) -> Any:
        @get("/.well-known/openid-configuration")
        async def configuration() -> dict[str, Any]:
            self.asked.append("configuration")
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "authorization_response_iss_parameter_supported": True,
                **self.metadata,
            }

        return configuration

    def _keys(self) -> Any:
        @get("/keys")
        async def keys() -> dict[str, Any]:
            self.asked.append("keys")
            return {"keys": [key.as_dict(private=False) for key in self.published or [self.key]]}

        return keys

    def _token(self) -> Any:
        @post("/token", status_code=200)
        async def token(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
            given = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
            asked = self.codes.pop(given.get("code", ""), None)
            self.asked.append("token")
            challenge = encode(hashlib.sha256(given.get("code_verifier", "").encode()).digest())
            if (
                asked is None
                or (given["client_id"], given["client_secret"]) != (CLIENT, SECRET)
                or given["redirect_uri"] != asked["redirect_uri"]
                or (asked["code_challenge_method"], asked["code_challenge"]) != ("S256", challenge)
            ):
                return Response({"error": "invalid_grant"}, status_code=400)
            made = self.id_token(asked["nonce"]) if self.token is None else self.token
            return Response({"access_token": "x", "token_type": "Bearer", "id_token": made})

        return token
