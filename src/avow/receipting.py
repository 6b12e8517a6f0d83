"""`avow receipt …`: what somebody was given as a proof, checked and told in short."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from avow import printing
from avow.base.errors import NotFound
from avow.terminal import CallersPath, at_desk, public_key, run

if TYPE_CHECKING:
    from avow.desk import Desk
    from avow.proof.receipts import InLog

NO_PROOF = "it carries no proof of the log; fetched a few seconds after it was made, it does"
LOG_S, LOG_S_MAX = 0.1, 15
"""Seconds between two looks whether the log has a receipt, and in all; a running platform signs it about once a second."""


@click.group()
def receipt() -> None:
    """Receipts: of erasures, and of what people agreed to."""


@receipt.command("fetch")
@click.argument("request", type=click.UUID)
@click.pass_context
def receipt_fetch(context: click.Context, request: UUID) -> None:
    """Print the receipt of an erasure again, by the id of its request, with its proof of the log once the log has it."""
    from sqlalchemy import select

    from avow.privacy.tables import rights_request

    async def fetch() -> tuple[bytes, bool]:
        async with at_desk(context) as at:
            async with at.keeper.begin() as c:
                kept = await c.scalar(select(rights_request.c.receipt).where(rights_request.c.id == request))
            if kept is None:
                raise NotFound("There is no receipt of such a request.", hint="A receipt names its request.")
            return await with_proof(at, bytes(kept))

    document, is_proved = run(fetch())
    printing.document(document)
    if not is_proved:
        printing.note(f"{NO_PROOF[:1].upper()}{NO_PROOF[1:]}, while Avow runs.")


async def with_proof(at: Desk, document: bytes) -> tuple[bytes, bool]:
    """A receipt with its proof of the log, for which this waits while the platform runs; as it was, and False, where nobody
    signs the log or it takes too long."""
    from avow import desk
    from avow.proof.tiles import LogBroken

    is_running = await desk.answering(at.parts.settings.base_url) is not None
    left = round(LOG_S_MAX / LOG_S) if is_running else 0
    try:
        while (found := await asyncio.to_thread(at.parts.log.complete, document)) == document and left:
            left -= 1
            await asyncio.sleep(LOG_S)
    except LogBroken:
        # What is wrong with the log is the probe's to say; the person is erased, and has a receipt.
        return document, False
    return found, found != document


@receipt.command("verify")
@click.argument("file", type=CallersPath(path_type=Path, exists=True, dir_okay=False))
@click.option("--key", help="The service's public key, hexadecimal; by default that of this installation.")
@click.option("--details", is_flag=True, help="Print all that it says, value by value.")
@click.pass_context
def receipt_verify(context: click.Context, file: Path, key: str | None, details: bool) -> None:
    """Check a receipt's signature, and its proof that it stands in the log; needs no network and, with --key, no
    installation."""
    from avow.proof import receipts

    public, document = public_key(context, key), file.read_bytes().rstrip(b"\n")
    found, place = receipts.verify(document, public), receipts.in_log(document, public)
    if printing.as_json():
        printing.show({"receipt": found, "in_log": place and place._asdict()})
        return
    printing.say("The receipt is genuine.\n")
    printing.show(dict(summary(found, place)))
    if details:
        printing.say("")
        printing.show(found)
    else:
        printing.note("With --details: all that it says.")


def summary(found: Mapping[str, Any], place: InLog | None) -> Iterator[tuple[str, Any]]:
    """What kind of receipt it is, of whom (an id) and when, in the words of whoever signed it."""
    about = found.get("about") or found.get("document")
    match about:
        case "erasure":
            policy = found["policy"]
            yield from {"about": "an erasure", "request": found["request"], "person": found["person"]}.items()
            yield from found["times"].items()
            yield from {
                "policy": f"{policy['name']}, version {policy['version']}",
                "stores": len(found["stores"]),
            }.items()
        case "avow-consent-receipt":
            (event,), notice = found["event"], found["pii_processing"]
            purposes = [each["purpose"] for each in notice["purposes"]]
            yield from {"about": "a consent", "to": purposes, "state": event["event_state"]}.items()
            yield from {"person": found["pii_principal_id"], "at": event["event_time"]}.items()
            yield "notice", notice["privacy_notice"]
        case _:
            yield "about", about or "something else"
            yield from ((name, found[name]) for name in ("name", "version", "at") if name in found)
    signed = place and f"leaf {place.leaf} of {place.origin}, signed at a size of {place.size} leaves"
    yield "log", signed or NO_PROOF
