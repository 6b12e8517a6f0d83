"""A box opens in its own place with its own key, and nowhere else."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from avow.vault import box
from avow.vault.box import BoxBroken, Gone, PayloadRefused, Ref
from avow.vault.ring import Ring, slot_of

KEY = bytes(range(32))
CIPHER = AESGCM(KEY)
REF = Ref(UUID(int=1), "trace", "api_content", UUID(int=2), UUID(int=3))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def test_layout_is_the_published_one() -> None:
    sealed = box.seal(CIPHER, REF, b"hello", 0x01020304)
    assert sealed[:5] == b"\x01\x01\x02\x03\x04"
    context = (
        b"\0\x10" + UUID(int=1).bytes
        + b"\0\x05trace"
        + b"\0\x0bapi_content"
        + b"\0\x10" + UUID(int=2).bytes
        + b"\0\x10" + UUID(int=3).bytes
    )  # fmt: skip
    assert AESGCM(KEY).decrypt(sealed[5:17], sealed[17:], context) == b"hello"
    assert len(sealed) == 1 + 4 + 12 + 5 + 16


@given(st.binary(max_size=5000), st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32))
def test_what_is_sealed_comes_back(plaintext: bytes, slot: int, key: bytes) -> None:
    sealed = box.seal(AESGCM(key), REF, plaintext, slot)
    assert box.slot(sealed) == slot
    assert box.unseal(key, REF, sealed) == plaintext


def test_equal_content_gives_unequal_boxes() -> None:
    assert box.seal(CIPHER, REF, b"hello", 0) != box.seal(CIPHER, REF, b"hello", 0)


@pytest.mark.parametrize("field", Ref._fields)
def test_a_box_moved_elsewhere_does_not_open(field: str) -> None:
    elsewhere: Any = "other" if field in ("table", "category") else uuid4()
    with pytest.raises(BoxBroken):
        box.unseal(KEY, REF._replace(**{field: elsewhere}), box.seal(CIPHER, REF, b"hello", 0))


def test_parts_of_the_address_do_not_run_into_each_other() -> None:
    sealed = box.seal(CIPHER, REF._replace(table="ab", category="c"), b"hello", 0)
    with pytest.raises(BoxBroken):
        box.unseal(KEY, REF._replace(table="a", category="bc"), sealed)


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    sealed = bytearray(box.seal(CIPHER, REF, b"hello", 7))
    # Bytes 1 to 4 choose the key: with the key of another hour nothing opens (below).
    place = data.draw(st.sampled_from([0, *range(5, len(sealed))]))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BoxBroken):
        box.unseal(KEY, REF, bytes(sealed))


@given(st.binary(max_size=32))
def test_what_is_no_box_is_refused(junk: bytes) -> None:
    with pytest.raises(BoxBroken):
        box.unseal(KEY, REF, junk)


def test_without_a_key_a_box_reads_as_gone() -> None:
    found = box.unseal(None, REF, box.seal(CIPHER, REF, b"hello", 7))
    assert found is Gone
    assert not found


def test_the_slot_in_the_box_leads_to_the_key(ring: Ring, noon: datetime) -> None:
    key = ring.fact_key(REF.subject_id, REF.category, noon, create=True)
    other = ring.fact_key(REF.subject_id, REF.category, None)
    assert key is not None
    sealed = box.seal(AESGCM(key), REF, b"hello", slot_of(noon))
    assert box.unseal(ring.key(REF.subject_id, REF.category, box.slot(sealed)), REF, sealed) == b"hello"
    with pytest.raises(BoxBroken):
        box.unseal(other, REF, sealed)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), json_values, max_size=5))
def test_fields_come_back(fields: dict[str, Any]) -> None:
    assert box.unpack(box.pack(fields)) == fields


def test_fields_are_written_compactly() -> None:
    assert box.pack({"request": {"n": 1}, "response": "你"}) == '{"request":{"n":1},"response":"你"}'.encode()


@pytest.mark.parametrize("value", ["secret \ud800", object(), {1j: 2}])
def test_what_is_no_json_is_refused_without_being_quoted(value: object) -> None:
    with pytest.raises(PayloadRefused) as refused:
        box.pack({"field": value})
    assert refused.value.__cause__ is None
    assert "secret" not in str(refused.value)


def test_a_system_secret_is_bound_to_its_row() -> None:
    sealed = box.seal_system(KEY, "upstream", UUID(int=9), b"sk-upstream")
    assert box.unseal_system(KEY, "upstream", UUID(int=9), sealed) == b"sk-upstream"
    for table, row in (("upstream", UUID(int=8)), ("webhook", UUID(int=9))):
        with pytest.raises(BoxBroken):
            box.unseal_system(KEY, table, row, sealed)
    with pytest.raises(BoxBroken):
        box.unseal(KEY, REF._replace(table="upstream", row_id=UUID(int=9)), sealed)
