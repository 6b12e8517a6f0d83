"""Completions from end to end: the official client, a real server, the real ledger and vault, a scripted upstream."""

from __future__ import annotations

import json

from .house import HELLO, MODEL


async def test_a_json_answer_is_delivered_and_paid_for(house):
    ann = await house.customer()
    raw = await house.client(ann).chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hello there."
    row = await house.settled(ann)
    # 11 input tokens at 1 000 and 3 output tokens at 3 000 nano-dollars
    assert row.amount == 11 * 1000 + 3 * 3000
    assert (row.input_tokens, row.output_tokens, row.status, row.why) == (11, 3, 200, "done")
    assert raw.headers["avow-cost"] == "0.000020000"
    assert raw.headers["avow-request-id"] == str(row.id)
    assert raw.headers["avow-stored"] == "none" and "avow-expires-at" not in raw.headers
    assert raw.headers["avow-policy"] == house.vault.policy.hash
    assert await house.wallet(ann) == (1_000_000_000 - row.amount, 0)
    assert await house.traces() == []


async def test_a_stream_is_passed_on_event_by_event_with_its_cost_before_the_end(house):
    ann = await house.customer()
    said = ""
    stream = await house.client(ann).chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    async for chunk in stream:
        assert chunk.usage is None
        said += chunk.choices[0].delta.content or ""
    assert said == "Hello there."
    row = await house.settled(ann)
    assert row.amount == 20_000
    raw = await house.post(ann, {"model": MODEL, "messages": HELLO, "stream": True})
    events = raw.text.split("\n\n")
    assert events[-3:] == [": avow-cost 0.000020000", "data: [DONE]", ""]
    assert not any(json.loads(event[6:])["choices"] == [] for event in events[:-3])
