"""The policy at the desk: operators plan, approve and apply; the keeper does it, and says what became of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import select, text

from avow.base import jobs
from avow.base.actor import PLATFORM, Actor
from avow.base.clock import FileClock
from avow.base.db import Database
from avow.policy import parse
from avow.policy.language import TEXT_BYTES_MAX
from avow.privacy import versions, wishes
from avow.privacy.needs import Needs
from avow.privacy.wishes import Desk
from avow.vault import Vault
from avow.vault.tables import audit
from tests import LIMIT_S
from tests.conftest import Databases
from tests.platform import dated
from tests.privacy import desks
from tests.privacy.desks import Above
from tests.privacy.scratch import PROFILE, Person
from tests.privacy.test_plans import NOTICES, Crowd, begin, follow
from tests.privacy.test_plans import text as policy_text

ANN, BOB = (Actor("staff", name, "operator") for name in ("ann", "bob"))


@pytest.fixture
async def client(
    on: Needs, database: Databases, vault: Vault, ada: Person, above: Above
) -> AsyncIterator[AsyncTestClient[Litestar]]:
    """A desk over a policy that is in force."""
    await begin(on)
    async with desks.served(desks.desk(on, database, vault, above), ada, above) as made:
        yield made


async def followed() -> None:
    """The tests follow by themselves."""


async def stands(name: str) -> bool:
    return name in ("staff:ann", "staff:bob", "staff:officer")


async def work(on: Needs, stands: Callable[[str], Awaitable[bool]] = stands) -> None:
    """What the keeper does with the wishes that wait."""
    async with on.database.begin() as c:
        waiting = (await c.execute(text("SELECT convert_from(payload, 'UTF8') FROM jobs.pgqueuer WHERE entrypoint = "
                                        "'policy.wish' ORDER BY id"))).scalars().all()  # fmt: skip
        await c.execute(text("DELETE FROM jobs.pgqueuer WHERE entrypoint = 'policy.wish'"))
    for id in waiting:
        await wishes.carry_out(Desk(await follow(on), Crowd(), followed, stands), UUID(id))


async def want(client: AsyncTestClient[Litestar], on: Needs, plan: str, what: str) -> dict[str, Any]:
    """Ask for something and give the plan as it stands afterwards."""
    answer = await client.post(f"/api/desk/policy/plans/{plan}/{what}")
    assert answer.status_code == 202, answer.text
    await work(on)
    return await read(client, plan)


async def read(client: AsyncTestClient[Litestar], plan: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/api/desk/policy/plans/{plan}")).json()
    return found


async def propose(client: AsyncTestClient[Litestar], source: str, **more: Any) -> str:
    answer = await client.post("/api/desk/policy/plans", json={"source": source, **more})
    assert answer.status_code == 202, answer.text
    plan: str = answer.json()["plan"]
    return plan


async def test_one_operator_plans_another_approves_and_the_version_is_published(
    client: AsyncTestClient[Litestar], on: Needs, above: Above, ada: Person, clock: FileClock
) -> None:
    await ada.write(on, 2, clock.now() - timedelta(days=8))
    above.staff = ANN
    plan = await propose(client, policy_text(2, "at most 7 days", NOTICES, "notices"))
    assert (await read(client, plan))["state"] == "waiting"
    assert (await client.post(f"/api/desk/policy/plans/{plan}/apply")).status_code == 404, "it is no plan yet"
    await work(on)
    found = await read(client, plan)
    assert (found["state"], found["made_by"], found["destructive"]) == ("made", "staff:ann", True)
    assert [cut["expired"] for cut in found["found"]["cuts"]] == [2]
    for what, code in (("apply", "approval_missing"), ("approve", "approval_own"), ("apply", "approval_missing")):
        wish = (await want(client, on, plan, what))["wishes"][-1]
        assert (wish["kind"], wish["state"], wish["code"]) == (what, "refused", code)
        assert wish["hint"]
    above.staff = BOB
    assert (await want(client, on, plan, "approve"))["approved_by"] == "staff:bob"
    above.staff = ANN
    done = await want(client, on, plan, "apply")
    assert (done["state"], done["wishes"][-1]["state"]) == ("applied", "done")
    async with on.database.begin() as c:
        row = (await c.execute(text("SELECT applied_by, approved_by FROM policy_version WHERE version = 2"))).one()
        query = select(audit.c.actor, audit.c.act).where(audit.c.subject_id == PLATFORM).order_by(audit.c.id)
        acts = [tuple(each) for each in await c.execute(query)]
    assert tuple(row) == ("staff:ann", "staff:bob")
    assert acts[0] == ("staff:ann", "plan policy") and acts[-2:] == [
        ("staff:bob", "approve policy"),
        ("staff:ann", "apply policy"),
    ]


async def test_what_was_done_before_a_kill_is_not_done_again(client: AsyncTestClient[Litestar], on: Needs) -> None:
    """The keeper was killed between the work and the word that it is done."""
    plan = await propose(client, policy_text(2, more=NOTICES, features="notices"))
    for what in ("plan", "apply"):
        if what == "apply":
            await client.post(f"/api/desk/policy/plans/{plan}/apply")
        await work(on)
        async with on.database.begin() as c:
            await c.execute(text("UPDATE policy_wish SET state = 'waiting' WHERE kind = :kind"), {"kind": what})
            ids = (await c.execute(text("SELECT id FROM policy_wish WHERE state = 'waiting'"))).scalars().all()
        for id in ids:
            await wishes.carry_out(Desk(await follow(on), Crowd(), followed, stands), id)
    assert {each["state"] for each in (await read(client, plan))["wishes"]} == {"done"}
    async with on.database.begin() as c:
        assert [each.number for each in await versions.listed(c)] == [2, 1]


async def test_a_wish_ends_with_the_role_behind_it(client: AsyncTestClient[Litestar], on: Needs, above: Above) -> None:
    """Between the wish and the keeper somebody's training ran out, or they were let go."""

    async def only_bob(name: str) -> bool:
        return name == "staff:bob"

    above.staff = BOB
    plan = await propose(client, policy_text(2, more=NOTICES, features="notices"))
    await work(on, only_bob)
    above.staff = ANN
    for what in ("approve", "apply"):
        assert (await client.post(f"/api/desk/policy/plans/{plan}/{what}")).status_code == 202
        await work(on, only_bob)
        wish = (await read(client, plan))["wishes"][-1]
        assert (wish["kind"], wish["state"], wish["code"]) == (what, "refused", "role_ended") and wish["hint"]
    found = await read(client, plan)
    assert (found["state"], found["approved_by"]) == ("made", None)
    refused = await propose(client, policy_text(3, more=NOTICES, features="notices"))
    await work(on, only_bob)
    assert (await read(client, refused))["wishes"][0]["code"] == "role_ended"


async def test_a_wish_that_fails_each_time_is_refused_and_one_that_was_lost_is_taken_up(
    client: AsyncTestClient[Litestar], on: Needs
) -> None:
    async def broken(_: str) -> bool:
        raise RuntimeError

    plan = await propose(client, policy_text(2, more=NOTICES, features="notices"))
    async with on.database.begin() as c:
        await c.execute(text("DELETE FROM jobs.pgqueuer"))
    for _ in range(2):
        await wishes.resume(on.database)
    async with on.database.begin() as c:
        assert await c.scalar(text("SELECT count(*) FROM jobs.pgqueuer WHERE entrypoint = 'policy.wish'")) == 1
    at = Desk(await follow(on), Crowd(), followed, broken)
    worker = jobs.Worker(
        on.database,
        {wishes.WISH_JOB: lambda id: wishes.carry_out(at, id)},
        given_up={wishes.WISH_JOB: lambda id: wishes.give_up(on.database, id)},
        first_pause=timedelta(0),
    )
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(LIMIT_S):
        while (found := await read(client, plan))["state"] == "waiting":
            await asyncio.wait([running], timeout=0.05)
            assert not running.done(), running
            await wishes.resume(on.database)  # which wakes the worker; else it looks for a due try every five seconds
    worker.stop()
    await running
    assert (found["state"], found["wishes"][0]["code"]) == ("refused", "wish_failed")


async def test_a_plan_that_cannot_be_made_says_why(client: AsyncTestClient[Litestar], on: Needs) -> None:
    broken = await client.post("/api/desk/policy/plans", json={"source": "version = "})
    assert (broken.status_code, broken.json()["code"]) == (422, "plan_unfit")
    large = await client.post("/api/desk/policy/plans", json={"source": "#" * (TEXT_BYTES_MAX + 1)})
    assert (large.status_code, large.json()["code"]) == (422, "plan_unfit") and "1 MB" in large.json()["detail"]
    assert (await client.post("/api/desk/policy/plans", json={"source": "#" * 4 * TEXT_BYTES_MAX})).status_code == 413
    taken = await propose(client, policy_text(1, "at most 7 days"))
    await work(on)
    found = await read(client, taken)
    assert (found["state"], found["found"], found["wishes"][0]["code"]) == ("refused", None, "version_taken")
    for wrong in (
        {},
        {"source": "x", "effective_at": "2027-01-01"},
        {"source": "x", "by": "me"},
    ):
        assert (await client.post("/api/desk/policy/plans", json=wrong)).status_code == 400
    unknown = "00000000-0000-7000-8000-000000000000"
    assert (await client.get(f"/api/desk/policy/plans/{unknown}")).status_code == 404
    assert (await client.post(f"/api/desk/policy/plans/{unknown}/approve")).status_code == 404


async def test_a_profile_with_examples_is_sound_and_can_be_planned(
    on: Needs, database: Databases, vault: Vault, ada: Person, above: Above
) -> None:
    """As `avow policy check` says of it: examples, and parts that are not here, are no errors."""
    profile = (PROFILE.parent / "infer-mesh.toml").read_text()
    new, above.staff = dated(profile.replace("version = 1", "version = 2", 1), 2), ANN
    await begin(on, profile)
    installed = parse(new).features - {"regions"}
    made = replace(desks.desk(on, database, vault, above), installed=installed)
    async with desks.served(made, ada, above) as client:
        said = (await client.post("/api/desk/policy/check", json={"source": new})).json()["remarks"]
        assert {each["kind"] for each in said} == {"not_configured"}
        assert [each for each in said if each["sentence"].endswith(" is an example.")]
        assert [each["sentence"] for each in said if each["path"] == "features"] == [
            "The policy names the feature regions, which is not installed or not set up."
        ]
        plan = await propose(client, new)
        await work(on)
        assert (await read(client, plan))["state"] == "made"


@pytest.mark.parametrize(
    ("source", "path"),
    [
        (policy_text(2).replace('"latency_ms", ', ""), "category.usage.fields"),
        (policy_text(2, more='\n[acceptance]\nhow = "use"\nterms = true\n', features="acceptance"), "terms.zh"),
    ],
)
async def test_what_keeps_a_policy_from_running_here_is_an_error(
    client: AsyncTestClient[Litestar], source: str, path: str
) -> None:
    said = (await client.post("/api/desk/policy/check", json={"source": source})).json()["remarks"]
    assert ("error", path) in [(each["kind"], each["path"]) for each in said]


async def test_a_policy_as_large_as_any_file_can_be_planned_at_the_desk(
    client: AsyncTestClient[Litestar], on: Needs
) -> None:
    source = policy_text(2, "at most 7 days") + "\n# "
    source += "é" * ((TEXT_BYTES_MAX - len(source.encode())) // 2)
    body = json.dumps({"source": source})
    assert len(body) > TEXT_BYTES_MAX, "escaped"
    answer = await client.post("/api/desk/policy/plans", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 202, answer.text
    await work(on)
    assert (await read(client, answer.json()["plan"]))["state"] == "made"


async def test_plans_are_listed_newest_first_in_pages(client: AsyncTestClient[Litestar], on: Needs) -> None:
    first = await propose(client, policy_text(2, "at most 7 days"))
    await work(on)
    second = await propose(client, policy_text(3, "at most 6 days"))
    page = (await client.get("/api/desk/policy/plans", params={"limit": 1})).json()
    assert [(each["id"], each["state"]) for each in page["plans"]] == [(second, "waiting")]
    rest = (await client.get("/api/desk/policy/plans", params={"before": page["before"]})).json()
    assert [(each["id"], each["state"]) for each in rest["plans"]] == [(first, "made")]
    assert rest["before"] is None


async def test_the_product_s_own_role_can_neither_change_a_plan_nor_a_wish(
    client: AsyncTestClient[Litestar], database: Databases
) -> None:
    """Whoever takes a worker over cannot write an approval into a plan; a wish goes through the keeper's rules."""
    for statement in (
        "UPDATE policy_plan SET approved_by = 'staff:me'",
        "INSERT INTO policy_plan (id) VALUES (gen_random_uuid())",
        "UPDATE policy_wish SET state = 'done'",
        "DELETE FROM policy_wish",
    ):
        assert await is_refused(database.app, statement), statement


async def is_refused(database: Database, statement: str) -> bool:
    try:
        async with database.tenant(PLATFORM) as c:
            await c.execute(text(statement))
    except Exception as error:
        return "permission denied" in str(error)
    return False
