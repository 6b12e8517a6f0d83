"""Models that judge what people say before it goes on, and the platform that judges by its own rules."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from avow.accounts.tables import api_key
from avow.base.metrics import Sheet
from avow.billing.tables import wallet
from avow.gateway import asking, tables
from avow.gateway.scripted import Script
from avow.gateway.watch import FAMILIES

from .filtering import PRIVATE, RULES, decisions, policy_of, rule, said
from .house import CLAUDE, DOLLAR, HELLO, MODEL, open_house

JUDGES = (
    rule("provider", "violence", "prompt", "block", asks="test/plain")
    + rule("guard", "sexual", "prompt", "flag", asks="test/claude", chats=True)
    + PRIVATE
)


@pytest.fixture
def house_policy():
    return policy_of(RULES)


@pytest.fixture
async def house_with_judges(database, tmp_path):
    async with open_house(database, tmp_path, policy=policy_of(JUDGES)) as made:
        yield made


async def test_a_model_is_asked_before_a_request_goes_on_and_sees_no_more_than_it(house_with_judges):
    house = house_with_judges
    ann = await house.customer()
    house.upstream.then(Script(), Script(tokens=("unsafe", "\nS1")), Script())
    answer = await house.post(ann, said("Mail ann@example.org, please."))
    assert answer.status_code == 200
    assert house.upstream.paths == ["/v1/moderations", "/v1/messages", "/v1/chat/completions"]
    judged, guarded, sent = house.upstream.requests
    assert judged["input"] == "Mail [email], please." and "Mail [email], please." in str(guarded["messages"])
    assert sent["messages"][0]["content"] == "Mail [email], please." and guarded["temperature"] == 0
    found = {(each.filter, each.kind, each.action) for each in await decisions(house)}
    assert found == {("guard", "sexual", "flag"), ("private", "personal", "redact")}
    row = await house.settled(ann)
    assert row.amount == 20_000, "the answer alone is paid"


async def test_what_a_model_objects_to_goes_nowhere(house_with_judges):
    house = house_with_judges
    ann = await house.customer()
    house.upstream.then(Script(flagged=True))
    answer = await house.post(ann, said("Something."))
    assert answer.status_code == 403 and "filter.provider" in answer.text
    assert house.upstream.paths == ["/v1/moderations"] and (await house.settled(ann)).amount == 0


async def test_who_is_refused_by_a_model_pays_nothing_for_it_and_cannot_ask_it_without_end(house_with_judges):
    """The operator pays the model that judges, so what is refused counts against the limits like any other request."""
    house = house_with_judges
    ann = await house.customer()
    await house.execute(update(api_key).where(api_key.c.id == ann.key_id).values(requests_per_min=2))
    house.clock.move(timedelta(seconds=60 - house.clock.now().second))  # a whole minute is ahead
    house.upstream.script = Script(flagged=True)
    assert [(await house.post(ann, said("Something."))).status_code for _ in range(4)] == [403, 403, 429, 429]
    assert house.upstream.paths == ["/v1/moderations"] * 2
    assert await house.wallet(ann) == (DOLLAR, 0)


@pytest.mark.parametrize("fault", [Script(status=500), Script(garbage_after=0), Script(raw=b"nonsense")])
async def test_what_cannot_be_judged_goes_nowhere_if_it_would_be_blocked_and_on_if_it_would_be_noted(
    house_with_judges, fault
):
    house = house_with_judges
    ann = await house.customer()
    house.upstream.then(fault)
    answer = await house.post(ann, said("Something."))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "filter_unavailable")
    assert "retry-after" in answer.headers and (await house.settled(ann)).amount == 0
    house.upstream.then(Script(), fault, Script())
    assert (await house.post(ann, said("Something."))).status_code == 200


SAYING = [
    (
        "/v1/chat/completions",
        {"messages": HELLO, "tools": [{"type": "function", "function": {"description": "HIDDEN"}}]},
    ),
    ("/v1/chat/completions", {"messages": HELLO, "response_format": {"json_schema": {"schema": {"HIDDEN": 1}}}}),
    ("/v1/completions", {"prompt": "x", "suffix": "HIDDEN"}),
    ("/v1/responses", {"input": "x", "text": {"format": {"description": "HIDDEN"}}}),
]


@pytest.mark.parametrize(("path", "body"), SAYING)
async def test_a_model_judges_all_that_is_said(house_with_judges, path, body):
    house = house_with_judges
    ann = await house.customer()
    house.upstream.then(Script(flagged=True))
    assert (await house.post(ann, {"model": MODEL, **body}, path=path)).status_code == 403
    (judged,) = house.upstream.requests
    assert "HIDDEN" in judged["input"]


async def test_what_is_only_counted_is_judged_and_searched_too(house_with_judges):
    house = house_with_judges
    ann = await house.customer()
    house.upstream.then(Script(flagged=True))
    body = {"model": CLAUDE, "messages": [{"role": "user", "content": "Mail ann@example.org"}]}
    assert (await house.post(ann, body, path="/v1/messages/count_tokens")).status_code == 403
    assert house.upstream.paths == ["/v1/moderations"] and house.upstream.requests[0]["input"] == "Mail [email]"


async def test_a_model_judges_so_much_and_no_more(house_with_judges):
    house = house_with_judges
    ann = await house.customer()
    answer = await house.post(ann, said("é" * asking.JUDGED_BYTES_MAX))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_long_to_judge")
    assert house.upstream.requests == [] and (await house.settled(ann)).amount == 0


async def test_what_is_only_noted_is_judged_by_its_begin_and_its_end(database, tmp_path):
    rules = JUDGES.replace('action = "block"', 'action = "flag"')
    async with open_house(database, tmp_path, policy=policy_of(rules)) as house:
        ann = await house.customer()
        text = "begin " + "é" * asking.JUDGED_BYTES_MAX + " end"
        house.upstream.then(Script(), Script(tokens=("safe",)))
        assert (await house.post(ann, said(text))).status_code == 200
        judged = house.upstream.requests[0]["input"]
        assert len(judged.encode()) <= asking.JUDGED_BYTES_MAX
        assert judged.startswith("begin é") and judged.endswith("é end")


async def test_who_leaves_while_a_model_judges_stops_it(house_with_judges):
    house = house_with_judges
    ann = await house.customer()
    house.upstream.then(Script(gate=asyncio.Event()))
    asked = asyncio.create_task(house.post(ann, said("Something.")))
    await house.upstream.arrived.wait()
    asked.cancel()
    await asyncio.wait_for(house.upstream.left.wait(), 8)
    row = await house.settled(ann)
    assert (row.why, row.status, row.amount) == ("client_left", 499, 0)
    assert house.upstream.paths == ["/v1/moderations"]
    assert (await house.post(ann, said("Something."))).status_code == 200


async def test_a_model_that_may_not_see_content_is_not_asked(house_with_judges):
    house = house_with_judges
    ann = await house.customer()
    await house.execute(update(tables.upstream).where(tables.upstream.c.name == "messages").values(trains=True))
    await house.bump_epoch()
    await house.gateway.rules.renew(2)
    answer = await house.post(ann, said("Something."))
    assert answer.status_code == 451 and house.upstream.paths == ["/v1/moderations"]
    assert (await house.settled(ann)).amount == 0


async def test_the_platforms_own_moderation_judges_by_its_filters_for_nothing(house):
    ann = await house.customer(tenant_keep_h=48)
    given = ["zebra crossing", "hello", "ann@example.org and a grumble"]
    for model in ({}, {"model": "avow/filters"}):
        answer = await house.client(ann).moderations.create(input=given, **model)
        assert [each.flagged for each in answer.results] == [True, False, True]
        found = [{name for name, is_so in each.categories.model_dump().items() if is_so} for each in answer.results]
        assert found == [{"house"}, set(), {"personal", "hate"}] and answer.model == "avow/filters"
    parts = [{"type": "text", "text": "zebra crossing"}]
    assert (await house.client(ann).moderations.create(input=parts)).results[0].category_scores.house == 1.0
    assert house.upstream.requests == [] and await house.traces() == [] and await decisions(house) == []
    assert [(row.model, row.amount, row.input_tokens) for row in await house.usages(ann)] == [
        ("avow/filters", 0, 0)
    ] * 3
    assert await house.wallet(ann) == (DOLLAR, 0)
    assert (await house.post(None, {"input": "x"}, path="/v1/moderations")).status_code == 401
    sheet = Sheet(FAMILIES)
    house.gateway.watch.tell(sheet)
    [ended] = sheet.rows_of("avow_requests_total")
    assert (ended.labels[1:], ended.values) == (("avow/filters", "2xx"), [3]), (
        "each once; who has no key got no further than the head"
    )


async def test_the_platforms_own_moderation_falls_under_every_limit(house):
    ann, path = await house.customer(balance=1), "/v1/moderations"
    for status, body in ((200, "x" * 64 * 1024), (413, ["斑" * 10_000, {"type": "text", "text": "y" * 40_000}])):
        answer = await house.post(ann, {"input": body}, path=path)
        assert answer.status_code == status, answer.text
    assert answer.json()["error"]["code"] == "request_too_large" and len(await house.usages(ann)) == 1
    await house.execute(update(api_key).where(api_key.c.id == ann.key_id).values(requests_per_min=2))
    house.clock.move(timedelta(minutes=1, seconds=-house.clock.now().second))  # three answers of one minute
    for status in (200, 200, 429):
        assert (await house.post(ann, {"input": "x"}, path=path)).status_code == status
    await house.execute(update(wallet).where(wallet.c.id == ann.wallet_id).values(state="frozen"))
    assert (await house.post(ann, {"input": "x"}, path=path)).status_code == 402
    assert len(await house.usages(ann)) == 3


async def test_our_own_moderation_is_judged_by_the_rules_in_force(house):
    """A hold that names a newer epoch is given back, and the request is judged once more."""
    ann = await house.customer()
    await house.bump_epoch()
    assert (await house.post(ann, {"input": "zebra crossing"}, path="/v1/moderations")).status_code == 200
    assert [row.why for row in await house.usages(ann)] == ["void", "done"]
    assert house.gateway.rules.current.epoch == 2
