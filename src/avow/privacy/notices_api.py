"""The routes of notices and acceptance: what somebody is to know of the policy, and that they accept it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody

from avow.base.errors import AvowError
from avow.privacy import acceptances, notices, versions
from avow.privacy.api import Person, Privacy, own


class VersionNotInForce(AvowError):
    """This version of the policy is not the one in force."""

    status = 409
    code = "version_not_in_force"
    hint = "GET /api/me/acceptance names the version to accept; read it at /privacy first."


class Notice(msgspec.Struct):
    """A change of the policy that waits to be seen. `page` is where its text stands."""

    id: UUID
    kind: str
    version: int
    published_at: datetime
    effective_at: datetime
    in_force: bool
    page: str


class Acceptance(msgspec.Struct):
    """What somebody has accepted (0: nothing yet) and what they must have accepted to use the platform (null: nothing).

    `how`: `explicit`, by saying so here, or `use`.
    """

    accepted: int
    asked: int | None
    how: str | None
    page: str


class AcceptedVersion(msgspec.Struct):
    """A version that one accepted, when, and how; `terms`: those that stood with it, null: none did."""

    version: int
    terms: int | None
    how: str
    at: datetime
    page: str


class Accept(msgspec.Struct, forbid_unknown_fields=True):
    """“I agree”: the number of the version that was read."""

    version: int


@get("/api/me/notices")
async def list_notices(person: Person, privacy: Privacy) -> list[Notice]:
    """What is shown in the dashboard until it is dismissed, newest first."""
    tenant_id, subject_id = own(person)
    async with privacy.database.tenant(tenant_id) as c:
        return [Notice(*each) for each in await notices.of(c, subject_id, privacy.clock.now())]


@post("/api/me/notices/{id:uuid}/dismiss", status_code=204)
async def dismiss(id: FromPath[UUID], person: Person, privacy: Privacy) -> None:
    """Do not show a notice any more."""
    tenant_id, subject_id = own(person)
    async with privacy.database.tenant(tenant_id) as c:
        await notices.dismiss(c, subject_id, id, privacy.clock.now())


@get("/api/me/acceptance")
async def read_acceptance(person: Person, privacy: Privacy) -> Acceptance:
    """Which version one has accepted, and which one must have accepted."""
    tenant_id, subject_id = own(person)
    async with privacy.database.tenant(tenant_id) as c:
        agreed = (await versions.in_force(c)).agreed
        accepted = await acceptances.newest(c, subject_id)
    number, how = agreed or (None, None)
    return Acceptance(accepted, number, how, f"/privacy/{number}" if number else "/privacy")


@get("/api/me/acceptances")
async def list_accepted(person: Person, privacy: Privacy) -> list[AcceptedVersion]:
    """Every version that one has accepted, newest first."""
    tenant_id, subject_id = own(person)
    async with privacy.database.tenant(tenant_id) as c:
        return [AcceptedVersion(*each, f"/privacy/{each.version}") for each in await acceptances.listed(c, subject_id)]


@post("/api/me/acceptance", status_code=201)
async def accept(data: JSONBody[Accept], person: Person, privacy: Privacy) -> Acceptance:
    """Accept the version in force, and the terms with it where the policy says so. It is no consent to anything."""
    tenant_id, subject_id = own(person)
    async with privacy.database.tenant(tenant_id) as c:
        policy, agreed, _ = await versions.in_force(c)
        if data.version != policy.version:
            raise VersionNotInForce(param="version")
        part = policy.parts.get("acceptance")
        terms = policy.version if part is not None and part.values.get("terms") else None
        now = privacy.clock.now()
        await acceptances.record(c, policy, tenant_id, subject_id, policy.version, "explicit", now, terms=terms)
        await acceptances.announce(c, tenant_id)
    return Acceptance(policy.version, agreed and agreed.number, agreed and agreed.how, f"/privacy/{policy.version}")


ROUTES = (list_notices, dismiss, read_acceptance, list_accepted, accept)
