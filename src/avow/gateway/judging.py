"""`/v1/moderations` answered by this platform itself: what the filters of its policy find in a text. Nothing leaves, nothing is
kept, and it costs nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from avow.gateway.filters import Filters
from avow.gateway.rules import Rules
from avow.gateway.surfaces import MODERATION_MODEL, Surface
from avow.gateway.wire import Request
from avow.policy.terms import HARMS

MODEL = "avow/filters"

_encode = msgspec.json.Encoder().encode


def ours(rules: Rules, surface: Surface, request: Request) -> Filters | None:
    """Our own filters where a request is for them: by their name, or because no model of the usual name is offered here."""
    if surface.name != "moderations":
        return None
    is_ours = request.model == MODEL or (request.model == MODERATION_MODEL and MODERATION_MODEL not in rules.models)
    return rules.filters if is_ours else None


def judged(filters: Filters, given: Any, request_id: UUID) -> bytes:
    """The verdict on each text, in OpenAI's words; its categories are those of the policy language."""
    texts = given if isinstance(given, list) else [given]
    results = [_verdict(filters, each if isinstance(each, str) else str(each.get("text", ""))) for each in texts]
    return _encode({"id": f"modr-{request_id}", "model": MODEL, "results": results})


def _verdict(filters: Filters, text: str) -> dict[str, Any]:
    every = {each.name: each for stage in filters.at.values() for each in stage}
    found = {each.finds for each in every.values() if each.check(text)}
    return {
        "flagged": bool(found),
        "categories": {harm: harm in found for harm in HARMS},
        "category_scores": {harm: float(harm in found) for harm in HARMS},
        "category_applied_input_types": {harm: ["text"] for harm in HARMS},
    }
