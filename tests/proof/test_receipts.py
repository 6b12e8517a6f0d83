"""A receipt verifies off line, and no byte of it can be changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.proof import receipts
from avow.vault.ring import Ring

FIELDS = {
    "about": "erasure",
    "request": "0",
    "stores": [{"store": "trace", "facts": 3, "kept_until": None}],
    "name": "Zoë 张",
}


@pytest.fixture
def signer(tmp_path: Path) -> receipts.Receipts:
    return receipts.Receipts(Ring(tmp_path / "keyring" / "ring.db"))


def test_a_receipt_says_what_was_signed(signer: receipts.Receipts) -> None:
    assert receipts.verify(signer(FIELDS), signer.public_key) == FIELDS


def test_the_key_stays_the_same_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "keyring" / "ring.db"
    document = receipts.Receipts(Ring(path))(FIELDS)
    assert receipts.verify(document, receipts.Receipts(Ring(path)).public_key) == FIELDS


def test_no_byte_can_be_changed(signer: receipts.Receipts) -> None:
    document = signer(FIELDS)
    for bit in range(8 * len(document)):
        changed = bytearray(document)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(receipts.ReceiptBroken):
            receipts.verify(bytes(changed), signer.public_key)


@pytest.mark.parametrize(
    "respell",
    [
        lambda document: document + b"\n",
        lambda document: json.dumps(json.loads(document)).encode(),
        lambda document: document.replace(b'"facts":3', b'"facts":3,"facts":3'),
        lambda document: document.replace("张".encode(), b"\\u5f20"),
    ],
)
def test_another_spelling_of_the_same_does_not_verify(signer: receipts.Receipts, respell) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(receipts.ReceiptBroken):
        receipts.verify(respell(signer(FIELDS)), signer.public_key)


def test_another_key_does_not_verify(signer: receipts.Receipts, tmp_path: Path) -> None:
    other = receipts.Receipts(Ring(tmp_path / "other" / "ring.db"))
    with pytest.raises(receipts.ReceiptBroken):
        receipts.verify(signer(FIELDS), other.public_key)


def test_the_named_algorithm_and_key_are_part_of_what_is_signed(signer: receipts.Receipts) -> None:
    fields = json.loads(signer(FIELDS))
    fields["signature"]["key"] = "0" * 16
    with pytest.raises(receipts.ReceiptBroken):
        receipts.verify(receipts.canonical(fields), signer.public_key)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), lambda inner: st.lists(inner)).map(lambda v: json.dumps(v).encode())
)
def test_anything_else_is_refused_and_nothing_else_is_raised(document: bytes) -> None:
    with pytest.raises(receipts.ReceiptBroken):
        receipts.verify(document, bytes(32))


def test_deep_nesting_is_refused(signer: receipts.Receipts) -> None:
    with pytest.raises(receipts.ReceiptBroken):
        receipts.verify(b"[" * 100_000, signer.public_key)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans() | st.none()))
def test_canonical_form_has_one_spelling(fields: dict[str, object]) -> None:
    try:
        made = receipts.canonical(fields)
    except UnicodeEncodeError:
        return
    assert receipts.canonical(dict(reversed(fields.items()))) == made
    assert json.loads(made) == fields


def test_a_fraction_is_not_signed(signer: receipts.Receipts) -> None:
    with pytest.raises(ValueError, match="fraction"):
        signer({"a": [{"b": 0.5}]})


def test_a_published_key_is_read_again(signer: receipts.Receipts) -> None:
    assert receipts.parse_key(receipts.published(signer.public_key)["key"]) == signer.public_key


@pytest.mark.parametrize("text", ["", "?", "QUJD", "\N{SNOWMAN}"])
def test_a_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(receipts.ReceiptBroken):
        receipts.parse_key(text)
