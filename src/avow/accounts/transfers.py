"""Transfers: who lives outside the countries where data lies is told so at sign-up, and with which version they were is kept.

It is a notice and no consent: what the transfer rests on stands in the policy (GDPR Art. 13(1)(f)).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.errors import AvowError
from avow.policy import Policy
from avow.privacy.tables import notice
from avow.vault import fact

FIELD: Final = "transfer_shown"
"""The version of the policy with which a newcomer was shown that their data goes abroad."""
KIND: Final = "transfer"


class TransferNotShown(AvowError):
    """Your data would go to another country than yours, and you have not been told."""

    status = 403
    code = "transfer_not_shown"
    hint = "Nothing was stored. GET /api/auth/signup has the text; send its version as transfer_shown."

    def __init__(self, policy: Policy) -> None:
        clause = next(each for each in policy.clauses if each.id == "regions")
        self.hint = f"Nothing was stored. {clause.en} GET /api/auth/signup has the text; send its version as {FIELD}."
        super().__init__(param=FIELD)


def asked(policy: Policy, *, tells: bool) -> dict[str, Any] | None:
    """What a sign-up form shows to people elsewhere, as JSON: the text, its version, and the countries where nobody needs to
    be told; None: nobody is told. `tells`: this installation says where it is."""
    part = policy.parts.get("regions")
    if not tells or part is None or not part.values.get("tell_at_sign_up"):
        return None
    clause = next(each for each in policy.clauses if each.id == "regions")
    return {
        "version": policy.version,
        "countries": part.values["countries"],
        "text": {"en": clause.en, "zh": clause.zh},
    }


def read(policy: Policy, given: Mapping[str, object], country: str | None, *, tells: bool) -> int | None:
    """The version that a newcomer was shown; None: they live where data lies. Raises TransferNotShown."""
    wanted = asked(policy, tells=tells)
    if wanted is None or (country is not None and country in wanted["countries"]):
        return None
    if given.get(FIELD) != policy.version:
        raise TransferNotShown(policy)
    return policy.version


async def remember(
    c: AsyncConnection, policy: Policy, tenant_id: UUID, subject_id: UUID, version: int, at: datetime
) -> None:
    """Write down what somebody was shown, in the transaction of their sign-up."""
    row = fact.begin(policy, "account", tenant_id, subject_id, at)
    row |= {"notice": KIND, "notice_version": version, "in_banner": False}
    await c.execute(insert(notice), row)
