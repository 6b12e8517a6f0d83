"""What is wrong with a screen to those who do not see it, or see it on a small one."""

from __future__ import annotations

from playwright.sync_api import Page

SERIOUS = {"serious", "critical"}


def serious(page: Page, axe: str, rules: str = "{}") -> list[str]:
    """What axe finds serious or critical in a screen as it stands; `rules`: more of its options, as JavaScript."""
    page.evaluate(axe)
    faults = page.evaluate(f"axe.run({{resultTypes: ['violations'], ...{rules}}})")["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in faults if each["impact"] in SERIOUS]


def is_too_wide(page: Page) -> bool:
    """Whether it has to be scrolled sideways."""
    found: bool = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return found
