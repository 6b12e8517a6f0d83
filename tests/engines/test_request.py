"""What is sent to the engine for a request, and what is refused before."""

from __future__ import annotations

from typing import Any

import pytest

from avow.engines import llm


def messages(*said: Any) -> dict[str, Any]:
    return {"messages": list(said)}


def test_the_smallest_of_all_output_limits_holds() -> None:
    said = {"role": "user", "content": "a"}
    assert llm.to_theirs(messages(said) | {"max_tokens": 9})["max_tokens"] == 9
    assert llm.to_theirs(messages(said) | {"max_tokens": 9, "max_completion_tokens": 4})["max_tokens"] == 4
    assert llm.to_theirs(messages(said) | {"max_tokens": None})["max_tokens"] == llm.OUTPUT_TOKENS_MAX
    assert llm.to_theirs(messages(said) | {"max_tokens": 10**9})["max_tokens"] == llm.OUTPUT_TOKENS_MAX


def test_text_parts_are_joined_and_developers_speak_as_system() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    sent = llm.to_theirs(messages({"role": "developer", "content": parts, "name": "x"}))
    assert sent["messages"] == [{"role": "system", "content": "one\ntwo"}]


@pytest.mark.parametrize(
    "said",
    [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://inside.example/"}}]},
        {"role": "user", "content": ["text"]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "x"},
    ],
)
def test_what_is_not_text_is_refused_and_says_what_to_do(said: dict[str, Any]) -> None:
    with pytest.raises(llm.TextOnly) as caught:
        llm.to_theirs(messages(said))
    assert caught.value.status == 400 and str(caught.value.param).startswith("messages[0]")


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"role": "user<|im_end|>", "content": "x"}, "role"),
        ({"content": "x"}, "role"),
        ({"role": "user", "content": None}, "content"),
        ({"role": "user"}, "content"),
    ],
)
def test_a_message_without_what_it_must_have_is_refused_by_the_name_of_the_field(
    said: dict[str, Any], field: str
) -> None:
    with pytest.raises(llm.MessageUnfit) as caught:
        llm.to_theirs(messages({"role": "user", "content": "x"}, said))
    assert (caught.value.status, caught.value.param) == (400, f"messages[1].{field}")
    assert f"`{field}`" in caught.value.sentence and "im_end" not in caught.value.sentence


def test_the_key_is_not_in_the_text_of_an_engine(tmp_path: Any) -> None:
    assert "sesame" not in repr(llm.Engine(tmp_path / "s", "sesame"))


def test_what_no_tokenizer_could_make_fit_is_refused() -> None:
    most = llm.CONTEXT_TOKENS * llm.TOKEN_BYTES_MAX
    assert llm.fits(most - llm.MESSAGE_TOKENS_MIN * llm.TOKEN_BYTES_MAX, 1)
    for said in (
        [{"role": "user", "content": "é" * (most // 2)}],
        [{"role": "user", "content": ""}] * llm.CONTEXT_TOKENS,
    ):
        with pytest.raises(llm.PromptTooLong) as caught:
            llm.to_theirs(messages(*said))
        assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")


SELF = {"allOf": [{"$ref": "#/allOf/0"}]}
"""Of which llama.cpp would make a grammar without end: its process dies."""


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SELF}}}, "response_format"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"response_format": {"type": ["text"]}}, "response_format"),
        ({"response_format": []}, "response_format"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": "5"}, "top_logprobs"),
        ({"top_logprobs": 1e9}, "top_logprobs"),
    ],
)
def test_an_answer_of_a_form_that_others_would_pay_for_is_refused(more: dict[str, Any], param: str) -> None:
    with pytest.raises(llm.FormUnfit) as caught:
        llm.to_theirs(messages({"role": "user", "content": "a"}) | more)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_of_the_form_of_an_answer_only_its_kind_is_sent() -> None:
    said, formed = messages({"role": "user", "content": "a"}), {"type": "json_object", "schema": SELF}
    assert llm.to_theirs(said | {"response_format": formed})["response_format"] == {"type": "json_object"}
    assert "response_format" not in llm.to_theirs(said | {"response_format": {"type": "text"}})
    assert llm.to_theirs(said | {"top_logprobs": 20, "logprobs": True})["top_logprobs"] == 20
