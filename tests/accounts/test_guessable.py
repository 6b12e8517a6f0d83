"""Passwords made of what guessers try first are refused; those that only look simple are not."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.accounts.conftest import PASSWORD, House

from avow.accounts import guessable
from avow.accounts.guessable import is_common

COMMON = [
    "passwordpassword",
    "PasswordPassword",
    "p@ssw0rdp@ssw0rd",
    "password1234567",
    "password 1234567",
    "iloveyouiloveyou",
    "letmeinletmein1",
    "trustno1trustno1",
    "Summer2026Summer2026",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
    "123456789012345",
    "987654321987654321",
    "abcdefghijklmnop",
    "qwertyuiopasdfgh",
    "asdfghjklasdfghjkl",
    "abababababababab",
    "liverpool-liverpool",
    "qwerty12",
    "12345678",
]
OTHERS = [
    PASSWORD,
    "another horse, another staple",
    "fifteen characters one",
    "pässwörter sind länger",
    "8 chars!",
    "839201748291047",
    "龍が如く八百万の神々の宴会場",
    "🦊🐙🦉🐝🌵🍄🌊🔥🎻🧭🪁🧊🪐🫖🛶",
]


@pytest.mark.parametrize("password", COMMON)
def test_what_everybody_takes_is_common(password: str) -> None:
    assert is_common(password)


@pytest.mark.parametrize("password", OTHERS)
def test_what_nobody_guesses_is_not(password: str) -> None:
    assert not is_common(password)


def test_random_passwords_are_not_common() -> None:
    for _ in range(200):
        assert not is_common(secrets.token_hex(12)) and not is_common(secrets.token_urlsafe(12))


def test_the_persons_own_words_are_known() -> None:
    assert not is_common("zyxatrell-forugnal")
    assert is_common("zyxatrell-forugnal", ["zyxatrell@forugnal.example"])


@given(st.text(max_size=1024))
def test_every_text_has_an_answer_and_its_pieces_are_the_text(text: str) -> None:
    is_common(text, [text])
    assert "".join(guessable.pieces(text)) == guessable.SEPARATORS.sub("", text)


def test_the_work_grows_with_the_length_and_not_faster() -> None:
    class Counting(frozenset[str]):
        asked = 0

        def __contains__(self, word: object) -> bool:
            Counting.asked += 1
            return False

    list(guessable.pieces("4@8({[<369&#!1/|0$5+7%2" * 40, Counting()))
    assert Counting.asked <= 23 * 40 * guessable.WORD_LENGTH_MAX


async def test_a_common_password_is_refused_at_sign_up_and_change_and_not_repeated(house: House) -> None:
    given_up = {"email": "ada@example.org", "password": "password1234567"}
    refused = await house.browser().post("/api/auth/signup", json=given_up)
    assert (refused.status_code, refused.json()["code"], refused.json()["param"]) == (
        400,
        "password_refused",
        "password",
    )
    assert "1234567" not in refused.text and house.hasher.hashed == 0
    assert await house.rows("person") == 0
    browser = await house.signed_in("wolkenstein@example.org")
    for password in ("iloveyouiloveyou", "wolkenstein1234"):
        refused = await browser.post("/api/me/password", json={"password": password})
        assert (refused.status_code, refused.json()["code"]) == (400, "password_refused")
