"""The policy as a signed document: what `/.well-known/avow-policy.json` serves.

One JSON object in its only spelling, signed like a receipt (`proof.receipts`), so that whoever keeps it can show later, off
line, what was published: its sentences, the hash of each language's text, and when.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from avow import catalog
from avow.policy import Policy, published, render, to_json
from avow.policy.render import LOCALES
from avow.proof.receipts import Receipts

SIGNED_ANEW_AFTER = timedelta(hours=1)
VERIFY = (
    "Ed25519 (RFC 8032) over this object without signature.value, keys sorted, no spaces, UTF-8. The public key stands at "
    "{base_url}/.well-known/avow-receipt-key. Off line: avow policy verify FILE --key KEY"
)


_made: dict[tuple[str, frozenset[str], frozenset[str], bytes], tuple[datetime, bytes]] = {}
"""The newest document of each policy, parts, documents behind claims and key; few at a time."""
MADE_MAX = 4


def of(
    policy: Policy,
    installed: frozenset[str],
    evidence: frozenset[str],
    signer: Receipts,
    base_url: str,
    now: datetime,
) -> bytes:
    """The signed document, made anew when it is an hour old."""
    key = (policy.hash, installed, evidence, signer.public_key)
    made_at, document = _made.get(key, (now - SIGNED_ANEW_AFTER, b""))
    if now - made_at < SIGNED_ANEW_AFTER:
        return document
    if len(_made) >= MADE_MAX:
        _made.clear()
    document = signer(fields(policy, installed, evidence, base_url, now))
    _made[key] = (now, document)
    return document


def fields(
    policy: Policy, installed: frozenset[str], evidence: frozenset[str], base_url: str, at: datetime
) -> dict[str, Any]:
    """What is signed: the policy's data and, beside it, the text of each language by its hash and the parts by their code."""
    known: dict[str, Any] = json.loads(to_json(policy, installed, evidence))
    texts = {locale: render(policy, locale, installed, evidence) for locale in LOCALES}
    named = {clause.feature for clause in published(policy, installed, evidence)}
    parts = {name: part for name, part in catalog.parts().items() if name in named}
    return known | {
        "document": "avow-policy",
        "at": at.isoformat(),
        "text": {locale: {"date": text.date, "hash": text.text_hash} for locale, text in texts.items()},
        "parts": {name: {"controls": list(part.controls), "probe": part.probe} for name, part in parts.items()},
        "verify": VERIFY.format(base_url=base_url),
    }
