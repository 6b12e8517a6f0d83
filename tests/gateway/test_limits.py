"""A key's rate and budgets as a client of `/v1` meets them."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import openai
import pytest
from sqlalchemy import update

from avow.accounts.key_terms import digests
from avow.accounts.limits import Limits
from avow.accounts.needs import pepper
from avow.accounts.tables import api_key
from avow.billing import allowances

from .house import COSTLY, DOLLAR, HELLO, MODEL

ASK = {"model": MODEL, "messages": HELLO, "max_tokens": 10}


async def limit(house, who, **limits):
    await house.execute(update(api_key).where(api_key.c.id == who.key_id).values(**limits))
    house.directory.forget(who.tenant_id)


async def test_a_rate_is_refused_with_the_time_to_wait_and_costs_nothing(house):
    ann = await house.customer()
    await limit(house, ann, requests_per_min=2)
    statuses = [(await house.post(ann, ASK)).status_code for _ in range(2)]
    refused = await house.post(ann, ASK)
    assert (statuses, refused.status_code) == ([200, 200], 429)
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert len(house.upstream.requests) == 2
    assert await house.wallet(ann) == (DOLLAR - 40_000, 0)


async def test_a_budget_is_refused_as_money_and_not_as_rate(house):
    ann = await house.customer()
    await limit(house, ann, budget_day_nano=20_000)
    refused = await house.post(ann, ASK)
    assert refused.status_code == 402
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "budget_exceeded")
    assert "retry-after" not in refused.headers and house.upstream.requests == []
    assert await house.wallet(ann) == (DOLLAR, 0)
    with pytest.raises(openai.APIStatusError):
        await house.client(ann).chat.completions.create(**ASK)


async def test_an_answer_whose_length_is_left_to_us_is_as_long_as_the_budget_allows(house):
    ann = await house.customer()
    await limit(house, ann, budget_total_nano=400_000)
    answer = await house.post(ann, {"model": MODEL, "messages": HELLO})
    assert answer.status_code == 200
    (sent,) = house.upstream.requests
    assert 1 <= sent["max_tokens"] < 1000


async def test_calls_at_once_together_stay_within_the_budget(house):
    ann = await house.customer()
    body = {**ASK, "max_tokens": 5}
    most = 60_000 + 1_000 * (64 + 120)
    await limit(house, ann, budget_month_nano=most)
    answers = await asyncio.gather(*(house.post(ann, body) for _ in range(12)))
    assert {a.status_code for a in answers} <= {200, 402}
    spent = sum(row.amount for row in await house.usages(ann))
    assert 0 < spent <= most


async def test_what_could_never_pass_a_rate_of_tokens_is_said_so(house):
    ann = await house.customer()
    await limit(house, ann, tokens_per_min=200)
    refused = await house.post(ann, {**ASK, "max_tokens": 200})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
    shortened = await house.post(ann, {"model": MODEL, "messages": HELLO})
    assert shortened.status_code == 200
    (sent,) = house.upstream.requests
    assert 1 <= sent["max_tokens"] < 200
    assert (await house.post(ann, {"model": MODEL, "messages": HELLO})).status_code == 429


async def test_a_key_calls_only_its_models_and_lists_only_them(house):
    ann = await house.customer()
    await limit(house, ann, models=[MODEL])
    assert (await house.post(ann, ASK)).status_code == 200
    refused = await house.post(ann, {**ASK, "model": COSTLY})
    unknown = await house.post(ann, {**ASK, "model": "no/such"})
    assert refused.status_code == unknown.status_code == 404
    assert refused.json() == unknown.json()
    listed = [model.id async for model in house.client(ann).models.list()]
    assert listed == [MODEL]
    with pytest.raises(openai.NotFoundError):
        await house.client(ann).models.retrieve(COSTLY)
    assert len(house.upstream.requests) == 1


async def test_a_key_without_the_scope_calls_nothing(house):
    ann = await house.customer()
    await limit(house, ann, scopes=["read"])
    refused = await house.post(ann, ASK)
    error = refused.json()["error"]
    assert (refused.status_code, error["type"], error["code"]) == (403, "permission_error", "scope_missing")
    with pytest.raises(openai.PermissionDeniedError):
        await house.client(ann).models.list()
    assert house.upstream.requests == []


async def test_a_key_calls_from_its_networks_only(house):
    ann, bob = await house.customer(), await house.customer()
    secret = pepper(house.vault.ring)
    await limit(house, ann, network_digests=digests(secret, ["127.0.0.0/8"]))
    await limit(house, bob, network_digests=digests(secret, ["203.0.113.0/24", "2001:db8::/32"]))
    assert (await house.post(ann, ASK)).status_code == 200
    refused = await house.post(bob, ASK, **{"x-forwarded-for": "203.0.113.7"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "network_refused")
    assert len(house.upstream.requests) == 1


def told(answer):
    return {name: value for name, value in answer.headers.items() if "ratelimit" in name}


async def test_what_is_left_of_a_rate_is_told_with_the_answer_and_with_the_refusal(house):
    ann = await house.customer()
    assert told(await house.post(ann, ASK)) == {}
    await limit(house, ann, requests_per_min=2, tokens_per_min=100_000)
    house.clock.move(timedelta(minutes=1, seconds=-house.clock.now().second))  # three answers of one minute
    for left in (1, 0, 0):
        for stream in (False,) if left else (True,):
            answer = await house.post(ann, {**ASK, "stream": stream})
        headers = told(answer)
        assert re.fullmatch(r'"requests";q=2;w=60, "tokens";q=100000;w=60', headers["ratelimit-policy"])
        assert re.fullmatch(rf'"requests";r={left};t=\d+, "tokens";r=\d+;t=\d+', headers["ratelimit"])
        assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("2", str(left))
        assert (
            re.fullmatch(r"\d+s", headers["x-ratelimit-reset-tokens"])
            and headers["x-ratelimit-limit-tokens"] == "100000"
        )
    assert answer.status_code == 429 and 1 <= int(answer.headers["retry-after"]) <= 60


async def test_an_answer_whose_length_is_left_to_us_fits_into_a_rate_that_others_share(house):
    ann = await house.customer()
    async with house.databases.keeper.begin() as c:
        await allowances.put(c, "organisation", ann.tenant_id, Limits(tokens_per_min=500))
    assert (await house.post(ann, {"model": MODEL, "messages": HELLO})).status_code == 200
    assert 1 <= house.upstream.requests[-1]["max_tokens"] < 500
    refused = await house.post(ann, {**ASK, "max_tokens": 600})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
