"""What accounts need from the rest: one value, made by `app.build` and handed to every rule of this slice."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import pace, throttle
from avow.accounts.directory import Directory
from avow.accounts.networks import Networks, of_beginnings, of_newcomers
from avow.accounts.oidc import Provider
from avow.accounts.passwords import Passwords
from avow.accounts.throttle import Throttle
from avow.base.clock import Clock
from avow.base.db import Database
from avow.policy import Policy
from avow.privacy.consent_receipts import Maker
from avow.privacy.tombstones import Tombstones
from avow.privacy.versions import Coming, Current
from avow.vault import Ring, Vault

PEPPER = "pepper"


class FirstCredit(Protocol):
    """Opens the wallet of a new tenant, with the credit that the installation gives, in the sign-up's transaction."""

    async def __call__(
        self, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, wallet_id: UUID, at: datetime, /
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Needs:
    """`database` speaks as role `avow_app`. `base_url` is the public address as people type it, `secure` whether it is
    spoken to with TLS. `directory` belongs to this process and hears of changes as long as its `watch` runs.
    `provider`: where people may sign in instead; None: not set up.
    `operator_mail`: who hears of attacks besides the person; empty: nobody. `current`: what is in force in this process."""

    clock: Clock
    database: Database
    ring: Ring
    vault: Vault
    first_credit: FirstCredit
    base_url: str
    secure: bool
    directory: Directory
    tombstones: Tombstones
    consent_receipts: Maker
    passwords: Passwords = field(default_factory=Passwords)
    sign_ins: Throttle = field(default_factory=throttle.of_sign_ins)
    letters: Throttle = field(default_factory=throttle.of_letters)
    mailboxes: Throttle = field(default_factory=throttle.of_mailboxes)
    invitations: Throttle = field(default_factory=throttle.of_invitations)
    resets: Throttle = field(default_factory=throttle.of_resets)
    recovery_codes: Throttle = field(default_factory=throttle.of_recovery_codes)
    networks: Networks = field(default_factory=Networks)
    newcomers: Networks = field(default_factory=of_newcomers)
    beginnings: Networks = field(default_factory=of_beginnings)
    provider: Provider | None = None
    operator_mail: str = ""
    current: Current | None = None
    tells_abroad: bool = False
    """Whether this installation says in which country it is, so that people elsewhere are told."""
    step_s: float = pace.STEP_S

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.vault.policy

    @property
    def coming(self) -> tuple[Coming, ...]:
        """The versions of the policy that are announced and wait for their dates."""
        return self.current.coming if self.current is not None else ()

    @property
    def host(self) -> str:
        """The name under which people know this place, without port."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def pepper(self) -> bytes:
        """The key of every token digest."""
        return pepper(self.ring)


def pepper(ring: Ring) -> bytes:
    """The ring's secret under which tokens are digested (32 bytes); another one would shut everybody out."""
    found = ring.secret(PEPPER, create=True)
    assert found is not None
    return found
