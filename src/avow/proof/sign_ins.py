"""Probes of what is kept of a sign-in: from where it came, and that it was tried. Each signs in as a person does, over HTTP."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from avow.proof.evidence import Finding
from avow.proof.parts import signed_in

if TYPE_CHECKING:
    from avow.proof.probes import Ground


async def part_technical_log(on: Ground) -> Finding:
    """Of somebody who signs in is stored what the policy lists, and nothing else that their browser says; they can read it."""
    who, marker = await on.canaries.newcomer(), secrets.token_hex(8)
    said = {
        "user-agent": f"Mozilla/5.0 (X11; Linux x86_64; {marker}) Gecko/20100101 Firefox/128.0",
        "accept-language": f"de-CH,{marker}",
        "referer": f"https://example.org/{marker}",
    }
    expected = {"browser": "Firefox 128", "system": "Linux", "device": "computer", "language": "de-CH"}
    expected |= {"referrer": "example.org"}
    category = on.policy.categories["technical"]
    wanted = {name: each for name, each in expected.items() if name in category.fields and name not in category.without}
    async with signed_in(on, who, said) as (http, _):
        seen = (await http.get("/api/me/sessions")).json()[-1]["seen"]
    told = {name: each for name, each in seen.items() if name != "ip"}
    if told != wanted or ("ip" in seen) != ("ip" in category.fields):
        return Finding("failed", f"stored {', '.join(sorted(seen)) or 'nothing'}; listed {', '.join(sorted(wanted))}")
    return Finding("proved", f"stored and shown: {', '.join(sorted(seen))}")


async def part_security_log(on: Ground) -> Finding:
    """Of somebody who signs in after a wrong password stand two lines, which they can read; of an address without an account
    stands none."""
    who = await on.canaries.newcomer()
    async with on.http() as http:
        for email in (who.email, f"nobody-{secrets.token_hex(8)}@example.org"):
            await http.post("/api/auth/login", json={"email": email, "password": secrets.token_hex(16)})
    async with signed_in(on, who) as (http, _):
        lines = (await http.get("/api/me/sign-ins")).json()["sign_ins"]
    category = on.policy.categories["security_log"]
    listed = frozenset(category.fields).difference(category.without)
    told = [{name: line[name] for name in ("event", "outcome") if name in listed} for line in lines]
    wanted = [{"event": "password", "outcome": each} for each in ("entered", "refused")]
    if told != [{name: said for name, said in each.items() if name in listed} for each in wanted]:
        return Finding("failed", f"after a wrong password and a right one the record says {told[:3]}")
    return Finding("proved", "a sign-in and a refused attempt are on the record of their person")
