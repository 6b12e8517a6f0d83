"""Speaking with an identity provider over OpenID Connect: code flow with PKCE, one provider, known by its issuer.

Whatever comes from it is checked before it is believed: its answers are bounded in size and time, follow no redirect and go
only to TLS (or to this machine, when the issuer itself is there); an ID token counts only with a signature of the
provider's published keys, for this client, from this issuer, for this ceremony, now (OpenID Connect Core §3.1.3.7).
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from avow.base.clock import Clock
from avow.base.errors import AvowError

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
SCOPE: Final = "openid email profile"
CALLBACK: Final = "/api/auth/provider/callback"
"""The path of ours to which the provider sends browsers back."""
ANSWER_S_MAX: Final = 10.0
ANSWER_SIZE_MAX: Final = 256 * 1024
KEPT_FOR: Final = timedelta(hours=1)
KEYS_KEPT_AT_LEAST: Final = timedelta(minutes=1)
LEEWAY_S: Final = 60
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
SUBJECT_LENGTH_MAX: Final = 255


class ProviderUnfit(AvowError):
    """The identity provider is not set up in a way that can be trusted."""

    status = 500
    code = "provider_unfit"
    hint = "AVOW_OIDC_ISSUER is the provider's https address, exactly as its own configuration says it."


class ProviderSilent(AvowError):
    """The identity provider does not answer as it should."""

    status = 502
    code = "provider_silent"
    hint = "Try again later, or sign in with your password."


class ProviderRefused(AvowError):
    """What came back from the identity provider was not accepted."""

    status = 400
    code = "provider_refused"
    hint = "Begin again at /api/auth/provider/start."


class Claims(NamedTuple):
    """What a provider says of somebody: `sub` is theirs for good there; the rest may change."""

    sub: str
    email: str | None
    email_verified: bool
    name: str | None


class Metadata(NamedTuple):
    """Where a provider is spoken to; `names_itself`: its answers carry `iss` (RFC 9207)."""

    authorize: str
    token: str
    keys: str
    names_itself: bool


def plain_client(**options: Any) -> httpx.AsyncClient:
    """A client that asks nobody and knows no proxy; for tests with a provider of their own."""
    return httpx.AsyncClient(trust_env=False, **options)


@dataclass(slots=True)
class Provider:
    """One identity provider. `redirect_uri` is where it sends browsers back to. Raises ProviderUnfit for an issuer that is
    neither https nor on this machine."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    clock: Clock
    client: Callable[..., httpx.AsyncClient] = plain_client
    """Makes the client that speaks with the provider: the broker's, in a running platform."""
    _http: httpx.AsyncClient | None = None
    _metadata: tuple[datetime, Metadata] | None = None
    _keys: tuple[datetime, KeySet] | None = None

    def __post_init__(self) -> None:
        self._fit(self.issuer)

    async def address(self, state: str, nonce: str, verifier: str) -> str:
        """Where a browser goes to sign in. Raises ProviderSilent or ProviderUnfit."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": SCOPE,
            "state": state,
            "nonce": nonce,
            "code_challenge": encode(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        authorize = (await self.metadata()).authorize
        return f"{authorize}{'&' if '?' in authorize else '?'}{urlencode(asked)}"

    async def redeem(self, code: str, verifier: str, nonce: str) -> Claims:
        """Give a code back for what the provider says of its person.

        Raises ProviderRefused where the provider refuses the code or its token is not sound, ProviderSilent, ProviderUnfit.
        """
        given = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": verifier,
            "client_id": self.client_id,
        }
        if self.client_secret:
            given["client_secret"] = self.client_secret
        answer = await self._ask("POST", (await self.metadata()).token, data=given)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderRefused
        return await self.read(token, nonce)

    async def read(self, token: str, nonce: str) -> Claims:
        """Check an ID token and read it. Raises ProviderRefused."""
        try:
            claims = jwt.decode(token, await self._keys_for(token), algorithms=ALGORITHMS).claims
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            raise ProviderRefused from None
        self._check(claims, nonce)
        email, name = claims.get("email"), claims.get("name")
        return Claims(
            claims["sub"],
            email if isinstance(email, str) else None,
            claims.get("email_verified") is True,
            name if isinstance(name, str) else None,
        )

    async def metadata(self) -> Metadata:
        """The provider's own configuration, at most an hour old. Raises ProviderSilent or ProviderUnfit."""
        now = self.clock.now()
        if self._metadata is None or now - self._metadata[0] >= KEPT_FOR:
            found = await self._ask("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != self.issuer:
                raise ProviderUnfit("The identity provider calls itself by another name than the settings do.")
            made = Metadata(
                authorize=self._fit(found.get("authorization_endpoint")),
                token=self._fit(found.get("token_endpoint")),
                keys=self._fit(found.get("jwks_uri")),
                names_itself=found.get("authorization_response_iss_parameter_supported") is True,
            )
            self._metadata = (now, made)
        return self._metadata[1]

    async def close(self) -> None:
        """Let go of connections."""
        if self._http is not None:
            await self._http.aclose()

    def _check(self, claims: dict[str, Any], nonce: str) -> None:
        now_s, aud = self.clock.now().timestamp(), claims.get("aud")
        audiences = aud if isinstance(aud, list) else [aud]
        sound = (
            claims.get("iss") == self.issuer
            and self.client_id in audiences
            and (len(audiences) == 1 or "azp" in claims)
            and claims.get("azp", self.client_id) == self.client_id
            and _number(claims.get("exp")) > now_s - LEEWAY_S
            and 0 < _number(claims.get("iat")) <= now_s + LEEWAY_S
            and isinstance(claims.get("nonce"), str)
            and hmac.compare_digest(claims["nonce"].encode(), nonce.encode())
            and isinstance(claims.get("sub"), str)
            and 0 < len(claims["sub"]) <= SUBJECT_LENGTH_MAX
        )
        if not sound:
            raise ProviderRefused

    async def _keys_for(self, token: str) -> KeySet:
        """The provider's keys; fetched anew, at most once a minute, for a key that was not among them."""
        now, kid = self.clock.now(), _kid(token)
        kept = self._keys
        if kept is not None:
            known = any(key.kid == kid for key in kept[1].keys)
            if now - kept[0] < (KEPT_FOR if known else KEYS_KEPT_AT_LEAST):
                return kept[1]
        found = await self._ask("GET", (await self.metadata()).keys)
        public = [key for key in found["keys"] if key.get("kty") in ("RSA", "EC", "OKP")]
        keys = KeySet.import_key_set({"keys": public})
        self._keys = (now, keys)
        return keys

    async def _ask(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        if self._http is None:
            # Reading the machine's certificates takes longer than the event loop should wait.
            plain = {"accept-encoding": "identity"}  # so that a small answer is not a large one packed
            self._http = await asyncio.to_thread(self.client, timeout=ANSWER_S_MAX, headers=plain)
        try:
            async with asyncio.timeout(ANSWER_S_MAX), self._http.stream(method, url, **options) as answer:
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > ANSWER_SIZE_MAX:
                        raise ProviderSilent
            found = json.loads(body)
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError):
            raise ProviderSilent from None
        if answer.status_code in (400, 401, 403) and method == "POST":
            raise ProviderRefused
        if answer.status_code != 200 or not isinstance(found, dict):
            raise ProviderSilent
        return found

    def _fit(self, url: object) -> str:
        """An address that may be spoken to: TLS, or this machine when the issuer is on it too. Raises ProviderUnfit."""
        if not isinstance(url, str):
            raise ProviderUnfit
        try:
            parts, own = urlsplit(url), urlsplit(self.issuer)
        except ValueError:
            raise ProviderUnfit from None
        local = parts.scheme == own.scheme == "http" and {parts.hostname, own.hostname} <= set(LOOPBACK)
        if not parts.hostname or not (parts.scheme == "https" or local):
            raise ProviderUnfit
        return url


def encode(data: bytes) -> str:
    """Base 64 for addresses, without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _kid(token: str) -> object:
    head = token.split(".")[0]
    found = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    return found.get("kid")


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
