"""`/v1/moderations` answered by this platform itself: what the filters of its policy find in a text. Nothing leaves, nothing is
kept, and it costs nothing; it counts against every limit as any request does."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import msgspec

from avow.gateway import orders
from avow.gateway.filters import Filters
from avow.gateway.refusals import TooLarge
from avow.gateway.rules import Rules
from avow.gateway.surfaces import MODERATION_MODEL, Surface
from avow.gateway.wire import Request
from avow.policy.terms import HARMS

MODEL = orders.OWN_MODEL
TEXT_BYTES_MAX = 64 * 1024
THREADS_MAX = 2

_encode = msgspec.json.Encoder().encode
_beside = ThreadPoolExecutor(THREADS_MAX, "judging")
"""Not the loop's own threads: whoever has much judged waits for others like them, and nobody else does."""


class TextTooLong(TooLarge):
    """Our own filters judge at most 64 KB of text in a request."""

    hint = "Nothing was charged. Send the text in several requests."


def ours(rules: Rules, surface: Surface, request: Request) -> bool:
    """Whether a request is for our own filters: by their name, or because no model of the usual name is offered here."""
    if surface.name != "moderations" or rules.filters is None:
        return False
    return request.model == MODEL or (request.model == MODERATION_MODEL and MODERATION_MODEL not in rules.models)


def texts(given: Any) -> list[str]:
    """The texts of a request for our own filters. Raises TextTooLong."""
    parts = given if isinstance(given, list) else [given]
    found = [each if isinstance(each, str) else str(each.get("text", "")) for each in parts]
    if sum(len(each.encode()) for each in found) > TEXT_BYTES_MAX:
        raise TextTooLong(param="input")
    return found


async def judged(filters: Filters, given: list[str], request_id: UUID) -> bytes:
    """The verdict on each text, in OpenAI's words; its categories are those of the policy language."""

    def judge() -> bytes:
        results = [_verdict(filters, each) for each in given]
        return _encode({"id": f"modr-{request_id}", "model": MODEL, "results": results})

    return await asyncio.get_running_loop().run_in_executor(_beside, judge)


def _verdict(filters: Filters, text: str) -> dict[str, Any]:
    every = {each.name: each for stage in filters.at.values() for each in stage}
    found = {each.finds for each in every.values() if each.check(text)}
    return {
        "flagged": bool(found),
        "categories": {harm: harm in found for harm in HARMS},
        "category_scores": {harm: float(harm in found) for harm in HARMS},
        "category_applied_input_types": {harm: ["text"] for harm in HARMS},
    }
