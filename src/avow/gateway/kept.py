"""What is kept of an order, and what is told of it beside the answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

import msgspec

from avow.billing import rates
from avow.gateway.cache import Word
from avow.gateway.orders import Order
from avow.gateway.rules import CONTENT, USAGE

NO_LINE = (None, None, None)
_STORED, _NOT_STORED = (b"avow-stored", b"trace"), (b"avow-stored", b"none")
_CACHE: dict[Word, tuple[bytes, bytes]] = {word: (b"avow-cache", word.encode()) for word in get_args(Word)}


def is_broken_off(answer: bytes) -> bool:
    """Whether an answer says, in the words of any dialect, that it ended before its end."""
    return b'"length"' in answer or b'"max_tokens"' in answer or b'"incomplete"' in answer


def beside_charge(order: Order, box: bytes | None, line: tuple[Any, ...] = NO_LINE) -> tuple[Any, ...] | None:
    """What the ledger's wrapper writes beside the charge: the trace, whose it and the usage are, and the line of a batch
    (None: nothing to say)."""
    of_tenant = CONTENT in order.plan.of_tenant, USAGE in order.plan.of_tenant
    if box is None and not of_tenant[1] and line is NO_LINE:
        return None
    return (None if box is None else order.kept_until, box, *of_tenant, *line)


def asked(order: Order) -> dict[str, Any] | msgspec.Raw:
    """What is kept of a request: of its files only how large they were."""
    if not order.request.files:
        return msgspec.Raw(order.request.written) if order.request.written else order.request.fields
    files = {file.field: f"{file.type}, {len(file.data)} bytes, not kept" for file in order.request.files}
    return {**order.request.fields, **files}


def headers(order: Order, is_kept: bool, cached: Word = "off") -> list[tuple[bytes, bytes]]:
    """What the head of an answer tells of its request."""
    made = [
        (b"avow-request-id", str(order.request_id).encode()),
        (b"avow-policy", order.plan.policy_hash.encode()),
        _STORED if is_kept else _NOT_STORED,
        _CACHE[cached],
    ]
    if is_kept and isinstance(order.kept_until, datetime):
        made.append((b"avow-expires-at", order.kept_until.isoformat(timespec="seconds").encode()))
    if order.rate is not None:
        made += rates.headers(order.rate, order.at)
    return made
