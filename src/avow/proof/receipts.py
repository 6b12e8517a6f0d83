"""Receipts: signed documents that say what was done with somebody's data, checked by anybody without asking us.

A receipt is one JSON object in its only spelling (keys sorted, no spaces, UTF-8, integers and no fractions: the subset of
RFC 8785 in which all implementations agree), with an Ed25519 signature (RFC 8032) over the same object without the keys
`signature` and `log`. A document in another spelling does not verify, so not one byte of it can be changed. `log` is the
proof that it stands in the transparency log, added once it does: the signed object names the salt of its entry.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from avow.base.errors import AvowError
from avow.proof.verifier import Key, Wrong, opened, proved_leaf
from avow.vault.ring import Ring

SECRET = "receipt"  # noqa: S105  the name of a secret
ALGORITHM = "Ed25519"
RECEIPT_BYTES_MAX = 1 << 20
PUBLIC_KEY_BYTES = 32


class ReceiptBroken(AvowError):
    """This receipt was not signed with this key, or it was changed afterwards."""

    status = 422
    code = "receipt_broken"
    hint = "Take the file as it was given, and the public key from /.well-known/avow-receipt-key of the same service."


class Receipts:
    """Signs with the ring's key for receipts, which is made at the first use and never changes."""

    def __init__(self, ring: Ring) -> None:
        seed = ring.secret(SECRET, create=True)
        assert seed is not None
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()

    def __call__(self, fields: Mapping[str, Any]) -> bytes:
        """Return the signed document of `fields`: text, integers, booleans, null, lists and objects of these."""
        made = {"algorithm": ALGORITHM, "key": key_id(self.public_key)}
        signature = self._key.sign(canonical({**fields, "signature": made}))
        return canonical({**fields, "signature": {**made, "value": base64.b64encode(signature).decode()}})


class InLog(NamedTuple):
    """Where a receipt stands: the log's name, the number of the leaf, and the size of the signed tree that has it."""

    origin: str
    leaf: int
    size: int


def verify(document: bytes, public_key: bytes) -> dict[str, Any]:
    """Return the fields of a receipt that `public_key` (32 bytes) signed. Raises ReceiptBroken; needs nothing else."""
    return _checked(document, public_key)[0]


def in_log(document: bytes, public_key: bytes) -> InLog | None:
    """Where a receipt stands in the log, by the proof that it carries; None: it carries none yet. Raises ReceiptBroken."""
    return _checked(document, public_key)[1]


def _checked(document: bytes, public_key: bytes) -> tuple[dict[str, Any], InLog | None]:
    if len(document) > RECEIPT_BYTES_MAX:
        raise ReceiptBroken("A receipt is never so large.")
    try:
        fields = json.loads(document)
        if not isinstance(fields, dict) or canonical(fields) != document:
            raise ReceiptBroken
        has_proof, proof = "log" in fields, fields.pop("log", None)
        made = dict(fields["signature"])
        value = made.pop("value")
        signature = base64.b64decode(value, validate=True)
        expected = {"algorithm": ALGORITHM, "key": key_id(public_key)}
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, canonical({**fields, "signature": made}))
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error, InvalidSignature):
        raise ReceiptBroken from None
    # The last letter of base64 has spare bits that decoding ignores.
    if made != expected or base64.b64encode(signature).decode() != value:
        raise ReceiptBroken
    place = _place(canonical(fields), proof, public_key) if has_proof else None
    return {name: value for name, value in fields.items() if name != "signature"}, place


def _place(document: bytes, proof: Any, public_key: bytes) -> InLog:
    """Where the log has a signed document. Raises ReceiptBroken for a proof that does not hold."""
    try:
        note = proof["checkpoint"].encode()
        checkpoint = opened(note, Key(note.partition(b"\n")[0].decode(), public_key))
        if {*proof} != {"checkpoint", "index", "path", "salt"} or proof["salt"] != json.loads(document)["salt"]:
            raise ReceiptBroken
        index = proved_leaf(proof, document, checkpoint)
    except (Wrong, KeyError, TypeError, AttributeError, ValueError):
        raise ReceiptBroken("The proof on this receipt does not show that it stands in the log.") from None
    return InLog(checkpoint.origin, index, checkpoint.size)


def canonical(fields: Mapping[str, Any]) -> bytes:
    """The only spelling of a document. Raises ValueError for a fraction or a text that is no Unicode."""
    _refuse_fractions(fields)
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def key_id(public_key: bytes) -> str:
    """The short name of a key: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def published(public_key: bytes) -> dict[str, str]:
    """The key as it is published under /.well-known/avow-receipt-key; `key` is the 32 bytes in hexadecimal."""
    return {"algorithm": ALGORITHM, "key": public_key.hex()}


def parse_key(text: str) -> bytes:
    """The 32 bytes of a published key. Raises ReceiptBroken for anything else."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != PUBLIC_KEY_BYTES:
        raise ReceiptBroken(f"A public key is {PUBLIC_KEY_BYTES} bytes in hexadecimal.")
    return key


def _refuse_fractions(value: object) -> None:
    if isinstance(value, float):
        raise ValueError("a receipt holds no fractions")
    if isinstance(value, Mapping):
        for each in value.values():
            _refuse_fractions(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _refuse_fractions(each)
