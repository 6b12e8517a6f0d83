"""Accounts over real HTTP: the routes behind uvicorn on loopback, on the embedded PostgreSQL and a real ring."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pyotp
import pytest
from argon2 import PasswordHasher
from litestar import Litestar, Router
from litestar.di import Provide
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests import LIMIT_S
from tests.accounts.provider import CLIENT, SECRET, LocalProvider
from tests.conftest import Databases
from tests.listening import listening

from avow.accounts import admission, api, desk_api, members, members_api, openings_api, staff, surface
from avow.accounts.directory import Directory
from avow.accounts.needs import Needs, pepper
from avow.accounts.oidc import CALLBACK, Provider
from avow.accounts.passwords import Passwords
from avow.app import admit, identity, rectify, tell
from avow.base.clock import FileClock
from avow.billing import desk_api as billing_desk_api
from avow.billing import limits_api
from avow.gateway import api as gateway_api
from avow.gateway import desk_api as gateway_desk_api
from avow.policy import Policy, parse
from avow.privacy import api as privacy_api
from avow.privacy import desk_api as privacy_desk_api
from avow.privacy import outsiders_api, policy_api
from avow.privacy.consent_receipts import Maker
from avow.privacy.tombstones import Tombstones
from avow.proof import desk_api as proof_desk_api
from avow.proof.log import Log
from avow.proof.receipts import Receipts
from avow.registers import desk_api as registers_desk_api
from avow.vault import Ring, Vault, outbox

PASSWORD = "correct horse battery staple"
PROFILE = Path(__file__).parents[2] / "profiles" / "default.toml"


class CountingHasher(PasswordHasher):
    """Argon2id with cheap parameters that counts its work."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.hashed = self.compared = 0

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.hashed += 1
        return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
        self.compared += 1
        return bool(super().verify(hash, password))


class Mailbox:
    """A mail transport that keeps what it was given, and can be read by address."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []

    async def send(self, message_id: str, to: str, subject: str, text: str) -> None:
        self.sent.append((to, subject, text))


@dataclass
class House:
    """A running accounts API, its database and its doubles."""

    url: str
    needs: Needs
    databases: Databases
    clock: FileClock
    hasher: CountingHasher
    mailbox: Mailbox
    app: Litestar
    credits: list[tuple[UUID, UUID, UUID]] = field(default_factory=list)
    factors: dict[str, str] = field(default_factory=dict)
    """The secret of each authenticator app of the staff, by address."""

    def browser(self, **headers: str) -> httpx.AsyncClient:
        """A client of its own, with its own cookies."""
        return httpx.AsyncClient(
            timeout=LIMIT_S, base_url=self.url, headers={"sec-fetch-site": "same-origin", **headers}
        )

    def visitor(self, address: str) -> httpx.AsyncClient:
        """A browser that comes from a network address."""
        transport = httpx.ASGITransport(self.app, client=(address, 1024))
        headers = {"sec-fetch-site": "same-origin"}
        return httpx.AsyncClient(timeout=LIMIT_S, transport=transport, base_url=self.url, headers=headers)

    async def mail(self) -> list[tuple[str, str, str]]:
        """Send what waits and give all that was sent so far."""
        await outbox.drain(self.databases.keeper, self.needs.vault, self.mailbox)
        return self.mailbox.sent

    async def token(self, address: str, page: str = "confirm") -> str:
        """The token in the last message to an address that leads to `page`."""
        texts = [body for to, _, body in await self.mail() if to == address and f"/{page}#" in body]
        found = re.search(rf"/{page}#(\w+)", texts[-1])
        assert found
        return found[1]

    async def rows(self, table: str) -> int:
        async with self.databases.keeper.begin() as connection:
            return int(await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)

    async def query(self, sql: str, **values: Any) -> list[Any]:
        async with self.databases.keeper.begin() as connection:
            return list((await connection.execute(text(sql), values)).all())

    async def signed_in(self, email: str = "ada@example.org", **facts: str) -> httpx.AsyncClient:
        """A browser of a new person who has signed up and in."""
        browser = self.browser()
        given = {"email": email, "password": PASSWORD, **facts}
        assert (await browser.post("/api/auth/signup", json=given)).status_code == 202
        assert (await browser.post("/api/auth/login", json={"email": email, "password": PASSWORD})).status_code == 200
        return browser

    async def hired(self, role: str, days: int = 30, email: str = "") -> httpx.AsyncClient:
        """Somebody of the staff whose training is valid for so many days, signed in with a second factor."""
        email = email or f"{role}-{secrets.token_hex(4)}@avow.example"
        until = self.clock.now() + timedelta(days=days)
        await staff.appoint(self.needs, self.databases.keeper, {"email": email}, PASSWORD, role, until, "NDA 2026-11")
        browser = self.browser()
        entered = await browser.post("/api/auth/login", json={"email": email, "password": PASSWORD})
        assert entered.is_success, entered.text
        self.factors[email] = (await browser.post("/api/me/second-factor")).json()["secret"]
        code = {"code": pyotp.TOTP(self.factors[email]).at(self.clock.now())}
        assert (await browser.post("/api/me/second-factor/confirm", json=code)).is_success
        return browser


Start = Callable[..., Any]


@pytest.fixture
def policy() -> Policy:
    return parse(PROFILE.read_text())


class Stage:
    """The app, which works for one house after the other: to register its routes takes longer than most tests."""

    def __init__(self) -> None:
        self._needs: Needs | None = None
        self._home: Path | None = None
        self._rights: privacy_api.Desk | None = None
        given = {**api.dependencies(None), "accounts": Provide(lambda: self._needs, sync_to_thread=False)}
        own = api.router(None)
        own.dependencies = given
        others = Router(
            "/",
            route_handlers=[
                *(*openings_api.ROUTES, *desk_api.ROUTES, *members_api.ROUTES),
                *(*privacy_api.ROUTES, *privacy_desk_api.ROUTES, *outsiders_api.ROUTES, *gateway_api.ROUTES),
                *(*policy_api.ROUTES, *registers_desk_api.ROUTES, *limits_api.ROUTES, *billing_desk_api.ROUTES),
                *(*gateway_desk_api.ROUTES, *proof_desk_api.ROUTES),
            ],
            dependencies={
                **given,
                "staff": Provide(admission.find_staff),
                "privacy": Provide(lambda: self._rights, sync_to_thread=False),
                "home": Provide(lambda: self._home, sync_to_thread=False),
            },
            before_request=surface.check,
        )
        self.app = Litestar(
            [own, others], guards=[admission.admit], exception_handlers=surface.handlers(), openapi_config=None
        )

    def work_for(self, needs: Needs, home: Path) -> Litestar:
        """The app with everything of a house in `home`."""
        self._needs, self._home = needs, home
        self._rights = privacy_api.Desk(
            *(needs.database, needs.vault, needs.clock, identity(needs), members.check_erasure, rectify(needs)),
            *(tell(needs), admit(needs), Log(home, needs.ring, needs.base_url).complete, Receipts(needs.ring)),
            needs.base_url,
        )
        self.app.state["accounts"] = needs
        return self.app


@pytest.fixture(scope="session")
def stages() -> list[Stage]:
    """Those for whom nobody works: a test with two houses needs two."""
    return []


@pytest.fixture
async def start(database: Databases, policy: Policy, stages: list[Stage], tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a house; `secure` and `must_confirm` as in production."""
    async with AsyncExitStack() as ending:

        async def run(secure: bool = False, must_confirm: bool = False) -> House:
            clock, hasher = FileClock(tmp_path / "clock"), CountingHasher()
            (tmp_path / "keyring").mkdir(mode=0o700, exist_ok=True)
            ring = Ring(tmp_path / "keyring" / "ring.db")
            vault, passwords = Vault(ring, policy, clock), Passwords(hasher)
            for each in (ring, vault, passwords):
                ending.callback(each.close)
            stage = stages.pop() if stages else Stage()
            ending.callback(stages.append, stage)
            url = f"http://localhost:{await ending.enter_async_context(listening(stage.app))}"
            credits: list[tuple[UUID, UUID, UUID]] = []

            async def first_credit(c: AsyncConnection, tenant: UUID, subject: UUID, wallet: UUID, at: datetime) -> None:
                credits.append((tenant, subject, wallet))

            needs = Needs(
                clock=clock,
                database=database.app,
                ring=ring,
                vault=vault,
                first_credit=first_credit,
                base_url=url,
                secure=secure,
                directory=Directory(database.app, pepper(ring), clock, must_confirm=must_confirm),
                tombstones=Tombstones(tmp_path / "tombstones", ring),
                consent_receipts=Maker(Receipts(ring), url),
                passwords=passwords,
                step_s=0.03,
            )
            app = stage.work_for(needs, tmp_path)
            return House(url, needs, database, clock, hasher, Mailbox(), app, credits)

        yield run


@pytest.fixture
async def house(start: Start) -> House:
    made: House = await start()
    return made


@pytest.fixture
def marker() -> str:
    """A word that occurs nowhere else."""
    return f"mark{secrets.token_hex(12)}"


@pytest.fixture
async def provider(house: House) -> AsyncIterator[LocalProvider]:
    """An identity provider on loopback, which this house takes people from."""
    made = LocalProvider(house.clock)
    await made.start()
    ours = Provider(made.issuer, CLIENT, SECRET, f"{house.needs.base_url}{CALLBACK}", house.clock)
    object.__setattr__(house.needs, "provider", ours)
    yield made
    await ours.close()
    await made.stop()
