"""Golden vectors: what real providers report, and the buckets that it is. Each is written as the provider documents it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.base.ids import uuid7
from avow.billing.prices import Price
from avow.gateway import dialects, meter
from avow.gateway.meter import Outcome
from avow.gateway.usage import Buckets, ChatUsage, MessagesUsage, ResponsesUsage, chat_fields, messages_fields

GOLDEN: list[tuple[str, type[Any], dict[str, Any], Buckets]] = [
    (
        "OpenAI chat with a cached prompt and reasoning",
        ChatUsage,
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 192, "accepted_prediction_tokens": 0},
        },
        Buckets(input=86, cached=1920, output=108, reasoning=192),
    ),
    (
        "OpenAI responses",
        ResponsesUsage,
        {
            "input_tokens": 328,
            "input_tokens_details": {"cached_tokens": 28},
            "output_tokens": 52,
            "output_tokens_details": {"reasoning_tokens": 12},
            "total_tokens": 380,
        },
        Buckets(input=300, cached=28, output=40, reasoning=12),
    ),
    ("OpenAI embeddings", ChatUsage, {"prompt_tokens": 8, "total_tokens": 8}, Buckets(input=8)),
    (
        "Anthropic, where input, reads and writes stand beside each other",
        MessagesUsage,
        {
            "input_tokens": 21,
            "cache_creation_input_tokens": 188086,
            "cache_read_input_tokens": 5,
            "output_tokens": 393,
            "cache_creation": {"ephemeral_5m_input_tokens": 188086, "ephemeral_1h_input_tokens": 0},
        },
        Buckets(input=21, cached=5, cache_write=188086, output=393),
    ),
    (
        "DeepSeek, whose cached tokens are hits and misses",
        ChatUsage,
        {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_cache_hit_tokens": 64,
            "prompt_cache_miss_tokens": 36,
            "completion_tokens_details": {"reasoning_tokens": 15},
        },
        Buckets(input=36, cached=64, output=5, reasoning=15),
    ),
    (
        "xAI, whose reasoning is only in the total",
        ChatUsage,
        {
            "prompt_tokens": 41,
            "completion_tokens": 9,
            "total_tokens": 371,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 321},
        },
        Buckets(input=38, cached=3, output=9, reasoning=321),
    ),
    (
        "Gemini's compatible endpoint, which names no reasoning at all",
        ChatUsage,
        {"prompt_tokens": 10, "completion_tokens": 25, "total_tokens": 900},
        Buckets(input=10, output=25, reasoning=865),
    ),
    (
        "Moonshot, with cached tokens beside the prompt's",
        ChatUsage,
        {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55, "cached_tokens": 30},
        Buckets(input=20, cached=30, output=5),
    ),
    (
        "OpenRouter in front of a cache that was written",
        ChatUsage,
        {
            "prompt_tokens": 50,
            "completion_tokens": 5,
            "total_tokens": 55,
            "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 30},
        },
        Buckets(input=10, cached=10, cache_write=30, output=5),
    ),
    (
        "vLLM, SGLang, llama.cpp, Mistral and Groq, in the plain form",
        ChatUsage,
        {
            "prompt_tokens": 7,
            "completion_tokens": 2,
            "total_tokens": 9,
            "prompt_tokens_details": None,
            "queue_time": 0.1,
        },
        Buckets(input=7, output=2),
    ),
]


@pytest.mark.parametrize(("kind", "said", "wanted"), [each[1:] for each in GOLDEN], ids=[each[0] for each in GOLDEN])
def test_p07_no_token_is_counted_twice(kind, said, wanted):
    assert msgspec.convert(said, kind).buckets() == wanted


PRICE = Price(uuid7(), "m", "USD", 2_000_000, 1_000_000, 5_000_000, datetime.now(UTC), 3_000_000, 7_000_000)
DUE = (3976, 912, 16, 566_270, 266, 2371, 6200, 95, 145, 24)
"""Nano-units, reckoned by hand: 2 for each input token, 1 cached, 3 written to a cache, 5 output, 7 reasoning."""


@pytest.mark.parametrize(("vector", "due"), list(zip(GOLDEN, DUE, strict=True)), ids=[each[0] for each in GOLDEN])
def test_every_family_is_charged_to_the_nano_unit(vector, due):
    _, kind, said, _ = vector
    assert meter.measure(Outcome(usage=msgspec.convert(said, kind)), PRICE, {}).amount == due


COUNT = st.integers(0, 10**9)
MAYBE = st.none() | COUNT


@given(prompt=COUNT, cached=MAYBE, written=MAYBE, output=COUNT, reasoning=MAYBE)
def test_the_parts_are_the_whole_however_odd_the_report(prompt, cached, written, output, reasoning):
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    said = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    used = msgspec.convert(said, ChatUsage).buckets()
    assert used.read == prompt and used.written == output
    assert min(used.input, used.cached, used.cache_write, used.output, used.reasoning) >= 0
    told = msgspec.convert(chat_fields(used), ChatUsage).buckets()
    assert (told.read, told.cached, told.written, told.reasoning) == (
        used.read,
        used.cached,
        used.written,
        used.reasoning,
    )
    again = msgspec.convert(messages_fields(used), MessagesUsage).buckets()
    assert (again.input, again.cached, again.cache_write, again.written) == (
        *(used.input, used.cached, used.cache_write),
        used.written,
    )


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        ({"results": [{"index": 0}], "usage": {"total_tokens": 15}}, 15),
        ({"results": [{"index": 0}], "usage": {"prompt_tokens": 9, "total_tokens": 15}}, 15),
        ({"results": [{"index": 0}], "meta": {"billed_units": {"input_tokens": 12.0}}}, 12),
        ({"results": [{"index": 0}], "meta": {"billed_units": {"input_tokens": 1e300}}}, 2**31 - 1),
    ],
    ids=["Jina", "vLLM", "Cohere", "nonsense"],
)
def test_rerankers_report_a_total(said, tokens):
    answer = dialects.RERANK.read(json.dumps(said).encode())
    assert answer.usage is not None and answer.usage.buckets() == Buckets(input=tokens)
