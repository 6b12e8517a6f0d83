"""Parts of a completion on their own: the meter, the assembly, who may see content, the refusals of upstreams."""

from __future__ import annotations

import json
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.accounts.directory import KeyRecord
from avow.base.clock import SystemClock
from avow.base.ids import uuid7
from avow.billing import prices
from avow.billing.events import Opened
from avow.billing.prices import Price, Prices, Used
from avow.billing.refusals import BalanceShort
from avow.gateway import meter, orders, refusals, upstreams, wire
from avow.gateway.assembly import Assembly
from avow.gateway.fleet import Route
from avow.gateway.meter import Outcome
from avow.gateway.orders import Wish
from avow.gateway.rules import Model, RuleBook, Rules
from avow.gateway.sse import ChatStream
from avow.gateway.usage import ChatUsage, InputDetails
from avow.policy import Overrides, compile

from .house import POLICY

PRICE = Price(uuid7(), "m", "USD", 7_000_001, 3_000_001, 11_000_001, datetime.now(UTC) - timedelta(days=1))
FIELDS = {"messages": [{"role": "user", "content": "x" * 40}]}
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
COUNTS = st.integers(0, 2**31 - 1)


@given(prompt=COUNTS, cached=COUNTS | st.none(), output=COUNTS)
def test_usage_is_charged_as_reported_rounded_up_once(prompt, cached, output):
    usage = ChatUsage(prompt, output, prompt_tokens_details=InputDetails(cached))
    paid = meter.measure(Outcome(usage=usage, tokens=1), PRICE, FIELDS)
    used = min(cached or 0, prompt)
    exact = (prompt - used) * PRICE.input_nano + used * PRICE.cached_nano + output * PRICE.output_nano
    assert paid.amount == -(-exact // 1_000_000)
    assert (paid.used, paid.estimated) == (Used(prompt, used, output), False)


@given(words=st.lists(WORDS, min_size=1, max_size=5), output=st.integers(1, 500), choices=st.integers(1, 4))
def test_no_estimate_and_no_honest_usage_exceeds_the_hold(words, output, choices):
    messages = [{"role": "user", "content": word} for word in words]
    body = json.dumps({"model": "m", "messages": messages}, ensure_ascii=False).encode()
    hold = prices.upper(PRICE, meter.upper_input_tokens(len(body)), output * choices)
    cut_off = Outcome(why="client_left", tokens=output * choices)
    assert meter.measure(cut_off, PRICE, {"messages": messages}).amount <= hold


def test_a_failure_before_the_first_token_is_free_and_so_is_input_that_nobody_read():
    assert meter.measure(Outcome(why="upstream_failed", usage=ChatUsage(5, 5), reads=True), PRICE, FIELDS) == meter.FREE
    assert meter.measure(Outcome(why="client_left", usage=ChatUsage(5, 5)), PRICE, FIELDS) == meter.FREE


def test_who_leaves_before_the_first_token_pays_for_the_input():
    left = meter.measure(Outcome(why="client_left", reads=True), PRICE, FIELDS)
    assert (left.used, left.estimated) == (Used(11), True)
    told = meter.measure(Outcome(why="client_left", reads=True, input_tokens=9), PRICE, FIELDS)
    assert told.used == Used(9)


def test_what_was_generated_and_not_delivered_is_charged_only_to_who_left():
    assert meter.measure(Outcome(why="upstream_failed", tokens=5), PRICE, FIELDS) == meter.FREE
    assert meter.measure(Outcome(why="upstream_failed", tokens=5, begun=True), PRICE, FIELDS).used.output == 5
    assert meter.measure(Outcome(why="client_left", tokens=5), PRICE, FIELDS).used.output == 5


def test_a_progress_chunk_tells_the_input_exactly():
    assert meter.measure(Outcome(why="client_left", tokens=2, input_tokens=9), PRICE, FIELDS).used.input == 9
    assert meter.measure(Outcome(why="client_left", tokens=2), PRICE, FIELDS).used.input == 11


def test_an_assembled_answer_is_what_the_stream_said():
    reader, assembly = ChatStream(wants_usage=False), Assembly()
    frame = {"id": "1", "created": 5, "model": "m", "object": "chat.completion.chunk"}
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}
    more = {"index": 0, "function": {"arguments": ":1}"}}
    for choices in (
        [{"index": 1, "delta": {"role": "assistant", "content": "se"}}, {"index": 0, "delta": {"tool_calls": [call]}}],
        [{"index": 1, "delta": {"content": "cond"}, "logprobs": {"content": [{"token": "cond"}]}}],
        [{"index": 0, "delta": {"tool_calls": [more]}, "finish_reason": "tool_calls"}],
        [{"index": 1, "delta": {}, "finish_reason": "stop"}],
    ):
        _, data = reader.feed(b"data: " + json.dumps({**frame, "choices": choices}).encode() + b"\n\n")
        for each in data:
            assembly.add(each)
    whole = json.loads(assembly.body(ChatUsage(3, 4)))
    assert whole["object"] == "chat.completion" and whole["id"] == "1" and whole["usage"]["total_tokens"] == 7
    first, second = whole["choices"]
    assert first["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert (first["finish_reason"], second["finish_reason"]) == ("tool_calls", "stop")
    assert second["message"]["content"] == "second" and second["logprobs"]["content"] == [{"token": "cond"}]


def chunk(**delta) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode()


@pytest.mark.parametrize("name", ["content", "arguments"])
def test_a_piece_costs_no_copy_of_what_came_before_it(name):
    assembly, piece = Assembly(), "x" * 1000
    call = {"content": piece} if name == "content" else {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
    for _ in range(1000):
        assembly.add(chunk(**call))
    last = chunk(**call)
    tracemalloc.start()
    assembly.add(last)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 100_000  # of a million that came before
    message = json.loads(assembly.body(None))["choices"][0]["message"]
    whole = message["content"] if name == "content" else message["tool_calls"][0]["function"]["arguments"]
    assert whole == piece * 1001


def test_a_tool_call_costs_no_look_at_those_before_it():
    def lines(calls: int) -> int:
        assembly, count = Assembly(), 0

        def trace(frame, event, _):
            nonlocal count
            count += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        for index in range(calls):
            assembly.add(chunk(tool_calls=[{"index": index, "function": {"name": "f", "arguments": "{}"}}]))
        sys.settrace(before)
        return count

    assert lines(400) < 3 * lines(200)  # looking at each would make it four times as many


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["index", "delta", "content", "tool_calls", "function", "arguments", "logprobs"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(chunks=st.lists(st.lists(ODD, max_size=3), max_size=4))
def test_whatever_passes_the_reader_can_be_assembled(chunks):
    reader, assembly, said = ChatStream(wants_usage=True), Assembly(), dict[int, str]()
    for choices in chunks:
        _, data = reader.feed(b"data: " + json.dumps({"choices": choices}).encode() + b"\n\n")
        for each in data:
            assembly.add(each)
        for choice in choices if data else ():
            index = choice["index"] if isinstance(choice.get("index"), int) else 0
            said[index] = said.get(index, "") + ((choice.get("delta") or {}).get("content") or "")
    joined = json.loads(assembly.body(None))["choices"]
    assert {each["index"]: each["message"]["content"] or "" for each in joined} == said


def rules_for(processor: str | None, plan=None, output_tokens_max: int = 1000) -> Rules:
    upstream = upstreams.provider("openai", "u", "http://127.0.0.1:1/v1", "secret-credential", processor=processor)
    model = Model("m", (Route(upstream, "theirs"),), 8192, output_tokens_max)
    made = Rules(1, POLICY, MappingProxyType({"m": model}), Prices([PRICE]))
    if plan is not None:
        made._plans[(KEY.key_id.int, None, None, None)] = plan
    return made


KEY = KeyRecord(uuid7(), uuid7(), uuid7(), uuid7(), None, None, None)
WISH = Wish(wire.parse(json.dumps({"model": "m", **FIELDS}).encode()), KEY, 100, None)


class Till:
    """A ledger with one balance that keeps what it was told."""

    def __init__(self, balance: int, epoch: int = 1) -> None:
        self.balance, self.epoch = balance, epoch
        self.opens, self.settles = [], []

    async def open(self, event):
        self.opens.append(event)
        if event.amount > self.balance:
            raise BalanceShort(self.balance)
        return Opened(self.epoch)

    async def settle(self, event):
        self.settles.append(event)


async def book(rules: Rules) -> RuleBook:
    async def load() -> Rules:
        return rules

    made = RuleBook(load)
    await made.start()
    return made


async def test_content_goes_only_to_those_whom_the_plan_lets_see_it():
    closed = compile(POLICY, Overrides(processors=frozenset({"other"})), epoch=1)
    with pytest.raises(refusals.PolicyForbids) as caught:
        await orders.place(WISH, await book(rules_for("acme", closed)), till := Till(10**12), SystemClock())
    assert caught.value.status == 451 and till.opens == []
    for rules in (rules_for(None, closed), rules_for("other", closed), rules_for("acme")):
        assert (await orders.place(WISH, await book(rules), Till(10**12), SystemClock())).model.id == "m"


async def test_rules_that_never_settle_are_given_up_with_every_hold_given_back():
    till = Till(10**12, epoch=99)
    with pytest.raises(refusals.RulesChanging):
        await orders.place(WISH, await book(rules_for(None)), till, SystemClock())
    assert till.opens and [s.request_id for s in till.settles] == [o.request_id for o in till.opens]
    assert {s.why for s in till.settles} == {"void"} and len({o.request_id for o in till.opens}) == len(till.opens)


@given(balance=st.integers(0, 30_000_000))
async def test_a_length_left_to_us_never_costs_more_than_there_is(balance):
    till = Till(balance)
    try:
        order = await orders.place(WISH, await book(rules_for(None)), till, SystemClock())
    except BalanceShort:
        assert balance < prices.upper(PRICE, meter.upper_input_tokens(100), 1)
    else:
        assert order.amount <= balance and 1 <= order.tokens_max <= 1000


def test_the_query_of_a_base_url_is_sent_with_every_path():
    made = upstreams.provider("azure", "u", "https://example.org/openai/v1/?api-version=preview", "x", processor=None)
    paths = {target.path for _, target in made.ways.values()} | {made.probe.path}
    assert (
        "/openai/v1/chat/completions?api-version=preview" in paths and "/openai/v1/models?api-version=preview" in paths
    )


def test_credentials_are_in_no_representation():
    rules = rules_for("acme")
    assert "secret-credential" not in repr(rules) + str(rules.models["m"].routes)


@pytest.mark.parametrize(
    ("value", "wait_s"), [(b"7", 7), (b"999999", 3600), (b"-1", 2), (b"soon", 2), (None, 2), (b"9" * 40, 2)]
)
def test_retry_after_of_an_upstream_is_taken_only_as_a_sane_number(value, wait_s):
    assert upstreams.refusal(429, value).headers == {"retry-after": str(wait_s)}
