"""The desk's routes about what the keeper does on its own: jobs, the ends of what is stored, and the probes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import JSONBody, QueryParameter

from avow.base import jobs, metrics
from avow.base.actor import PLATFORM
from avow.base.errors import NotFound
from avow.base.jobs import Queued
from avow.base.metrics import Sheet
from avow.policy.model import Category
from avow.privacy import figures
from avow.privacy.api import Privacy
from avow.privacy.desk import Home, Staff
from avow.vault import Act

PAGE_MAX = 100
ID_MAX: Final = 2**63 - 1
"""As PostgreSQL counts jobs: a bigint."""
LOOK_JOB: Final = "proof.look"
LOOK_ID: Final = UUID(int=1)
"""The one job by which all probes look: asked for twice while it waits or runs, they look once."""
LATE_AFTER: Final = timedelta(minutes=20)
"""A sweep comes every ten minutes, and takes some."""

State = Literal["queued", "picked", "failed"]


class JobUnknown(NotFound):
    """There is no such failed job, or the same one waits or runs again already."""

    code = "job_unknown"
    hint = "GET /api/desk/jobs?state=failed lists those that failed."


class JobPage(msgspec.Struct):
    """Jobs, newest first, with how many there are of each state; `before` asks for the next page, null: there is none."""

    jobs: list[Queued]
    counts: dict[str, int]
    before: int | None


class Failed(msgspec.Struct, forbid_unknown_fields=True):
    """The job that is to be tried anew."""

    id: Annotated[int, msgspec.Meta(ge=1, le=ID_MAX)]


class Ends(msgspec.Struct):
    """How one category comes to its end. `oldest_at`: when the oldest of its facts began that has an end (null: there is
    none); `late`: by its period it should be gone. The rule is told as `Stored` tells it."""

    category: str
    keep: str
    amount: int
    unit: str
    bound: str
    on_expiry: str
    oldest_at: datetime | None
    late: bool


class Retention(msgspec.Struct):
    """Every category of the policy. `swept_at`: when the last sweep ended, null: none since the start; `late_s`: how long the
    fact that is due longest has been past its end; `clock_refused`: no key is destroyed, for the clock is not believed."""

    categories: list[Ends]
    swept_at: datetime | None
    late_s: float
    clock_refused: bool


@get("/api/desk/jobs")
async def list_jobs(
    privacy: Privacy,
    only: Annotated[State | None, QueryParameter(name="state")] = None,
    before: Annotated[int | None, QueryParameter(ge=1, le=ID_MAX)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> JobPage:
    """What waits, runs or failed: kinds, states and times."""
    async with privacy.database.begin() as c:
        found, counts = await jobs.listed(c, only, before, limit), await jobs.counts(c)
    return JobPage(found, counts, found[-1].id if len(found) == limit else None)


@post("/api/desk/jobs/retry", status_code=202)
async def retry_job(data: JSONBody[Failed], staff: Staff, privacy: Privacy) -> None:
    """Have a failed job tried anew."""
    async with privacy.database.tenant(PLATFORM) as c:
        if not await jobs.retry(c, data.id):
            raise JobUnknown
        await privacy.vault.record_act(c, Act.of_platform(staff, "retry job", after={"job": data.id}))


@post("/api/desk/probes", status_code=202)
async def run_probes(staff: Staff, privacy: Privacy) -> None:
    """Have all probes look now; what they find is at GET /api/evidence as it comes."""
    async with privacy.database.tenant(PLATFORM) as c:
        await privacy.vault.record_act(c, Act.of_platform(staff, "run probes", purpose="proof"))
        await jobs.put(c, LOOK_JOB, LOOK_ID)


@get("/api/desk/retention")
async def read_retention(privacy: Privacy, home: Home) -> Retention:
    """The oldest fact of each category beside its period, as the keeper saw it seconds ago."""
    seen, now = metrics.collect(home / "run" / metrics.FOLDER, figures.FAMILIES), privacy.clock.now()
    oldest = {row.labels[0]: _time(row.values[0]) for row in seen.rows_of(figures.OLDEST_AT)}
    found = [_ends(category, oldest.get(category.name), now) for category in privacy.policy.categories.values()]
    swept_s = _value(seen, figures.SWEPT_AT)
    late_s, refused = _value(seen, figures.LATE), _value(seen, figures.CLOCK_REFUSED)
    return Retention(found, _time(swept_s) if swept_s else None, late_s, bool(refused))


def _ends(category: Category, oldest_at: datetime | None, now: datetime) -> Ends:
    keep = category.keep
    end = None if oldest_at is None else keep.end(oldest_at)
    rule = (keep.kind, keep.amount, keep.unit, keep.bound, category.on_expiry)
    return Ends(category.name, *rule, oldest_at, end is not None and end + LATE_AFTER < now)


def _time(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


def _value(seen: Sheet, name: str) -> float:
    return sum(row.values[0] for row in seen.rows_of(name))


ROUTES = (list_jobs, retry_job, run_probes, read_retention)
