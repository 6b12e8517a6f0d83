"""Equal addresses have equal indexes; nothing else can be told from one."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.vault.blind import blind_index, normalise
from avow.vault.ring import Ring


@pytest.mark.parametrize("written", ["Ada@Example.org", " ada@example.ORG\n", "ａｄａ@example.org", "ADA@EXAMPLE.ORG"])
def test_one_address_written_in_many_ways(ring: Ring, written: str) -> None:
    assert blind_index(ring, "email", written) == blind_index(ring, "email", "ada@example.org")


def test_kind_value_and_installation_tell_apart(ring: Ring, tmp_path: Path) -> None:
    index = blind_index(ring, "email", "ada@example.org")
    assert len(index) == 32
    assert index != blind_index(ring, "username", "ada@example.org")
    assert index != blind_index(ring, "email", "bob@example.org")
    elsewhere = Ring(tmp_path / "elsewhere" / "ring.db")
    assert index != blind_index(elsewhere, "email", "ada@example.org")
    elsewhere.close()


@given(st.text())
def test_comparing_form_is_stable(value: str) -> None:
    assert normalise(normalise(value)) == normalise(value)
