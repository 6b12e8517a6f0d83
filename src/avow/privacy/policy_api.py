"""The desk's routes about the policy: what a change would do, who stands behind it, and that it is done.

Who wants something done is answered at once; the keeper does it within seconds, and GET of the plan says what became of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from avow.base.actor import Actor
from avow.base.clock import Clock
from avow.base.db import Database
from avow.policy.language import TEXT_BYTES_MAX
from avow.privacy import wishes
from avow.privacy.api import Privacy
from avow.privacy.wishes import Listed, Shown
from avow.vault import Vault

PAGE_MAX = 100
BODY_BYTES_MAX = 3 * TEXT_BYTES_MAX
"""JSON with the longest text that the policy language takes: outside ASCII an escape has at most three times its bytes."""

Staff = NamedDependency[Actor]


class NewPlan(msgspec.Struct, forbid_unknown_fields=True):
    """The text of a policy file, and when it takes effect; null: as soon as it is applied."""

    source: str
    effective_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Wanted(msgspec.Struct):
    """The plan that was asked about, and the wish that is worked on now."""

    plan: UUID
    wish: UUID


class PlanPage(msgspec.Struct):
    """Plans, newest first; `before` asks for the next page, null: there is none."""

    plans: list[Listed]
    before: UUID | None


@post("/api/desk/policy/plans", status_code=202, request_max_body_size=BODY_BYTES_MAX)
async def make_plan(data: JSONBody[NewPlan], staff: Staff, privacy: Privacy) -> Wanted:
    """Have it found out what a policy would do to the data that is there; changes nothing."""
    id = await wishes.want_plan(*_needs(privacy), staff, data.source, data.effective_at)
    return Wanted(id, id)


@get("/api/desk/policy/plans")
async def list_plans(
    privacy: Privacy,
    before: Annotated[UUID | None, QueryParameter()] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> PlanPage:
    """Every plan, those of the terminal too."""
    found = await wishes.listed(privacy.database, before, limit)
    return PlanPage(found, found[-1].id if len(found) == limit else None)


@get("/api/desk/policy/plans/{id:uuid}")
async def read_plan(id: FromPath[UUID], privacy: Privacy) -> Shown:
    """One plan: what it found, and what was wanted of it."""
    return await wishes.shown(privacy.database, id)


@post("/api/desk/policy/plans/{id:uuid}/approve", status_code=202)
async def approve_plan(id: FromPath[UUID], staff: Staff, privacy: Privacy) -> Wanted:
    """Stand behind the plan of another operator."""
    return Wanted(id, await wishes.want(*_needs(privacy), staff, id, "approve"))


@post("/api/desk/policy/plans/{id:uuid}/apply", status_code=202)
async def apply_plan(id: FromPath[UUID], staff: Staff, privacy: Privacy) -> Wanted:
    """Publish what a plan says, as `avow policy apply` does."""
    return Wanted(id, await wishes.want(*_needs(privacy), staff, id, "apply"))


ROUTES = (make_plan, list_plans, read_plan, approve_plan, apply_plan)


def _needs(privacy: Privacy) -> tuple[Database, Vault, Clock]:
    return privacy.database, privacy.vault, privacy.clock
