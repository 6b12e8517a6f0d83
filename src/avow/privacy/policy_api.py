"""The desk's routes about the policy: what a change would do, who stands behind it, and that it is done.

Who wants something done is answered at once; the keeper does it within seconds, and GET of the plan says what became of it.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from avow.base.actor import PLATFORM
from avow.base.clock import Clock
from avow.base.db import Database
from avow.policy import PolicyError, Problem, parse
from avow.policy.language import TEXT_BYTES_MAX
from avow.privacy import remarks, versions, wishes
from avow.privacy.api import Privacy
from avow.privacy.desk import Staff
from avow.privacy.versions import Coming
from avow.privacy.wishes import Listed, Shown
from avow.vault import Vault

PAGE_MAX = 100
BODY_BYTES_MAX = 3 * TEXT_BYTES_MAX
"""JSON with the longest text that the policy language takes: outside ASCII an escape has at most three times its bytes."""


class NewPlan(msgspec.Struct, forbid_unknown_fields=True):
    """The text of a policy file, and when it takes effect; null: as soon as it is applied."""

    source: str
    effective_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Wanted(msgspec.Struct):
    """The plan that was asked about, and the wish that is worked on now."""

    plan: UUID
    wish: UUID


class Text(msgspec.Struct, forbid_unknown_fields=True):
    """The text of a policy file."""

    source: str


class PolicyText(msgspec.Struct):
    """The version in force with its text, who applied it (a pseudonym) and stands behind it, and what is published to come."""

    version: int
    hash: str
    source: str
    published_at: datetime
    in_force_at: datetime
    applied_by: str
    approved_by: str | None
    coming: list[Coming]


class Remark(msgspec.Struct):
    """What is to be said of a policy text: in which line (0: of none), of what, and what to do. With an `error` it cannot run
    here. What is `not_configured` is not published, for this installation lacks the part, or is an example still, or waits
    for a date or a text."""

    line: int
    path: str
    sentence: str
    hint: str
    kind: str


class Checked(msgspec.Struct):
    """What a text would be as a policy: its number and hash (null: it is none), and all that is to be said of it."""

    version: int | None
    hash: str | None
    remarks: list[Remark]


class PlanPage(msgspec.Struct):
    """Plans, newest first; `before` asks for the next page, null: there is none."""

    plans: list[Listed]
    before: UUID | None


@get("/api/desk/policy")
async def read_policy(privacy: Privacy) -> PolicyText:
    """The policy in force, as it was written."""
    async with privacy.database.tenant(PLATFORM) as c:
        row, coming = await versions.held(c), (await versions.in_force(c)).coming
    times = row.published_at, row.in_force_at
    return PolicyText(row.version, row.hash, row.source, *times, row.applied_by, row.approved_by, list(coming))


@post("/api/desk/policy/check", status_code=200, request_max_body_size=BODY_BYTES_MAX)
async def check_policy(data: JSONBody[Text], privacy: Privacy) -> Checked:
    """Look through a policy text, as `avow policy check` does; stores and changes nothing."""
    return await asyncio.to_thread(_checked, data.source, privacy.installed)


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


ROUTES = (read_policy, check_policy, make_plan, list_plans, read_plan, approve_plan, apply_plan)


def _checked(source: str, installed: frozenset[str]) -> Checked:
    try:
        found = parse(source, "policy.toml")
    except PolicyError as error:
        return Checked(None, None, [_remark(each) for each in error.problems])
    return Checked(found.version, found.hash, [_remark(each) for each in remarks.of(found, installed)])


def _remark(problem: Problem) -> Remark:
    return Remark(problem.line, problem.path, problem.sentence, problem.hint, problem.kind)


def _needs(privacy: Privacy) -> tuple[Database, Vault, Clock]:
    return privacy.database, privacy.vault, privacy.clock
