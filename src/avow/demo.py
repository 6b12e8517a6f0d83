"""The demo person of `avow up`, their note `demo.json`, and the first answered completion.

The note stands for the outside world: it is what a person would have written down for themselves. It goes after a day; the next
start then makes a new key and a new password, which end those before, and says so.
"""

from __future__ import annotations

import json
import secrets

import httpx
from sqlalchemy import update

from avow import app, desk
from avow.accounts import keys, people, sign_up
from avow.accounts.key_terms import Setting
from avow.accounts.needs import Needs
from avow.accounts.tables import api_key
from avow.app import Parts
from avow.base import files, log
from avow.base.actor import Actor
from avow.base.errors import AvowError

EMAIL = "demo@example.org"
QUESTION = "In one short sentence: what is a promise?"
ANSWER_S_MAX = 60.0


async def greet(parts: Parts) -> None:
    """Make or find the demo person, ask one question as they would, and print what came back with its headers."""
    note, is_new = await _note(parts)
    log.say(f"Demo key and password{' (new)' if is_new else ''}: {parts.home / 'demo.json'}")
    if parts.settings.engine:
        await _ask(note)
    log.say(f"The app: {parts.settings.base_url}/app (sign in with the address and the password in demo.json)")
    if not parts.settings.smtp_url:
        log.say(f"Mails: {parts.home / 'mail'} (each is a file; nothing is sent)")
    log.say("Ctrl-C stops everything.")
    log.say(f"Avow is ready on {parts.settings.base_url}")


async def _note(parts: Parts) -> tuple[dict[str, str], bool]:
    path = parts.home / "demo.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    async with desk.opened(parts) as at:
        is_new = not (known and await _works(at.accounts, known.get("api_key", "")))
        note = await _make(at.accounts) if is_new else known
    note = {**note, "base_url": parts.settings.base_url}
    files.replace(path, json.dumps(note, indent=1).encode() + b"\n")
    return note, is_new


async def _works(needs: Needs, key: str) -> bool:
    try:
        await needs.directory.find(key)
    except AvowError:
        return False
    return True


async def _make(needs: Needs) -> dict[str, str]:
    password = secrets.token_urlsafe(18)
    found = await people.find(needs, EMAIL)
    if found is None:
        tells = needs.tells_abroad
        given = sign_up.example(needs.policy, EMAIL, password, tells=tells)
        asked = sign_up.read(needs.policy, given, tells=tells)
        await sign_up.open_account(needs, asked, await needs.passwords.hash(password), confirmed=True)
        found = await people.find(needs, EMAIL)
        assert found is not None
    else:
        await people.keep_hash(needs, found.tenant_id, found.subject_id, await needs.passwords.hash(password))
    who = people.actor(found.tenant_id, found.subject_id)
    await _revoke_old(needs, who)
    made = await keys.create(needs, who, Setting(name="demo"))
    return {"api_key": made.secret, "email": EMAIL, "password": password}


async def _revoke_old(needs: Needs, who: Actor) -> None:
    """The keys of notes that were lost or ended."""
    tenant_id, subject_id = people.own(who)
    old = update(api_key).where(api_key.c.subject_id == subject_id, api_key.c.state == "active")
    async with needs.database.tenant(tenant_id) as c:
        await c.execute(old.values(state="revoked", revoked_at=needs.clock.now()))


async def _ask(note: dict[str, str]) -> None:
    body = {"model": app.MODEL, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 40, "temperature": 0}
    headers = {"authorization": f"Bearer {note['api_key']}"}
    # The listener is our own, whatever name its certificate carries.
    async with httpx.AsyncClient(base_url=note["base_url"], timeout=ANSWER_S_MAX, verify=False) as http:  # noqa: S501
        try:
            answer = await http.post("/v1/chat/completions", json=body, headers=headers)
        except httpx.HTTPError as wrong:
            log.say(f"The first completion got no answer: {type(wrong).__name__}")
            return
    log.say(f"\n> {QUESTION}")
    if answer.is_success:
        log.say(answer.json()["choices"][0]["message"]["content"].strip())
    else:
        log.say(f"{answer.status_code} {answer.json()['error']['message']}")
    for name, value in answer.headers.items():
        if name.startswith("avow-"):
            log.say(f"  {name}: {value}")
    log.say("")
