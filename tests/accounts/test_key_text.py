"""An API key's text: its form, its checksum, and what it gives away."""

import re
import string
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from avow.accounts import key_text, tokens


def test_a_made_key_is_read_back() -> None:
    key = key_text.make()
    assert key_text.read_public_id(key.text) == key.public_id
    assert key.text.startswith(key.prefix + "-")


def test_no_two_keys_share_anything_secret() -> None:
    keys = [key_text.make() for _ in range(200)]
    assert len({key.public_id for key in keys}) == 200
    assert len({key.text.split("-")[3] for key in keys}) == 200


@given(st.integers(0, 76), st.sampled_from(string.ascii_letters + string.digits))
def test_one_wrong_character_is_found(place: int, character: str) -> None:
    text = key_text.make().text
    place %= len(text)
    wrong = text[:place] + character + text[place + 1 :]
    assert wrong == text or key_text.read_public_id(wrong) is None


@given(st.integers(0, 75))
def test_two_swapped_neighbours_are_found(place: int) -> None:
    text = key_text.make().text
    place %= len(text) - 1
    wrong = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    assert wrong == text or key_text.read_public_id(wrong) is None


@given(st.text())
def test_any_text_is_answered(text: str) -> None:
    assert key_text.read_public_id(text) is None
    assert key_text.read_public_id(key_text.PREFIX + text) is None


def test_a_key_with_something_around_it_is_refused() -> None:
    text = key_text.make().text
    assert all(key_text.read_public_id(wrong) is None for wrong in (text + "\n", " " + text, text.upper(), text[:-1]))


@given(st.integers(0, 2**256 - 1))
def test_base62_of_256_bits_is_43_characters_and_keeps_order(number: int) -> None:
    text = tokens.base62(number, tokens.TOKEN_LENGTH)
    read = 0
    for character in text:
        read = read * 62 + tokens.ALPHABET.index(character)
    assert read == number and tokens.is_formed(text)


def test_a_digest_depends_on_pepper_kind_and_token() -> None:
    digests = {
        tokens.digest(pepper, kind, token)
        for pepper in (b"a" * 32, b"b" * 32)
        for kind in ("session", "api_key")
        for token in ("x", "y")
    }
    assert len(digests) == 8


def test_the_documentation_tells_scanners_the_form_that_keys_have() -> None:
    told = (Path(__file__).parents[2] / "docs" / "reference" / "keys.md").read_text()
    pattern = re.search(r"```regex\n(.+)\n```", told)
    program = re.search(r"```python\n(.+?)```", told, re.DOTALL)
    assert pattern and program
    names: dict[str, Any] = {}
    exec(program[1], names)
    made = key_text.make().text
    for text in (made, *re.findall(r"`(sk-avow-0\S+)`", told)):
        assert re.fullmatch(pattern[1], text) and names["is_key"](text) and key_text.read_public_id(text)
    assert not names["is_key"](made[:-1] + ("a" if made[-1] != "a" else "b"))
