"""What in a policy stands for the operator's own: a demo shows it with a banner, `avow serve` does not publish it."""

from typing import NamedTuple

from avow.policy.model import Policy


class Placeholder(NamedTuple):
    """The dotted name of a table that is an example, and its line in the file."""

    path: str
    line: int


def placeholders(policy: Policy) -> tuple[Placeholder, ...]:
    """Every table marked `placeholder = true`, in the order of the file's lines."""
    found = [Placeholder(part.id, part.line) for part in policy.parts.values() if part.placeholder]
    found += [Placeholder(f"category.{c.name}", c.line) for c in policy.categories.values() if c.placeholder]
    if policy.account.placeholder:
        found.append(Placeholder("account", 0))
    return tuple(sorted(found, key=lambda one: (one.line, one.path)))
