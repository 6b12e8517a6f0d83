"""The routes of projects: owners and admins make and change them, everybody of the organisation sees them."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from avow.accounts import projects
from avow.accounts.callers import Accounts, Person, Proved
from avow.accounts.projects import NewProject, Project, ProjectChange

PAGE_MAX = 100


class ProjectPage(msgspec.Struct):
    """Projects, oldest first; `after` asks for the next page, null: there is none."""

    projects: list[Project]
    after: UUID | None


@post("/api/projects", status_code=201)
async def create_project(data: JSONBody[NewProject], person: Person, accounts: Accounts) -> Project:
    """Make a project of one's organisation."""
    return await projects.create(accounts, person, data)


@get("/api/projects")
async def list_projects(
    person: Person,
    accounts: Accounts,
    after: Annotated[UUID | None, QueryParameter()] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> ProjectPage:
    """The projects of one's organisation, archived ones too."""
    found = await projects.listed(accounts, person, after, limit)
    return ProjectPage(found, found[-1].id if len(found) == limit else None)


@patch("/api/projects/{project_id:uuid}")
async def amend_project(
    project_id: FromPath[UUID], data: JSONBody[ProjectChange], person: Person, proved: Proved, accounts: Accounts
) -> Project:
    """Rename a project, change how long it keeps content, or archive it, which stops its keys at once.

    A longer period, and taking it out of the archive, need a step-up.
    """
    return await projects.amend(accounts, person, project_id, data, proved=proved)


ROUTES = (create_project, list_projects, amend_project)
