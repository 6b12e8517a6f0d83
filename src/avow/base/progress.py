"""How far long work has come, told to whoever waits for it. The work goes the same way when nobody listens."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
Told = Callable[[str, int, int], None]
"""Told what is at work now (never anything of a person), how many steps are done, and of how many (0: nobody knows)."""


def nobody(what: str, done: int, total: int) -> None:
    """Nobody listens."""


def each(items: Sequence[T], told: Told, name: Callable[[T], str] = str) -> Iterator[T]:
    """The items one by one; before each it is told which comes, and after the last that all are done."""
    for done, item in enumerate(items):
        told(name(item), done, len(items))
        yield item
    told("", len(items), len(items))
