"""Card numbers are found in whatever form people write them, and nothing else is touched."""

import json
import uuid

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from avow.base import cards

# Test numbers that card networks publish.
PUBLISHED = (
    "4111111111111111",
    "4222222222222",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "30569309025904",
    "3530111333300000",
    "6200000000000005",
    "6304000000000000000",
)
SEPARATORS = (" ", "-", ".", "\u00a0", "\u2013", "  ", " - "[:2])


def check_digit(body: str) -> str:
    """The digit that completes a number: the one of ten for which the sum by hand ends in zero."""
    for digit in "0123456789":
        total = 0
        for at, each in enumerate(reversed(body + digit)):
            value = int(each) * (2 if at % 2 else 1)
            total += value - 9 if value > 9 else value
        if total % 10 == 0:
            return digit
    raise AssertionError


@st.composite
def numbers(draw: st.DrawFn) -> str:
    body = draw(st.sampled_from("23456")) + draw(st.text("0123456789", min_size=11, max_size=17))
    return body + check_digit(body)


@st.composite
def written(draw: st.DrawFn) -> str:
    """A card number in groups of four."""
    number, between = draw(numbers()), draw(st.sampled_from(("", *SEPARATORS)))
    return between.join(number[at : at + 4] for at in range(0, len(number), 4))


quiet = st.text(
    st.characters(exclude_categories=("Nd", "Nl", "No", "Cs"), exclude_characters="+@-. \u00a0\u2013"), max_size=20
)
plain = quiet.filter(lambda text: not text[-1:].isalnum() or not text[-1:].isascii())


def hidden(text: str) -> str:
    """What `text` becomes: all digits but the last four are stars."""
    keep = len([each for each in text if each.isdigit()]) - cards.DIGITS_SHOWN
    made = ""
    for each in text:
        keep -= each.isdigit()
        made += "*" if each.isdigit() and keep >= 0 else each
    return made


@pytest.mark.parametrize("number", PUBLISHED)
@pytest.mark.parametrize(
    "form", ["{}", "Card: {}.", "({})", "{},{}", "卡号{}有效", "{} 12/27", "exp 12/27 {} 123", "pay\n{}\nnow"]
)
def test_published_test_numbers_are_masked(number: str, form: str) -> None:
    text = form.format(number, number)
    masked = cards.mask(text)
    assert number not in masked and number[-4:] in masked and len(masked) == len(text)
    assert masked == text.replace(number, "*" * (len(number) - 4) + number[-4:])


@given(plain, written(), quiet)
def test_a_card_number_is_masked_wherever_and_however_it_is_written(before: str, number: str, after: str) -> None:
    assume(not after[:1].isascii() or not after[:1].isalnum())
    text = before + number + after
    assert cards.mask(text) == before + hidden(number) + after


@given(written())
def test_full_width_digits_are_digits(number: str) -> None:
    assume("." not in number)
    wide = number.translate({ord("0") + n: 0xFF10 + n for n in range(10)})
    assert cards.mask(wide) == hidden(wide)


@given(st.text(max_size=200))
def test_masking_twice_changes_no_more_and_lengths_stay(text: str) -> None:
    masked = cards.mask(text)
    assert len(masked) == len(text) and cards.mask(masked) == masked


@given(numbers(), st.integers(1, 9))
def test_a_wrong_check_digit_is_no_card(number: str, off: int) -> None:
    other = number[:-1] + str((int(number[-1]) + off) % 10)
    assert cards.mask(other) == other


@given(st.uuids())
def test_ids_are_left_alone(id: uuid.UUID) -> None:
    digits = uuid.UUID(int=int("4" * 32, 16) | (int(id) & 0x3333333333333333))
    for each in (id, digits):
        assert cards.mask(f"request {each} failed") == f"request {each} failed"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T03:06:35.123456+00:00",
        "+86 138 1234 5678 90",
        "0.000012345",
        "4111111111111111@example.org",
        "1763780000000",
        "0000000000000000",
        "a4111111111111111",
        "41111111111111112222333344445555",
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$4111",
    ],
)
def test_what_is_no_card_is_left_alone(text: str) -> None:
    assert cards.mask(text) == text


leaves = st.one_of(
    *(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False)),
    *(st.text(), written()),
)
names = st.one_of(st.text(), written())
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)


def masked_value(value: object) -> object:
    """What masking JSON should come to, by walking the value."""
    if isinstance(value, str):
        return cards.mask(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0 and cards.mask(str(value)) != str(value):
        return cards.mask(str(value))
    if isinstance(value, list):
        return [masked_value(each) for each in value]
    if isinstance(value, dict):
        return {cards.mask(name): masked_value(each) for name, each in value.items()}
    return value


@given(values, st.booleans())
def test_json_stays_json_and_says_the_same_but_for_cards(value: object, ascii_only: bool) -> None:
    payload = json.dumps(value).encode() if ascii_only else msgspec.json.encode(value)
    assert json.loads(cards.mask_json(payload)) == masked_value(json.loads(payload))


@given(written(), st.sampled_from(["{}", "卡{}", "\\u00a0{}", "\\n{}\\n", "\\u5361{}"]))
def test_json_is_masked_behind_escapes(number: str, form: str) -> None:
    payload = ('{"a": ["' + form.format(number) + '"]}').encode()
    assert hidden(number).encode() in json.dumps(json.loads(cards.mask_json(payload)), ensure_ascii=False).encode()


def test_json_without_a_card_is_not_touched() -> None:
    payload = b'{"a":"some 1234 text","b":1.5e3,"c":"\xff"}'
    assert cards.mask_json(payload) is payload


@given(written())
def test_json_is_masked_however_its_characters_are_escaped(number: str) -> None:
    payload = ('["' + "".join(f"\\u{ord(each):04x}" for each in number) + '"]').encode()
    assert json.loads(cards.mask_json(payload)) == [hidden(number)]


@pytest.mark.parametrize("number", [each for each in PUBLISHED if len(each) > cards.DIGITS_MIN])
@pytest.mark.parametrize("between", ["", " ", "-"])
def test_a_number_that_was_cut_off_is_masked_at_the_end_of_a_text_only(number: str, between: str) -> None:
    for length in range(cards.DIGITS_MIN, len(number)):
        begun = between.join(number[:length][at : at + 4] for at in range(0, length, 4))
        cut = f"My card: {begun}"
        if cards.mask(cut) != cut:
            continue  # by chance this beginning is a whole number
        assert cards.mask(cut, cut=True) == "My card: " + hidden(begun)
        assert cards.mask(f"{cut} and more", cut=True) == f"{cut} and more"
        payload = json.dumps({"text": cut, "seed": int(number[:length])}).encode()
        assert json.loads(cards.mask_json(payload, lambda: True))["text"] == "My card: " + hidden(begun)
        assert cards.mask_json(payload) == payload


@pytest.mark.parametrize(
    "text", ["at 1732260000000", "call +4917012345678", "4111 1111 111", "id 41111111111111111111"]
)
def test_what_cannot_become_a_card_stays(text: str) -> None:
    assert cards.mask(text, cut=True) == text


@pytest.mark.parametrize("unit", ["1 ", "4 ", "44 ", "4-", "4444 "])
def test_a_long_run_of_digits_is_searched_in_time_proportional_to_it(unit: str) -> None:
    """Each group with each behind it would be days of work for these."""
    text = unit * 100_000
    assert len(cards.mask(text, cut=True)) == len(text)


def test_a_number_longer_than_python_reads_stays() -> None:
    payload = b'{"a":' + b"0" * 5 + b"9" * 5000 + b"}"
    assert cards.mask_json(payload) == payload
