"""The engine answers like OpenAI, only to who has the key, and stops when nobody listens."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from avow.engines import llm

from .conftest import Running

HELLO = {"messages": [{"role": "user", "content": "Say hello to the harbour."}], "max_tokens": 12, "temperature": 0}
COMPLETIONS = "/v1/chat/completions"


def events(response: httpx.Response) -> list[dict[str, Any]]:
    lines = [line for line in response.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def ask(engine: Running, request: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one completion, sent as the gateway sends it."""
    with engine.client() as client:
        answer = client.post(COMPLETIONS, json=llm.to_theirs(request))
    assert answer.status_code == 200, answer.text
    return events(answer)


def test_the_openai_client_reads_its_answer(engine: Running) -> None:
    with engine.client() as http, openai.OpenAI(base_url="http://engine/v1", api_key="-", http_client=http) as client:
        answer = client.chat.completions.create(
            model="any",
            messages=HELLO["messages"],
            max_tokens=12,
            extra_headers={"authorization": f"Bearer {engine.engine.api_key}"},
        )
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == answer.usage.total_tokens
    assert answer.model == llm.MODEL


def test_a_stream_has_an_event_per_token_and_ends_with_usage(engine: Running) -> None:
    seen = ask(engine, HELLO)
    texts = [event["choices"][0]["delta"].get("content") for event in seen if event["choices"]]
    assert len([text for text in texts if text]) == 12
    assert seen[-1]["usage"]["completion_tokens"] == 12
    assert seen[-1]["choices"] == []
    assert {event["object"] for event in seen} == {"chat.completion.chunk"}


@pytest.mark.parametrize("path", [COMPLETIONS, "/v1/models", "/props", "/tokenize", "/slots", "/metrics"])
def test_without_the_key_nothing_is_told(engine: Running, path: str) -> None:
    with engine.client(key="wrong") as client:
        answer = client.get(path) if path != COMPLETIONS else client.post(path, json=llm.to_theirs(HELLO))
    assert answer.status_code == 401
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("path", ["/slots", "/metrics"])
def test_with_the_key_neither_slots_nor_counters_are_told(engine: Running, path: str) -> None:
    with engine.client() as client:
        assert client.get(path).status_code == 501


def test_a_prompt_over_the_context_is_refused_in_openai_shape(engine: Running) -> None:
    too_long = {"messages": [{"role": "user", "content": "word " * (llm.CONTEXT_TOKENS + 1)}]}
    with engine.client() as client:
        answer = client.post(COMPLETIONS, json=llm.to_theirs(too_long))
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "exceed_context_size_error"
    assert ask(engine, HELLO), "and the engine still answers"


def leave_early(engine: Running, request: dict[str, Any], enough: bytes) -> float:
    """Close the connection when `enough` has come. Returns the CPU seconds that the engine used after that."""
    with engine.client() as client, client.stream("POST", COMPLETIONS, json=request) as answer:
        head = b""
        for part in answer.iter_raw():
            head += part
            if enough in head:
                break
    before = engine.cpu_s()
    engine.wait_until_idle()
    return engine.cpu_s() - before


def test_closing_the_connection_stops_the_answer(engine: Running) -> None:
    endless = llm.to_theirs(HELLO | {"max_tokens": 1000}) | {"ignore_eos": True}
    engine.wait_until_idle()
    before = engine.cpu_s()
    with engine.client() as client:
        client.post(COMPLETIONS, json=endless | {"max_tokens": 100})
    cost_of_100_s = engine.cpu_s() - before
    assert leave_early(engine, endless, b'"content":"') < 3 * cost_of_100_s


def test_closing_the_connection_stops_reading_a_long_prompt(engine: Running) -> None:
    def long(words: int) -> dict[str, Any]:
        return llm.to_theirs({"messages": [{"role": "user", "content": "word " * words}], "max_tokens": 1})

    engine.wait_until_idle()
    before = engine.cpu_s()
    with engine.client() as client:
        client.post(COMPLETIONS, json=long(500))
    cost_of_500_s = engine.cpu_s() - before
    assert leave_early(engine, long(3900), b"prompt_progress") < 2 * cost_of_500_s


def test_the_same_prompt_costs_the_same_work_again(engine: Running) -> None:
    first, second = ask(engine, HELLO)[-1], ask(engine, HELLO)[-1]
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["timings"]["prompt_n"] == first["timings"]["prompt_n"] == first["usage"]["prompt_tokens"]


def test_nobody_can_ask_for_the_former_prompt(engine: Running) -> None:
    greedy = HELLO | {"cache_prompt": True, "id_slot": 0, "n_cache_reuse": 1}
    assert set(llm.to_theirs(greedy)) == set(llm.to_theirs(HELLO))
    ask(engine, HELLO)
    assert ask(engine, greedy)[-1]["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    with engine.client() as client:
        unguarded = client.post(COMPLETIONS, json=llm.to_theirs(HELLO) | {"cache_prompt": True})
    assert events(unguarded)[-1]["usage"]["prompt_tokens_details"]["cached_tokens"] > 0, "the guard guards something"
