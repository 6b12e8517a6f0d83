"""A canary's journey: somebody of our own lives a whole life on the running platform over HTTP, and is then searched for.

Each step is written down before it is begun, so that a journey that was killed shows where. It proves nothing then, and
what is left of its canary is removed before the next one sets out. A step that looks for something absent comes after
one that found it there: what a journey cannot see, it cannot call gone.
"""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import tempfile
import zipfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

import httpx
import structlog
from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.ids import uuid7
from avow.base.log import failure
from avow.catalog import facts
from avow.policy import asking
from avow.privacy import standings
from avow.privacy.stores import tables
from avow.proof import receipts, remains, scan
from avow.proof.evidence import KEPT_FOR, Finding
from avow.proof.tables import canary_step
from avow.vault import tlog

if TYPE_CHECKING:
    from avow.proof.probes import Customer, Ground

State = Literal["going", "passed", "failed", "unproved", "skipped"]
GIVEN_UP = timedelta(minutes=15)
WAIT_S_MAX = 120.0
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
CHAINED = ("audit", "charge")
"""Tables whose ends a chain or the ledger holds them to: nothing is backdated there."""


class Step(NamedTuple):
    """One step of a journey as it is shown."""

    name: str
    state: State
    figure: str
    at: datetime


class Failed(Exception):
    """A step found that it is not so; the text is its figure."""


class Skipped(Exception):
    """There is nothing here for a step to try."""


@dataclass
class Journey:
    """One canary on its way, and what later steps need of earlier ones."""

    on: Ground
    http: httpx.AsyncClient
    id: UUID = field(default_factory=uuid7)
    marker: str = field(default_factory=lambda: f"canary {secrets.token_hex(16)}")
    email: str = field(default_factory=lambda: f"canary-{secrets.token_hex(8)}@canary.invalid")
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    who: Customer | None = None
    taken: dict[str, Any] = field(default_factory=dict)
    held: set[tuple[UUID, str]] = field(default_factory=set)
    """Of whom and of which category there was a key when the backup was made."""

    @property
    def canary(self) -> Customer:
        if self.who is None:
            raise Failed("nobody has signed up")
        return self.who

    @property
    def mine(self) -> tuple[UUID, UUID]:
        """The canary, and the organisation of one that they are."""
        return self.canary.subject_id, self.canary.tenant_id


async def walk(on: Ground) -> Finding:
    """Send a canary through all steps; what it found is in the log too."""
    await on.canaries.remove_strays()
    async with AsyncExitStack() as stack:
        made = Journey(on, await stack.enter_async_context(on.http()))
        made.http.headers.update(SAME_ORIGIN)
        done = [await _take(made, number, name) for number, name in enumerate(STEPS)]
    async with on.keeper.begin() as c:
        await c.execute(delete(canary_step).where(canary_step.c.at < on.clock.now() - KEPT_FOR))
        told = [{"step": each.name, "state": each.state, "figure": each.figure} for each in done]
        await tlog.append(c, "journey", tlog.spelled({"at": done[0].at.isoformat(), "steps": told}))
    for word in ("failed", "unproved"):
        wrong = [f"{each.name}: {each.figure}" for each in done if each.state == word]
        if wrong:
            return Finding("failed" if word == "failed" else "unproved", "; ".join(wrong[:3]))
    return Finding("proved", f"{sum(each.state == 'passed' for each in done)} steps done")


async def newest(c: AsyncConnection) -> list[Step]:
    """The steps of the journey that set out last, in their order."""
    last = select(canary_step.c.journey).order_by(canary_step.c.journey.desc()).limit(1).scalar_subquery()
    query = select(canary_step).where(canary_step.c.journey == last).order_by(canary_step.c.number)
    return [Step(row.name, row.state, row.figure, row.at) for row in (await c.execute(query)).all()]


def state(steps: Sequence[Step], now: datetime) -> Literal["", "under_way", "broken"]:
    """Whether a journey has come to its end, goes on, or was broken off."""
    if not steps or (len(steps) == len(STEPS) and steps[-1].state != "going"):
        return ""
    return "under_way" if now - steps[-1].at < GIVEN_UP else "broken"


async def _take(made: Journey, number: int, name: str) -> Step:
    """One step, written down before and after it."""
    on, begun = made.on, made.on.clock.now()
    row = {"journey": made.id, "number": number, "name": name, "state": "going", "figure": "", "at": begun}
    async with on.keeper.begin() as c:
        await c.execute(insert(canary_step), row)
    found: State = "passed"
    try:
        figure = await STEPS[name](made)
    except Skipped as why:
        found, figure = "skipped", str(why)
    except Failed as wrong:
        found, figure = "failed", str(wrong)
    except Exception as error:
        structlog.get_logger().warning("canary_step_broke", kind=name, **failure(error))
        found, figure = "unproved", f"could not look: {type(error).__name__}"
    mine = (canary_step.c.journey == made.id, canary_step.c.number == number)
    async with on.keeper.begin() as c:
        await c.execute(update(canary_step).where(*mine).values(state=found, figure=figure))
    return Step(name, found, figure, begun)


# --- the steps


async def sign_up(made: Journey) -> str:
    form = made.on.canaries.form(made.email, made.password)
    answer = await made.http.post("/api/auth/signup", json=form)
    _expect(answer, 202)
    made.who = await made.on.canaries.adopt(made.email, made.password)
    return f"answered {answer.status_code}"


async def sign_in(made: Journey) -> str:
    _expect(await made.http.post("/api/auth/login", json={"email": made.email, "password": made.password}), 200, 201)
    me = await made.http.get("/api/me")
    if me.json()["facts"].get("email") != made.email:
        raise Failed("the account does not show its own address")
    return "the account shows its own address"


async def key(made: Journey) -> str:
    _expect(await made.http.post("/api/auth/step-up", json={"password": made.password}), 200, 201)
    answer = await made.http.post("/api/keys", json={"name": "journey"})
    _expect(answer, 201)
    made.taken["key"] = answer.json()["secret"]
    return "made, and shown once"


async def call(made: Journey) -> str:
    said = [{"role": "user", "content": made.marker}]
    body = {"model": made.canary.model, "messages": said, "max_tokens": 1, "temperature": 0}
    bearer = {"authorization": f"Bearer {made.taken['key']}"}
    answer = await made.http.post("/v1/chat/completions", json=body, headers=bearer)
    _expect(answer, 200)
    made.taken["call"] = True
    return f"stored: {answer.headers.get('avow-stored', 'nothing')}"


async def stores(made: Journey) -> str:
    """The control of all that follows: the canary is there."""
    held = {name: count for name, count in (await _counts(made)).items() if count}
    if len(held) < 3:
        raise Failed(f"found only in {', '.join(held) or 'no store'}")
    return f"{sum(held.values())} facts in {len(held)} stores: {', '.join(sorted(held))}"


async def copy(made: Journey) -> str:
    asked = await made.http.post("/api/privacy/requests", json={"kind": "access", "password": made.password})
    _expect(asked, 202)
    where = f"/api/privacy/requests/{asked.json()['id']}"
    await _until(made, where, lambda answer: answer.json().get("state") == "succeeded")
    sent = await made.http.get(f"{where}/copy")
    _expect(sent, 200)
    with zipfile.ZipFile(io.BytesIO(sent.content)) as held:
        files = {name: held.read(name) for name in held.namelist()}
    wanted = [made.email] + ([made.marker] if "call" in made.taken and _keeps_content(made) else [])
    missing = [word for word in wanted if not any(word.encode() in text for text in files.values())]
    if missing:
        raise Failed(f"{len(missing)} of {len(wanted)} things that are stored are not in the copy")
    return f"{len(files)} files; what is stored is in it"


async def consent(made: Journey) -> str:
    name = _first(standings.choices(made.on.policy)[1], "the policy asks for no consent")
    seen = []
    for method in ("GET", "PUT", "DELETE"):
        if method != "GET":
            shown = {"notice": asking.notices(made.on.policy, name)["en"].hash} if method == "PUT" else {}
            _expect(await made.http.request(method, f"/api/privacy/consents/{name}", params=shown), 204)
        seen.append(name in (await made.http.get("/api/privacy/standing")).json()["consented"])
    if seen != [False, True, False]:
        raise Failed(f"held before, after giving, after withdrawing: {seen}")
    return f"{name}: given, withdrawn"


async def objection(made: Journey) -> str:
    name = _first(standings.choices(made.on.policy)[0], "there is no purpose to object to")
    answer = await made.http.post("/api/privacy/requests", json={"kind": "object", "purpose": name})
    _expect(answer, 202)
    held = (await made.http.get("/api/privacy/standing")).json()["objected"]
    if answer.json()["state"] != "succeeded" or name not in held:
        raise Failed(f"an objection to {name} does not hold")
    return f"to {name}, at once"


async def long_ago(made: Journey) -> str:
    """Facts whose period is days or years are given a beginning so long ago that their end has come, and are swept."""
    moved = 0
    async with made.on.keeper.begin() as c:
        for table in _backdated(made):
            now, ours = made.on.clock.now(), (table.c.subject_id.in_(made.mine), table.c.ends_at.is_not(None))
            past = {"since": table.c.since - (table.c.ends_at - now), "ends_at": now - timedelta(seconds=1)}
            moved += (await c.execute(update(table).where(*ours).values(past))).rowcount
    if not moved:
        raise Skipped("nothing of it has a period")
    await made.on.canaries.sweep()
    async with made.on.keeper.begin() as c:
        over = 0
        for table in _backdated(made):
            late = (table.c.subject_id.in_(made.mine), table.c.ends_at < made.on.clock.now())
            over += await c.scalar(select(func.count()).select_from(table).where(*late)) or 0
    if over:
        raise Failed(f"{over} of {moved} facts outlived their end")
    return f"{moved} facts whose end has come are gone"


async def backup(made: Journey) -> str:
    """What a backup copies, as its role sees it: the canary is in it, and none of their words can be read."""
    words = [made.marker.encode(), made.email.partition("@")[0].encode()]
    there = str(made.canary.subject_id).encode()
    with tempfile.TemporaryDirectory(prefix="avow-look-") as folder:
        await made.on.canaries.dump(Path(folder))
        seen = await asyncio.to_thread(scan.search, scan.files([Path(folder)]), [there, *words])
    if not seen.hits[there]:
        raise Failed("the canary is not in the backup, so the search in it proves nothing")
    if any(seen.hits[word] for word in words):
        raise Failed("the canary's words stand in it in the clear")
    made.held = _holders(made)
    return f"the canary is in it {seen.hits[there]} times, their words are not; {seen.bytes / 1_000_000:.1f} MB"


async def erase(made: Journey) -> str:
    asked = await made.http.post("/api/privacy/requests", json={"kind": "erase", "password": made.password})
    _expect(asked, 202)
    made.taken |= asked.json()
    return f"asked, due {made.taken['due_at'][:10]}"


async def receipt(made: Journey) -> str:
    where = f"/api/privacy/receipts/{made.taken['id']}"
    token = {"avow-receipt-token": made.taken["receipt_token"]}
    answer = await _until(made, where, lambda each: b'"log":' in each.content, token)
    public = receipts.parse_key((await made.http.get("/.well-known/avow-receipt-key")).json()["key"])
    signed, place = receipts.verify(answer.content, public), receipts.in_log(answer.content, public)
    if place is None:
        raise Failed("the receipt is not in the log")
    return f"genuine, over {len(signed['stores'])} stores, leaf {place.leaf} of the log"


async def gone(made: Journey) -> str:
    """Every store that had something has nothing of what an erasure ends; nobody gets in any more."""
    again = await made.http.post("/api/auth/login", json={"email": made.email, "password": made.password})
    if again.status_code != 401:
        raise Failed(f"signing in again was answered with {again.status_code}")
    await made.on.canaries.settle(made.canary)
    ending = {table.name for table in tables() if table.ending(made.on.policy, "erasure") == "delete"}
    left = {name: count for name, count in (await _counts(made)).items() if count and name in ending}
    if left:
        raise Failed(f"left in {', '.join(left)}")
    return f"0 facts in {len(ending)} stores; no way in"


async def files(made: Journey) -> str:
    found = await remains.nowhere(made.on, made.marker, made.email.partition("@")[0])
    if found.verdict != "proved":
        raise Failed(found.figure)
    return found.figure


async def sealed_copies(made: Journey) -> str:
    """The backup made before cannot be read any more: the keys of the canary are destroyed."""
    ending = {name for name, rule in made.on.policy.categories.items() if rule.on_erasure != "hold"}
    before = {name for _, name in made.held if name in ending}
    if not before:
        raise Failed("there was no key before, so that there is none proves nothing")
    alive = {name for _, name in _holders(made) if name in ending}
    if alive:
        raise Failed(f"keys are left of {', '.join(sorted(alive))}")
    return f"no key is left of {', '.join(sorted(before))}, so no copy of it opens"


STEPS: dict[str, Callable[[Journey], Awaitable[str]]] = {
    step.__name__: step
    for step in (
        *(sign_up, sign_in, key, call, stores, copy, consent, objection, backup, long_ago),
        *(erase, receipt, gone, files, sealed_copies),
    )
}


async def _counts(made: Journey) -> dict[str, int]:
    """How many facts of the canary each table holds."""
    found = {}
    async with made.on.keeper.begin() as c:
        for table in dict.fromkeys(table for table, _ in facts()):
            ours = table.c.subject_id.in_(made.mine)
            found[table.name] = await c.scalar(select(func.count()).select_from(table).where(ours)) or 0
    return found


def _holders(made: Journey) -> set[tuple[UUID, str]]:
    """Of whom of the canary and of which category there is a key."""
    ring, names = made.on.ring, {held.category for _, held in facts()}
    return {(id, name) for id in made.mine for name in names if ring.holder(id, name) is not None}


def _backdated(made: Journey) -> list[Table]:
    """The tables whose facts all have a period and are deleted at its end."""
    rules: dict[Table, list[Any]] = {}
    for table, held in facts():
        rules.setdefault(table, []).append(made.on.policy.categories[held.category])
    return [
        table
        for table, each in rules.items()
        if table.name not in CHAINED and all(rule.keep.kind == "period" and rule.on_expiry == "delete" for rule in each)
    ]


def _keeps_content(made: Journey) -> bool:
    return made.on.policy.categories["api_content"].keep.kind != "never"


async def _until(
    made: Journey, where: str, done: Callable[[httpx.Response], bool], headers: dict[str, str] | None = None
) -> httpx.Response:
    """Ask again until it is so, for two minutes at most."""
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            answer = await made.http.get(where, headers=headers)
            if answer.is_success and done(answer):
                return answer
            await asyncio.sleep(1)


def _first(names: Sequence[str], otherwise: str) -> str:
    if not names:
        raise Skipped(otherwise)
    return names[0]


def _expect(answer: httpx.Response, *statuses: int) -> None:
    if answer.status_code not in statuses:
        code = ""
        if "json" in answer.headers.get("content-type", ""):
            said = json.loads(answer.content)
            code = f" {said.get('code', '')}" if isinstance(said, dict) else ""
        raise Failed(f"answered {answer.status_code}{code}")
