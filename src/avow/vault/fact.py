"""The columns that every fact begins with, filled from the policy in force."""

from datetime import datetime
from typing import Any
from uuid import UUID

from avow.base.ids import uuid7
from avow.policy import Policy
from avow.policy.model import instant


def begin(policy: Policy, category: str, tenant_id: UUID, subject_id: UUID, since: datetime) -> dict[str, Any]:
    """Return id, owner, start, end and policy version of a new fact; it ends as the rule of its category says.

    Raises KeyError for a category without a rule, which the check at the start does not let happen.
    """
    return {
        "id": uuid7(),
        "tenant_id": tenant_id,
        "subject_id": subject_id,
        "since": instant(since),
        "ends_at": policy.categories[category].keep.end(since),
        "policy_version": policy.version,
    }
