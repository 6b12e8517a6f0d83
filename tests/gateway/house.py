"""A running gateway: real PostgreSQL, ring, ledger and sockets; only the upstream follows a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import anthropic
import httpx
import openai
from sqlalchemy import func, insert, select, text, update

from avow import server
from avow.accounts import key_text, tokens
from avow.accounts.directory import Directory
from avow.accounts.needs import pepper
from avow.accounts.tables import api_key, person, tenant
from avow.base.clock import FileClock
from avow.base.ids import uuid7
from avow.base.tables import policy_epoch
from avow.billing import claims, credit, prices
from avow.billing.ledger import Batcher
from avow.billing.means import Means
from avow.billing.prices import Price
from avow.billing.tables import charge, usage, wallet, wallet_hold
from avow.gateway import FUNCTIONS, V1, Client, Gateway, RuleBook, Timeouts, load, tables
from avow.gateway.batch_runs import Runs
from avow.gateway.batches import Batches
from avow.gateway.cache import Cache
from avow.gateway.decisions import Decisions
from avow.gateway.direct import Direct
from avow.gateway.files import Files
from avow.gateway.filing import Filing
from avow.gateway.fleet import Fleet
from avow.gateway.scripted import ScriptedUpstream
from avow.policy import Policy, parse
from avow.vault import Ring, Vault
from tests import LIMIT_S
from tests.conftest import Databases
from tests.listening import listening

ACME = """
[share.provider]

[processor.acme]
title = "Acme"
roles = ["infrastructure"]
categories = ["api_content"]
region = "DE"
contract = "dpa-acme"
vetted = "2026-03-01"
keep = "0"
trains = false
"""
TEXT = (Path(__file__).parents[2] / "profiles" / "default.toml").read_text() + ACME
POLICY = parse(TEXT.replace('features = ["tls"', 'features = ["tls", "processors"'))
DECLARED = {"processor": "acme", "region": "DE", "trains": False, "retention_h": 0, "contract": "dpa-acme"}
CREDENTIAL = "sk-upstream-credential-4711"
MODEL, COSTLY, FREE_MODEL, UNPRICED, OUTSIDE = "test/plain", "test/costly", "test/free", "test/unpriced", "test/outside"
CLAUDE = "test/claude"
DOLLAR = 1_000_000_000
# nano-dollars per million tokens: 1 000 per input token, 500 cached, 3 000 per output token
INPUT, CACHED, OUTPUT = 1_000_000_000, 500_000_000, 3_000_000_000
HELLO = [{"role": "user", "content": "Say hello."}]


@dataclass(frozen=True)
class Customer:
    """A person with a tenant, a wallet and a key."""

    tenant_id: UUID
    subject_id: UUID
    wallet_id: UUID
    key_id: UUID
    secret: str = field(repr=False)


@dataclass
class House:
    """The gateway under test, and what tests do to it."""

    url: str
    databases: Databases
    gateway: Gateway
    vault: Vault
    clock: FileClock
    upstream: ScriptedUpstream
    directory: Directory
    batcher: Batcher
    runs: Runs
    is_warm: bool = False
    """Whether keys are known and connections to upstreams are there before the first request, as they are once a worker has
    been at work for a while: then what is plain is answered without a task (see `gateway.plain`)."""

    async def customer(
        self, balance: int = DOLLAR, *, keep_h: int | None = None, tenant_keep_h: int | None = None
    ) -> Customer:
        made = key_text.make()
        new = Customer(uuid7(), uuid7(), uuid7(), uuid7(), made.text)
        now = self.clock.now()
        fact = {"tenant_id": new.tenant_id, "subject_id": new.subject_id, "since": now, "policy_version": 1}
        digest = tokens.digest(pepper(self.vault.ring), "api_key", made.text)
        async with self.databases.keeper.begin() as c:
            await c.execute(
                insert(tenant).values(
                    tenant_id=new.tenant_id,
                    created_at=now,
                    wallet_id=new.wallet_id,
                    keep_h=tenant_keep_h,
                )
            )
            blind = new.subject_id.bytes
            await c.execute(insert(person).values(id=new.subject_id, email_index=blind, box=b"", role="owner", **fact))
            await credit.begin(c, new.tenant_id, new.subject_id, new.wallet_id, now, amount=balance, policy_version=1)
            await c.execute(
                insert(api_key).values(
                    id=new.key_id,
                    wallet_id=new.wallet_id,
                    public_id=made.public_id,
                    secret_hmac=digest,
                    box=b"",
                    keep_h=keep_h,
                    state="active",
                    **fact,
                )
            )
        if self.is_warm:
            await self.directory.find(made.text)
        return new

    async def warm_up(self) -> None:
        self.is_warm = True
        probe = self.gateway.rules.current.models[MODEL].routes[0].upstream.probe
        exchanges = [await self.gateway.client.send(probe, b"", resend=True) for _ in range(3)]
        for exchange in exchanges:
            await exchange.rest(1024)

    def client(self, who: Customer | str, **options: Any) -> openai.AsyncOpenAI:
        secret = who if isinstance(who, str) else who.secret
        return openai.AsyncOpenAI(api_key=secret, base_url=f"{self.url}/v1", max_retries=0, **options)

    def anthropic(self, who: Customer) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(api_key=who.secret, base_url=self.url, max_retries=0)

    async def post(
        self, who: Customer | None, body: Any = None, *, url: str = "", path: str = "", **headers: str | bytes
    ) -> httpx.Response:
        """A raw request; `body` is bytes or becomes JSON as the official clients write it."""
        content = (
            body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        )
        given = {"content-type": "application/json"} | (
            {"authorization": f"Bearer {who.secret}"} if who is not None else {}
        )
        async with httpx.AsyncClient(timeout=LIMIT_S) as client:
            target = url or self.url + (path or "/v1/chat/completions")
            return await client.post(target, content=content, headers={**given, **headers})

    async def wallet(self, of: Customer) -> tuple[int, int]:
        """Posted and held."""
        query = select(wallet.c.posted, wallet.c.held).where(wallet.c.id == of.wallet_id)
        async with self.databases.keeper.begin() as c:
            row = (await c.execute(query)).one()
        return row.posted, row.held

    async def usages(self, of: Customer) -> list[Any]:
        """Usage with the amount charged, oldest first."""
        query = select(usage, charge.c.amount, charge.c.held).join(charge, charge.c.id == usage.c.id)
        async with self.databases.keeper.begin() as c:
            return list((await c.execute(query.where(usage.c.key_id == of.key_id).order_by(usage.c.id))).all())

    async def settled(self, of: Customer, count: int = 1) -> Any:
        """The last of `count` usages, as soon as that many are written and no hold is open."""
        held = select(func.count()).where(wallet_hold.c.key_id == of.key_id)
        for _ in range(2000):
            rows = await self.usages(of)
            async with self.databases.keeper.begin() as c:
                open_holds = await c.scalar(held)
            if len(rows) >= count and not open_holds:
                return rows[-1]
            await asyncio.sleep(0.01)
        raise AssertionError(f"{len(rows)} of {count} settled, {open_holds} holds open")

    async def traces(self) -> list[Any]:
        async with self.databases.keeper.begin() as c:
            return list((await c.execute(select(tables.trace).order_by(tables.trace.c.id))).all())

    async def upstream_id(self, name: str) -> UUID:
        async with self.databases.keeper.begin() as c:
            return await c.scalar(select(tables.upstream.c.id).where(tables.upstream.c.name == name))

    async def execute(self, statement: Any) -> None:
        async with self.databases.keeper.begin() as c:
            await c.execute(statement)

    async def offer(self, name: str, *, at: str = "inside", output_tokens_max: int = 1000, **price: Any) -> None:
        """One more model, for what `price` says."""
        upstream_id = await self.upstream_id(at)
        sizes = {"context_tokens": 8192, "output_tokens_max": output_tokens_max}
        await self.execute(insert(tables.model).values(id=name, **sizes))
        theirs = f"their-{name.rpartition('/')[2]}"
        await self.execute(insert(tables.route).values(model_id=name, upstream_id=upstream_id, their_name=theirs))
        base = {
            "input_nano": 0,
            "cached_nano": 0,
            "output_nano": 0,
            "valid_from": self.clock.now() - timedelta(hours=1),
        }
        async with self.databases.keeper.begin() as c:
            made = Price(id=uuid7(), model=name, currency="USD", **{**base, **price})
            await prices.put(c, made, prices.Seal.of(self.vault.ring))
        await self.bump_epoch()
        await self.gateway.rules.renew(self.gateway.rules.current.epoch + 1)

    async def bump_epoch(self) -> None:
        await self.execute(update(policy_epoch).values(epoch=policy_epoch.c.epoch + 1))

    async def raise_price(self, model: str, factor: int) -> None:
        new = Price(
            uuid7(),
            model,
            "USD",
            factor * INPUT,
            factor * CACHED,
            factor * OUTPUT,
            self.clock.now() - timedelta(hours=1),
        )
        async with self.databases.keeper.begin() as c:
            await prices.put(c, new, prices.Seal.of(self.vault.ring))

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def revoke(self, who: Customer) -> None:
        await self.execute(update(api_key).where(api_key.c.id == who.key_id).values(state="revoked"))


async def furnish(databases: Databases, vault: Vault, upstream: ScriptedUpstream) -> None:
    """An upstream in the house, one outside, models with and without prices, an epoch."""
    now = vault.clock.now()
    rows = [
        {"name": "inside", "kind": "openai", "processor": None},
        {"name": "outside", "kind": "openai", **DECLARED, "evidence_until": now + timedelta(days=30)},
        {"name": "messages", "kind": "anthropic", **DECLARED, "evidence_until": now + timedelta(days=30)},
    ]
    async with databases.keeper.begin() as c:
        ids = []
        for row in rows:
            ids.append(uuid7())
            sealed = vault.seal_credential("upstream", ids[-1], CREDENTIAL)
            await c.execute(
                insert(tables.upstream).values(id=ids[-1], base_url=f"{upstream.url}/v1", credential=sealed, **row)
            )
        at = {OUTSIDE: ids[1], CLAUDE: ids[2]}
        for name in (MODEL, COSTLY, FREE_MODEL, UNPRICED, OUTSIDE, CLAUDE):
            await c.execute(
                insert(tables.model).values(
                    id=name,
                    context_tokens=8192,
                    output_tokens_max=1000,
                )
            )
            theirs = f"their-{name.rpartition('/')[2]}"
            there = {"model_id": name, "upstream_id": at.get(name, ids[0]), "their_name": theirs}
            await c.execute(insert(tables.route).values(there))
            if name != UNPRICED:
                factor = 0 if name == FREE_MODEL else 100 if name == COSTLY else 1
                price = [factor * each for each in (INPUT, CACHED, OUTPUT)]
                await prices.put(
                    c, Price(uuid7(), name, "USD", *price, now - timedelta(days=1)), prices.Seal.of(vault.ring)
                )
        await c.execute(text("INSERT INTO policy_epoch VALUES (1, 1) ON CONFLICT (id) DO NOTHING"))


async def chained(house: House, reseller: Customer, name: str, theirs: str) -> None:
    """A model of this platform whose upstream is this platform, with the reseller's key; ten times as dear."""
    upstream_id = uuid7()
    sealed = house.vault.seal_credential("upstream", upstream_id, reseller.secret)
    row = {"name": "second", "kind": "openai", "base_url": f"{house.url}/v1", "credential": sealed}
    await house.execute(insert(tables.upstream).values(id=upstream_id, **row))
    sizes = {"context_tokens": 8192, "output_tokens_max": 100}
    await house.execute(insert(tables.model).values(id=name, **sizes))
    await house.execute(insert(tables.route).values(model_id=name, upstream_id=upstream_id, their_name=theirs))
    await house.raise_price(name, factor=10)
    await house.bump_epoch()
    await house.gateway.rules.renew(2)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens on the server's side, where no event tells of it."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def chunks_of(answer: httpx.Response) -> list[Any]:
    """The data of a stream's events but `[DONE]`."""
    lines = [line for line in answer.text.split("\n\n") if line.startswith("data: ") and line != "data: [DONE]"]
    return [json.loads(line[6:]) for line in lines]


@asynccontextmanager
async def serving(app: Any, short: server.Short | None = None):
    """A uvicorn server of `app` on a free port, with our protocol."""
    async with listening(app, http=server.protocol(short)) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def open_house(
    databases: Databases,
    folder: Path,
    *,
    policy: Policy = POLICY,
    timeouts: Timeouts | None = None,
    is_warm: bool = False,
    **options: Any,
):
    clock = FileClock(folder / "clock")
    (folder / "keyring").mkdir(mode=0o700)
    ring = Ring(folder / "keyring" / "ring.db")
    vault = Vault(ring, policy, clock)
    async with ScriptedUpstream(CREDENTIAL) as upstream:
        await furnish(databases, vault, upstream)
        directory = Directory(databases.app, pepper(ring), clock, must_confirm=False)
        batcher = Batcher(databases.writer.raw, clock, folder / "spool", functions=FUNCTIONS, wait_s_max=30.0)
        batcher.start()
        rules = RuleBook(lambda: load(databases.app, vault, None))
        await rules.start()
        patient = Timeouts(connect_s=5, first_byte_s=20, between_bytes_s=20, total_s=60)
        client = Client(timeouts=timeouts or patient)
        options.setdefault("fleet", Fleet(client, tries_max=1))
        options.setdefault("cache", Cache(databases.app, vault, clock, wait_s_max=LIMIT_S))
        options.setdefault("decisions", Decisions(databases.app))
        beside = Means(databases.app), claims.of(databases.app, ring)
        gateway = Gateway(rules, directory, batcher, vault, client, clock, *beside, **options)
        files = Files(databases.app, vault, clock)
        filing, runs = Filing(rules, files, Batches(files), gateway.decisions), Runs(gateway, files, directory)
        async with serving(V1(gateway, filing, body_s_max=0.5), Direct(gateway).take) as url:
            made = House(url, databases, gateway, vault, clock, upstream, directory, batcher, runs)
            if is_warm:
                await made.warm_up()
            yield made
            await until(lambda: not gateway.running)
        # Whatever became of the requests: every place of a key and every call of an upstream was given back.
        assert not gateway._calls and not any(health.in_flight for _, health in gateway.fleet.healths())
        await gateway.close()
        await batcher.close()
    vault.close()
    ring.close()
