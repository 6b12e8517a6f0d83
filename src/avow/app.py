"""Composition: from settings to the parts, and from the parts to what a worker serves. Only this file and its
neighbours (`start`, `worker`, `keeper`, `desk`, `canary`, the commands) know every slice.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from argon2 import PasswordHasher
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

import avow.accounts.parts
import avow.base.tables
import avow.billing.parts
import avow.gateway.parts
import avow.gateway.tables
import avow.privacy.parts
import avow.privacy.tables
import avow.proof.tables
import avow.registers.parts
import avow.registers.tables
import avow.site.parts  # noqa: F401  every table and part is declared before the catalog is read
from avow import catalog
from avow.accounts import fields, people, sessions, sign_up
from avow.accounts.directory import Directory
from avow.accounts.needs import Needs, pepper
from avow.accounts.oidc import CALLBACK, Provider
from avow.accounts.passwords import Passwords
from avow.base import money
from avow.base.clock import Clock, SystemClock
from avow.base.db import Database, Dsn
from avow.base.errors import AvowError
from avow.base.mail import FolderMail, Mail, SmtpMail
from avow.base.postgres import DATABASE, Cluster, short_folder
from avow.billing import credit
from avow.engines import llm
from avow.policy import ANSWER, Policy, parse
from avow.privacy import newest
from avow.privacy.consent_receipts import Maker
from avow.privacy.letters import Letter
from avow.privacy.needs import Admit, Identity, Rectify, Tell
from avow.privacy.newest import Newest
from avow.privacy.tombstones import Tombstones
from avow.privacy.versions import Current
from avow.proof.log import Log
from avow.proof.receipts import Receipts
from avow.registers import places
from avow.registers.broker import Broker
from avow.registers.documents import Shelf
from avow.registers.places import Place
from avow.settings import Settings, SettingsWrong, profiles, smtp_parts
from avow.vault import Chain, Ring, chain, outbox

NAME = "Avow"
MODEL = llm.MODEL
CONNECTIONS_PER_WORKER = 21
CONNECTIONS_BESIDE = 40
"""What a worker opens at most (two pools, the ledger's lanes, two listeners), and the keeper, commands and PostgreSQL beside."""
FIRST_LOOK_S = 60
"""How long after its start the keeper looks with its probes for the first time."""
DEMO_CREDIT = money.NANO
"""What a new tenant starts with under `avow up`: one unit of its currency; nothing under `avow serve`."""


class PolicyUnfit(AvowError):
    """The policy and what this installation stores do not agree."""

    code = "policy_unfit"
    hint = "Change the policy file as said above and start again; `avow policy check FILE` says the same."


class PolicyMissing(AvowError):
    """There is no such policy."""

    code = "policy_missing"


@dataclass(frozen=True)
class Parts:
    """What all processes are made from. Made before the fork; opens no connection.

    `policy` is what the settings name; what is in force says the database (`privacy.versions`), which every process
    follows in its vault.
    """

    settings: Settings
    clock: Clock
    mail: Mail
    ring: Ring
    policy: Policy
    policy_source: str
    cluster: Cluster | None
    demo: bool
    admin: Dsn = field(repr=False)
    hasher: PasswordHasher | None = None
    first_look_s: float | None = FIRST_LOOK_S
    """When the keeper looks of its own; None: never, only `avow verify` does."""

    @property
    def home(self) -> Path:
        return self.settings.home_path

    @property
    def installed(self) -> frozenset[str]:
        """The parts that sentences may be published of."""
        return installed(self.settings)

    @property
    def tombstones(self) -> Tombstones:
        """The list of what was erased, beside the ring."""
        return Tombstones(self.home / "keyring" / "tombstones", self.ring)

    @property
    def newest(self) -> Newest:
        """The list of what a restore may not take back, beside the ring."""
        return Newest(self.home / "keyring" / newest.FILE_NAME, self.ring)

    @property
    def chain(self) -> Chain:
        """The chain over the record of openings and acts; its head lies beside the ring."""
        return Chain(self.ring, self.home / "keyring" / chain.FILE_NAME)

    def places(self, policy: Policy) -> list[Place]:
        """Where everything lies, as far as the settings and the policy say it. Raises DatabaseUnregistered."""
        made = self.settings
        database = places.of_database(policy, self.admin.host, made.database_processor, made.database_region)
        others = {}
        if made.smtp_url:
            relay = smtp_parts(made.smtp_url)["host"]
            others["mail"] = places.of_relay(relay, made.region, made.mail_region)
        if made.otlp_endpoint:
            others["traces"] = places.of_party(policy, made.otlp_processor, made.region)
        return places.of(made.region, database, made.backup_region, **others)

    def shelf(self, keeper: Database) -> Shelf:
        """Where the documents that stand behind claims are kept."""
        return Shelf(self.home, self.ring, keeper, self.clock)

    @property
    def log(self) -> Log:
        """The transparency log; its checkpoint lies beside the ring."""
        return Log(self.home, self.ring, self.settings.base_url)

    def password(self, role: str) -> str:
        """The password of a database role; a named secret of the ring."""
        return _password(self.ring, role)

    def dsn(self, role: str) -> Dsn:
        return self.admin.role(role, self.password(role))

    def program(self, name: str) -> Path:
        """The path of PostgreSQL's `pg_dump` or `pg_restore`: ours, or the operator's for a database of their own."""
        found = str(self.cluster.program(name)) if self.cluster else shutil.which(name)
        if found is None:
            raise AvowError(f"{name} is missing.", hint="Install PostgreSQL's client programs, as new as the server.")
        return Path(found)

    def database(self, role: str, pool_size: int = 4) -> Database:
        return Database(self.dsn(role), pool_size=pool_size)


def build(
    settings: Settings,
    *,
    demo: bool = False,
    clock: Clock | None = None,
    mail: Mail | None = None,
    hasher: PasswordHasher | None = None,
    first_look_s: float | None = FIRST_LOOK_S,
) -> Parts:
    """The parts as the settings say; `clock`, `mail`, `hasher` (of passwords) and `first_look_s` are for tests to replace.

    `demo`: new tenants start with a small credit, and an address need not be confirmed (`avow up`).
    """
    home = settings.home_path
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    source = policy_text(settings.policy)
    policy = parse(source, settings.policy)
    ring = Ring(home / "keyring" / "ring.db")
    cluster = None if settings.database_url else _cluster(settings, ring)
    return Parts(
        settings=settings,
        clock=clock or SystemClock(),
        mail=mail or _mail(settings),
        ring=ring,
        policy=policy,
        policy_source=source,
        cluster=cluster,
        demo=demo,
        admin=cluster.dsn() if cluster else external_dsn(settings.database_url),
        hasher=hasher,
        first_look_s=first_look_s,
    )


def accounts(parts: Parts, database: Database, current: Current) -> Needs:
    """What the slice of accounts needs, over `database` as role `avow_app`, under what is in force in this process."""
    vault = current.vault

    async def first_credit(
        connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, wallet_id: UUID, at: datetime
    ) -> None:
        policy = vault.policy
        ends_at = policy.categories["payment"].keep.end(at)
        await credit.begin_own(connection, subject_id, wallet_id, at, policy_version=policy.version, ends_at=ends_at)

    directory = Directory(database, pepper(parts.ring), parts.clock, must_confirm=not parts.demo, current=current)
    return Needs(
        clock=parts.clock,
        database=database,
        ring=parts.ring,
        vault=vault,
        first_credit=first_credit,
        base_url=parts.settings.base_url,
        secure=parts.settings.base_url.startswith("https://"),
        directory=directory,
        tombstones=parts.tombstones,
        consent_receipts=Maker(Receipts(parts.ring), parts.settings.base_url),
        passwords=Passwords(parts.hasher),
        provider=_provider(parts, Broker(database, vault)),
        operator_mail=parts.settings.operator_mail,
        current=current,
        tells_abroad=bool(parts.settings.region),
    )


def _provider(parts: Parts, broker: Broker) -> Provider | None:
    """The identity provider that the settings name. Raises ProviderUnfit."""
    made = parts.settings
    if not made.oidc_issuer:
        return None
    back = f"{made.base_url}{CALLBACK}"
    client = partial(broker.client, "sign-in")
    return Provider(made.oidc_issuer, made.oidc_client_id, made.oidc_client_secret, back, parts.clock, client)


def identity(accounts: Needs) -> Identity:
    """Whether somebody who is signed in gives their password once more; a wrong one counts as one at sign-in does."""

    async def asked(tenant_id: UUID, subject_id: UUID, password: str) -> bool:
        return await sessions.is_shown(accounts, tenant_id, subject_id, password)

    return asked


def rectify(accounts: Needs) -> Rectify:
    """Puts fields of somebody's account right."""

    async def put_right(c: AsyncConnection, tenant_id: UUID, subject_id: UUID, given: Mapping[str, object]) -> None:
        await people.amend_in(c, accounts, people.actor(tenant_id, subject_id), given)

    return put_right


def tell(accounts: Needs) -> Tell:
    """Puts letters about privacy requests into the outbox, to the address that the person gave."""

    async def put(
        c: AsyncConnection,
        tenant_id: UUID,
        subject_id: UUID,
        message_id: UUID,
        letter: Letter,
        *,
        address: str | None = None,
    ) -> None:
        address = address or await people.open_address(accounts, c, tenant_id, subject_id, ANSWER)
        if address is None:
            return
        await outbox.put(
            c,
            accounts.vault,
            message_id=message_id,
            tenant_id=tenant_id,
            subject_id=subject_id,
            recipient=address,
            subject=letter.subject,
            text=letter.text.format(site=accounts.base_url),
            purpose=ANSWER,
        )

    return put


def admit(accounts: Needs) -> Admit:
    """Checks and counts an address to which a stranger lets a message be sent, as a sign-up is."""

    def checked(email: str, network: str | None) -> str:
        return sign_up.admit(accounts, fields.read_fact("email", email), network)

    return checked


def engine(parts: Parts) -> llm.Engine:
    """The embedded language model: a socket in a short private folder, and a key that only our processes know."""
    secret = parts.ring.secret("key of the engine", create=True)
    assert secret is not None
    return llm.Engine(short_folder(parts.home) / "engine.sock", secret.hex())


def installed(settings: Settings) -> frozenset[str]:
    """The parts that are there: TLS once it has a certificate, regions once it is said in which country this machine is."""
    absent = set() if settings.region else {"regions"}
    return frozenset(catalog.parts()) - absent | ({"tls"} if settings.tls else set())


def policy_text(name: str) -> str:
    """The text of a policy: a file's path, or the name of a profile that comes with the package."""
    path, known = Path(name), profiles()
    try:
        return (known[name] if name in known and not path.is_file() else path).read_text()
    except (OSError, UnicodeDecodeError) as wrong:
        raise PolicyMissing(
            f"There is no policy {name!r}.",
            hint=f"Give a file's path or a profile's name ({', '.join(sorted(known))}).",
        ) from wrong


def check(policy: Policy, installed: frozenset[str], hint: str | None = None) -> list[str]:
    """What a policy speaks of and this installation lacks, in words. Raises when they disagree."""
    problems = catalog.check(policy, installed)
    errors = tuple(p for p in problems if p.kind == "error")
    if errors:
        raise PolicyUnfit("\n".join(str(p) for p in errors), hint=hint)
    return [p.sentence for p in problems]


def external_dsn(url: str) -> Dsn:
    """A `postgresql://` URL as a Dsn: through a socket, or with a verified certificate."""
    parsed = make_url(url)
    folder = parsed.query.get("host")
    host = parsed.host or (folder if isinstance(folder, str) else "") or "/var/run/postgresql"
    sslmode = parsed.query.get("sslmode", "")
    if not host.startswith("/") and sslmode != "verify-full":
        raise SettingsWrong("AVOW_DATABASE_URL reaches over the network without sslmode=verify-full.")
    return Dsn(
        host,
        parsed.port or 5432,
        parsed.username or "",
        parsed.database or DATABASE,
        parsed.password or "",
        str(sslmode),
    )


def _cluster(settings: Settings, ring: Ring) -> Cluster:
    connections = CONNECTIONS_BESIDE + CONNECTIONS_PER_WORKER * settings.worker_count
    return Cluster(settings.home_path, _password(ring, "avow_super"), connections)


def _password(ring: Ring, role: str) -> str:
    secret = ring.secret(f"password of {role}", create=True)
    assert secret is not None
    return secret.hex()


def _mail(settings: Settings) -> Mail:
    if settings.smtp_url:
        return SmtpMail(sender=settings.mail_from, **smtp_parts(settings.smtp_url))
    return FolderMail(settings.home_path / "mail", settings.mail_from)
