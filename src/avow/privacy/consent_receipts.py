"""The receipt of a consent: one signed document that its person keeps and anybody can check.

It has the structure of ISO/IEC TS 27560:2023 (record header, processing, parties, events) with the terms of the W3C Data
Privacy Vocabulary; `signature` is ours, that of all receipts (`proof.receipts`). It is signed with the word that it is about,
lies sealed beside it, and is a leaf of the transparency log, so it says for good what held when it was said.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.policy import Policy, terms
from avow.policy.periods import en
from avow.policy.vocabularies import DPV
from avow.privacy.needs import Signer
from avow.privacy.standings import Whose
from avow.vault import tlog

DOCUMENT: Final = "avow-consent-receipt"
SCHEMA: Final = "ISO/IEC TS 27560:2023"
STATES: Final = {True: "ConsentGiven", False: "ConsentWithdrawn"}
REFUSED: Final = "ConsentRefused"


class Record(msgspec.Struct):
    """One word about a consent. `how`: in the account, on the panel of cookies, by a request, by a signal of the browser, or
    `lapse`: it ended with the policy that asked for it. `text` is null where nothing was shown."""

    id: UUID
    name: str
    given: bool
    at: datetime
    how: str | None
    policy_version: int
    hash: str | None
    locale: str | None
    text: str | None


class Maker(NamedTuple):
    """Makes receipts of consents: `sign` with the installation's key, `base_url` is its public address."""

    sign: Signer
    base_url: str

    async def logged(
        self, c: AsyncConnection, policy: Policy, whose: Whose, record: Record, *, was_given: bool
    ) -> dict[str, Any]:
        """The signed receipt of a word that is said now; its leaf waits for the log with the caller's transaction. Its salt
        stands in it and nowhere else."""
        salt = tlog.new_salt()
        said = fields(policy, self.base_url, whose, record, was_given=was_given) | {"salt": salt.hex()}
        document = self.sign(said)
        await tlog.append(c, "receipt", document, salt)
        signed: dict[str, Any] = json.loads(document)
        return signed

    def unlogged(self, policy: Policy, whose: Whose, record: Record, *, was_given: bool) -> bytes:
        """The receipt of a word with which none was kept; `policy` is the version under which it was said."""
        return self.sign(fields(policy, self.base_url, whose, record, was_given=was_given))


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
