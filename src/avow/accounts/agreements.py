"""Agreements: nobody goes on using the platform under a changed policy that they have not accepted, where it says so.

A policy accepted by `use` is accepted by the first use after it took effect. One that asks for the act itself (`explicit`)
is accepted at /api/me/acceptance, and until then only one's own account and rights are open.
"""

from uuid import UUID

from avow.base.db import Database
from avow.base.errors import AvowError
from avow.privacy import acceptances
from avow.privacy.versions import Current


class NotAccepted(AvowError):
    """The policy has changed, and has not been accepted by the owner of this account yet."""

    status = 403
    code = "policy_not_accepted"

    def __init__(self, number: int) -> None:
        self.hint = (
            f'Read it at /privacy/{number}, then sign in and POST {{"version": {number}}} to /api/me/acceptance. Your '
            "account, its copy and its erasure are open to you as before."
        )
        super().__init__()


def is_asked(current: Current, accepted: int) -> bool:
    """Whether somebody who has accepted the version `accepted` (0: none) has yet to accept the one in force."""
    return current.agreed is not None and accepted < current.agreed.number


async def accept_by_use(database: Database, current: Current, tenant_id: UUID, subject_id: UUID) -> None:
    """Take the first use after a change as its acceptance, if the policy says so. Raises NotAccepted if it does not."""
    agreed, policy = current.agreed, current.vault.policy
    if agreed is None:
        return
    if agreed.how == "explicit":
        raise NotAccepted(policy.version)
    async with database.tenant(tenant_id) as c:
        now = current.vault.clock.now()
        await acceptances.record(c, policy, tenant_id, subject_id, policy.version, "use", now)
