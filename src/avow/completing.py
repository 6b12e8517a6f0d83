"""What a shell completes: commands and options by click, and here the names of profiles and probes, and names that stand in a
part of the program which is read only when somebody asks for them. Nothing here opens a database."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import Final, get_args

import click
from click.shell_completion import CompletionItem, get_completion_class

from avow import printing, settings
from avow.policy import words

SHELLS: Final = ("bash", "zsh", "fish")
HOW: Final = {
    "bash": 'eval "$(avow completion bash)"   in ~/.bashrc',
    "zsh": 'eval "$(avow completion zsh)"   in ~/.zshrc',
    "fish": "avow completion fish > ~/.config/fish/completions/avow.fish",
}


class Named(click.Choice[str]):
    """A choice among the names in `module.attribute`: a literal type, or anything that has names."""

    def __init__(self, module: str, attribute: str) -> None:
        self.case_sensitive = True
        self._place = module, attribute

    @cached_property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        module, attribute = self._place
        found = getattr(import_module(module), attribute)
        return get_args(found) or tuple(found)


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete commands, options, profiles and probes."""
    made = get_completion_class(shell)
    assert made is not None
    script = made(context.find_root().command, {}, "avow", "_AVOW_COMPLETE").source()
    printing.say(f"{script}\n# {HOW[shell]}", shell=shell, script=script)


def profiles(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The profiles that begin so, and else whatever file the shell finds."""
    found = [CompletionItem(name) for name in sorted(settings.profiles()) if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def probes(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The probes that begin so and were not named yet."""
    named = context.params.get(str(parameter.name)) or ()
    return [CompletionItem(name) for name in sorted(probe_names()) if name.startswith(incomplete) and name not in named]


def probe_names() -> frozenset[str]:
    """All probes that a sentence can rest on, by what the language says; `proof.probes.ALL` has one of each."""
    return frozenset(words.PROBES) | {f"part_{part}" for part in words.WATCHED}
