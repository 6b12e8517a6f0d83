"""Ten thousand requests: the page holds as few rows as are seen, and scrolling comes to the very first one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from playwright.sync_api import expect

from avow.base.ids import uuid7
from tests.browser.conftest import WAIT_MS, Visit
from tests.browser.test_screens import enter, settled

ROWS = 10_000
DRAWN_MAX = 60
"""Rows that may stand in the page at once: what 900 px show, and some above and below."""
SEEDED = """
    INSERT INTO usage (id, key_id, model, input_tokens, cached_tokens, output_tokens, latency_ms, status, why,
                       tenant_id, subject_id, since, ends_at, policy_version)
    SELECT id, gen_random_uuid(), CASE place WHEN 1 THEN 'the very first' ELSE 'model-' || place END, 10, 0, 20, 300, 200,
           'done', $2, $3, $4::timestamptz, NULL, 1
    FROM unnest($1::uuid[]) WITH ORDINALITY AS made (id, place)
"""


def test_ten_thousand_requests_are_scrolled_through_to_the_first(visit: Visit) -> None:
    at = visit("en")
    me = enter(at)
    tenant_id, subject_id = UUID(me["tenant_id"]), UUID(me["id"])
    at.sql(SEEDED, [uuid7() for _ in range(ROWS)], tenant_id, subject_id, datetime.now(UTC) - timedelta(hours=1))
    try:
        at.go("/requests")
        settled(at)
        at.page.get_by_text(f"model-{ROWS}", exact=True).wait_for()
        rows, whole = at.page.get_by_role("listitem"), at.page.get_by_role("list").last
        first = at.page.get_by_text("the very first", exact=True)
        while not first.count():
            height = whole.evaluate("each => each.style.height")
            at.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
            assert at.page.locator(".request").count() <= DRAWN_MAX
            expect(first.or_(at.page.locator(f".requests:not([style*='height: {height}'])")).first).to_be_attached(
                timeout=WAIT_MS
            )
        first.scroll_into_view_if_needed()
        expect(rows.last).to_have_attribute("aria-setsize", str(ROWS), timeout=WAIT_MS)
        at.page.evaluate("scrollTo(0, 0)")
        at.page.get_by_text(f"model-{ROWS}", exact=True).wait_for()
        assert at.wrong == []
    finally:
        at.sql("DELETE FROM usage WHERE subject_id = $1", subject_id)
