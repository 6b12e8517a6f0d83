"""Whose a fact is that a key made: the person's, or the organisation's where the policy says so.

What belongs to the organisation carries its own id, the tenant's, as its subject. So it stays when the member goes who made
it, and ends with the organisation. Owners and admins see all of it; others what was made with their own keys.
"""

from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select

from avow.accounts.permissions import MANAGING
from avow.accounts.tables import api_key, person


def readable(
    tenant_id: UUID, subject_id: UUID, owner: ColumnElement[UUID], key_id: ColumnElement[UUID]
) -> ColumnElement[bool]:
    """The facts that a person may read as theirs: `owner` is their subject's column, `key_id` the key that made them."""
    manages = exists().where(person.c.id == subject_id, person.c.role.in_(MANAGING))
    mine = key_id.in_(select(api_key.c.id).where(api_key.c.subject_id == subject_id))
    return or_(owner == subject_id, and_(owner == tenant_id, or_(manages, mine)))
