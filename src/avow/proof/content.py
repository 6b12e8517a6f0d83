"""Probes of what is done with content on its way: answers given again, and filters."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import httpx

from avow.proof.evidence import Finding

if TYPE_CHECKING:
    from avow.proof.probes import Customer, Ground

PERSONAL = {
    "email": "canary@example.org",
    "phone": "+49 30 12345678",
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "ip": "192.0.2.7",
}
"""Sent by a probe, and nobody's."""


async def part_cache(on: Ground) -> Finding:
    """Who asks the same again gets the same answer for nothing; others do not, nor do requests that are not to be kept."""
    who, other = await on.canaries.customer(), await on.canaries.newcomer(1)
    word = f"A probe asks {secrets.token_hex(8)}."
    async with on.http() as http:
        asked = [await _ask(http, each, word) for each in (who, who, other)]
        silent = await _ask(http, who, word, **{"avow-retention": "0"})
    said = [each.headers.get("avow-cache", "") for each in (*asked, silent)]
    if said != ["miss", "hit", "miss", "off"] or asked[0].content != asked[1].content:
        return Finding("failed", f"asked twice, by another, not to be kept: {', '.join(said)}")
    if float(asked[1].headers["avow-cost"]):
        return Finding("failed", "an answer given again was charged")
    return Finding("proved", "given again to who asked, to nobody else, and not where nothing is to be kept")


async def part_filter(on: Ground) -> Finding:
    """Each filter does with a request what the policy says, and puts it on record without the text; others pass."""
    who, wrong, tried = await on.canaries.customer(), [], 0
    async with on.http() as http:
        for part in on.policy.named("filter"):
            sample = _sample(part.values)
            if sample:
                tried += 1
                wrong += await _wrong(http, who, part.name, part.values["action"], sample)
        control = await _ask(http, who, f"A probe asks {secrets.token_hex(8)}.")
    if wrong or control.status_code != 200:
        return Finding("failed", "; ".join(wrong[:3]) or f"the control was answered with {control.status_code}")
    if not on.policy.named("filter"):
        return Finding("proved", "the policy has no filter, and a request passed")
    if not tried:
        return Finding("unproved", "no filter has a word or a kind of personal data that a probe could send")
    return Finding("proved", f"{tried} did what the policy says, each on record; the control passed")


async def _wrong(http: httpx.AsyncClient, who: Customer, name: str, action: str, sample: str) -> list[str]:
    answer = await _ask(http, who, f"{sample} {secrets.token_hex(4)}")
    refused = answer.status_code == 403 and f"filter.{name}" in answer.text
    found = (await http.get("/api/filter/decisions", headers=_bearer(who))).json()["decisions"]
    mine = [each for each in found if each["request_id"] == answer.headers.get("avow-request-id")]
    done = [each["action"] for each in mine if each["filter"] == name]
    if refused == (action == "block") and done == [action] and sample not in str(mine):
        return []
    return [f"{name}: answered {answer.status_code}, on record {done}"]


def _sample(values: Any) -> str:
    """Something that a filter of requests finds; empty: nothing that a probe knows."""
    if "prompt" not in values["stages"]:
        return ""
    return next(iter((*values.get("words", ()), *(PERSONAL[each] for each in values.get("personal", ())))), "")


async def _ask(http: httpx.AsyncClient, who: Customer, said: str, **headers: str) -> httpx.Response:
    body = {"model": who.model, "messages": [{"role": "user", "content": said}], "max_tokens": 1, "temperature": 0}
    return await http.post("/v1/chat/completions", json=body, headers=_bearer(who) | headers)


def _bearer(who: Customer) -> dict[str, str]:
    return {"authorization": f"Bearer {who.key}"}
