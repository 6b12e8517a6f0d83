"""The reference page is what the language is."""

from pathlib import Path

from avow.policy import language, words
from avow.policy.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "policy.md"


def test_the_page_is_the_generated_one() -> None:
    assert PAGE.read_text() == reference(), "write it anew as avow/policy/reference.py says"


def test_every_key_and_word_has_its_place() -> None:
    page = reference()
    for key in (*language.POLICY, *language.ACCOUNT, *language.CATEGORY):
        assert f"### `{key.name}`\n\n{key.meaning}" in page
    for known in (
        words.CATEGORIES,
        words.PURPOSES,
        words.BASES,
        words.ERASURE,
        words.CLOCKS,
        words.STAFF,
        words.PROBES,
        words.PARTS,
        {f"part_{part}" for part in words.WATCHED},
    ):
        assert all(f"| `{word}` | " in page for word in known)
