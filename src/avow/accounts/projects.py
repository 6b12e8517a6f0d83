"""Projects: the parts of an organisation's work, to which API keys can belong.

A project may shorten how long the content of its keys' calls is kept, never lengthen it. Its name belongs to the
organisation, not to whoever wrote it, so it stays when they go and ends with the organisation. Archiving one stops its
keys at once; taking it out of the archive lets them work again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import func, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import directory, fields, tenants
from avow.accounts.needs import Needs
from avow.accounts.people import own
from avow.accounts.sessions import StepUpNeeded
from avow.accounts.tables import api_key, project, tenant
from avow.base.actor import Actor
from avow.base.errors import AvowError, NotFound
from avow.vault import Act, Gone, Opened, Ref, fact

PROJECTS_MAX = 1000
ARCHIVED = "archived"
"""The state of a key whose project is archived."""


class ProjectArchived(AvowError):
    """This project is archived."""

    status = 409
    code = "project_archived"
    hint = (
        "Choose another project, or have an owner or admin take this one out of the archive (PATCH /api/projects/ID)."
    )


class TooManyProjects(AvowError):
    """Your organisation has as many projects as it can have."""

    status = 409
    code = "too_many_projects"
    hint = "Give one that is not used any more another name and use it again."


class NewProject(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A name, and for how many hours at most content is kept; null: as the organisation asked."""

    name: str
    keep_h: int | None = None


class ProjectChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """What of a project is to be another; what is left out stays."""

    name: str | UnsetType = UNSET
    keep_h: int | UnsetType | None = UNSET
    archived: bool | UnsetType = UNSET


class Project(msgspec.Struct):
    """A project as the people of its organisation see it; `archived_at` null: it is in use."""

    id: UUID
    name: str
    keep_h: int | None
    created_at: datetime
    archived_at: datetime | None


async def create(needs: Needs, who: Actor, new: NewProject) -> Project:
    """Make a project of one's organisation. Raises FieldRefused, KeepRefused, TooManyProjects."""
    name = _name(new.name)
    tenants.check_keep(needs, new.keep_h)
    tenant_id, _ = own(who)
    begun = fact.begin(needs.policy, "account", tenant_id, tenant_id, needs.clock.now())
    await needs.vault.prepare(tenant_id, "account", begun["ends_at"])
    row = {**begun, "keep_h": new.keep_h, "box": _box(needs, tenant_id, begun["id"], name, begun["ends_at"])}
    async with needs.database.tenant(tenant_id) as c:
        # The tenant's row is the lock that keeps two tabs from passing the limit together.
        await c.execute(select(tenant.c.tenant_id).with_for_update())
        if (await c.scalar(select(func.count()).select_from(project)) or 0) >= PROJECTS_MAX:
            raise TooManyProjects
        await c.execute(project.insert().values(row))
        after = {"project": str(begun["id"]), "name": name, "keep_h": new.keep_h}
        await needs.vault.record_act(c, Act(who, "make project", tenant_id, tenant_id, after=after))
    return Project(begun["id"], name, new.keep_h, begun["since"], None)


async def listed(needs: Needs, who: Actor, after: UUID | None, limit: int) -> list[Project]:
    """The projects of one's organisation, oldest first, at most `limit` of them behind the project `after`."""
    tenant_id, _ = own(who)
    query = select(project).order_by(project.c.id).limit(limit)
    if after is not None:
        query = query.where(project.c.id > after)
    async with needs.database.tenant(tenant_id) as c:
        rows: Sequence[Row[Any]] = (await c.execute(query)).all()
        boxes = [(_reference(tenant_id, row.id), row.box) for row in rows]
        opened = await needs.vault.open_many(c, boxes, "access", who)
    return [_shown(row, box) for row, box in zip(rows, opened, strict=True)]


async def amend(needs: Needs, who: Actor, project_id: UUID, change: ProjectChange, *, proved: bool) -> Project:
    """Rename a project, set how long it keeps content, or bring it into the archive or out of it.

    At once for whatever costs money, within 2 s elsewhere. `proved`: they have just shown who they are. Raises NotFound,
    FieldRefused, KeepRefused, or StepUpNeeded for a longer period and for what lets keys work again.
    """
    tenant_id, _ = own(who)
    if change.keep_h is not UNSET:
        tenants.check_keep(needs, change.keep_h)
    async with needs.database.tenant(tenant_id) as c:
        row = await _row(c, project_id)
        before = _shown(row, await needs.vault.open(c, _reference(tenant_id, project_id), row.box, "access", who))
        after = _changed(needs, before, change)
        tenants.check_longer(before.keep_h, after.keep_h, proved=proved)
        if before.archived_at is not None and after.archived_at is None and not proved:
            raise StepUpNeeded
        box = _box(needs, tenant_id, project_id, after.name, row.ends_at)
        values = {"keep_h": after.keep_h, "archived_at": after.archived_at, "box": box}
        await c.execute(update(project).where(project.c.id == project_id).values(values))
        await _stop_keys(c, project_id, after.archived_at is not None)
        states = (msgspec.to_builtins(each) for each in (before, after))
        act = Act(who, "change project", tenant_id, tenant_id, before=next(states), after=next(states))
        await needs.vault.record_act(c, act)
        await directory.announce(c, tenant_id)
    needs.directory.forget(tenant_id)
    return after


async def check(c: AsyncConnection, project_id: UUID | None) -> None:
    """Hold a project in use until the caller's transaction ends, for a key of it. Raises NotFound or ProjectArchived."""
    if project_id is not None and (await _row(c, project_id)).archived_at is not None:
        raise ProjectArchived


async def check_there(c: AsyncConnection, project_id: UUID) -> None:
    """Raises NotFound for a project that is not of the organisation of the transaction."""
    await _row(c, project_id)


def _changed(needs: Needs, before: Project, change: ProjectChange) -> Project:
    archived_at = before.archived_at
    if change.archived is not UNSET and change.archived is not (archived_at is not None):
        archived_at = needs.clock.now() if change.archived else None
    return Project(
        id=before.id,
        name=before.name if change.name is UNSET else _name(change.name),
        keep_h=before.keep_h if change.keep_h is UNSET else change.keep_h,
        created_at=before.created_at,
        archived_at=archived_at,
    )


async def _stop_keys(c: AsyncConnection, project_id: UUID, archived: bool) -> None:
    """A key's state is what the ledger looks at in the call that reserves, so it follows the project's."""
    old, new = ("active", ARCHIVED) if archived else (ARCHIVED, "active")
    of_it = (api_key.c.project_id == project_id) & (api_key.c.state == old)
    await c.execute(update(api_key).where(of_it).values(state=new))


async def _row(c: AsyncConnection, project_id: UUID) -> Row[Any]:
    row = (await c.execute(select(project).where(project.c.id == project_id).with_for_update())).one_or_none()
    if row is None:
        raise NotFound("There is no such project.")
    return row


def _name(given: str) -> str:
    name = fields.read_fact("project_name", given)
    if not name:
        raise fields.FieldRefused("A project has a name.", param="name")
    return name


def _box(needs: Needs, tenant_id: UUID, project_id: UUID, name: str, ends_at: datetime | None) -> bytes:
    return needs.vault.seal(_reference(tenant_id, project_id), {"project_name": name}, ends_at)


def _reference(tenant_id: UUID, project_id: UUID) -> Ref:
    """The organisation itself is whom a project is about."""
    return Ref(tenant_id, project.name, "account", project_id, tenant_id)


def _shown(row: Row[Any], box: Opened) -> Project:
    name = "" if box is Gone else str(box["project_name"])
    return Project(row.id, name, row.keep_h, row.since, row.archived_at)
