"""A box: what one row holds about one person in one category, sealed.

Layout: `01 | slot u32 | nonce 12 | ciphertext | tag 16`, AES-256-GCM. The address of the row goes in as additional
data, so a box copied to another row, person, table or tenant does not open. The slot number tells which hour's half
the key needs; a box whose key is gone reads as `Gone`, which is an answer and not an error (keys.md lines 6 and 7).
"""

import enum
import functools
import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from avow.base.errors import AvowError

VERSION = b"\x01"
NONCE_BYTES = 12
HEAD_BYTES = 1 + 4
TAG_BYTES = 16
OVERHEAD_BYTES = HEAD_BYTES + NONCE_BYTES + TAG_BYTES


class _Gone(enum.Enum):
    GONE = "gone"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "Gone"


Gone: Final = _Gone.GONE
"""What a box reads as once its key was destroyed; compare with `is`."""

GoneType = _Gone


class BoxBroken(AvowError):
    """A sealed record is damaged or does not belong where it was found."""

    status = 500
    code = "box_broken"
    hint = "The row was changed outside Avow; restore it from a backup or delete it."


class PayloadRefused(AvowError):
    """The record holds something that cannot be written as JSON text."""

    status = 400
    code = "payload_refused"
    hint = "Send valid Unicode text, numbers, lists and objects only."


class Ref(NamedTuple):
    """The address of a box."""

    tenant_id: UUID
    table: str
    category: str
    row_id: UUID
    subject_id: UUID


def seal(cipher: AESGCM, ref: Ref, plaintext: bytes, slot: int) -> bytes:
    """Return the box of `plaintext` at `ref`; `cipher` has the 32-byte fact key of `slot` (u32)."""
    return _encrypt(cipher, slot, plaintext, _context(ref))


def unseal(key: bytes | None, ref: Ref, box: bytes) -> bytes | GoneType:
    """Return the plaintext of `box`, or Gone when there is no key. Raises BoxBroken when it was altered or moved."""
    slot(box)
    return Gone if key is None else _decrypt(key, box, _context(ref))


def slot(box: bytes) -> int:
    """Return the slot number written in `box`. Raises BoxBroken when it is no box."""
    if len(box) < OVERHEAD_BYTES or box[:1] != VERSION:
        raise BoxBroken
    return int.from_bytes(box[1:HEAD_BYTES], "big")


def seal_system(key: bytes, table: str, row_id: UUID, plaintext: bytes) -> bytes:
    """Return the box of a secret that belongs to nobody (an upstream's credential); `key` is a named ring secret."""
    return _encrypt(AESGCM(key), 0, plaintext, _system_context(table, row_id))


def unseal_system(key: bytes, table: str, row_id: UUID, box: bytes) -> bytes:
    """Return what `seal_system` sealed. Raises BoxBroken when it was altered or moved."""
    slot(box)
    return _decrypt(key, box, _system_context(table, row_id))


def pack(fields: Mapping[str, Any]) -> bytes:
    """Return `fields` as compact JSON. Raises PayloadRefused; the error never holds the value."""
    try:
        return msgspec.json.encode(fields)
    except (TypeError, ValueError, OverflowError):
        raise PayloadRefused from None


def unpack(payload: bytes) -> dict[str, Any]:
    """Return the fields that `pack` wrote."""
    return msgspec.json.decode(payload, type=dict[str, Any])


def _encrypt(cipher: AESGCM, slot: int, plaintext: bytes, context: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return b"".join((VERSION, slot.to_bytes(4, "big"), nonce, cipher.encrypt(nonce, plaintext, context)))


def _decrypt(key: bytes, box: bytes, context: bytes) -> bytes:
    start = HEAD_BYTES + NONCE_BYTES
    try:
        return AESGCM(key).decrypt(box[HEAD_BYTES:start], box[start:], context)
    except InvalidTag:
        raise BoxBroken from None


def _context(ref: Ref) -> bytes:
    """tenant | table | category | row | subject, each behind its length (u16)."""
    tenant_id, table, category, row_id, subject_id = ref
    return b"".join(
        (_UUID_LENGTH, tenant_id.bytes, _words(table, category),
         _UUID_LENGTH, row_id.bytes, _UUID_LENGTH, subject_id.bytes)
    )  # fmt: skip


def _system_context(table: str, row_id: UUID) -> bytes:
    """As `_context`, with the word "system" in the tenant's place and no category and subject."""
    return _words("system", table) + _UUID_LENGTH + row_id.bytes


@functools.lru_cache(maxsize=256)
def _words(*words: str) -> bytes:
    return b"".join(len(raw).to_bytes(2, "big") + raw for raw in (word.encode() for word in words))


_UUID_LENGTH = (16).to_bytes(2, "big")
