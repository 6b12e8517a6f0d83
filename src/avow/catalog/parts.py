"""The parts of the platform that a policy can speak of and this installation has, each declared beside its slice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from avow.catalog.words import Undeclared
from avow.policy import Clause
from avow.policy.words import FEATURES


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is there. `controls` are the modules that make its sentences true; the probe `part_NAME` looks at it."""

    name: str
    controls: tuple[str, ...]

    @property
    def probe(self) -> str:
        return f"part_{self.name}"


_parts: dict[str, Part] = {}


def part(name: str, *, controls: Iterable[str]) -> Part:
    """Declare that a part of `policy.words.FEATURES` is installed, and which modules (`gateway.completion`) make it so.

    Its sentences are published from then on, so there must be a probe of its name (`proof.parts`). Raises Undeclared.
    """
    made = Part(name, tuple(controls))
    if name not in FEATURES:
        raise Undeclared(f"part({name!r}): the policy language knows no such part; add it to policy.words.PARTS")
    if not made.controls:
        raise Undeclared(f"part({name!r}) needs controls=[…]: name the modules that make its sentences true")
    if _parts.get(name, made) != made:
        raise Undeclared(f"part {name!r} is declared twice, and differently")
    _parts[name] = made
    return made


def parts() -> dict[str, Part]:
    """The declared parts by name."""
    return dict(_parts)


def controls(clause: Clause) -> tuple[str, ...]:
    """The modules that make a sentence true; where it names a part, those of the part."""
    named = [_parts[name].controls if name in _parts else (name,) for name in clause.controls]
    return tuple(dict.fromkeys(module for modules in named for module in modules))
