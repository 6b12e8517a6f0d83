"""The receipt of a consent: one signed document that its person keeps and anybody can check.

It has the structure of ISO/IEC TS 27560:2023 (record header, processing, parties, events) with the terms of the W3C Data
Privacy Vocabulary; `signature` is ours, that of all receipts (`proof.receipts`).
"""

from __future__ import annotations

from typing import Any, Final

from avow.policy import Policy, terms
from avow.policy.periods import en
from avow.policy.vocabularies import DPV
from avow.privacy.consents import Record
from avow.privacy.standings import Whose

DOCUMENT: Final = "avow-consent-receipt"
SCHEMA: Final = "ISO/IEC TS 27560:2023"
STATES: Final = {True: "ConsentGiven", False: "ConsentWithdrawn"}
REFUSED: Final = "ConsentRefused"


def fields(policy: Policy, base_url: str, whose: Whose, record: Record, *, was_given: bool) -> dict[str, Any]:
    """What is signed. `was_given`: it had been given before, so that a no is a withdrawal and no refusal."""
    _, _, recipient = record.name.partition(":")
    state = STATES[record.given] if record.given or was_given else REFUSED
    return {
        "document": DOCUMENT,
        "schema_version": SCHEMA,
        "receipt_id": str(record.id),
        "record_id": str(record.id),
        "pii_principal_id": str(whose.subject_id),
        "pii_processing": {
            "privacy_notice": f"{base_url}/privacy/{record.policy_version}",
            "notice_hash": record.hash,
            "notice_text": record.text,
            "language": record.locale,
            "purposes": [{"purpose": record.name, "lawful_basis": f"{DPV}Consent"}],
            "recipient_third_parties": [recipient] if recipient else [],
            "retention_period": _retention(policy),
            "withdrawal_method": f"{base_url}/app/privacy",
            "privacy_rights": [f"{base_url}/privacy"],
            "collection_method": record.how or "",
        },
        "party_identification": _parties(policy, base_url),
        "event": [{"event_time": record.at.isoformat(), "event_type": f"{DPV}{state}", "event_state": state}],
        "verify": f"{base_url}/.well-known/avow-receipt-key",
    }


def _retention(policy: Policy) -> str:
    keep = policy.categories["consent"].keep
    return en(keep) if keep.kind == "period" else "life of the account"


def _parties(policy: Policy, base_url: str) -> list[dict[str, Any]]:
    part = policy.parts.get("operator")
    held = {} if part is None else part.values
    mailboxes = [str(part.values["email"]) for part in policy.named("contact")]
    country = terms.COUNTRIES[held["country"]].en if held else ""
    return [
        {
            "party_role": f"{DPV}DataController",
            "party_name": str(held.get("name", base_url)),
            "party_url": str(held.get("site", base_url)),
            "party_address": ", ".join([*held.get("address", ()), *([country] if country else [])]),
            "party_email": next(iter(mailboxes), ""),
        }
    ]
