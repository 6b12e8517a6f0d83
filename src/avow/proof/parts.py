"""Probes of the parts that a policy can speak of. Each uses its part on the running system as a customer does, over HTTP,
and is named `part_NAME` after the declaration `catalog.part(NAME, …)`.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import func, insert, select

from avow.base.actor import GATEWAY, Actor
from avow.base.ids import uuid7
from avow.catalog import facts
from avow.policy import asking, words
from avow.privacy import acceptances, requests, standings, versions
from avow.privacy.folders import MANIFEST
from avow.privacy.tables import backup_folder, notice, policy_plan
from avow.privacy.tombstones import FILE_NAME
from avow.proof import receipts
from avow.proof.evidence import Finding
from avow.vault import OpenRefused, Ref, fact, standing

if TYPE_CHECKING:
    from avow.proof.probes import Customer, Ground

CONTENT = "api_content"
REQUESTS = "/api/privacy/requests"
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
RECEIPT_S_MAX = 150.0
LOOKS_MAX = 60
"""Half a second apart."""
TOLD_WITHIN = timedelta(hours=1)
REMOVED_WITHIN = timedelta(minutes=20)
"""Sweeps come every 10 minutes."""


async def part_api(on: Ground) -> Finding:
    """Who has a key gets an answer of the model that they chose, and nobody else gets one."""
    who = await on.canaries.customer()
    async with on.http() as http:
        listed = await http.get("/v1/models", headers=_bearer(who.key))
        answer = await _complete(http, who)
        stranger = await _complete(http, who, key="sk-avow-nobody")
    if who.model not in [each["id"] for each in listed.json()["data"]] or answer.json().get("model") != who.model:
        return Finding("failed", f"the model was not there: {listed.status_code}, {answer.status_code}")
    if stranger.status_code != 401:
        return Finding("failed", f"a stranger was answered with {stranger.status_code}")
    return Finding("proved", "answered with a key, refused without")


async def part_opt_out(on: Ground) -> Finding:
    """Nothing is stored of a request that says so, and of an account that says so; something is of others."""
    who, silent = await on.canaries.customer(), await on.canaries.newcomer(0)
    async with on.http() as http:
        control = await _complete(http, who)
        single = await _complete(http, who, headers={"avow-retention": "0"})
        account = await _complete(http, silent)
        stored = {each["id"]: each["stored"] for each in await _requests(http, who)}
        stored |= {each["id"]: each["stored"] for each in await _requests(http, silent)}
    if not stored.get(_id(control)):
        return Finding("failed", "the control was not stored")
    kept = [name for name, each in (("a request", single), ("an account", account)) if stored.get(_id(each), True)]
    if kept:
        return Finding("failed", f"stored although {' and '.join(kept)} opted out")
    return Finding("proved", "nothing of a request and of an account that opted out; the control was stored")


async def part_field_choice(on: Ground) -> Finding:
    """The fields that the policy leaves out are not in what is stored of a request; the others are."""
    who, rule = await on.canaries.customer(), on.policy.categories[CONTENT]
    async with on.http() as http:
        answer = await _complete(http, who)
        kept = await http.get(f"/api/requests/{_id(answer)}", headers=_bearer(who.key))
    found = set(kept.json()) & set(rule.fields)
    if found & set(rule.without) or not found:
        return Finding("failed", f"stored: {', '.join(sorted(found)) or 'nothing'}")
    return Finding("proved", f"stored: {', '.join(sorted(found))}; not stored: {', '.join(rule.without)}")


async def part_self_service(on: Ground) -> Finding:
    """People end what is theirs by themselves: a kept request, and the account with all that belongs to it."""
    who, done = await on.canaries.customer(), []
    if _is_mine_to_delete(on, CONTENT):
        async with on.http() as http:
            where = f"/api/requests/{_id(await _complete(http, who))}"
            before, gone, after = [
                await http.request(method, where, headers=_bearer(who.key)) for method in ("GET", "DELETE", "GET")
            ]
        is_shown, is_left = before.json()["stored"], after.json()["stored"]
        if (is_shown, gone.status_code, is_left) != (True, 204, False):
            return Finding("failed", f"stored: {is_shown}; deleted: {gone.status_code}; still stored: {is_left}")
        done.append("a request deleted")
    if _is_mine_to_delete(on, "account"):
        async with signed_in(on, await on.canaries.newcomer()) as (http, leaving):
            answer = await _ask_for_erasure(http, leaving)
        if answer.status_code != 202:
            return Finding("failed", f"the end of an account was answered with {answer.status_code}")
        done.append("an account ended")
    return Finding("proved", ", ".join(done)) if done else Finding("unproved", "nothing can be deleted item by item")


async def part_age_gate(on: Ground) -> Finding:
    """A newcomer who says to be too young for a country, or says nothing of it, is refused, in each country that is named."""
    wanted = on.policy.parts["age"].values
    async with on.http() as http:
        form = (await http.get("/api/auth/signup")).json()
        whole = {name: f"probe-{secrets.token_hex(8)}" for name in form["required"]}
        whole |= {"email": f"{whole['email']}@example.invalid", "password": secrets.token_hex(16)}
        whole |= {} if form["agree_to"] is None else {"agreed": form["agree_to"]}
        refused = []
        for country in ("US", *wanted.get("by_country", {})):
            for said in ({"of_age": False}, {}):
                given = {**whole, "country": country, **said}
                answer = await http.post("/api/auth/signup", json=given, headers=SAME_ORIGIN)
                refused.append((answer.status_code, answer.json().get("code")))
    if set(refused) != {(403, "too_young"), (400, "field_refused")} or form["age"]["minimum"] != wanted["minimum"]:
        return Finding("failed", f"answered {sorted({status for status, _ in refused})}, asks for {form['age']}")
    return Finding("proved", f"{len(refused)} newcomers refused, in {len(refused) // 2} countries")


async def part_erasure(on: Ground) -> Finding:
    """Who asks for erasure gets a genuine receipt, and can sign in no more."""
    who = await on.canaries.newcomer()
    async with signed_in(on, who) as (http, _):
        taken = (await _ask_for_erasure(http, who)).json()
        receipt = await _receipt(http, taken["id"], taken["receipt_token"])
        key = (await http.get("/.well-known/avow-receipt-key")).json()["key"]
        signed = receipts.verify(receipt, receipts.parse_key(key))
        again = await http.post("/api/auth/login", json={"email": who.email, "password": who.password})
    if again.status_code != 401:
        return Finding("failed", f"signing in again was answered with {again.status_code}")
    return Finding("proved", f"a genuine receipt over {len(signed['stores'])} stores; no way in again")


async def part_rights(on: Ground) -> Finding:
    """Who restricts the use of their data has it restricted at once, and lifts it again; each request has its due date; an
    objection that does not reach is refused with its reason."""
    who, wrong = await on.canaries.newcomer(), []
    async with signed_in(on, who) as (http, _):
        taken = (await http.post(REQUESTS, json={"kind": "restrict"})).json()
        if taken.get("state") != "succeeded" or await _may_serve(on, who):
            wrong.append("a restriction did not hold")
        await http.delete("/api/privacy/standing/restriction")
        if not await _may_serve(on, who):
            wrong.append("it was not lifted")
        refused = (await http.post(REQUESTS, json={"kind": "object", "purpose": "service"})).json()
        if (refused.get("state"), refused.get("reason")) != ("refused", "needed_for_contract"):
            wrong.append("an objection was not answered with its reason")
        listed = (await http.get(REQUESTS)).json()
    for each in listed:
        received, due = (datetime.fromisoformat(each[name]) for name in ("received_at", "due_at"))
        if due > requests.due(on.policy, received):
            wrong.append("a due date is later than the policy says")
    if wrong:
        return Finding("failed", "; ".join(wrong[:3]))
    return Finding("proved", "restricted, lifted, refused with a reason; due dates as published")


async def part_consents(on: Ground) -> Finding:
    """No consent is given by using the service; each is given and taken back by one call, and holds from then on. On record is
    the text that was shown, with its hash, and a receipt of it is genuine and stands in the log."""
    who, names = await on.canaries.newcomer(), standings.choices(on.policy)[1]
    if not names:
        return Finding("unproved", "the policy asks for no consent")
    seen = []
    async with signed_in(on, who) as (http, _):
        for method in ("GET", "PUT", "DELETE"):
            if method != "GET":
                shown = {"notice": asking.notices(on.policy, names[0])["en"].hash} if method == "PUT" else {}
                await http.request(method, f"/api/privacy/consents/{names[0]}", params=shown)
            seen.append((await http.get("/api/privacy/standing")).json()["consented"])
        [taken, given] = (await http.get("/api/privacy/consent-records")).json()
        key = receipts.parse_key((await http.get("/.well-known/avow-receipt-key")).json()["key"])
        receipt = await _logged(http, f"/api/privacy/consent-records/{given['id']}/receipt", key)
    if receipt is None:
        return Finding("failed", "its receipt did not come to stand in the log")
    signed = receipts.verify(receipt, key)["pii_processing"]
    if seen != [[], [names[0]], []]:
        return Finding("failed", f"held before, after giving, after taking back: {seen}")
    if (given["given"], taken["given"], signed["notice_hash"]) != (True, False, _sha256(given["text"])):
        return Finding("failed", "the record or its receipt is not of the text that was shown")
    return Finding("proved", f"{names[0]}: none by use, given, taken back; its receipt is genuine and in the log")


async def _logged(http: httpx.AsyncClient, address: str, key: bytes) -> bytes | None:
    """A receipt with its proof; the log is signed about once a second. None: it came to have none."""
    for _ in range(LOOKS_MAX):
        found = (await http.get(address)).content
        if receipts.in_log(found, key) is not None:
            return found
        await asyncio.sleep(0.5)
    return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def _may_serve(on: Ground, who: Customer) -> bool:
    """Whether the platform itself may open the account of a canary to serve them."""
    table = next(table.name for table, held in facts() if held.category == "account" and held.box)
    ref = Ref(who.tenant_id, table, "account", uuid7(), who.subject_id)
    async with on.app.tenant(who.tenant_id) as c:
        try:
            await on.vault.open(c, ref, on.vault.seal(ref, {"email": who.email}, None), "service", GATEWAY)
        except OpenRefused:
            return False
    return True


async def part_backups(on: Ground) -> Finding:
    """Each backup on the list ends in time, none has outlived its end, each knows what was erased, none has a key."""
    now, rule = on.clock.now(), on.policy.parts.get("backup")
    async with on.keeper.begin() as c:
        rows = (await c.execute(select(backup_folder))).all()
    wrong = [f"{row.id} outlived its end" for row in rows if row.ends_at + REMOVED_WITHIN < now]
    for row in rows:
        end = None if rule is None else rule.values["keep"].end(row.made_at)
        if end is not None and row.ends_at > end:
            wrong.append(f"{row.id} is kept longer than the policy says")
        wrong += await asyncio.to_thread(_wrong_in_folder, Path(row.path), str(row.id))
    if wrong:
        return Finding("failed", "; ".join(wrong[:3]))
    return Finding("proved", f"{len(rows)} backups on the list")


async def part_staff(on: Ground) -> Finding:
    """A look of staff stands on the person's record, with who, what and why; without a reason nothing is opened."""
    who, why = await on.canaries.customer(), f"probe {secrets.token_hex(8)}"
    role, purpose = _staff_of(on, "account")
    staff = Actor("staff", str(uuid7()), role)
    opened = [await _is_opened(on, who, staff, purpose, reason) for reason in (None, why)]
    if opened[0]:
        return Finding("failed", "opened without a reason")
    async with signed_in(on, who) as (http, _):
        lines = (await http.get("/api/me/openings")).json()["openings"]
    mine = [line for line in lines if line["reason"] == why]
    if len(mine) != 1 or (mine[0]["who"], mine[0]["role"]) != ("staff", role):
        return Finding("failed", f"{len(mine)} lines of the look are on the person's record")
    return Finding("proved", f"{role} staff: {mine[0]['outcome']}, on the person's record with its reason")


async def part_processors(on: Ground) -> Finding:
    """No outside party gets content that the register does not name, and everybody can read the register."""
    strangers = await on.strangers()
    if strangers:
        return Finding("failed", f"not in the register: {', '.join(strangers[:5])}")
    async with on.http() as http:
        page = await http.get("/privacy/processors", params={"locale": "en"})
    named = on.policy.named("processor")
    missing = [party.name for party in named if f'id="processor.{party.name}"' not in page.text]
    if page.status_code != 200 or missing:
        return Finding("failed", f"not on the page: {', '.join(missing[:5])}")
    return Finding("proved", f"{len(named)} in the register, none beside them")


async def part_notices(on: Ground) -> Finding:
    """A notice stands in the dashboard until it is dismissed, and nobody waits long to be told of a published change."""
    who, now = await on.canaries.newcomer(), on.clock.now()
    row = fact.begin(on.policy, "account", who.tenant_id, who.subject_id, now)
    row |= {"notice": "policy", "in_banner": True}
    async with on.keeper.begin() as c:
        row["notice_version"] = (await versions.current(c)).number
        await c.execute(insert(notice).values(row))
        query = select(func.count()).select_from(policy_plan).where(policy_plan.c.told_at.is_(None))
        late = await c.scalar(query.where(policy_plan.c.applied_at < now - TOLD_WITHIN))
    async with signed_in(on, who) as (http, _):
        before = [each["id"] for each in (await http.get("/api/me/notices")).json()]
        gone = (await http.post(f"/api/me/notices/{row['id']}/dismiss")).status_code
        after = [each["id"] for each in (await http.get("/api/me/notices")).json()]
    if late:
        return Finding("failed", f"people are not told yet of {late} changes")
    if str(row["id"]) not in before or gone != 204 or str(row["id"]) in after:
        return Finding("failed", f"shown {before}, dismissed with {gone}, then shown {after}")
    return Finding("proved", "shown, dismissed, shown no more; everybody was told of every change")


async def part_acceptance(on: Ground) -> Finding:
    """Accepting is recorded with the version, and is no consent to anything."""
    who = await on.canaries.newcomer()
    async with on.keeper.begin() as c:
        number = (await versions.current(c)).number
    async with signed_in(on, who) as (http, _):
        said = await http.post("/api/me/acceptance", json={"version": number})
        wrong = await http.post("/api/me/acceptance", json={"version": number + 1})
    async with on.keeper.begin() as c:
        accepted = await acceptances.newest(c, who.subject_id)
        held = (await standing.load(c, [who.subject_id], on.clock.now()))[who.subject_id]
    if (said.status_code, wrong.status_code, accepted) != (201, 409, number):
        return Finding("failed", f"answered {said.status_code} and {wrong.status_code}, recorded {accepted}")
    if held.consented:
        return Finding("failed", f"counted as consent to {', '.join(sorted(held.consented))}")
    return Finding("proved", f"version {number} accepted and recorded; no consent follows from it")


@asynccontextmanager
async def signed_in(
    on: Ground, who: Customer, headers: dict[str, str] | None = None
) -> AsyncIterator[tuple[httpx.AsyncClient, Customer]]:
    """A client with the session of a canary."""
    async with on.http() as http:
        http.headers.update(SAME_ORIGIN | (headers or {}))
        entered = await http.post("/api/auth/login", json={"email": who.email, "password": who.password})
        entered.raise_for_status()
        yield http, who


async def _complete(
    http: httpx.AsyncClient, who: Customer, *, key: str | None = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    body = {"model": who.model, "messages": [{"role": "user", "content": "A probe asks."}], "max_tokens": 1}
    return await http.post("/v1/chat/completions", json=body, headers=_bearer(key or who.key) | (headers or {}))


async def _requests(http: httpx.AsyncClient, who: Customer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await http.get("/api/requests", headers=_bearer(who.key))).json()["requests"]
    return found


async def _ask_for_erasure(http: httpx.AsyncClient, who: Customer) -> httpx.Response:
    return await http.post("/api/privacy/requests", json={"kind": "erase", "password": who.password})


async def _receipt(http: httpx.AsyncClient, id: str, token: str) -> bytes:
    """The receipt once there is one: an erasure waits until no process can hold a key any more."""
    async with asyncio.timeout(RECEIPT_S_MAX):
        while True:
            answer = await http.get(f"/api/privacy/receipts/{id}", headers={"avow-receipt-token": token})
            if answer.is_success:
                return answer.content
            await asyncio.sleep(1)


async def _is_opened(on: Ground, who: Customer, staff: Actor, purpose: str, reason: str | None) -> bool:
    """Whether a member of staff gets to see the account of a canary."""
    table = next(table.name for table, held in facts() if held.category == "account" and held.box)
    ref = Ref(who.tenant_id, table, "account", uuid7(), who.subject_id)
    async with on.app.tenant(who.tenant_id) as c:
        sealed = on.vault.seal(ref, {"email": who.email}, None)
        try:
            await on.vault.open(c, ref, sealed, purpose, staff, reason)
        except OpenRefused:
            return False
    return True


def _staff_of(on: Ground, category: str) -> tuple[str, str]:
    """A staff role and a purpose for which it may open a category; where none may, one that is refused."""
    rule = on.policy.categories[category]
    for role in rule.staff:
        for purpose in sorted(words.STAFF_PURPOSES[role] & set(rule.purposes)):
            return role, purpose
    return "support", "support"


def _is_mine_to_delete(on: Ground, name: str) -> bool:
    rule = on.policy.categories.get(name)
    return rule is not None and rule.self_service and rule.keep.kind != "never"


def _wrong_in_folder(folder: Path, id: str) -> list[str]:
    """What is wrong with a backup's folder; one that is out of reach cannot be looked at, which is wrong too."""
    if not (folder / MANIFEST).is_file():
        return [f"{id} is out of reach"]
    found = [f"{id} holds a keyring" for path in folder.rglob("*") if path.name in ("ring.db", "master.key")]
    if not (folder / FILE_NAME).is_file():
        found.append(f"{id} knows of no erasure")
    return found


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _id(answer: httpx.Response) -> str:
    return str(answer.headers.get("avow-request-id", ""))
