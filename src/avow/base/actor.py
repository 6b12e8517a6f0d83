"""Who is asking."""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

Kind = Literal["subject", "key", "staff", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, an API key, a member of staff or a part of the platform.

    `role` is what the policy decides on: `subject`, `gateway`, `keeper`, or a staff role. `id` names the person, key or
    process in the audit; it is never shown to others.
    """

    kind: Kind
    id: str
    role: str
    tenant_id: UUID | None = None
    subject_id: UUID | None = None


PLATFORM: Final = UUID(int=1)
"""Stands for tenant and person where an act is about nobody: a price, a backup, the policy."""
COMMAND: Final = Actor("staff", "command", "operator")
"""Who runs `avow` on the machine itself."""
KEEPER = Actor("system", "keeper", "keeper")
GATEWAY = Actor("system", "gateway", "gateway")
