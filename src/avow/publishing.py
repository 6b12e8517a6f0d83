"""`avow log …`: the transparency log copied off the box, checked without a server, and begun anew when it was lost."""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avow import commands, printing
from avow.base.actor import COMMAND
from avow.base.errors import AvowError, NotFound
from avow.terminal import CallersPath, NeverStarted, at_desk, is_begun, parts_of, run

if TYPE_CHECKING:
    from avow import app
    from avow.base.progress import Told
    from avow.proof.verifier import Checkpoint, Get, Key

EXIT_MISSING = 2


class LogWrong(AvowError):
    """The log is not as it was signed."""

    code = "log_wrong"
    hint = "Keep the copy that shows it, and the checkpoint that you knew; then ask whoever runs the service."


class TargetUnfit(AvowError):
    """A copy of the log cannot be written there."""

    code = "log_folder_unfit"
    hint = "Name a folder outside AVOW_HOME that is new, empty, or holds an older copy of the same log."


@click.group("log")
def log() -> None:
    """The transparency log: evidence, versions of the policy and receipts, in one order, signed."""


@log.command("key")
@click.pass_context
def log_key(context: click.Context) -> None:
    """Print the log's public key, with which anybody can check it."""
    key = str(parts_of(context).log.key)
    printing.say(key, key=key)


@log.command("export")
@click.argument("folder", type=CallersPath(path_type=Path))
@click.pass_context
def log_export(context: click.Context, folder: Path) -> None:
    """Copy all that the log publishes into a folder; again into the same one copies what is new. Needs no server."""
    parts = parts_of(context)
    folder = folder.resolve()
    if folder.is_relative_to(parts.home.resolve()):
        raise TargetUnfit
    _refuse_another(parts, folder)
    with printing.working() as told:
        made = parts.log.export(folder, told)
    printing.say(
        f"{made.size} leaves of {made.origin} in {folder}", origin=made.origin, size=made.size, folder=str(folder)
    )


def _refuse_another(parts: app.Parts, folder: Path) -> None:
    """A copy that is there already must be the beginning of this log. Raises TargetUnfit, LogWrong."""
    from avow.proof import verifier

    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        known = verifier.opened((folder / "checkpoint").read_bytes(), parts.log.key)
        _checked(own(parts), parts.log.key, known)
    except OSError:
        raise TargetUnfit from None
    except verifier.Wrong as wrong:
        raise LogWrong(f"The copy in that folder is of another log: {wrong}.") from None


@log.command("verify")
@click.argument("target", required=False)
@click.option("--key", help="NAME+ID+KEY; by default that of this home, or what stands beside the copy.")
@click.option(
    "--known", type=CallersPath(path_type=Path, exists=True, dir_okay=False), help="A checkpoint from an earlier day."
)
@click.option("--minutes", type=click.IntRange(1, 10_080), default=10, help="How long a service may take in all.")
@click.pass_context
def log_verify(context: click.Context, target: str | None, key: str | None, known: Path | None, minutes: int) -> None:
    """Check every leaf, hash and signature: of this home's log, of a copy in a folder, or of a service at an URL.

    Ends with 0: it is whole, 1: it is not, 2: it could not be read.
    """
    from avow.proof import verifier

    try:
        get, named = _target(context, target, verifier.parse_key(key) if key else None, minutes)
        before = verifier.opened(known.read_bytes(), named) if known else None
        with printing.working() as told:
            found = _checked(_counted(get, told), named, before)
    except verifier.Wrong as wrong:
        raise LogWrong(f"WRONG: {wrong}.") from None
    except verifier.Missing as missing:
        hint = "Is the address or the folder right, and is all of the log there?"
        printing.wrong(f"could not look: {missing}", hint, "log_missing", in_json=printing.as_json())
        sys.exit(EXIT_MISSING)
    said = {"origin": found.origin, "size": found.size, "root": found.root.hex()}
    printing.say(f"whole: {found.origin}, {found.size} leaves, root {said['root']}", **said)


@log.command("begin")
@click.pass_context
def log_begin(context: click.Context) -> None:
    """Begin another log under another name, after the files of the old one were lost; its first leaf says what that was."""
    from avow.vault import Act

    async def work() -> Checkpoint:
        async with at_desk(context) as at:
            async with at.keeper.begin() as c:
                await at.vault.record_act(
                    c, Act.of_platform(COMMAND, "begin another log", reason=commands.why(context))
                )
            return await at.parts.log.begin(at.keeper, commands.why(context))

    made = run(work())
    printing.say(f"{made.origin} has {made.size} leaves", origin=made.origin, size=made.size)


def own(parts: app.Parts) -> Get:
    """Reads this home's log."""
    from avow.proof.tiles import LogBroken
    from avow.proof.verifier import Missing

    def get(path: str, most: int) -> bytes:
        try:
            return parts.log.resource(path)
        except (LogBroken, NotFound):
            raise Missing(f"{path} is not in the files of this home") from None

    return get


def _counted(get: Get, told: Told) -> Get:
    """Tells each file that is read; how many there are, the log itself says last."""
    numbers = count(1)

    def counted(path: str, most: int) -> bytes:
        told(path, next(numbers), 0)
        return get(path, most)

    return counted


def _target(context: click.Context, target: str | None, key: Key | None, minutes: int) -> tuple[Get, Key]:
    """How to read what is to be checked, and the key that must have signed it."""
    from avow.proof import verifier

    if target is None:
        if not is_begun():
            raise NeverStarted(hint="Name a copy of the log, or the address of a service: avow log verify https://…")
        parts = parts_of(context)
        return own(parts), key or parts.log.key
    if "://" in target:
        address = target.rstrip("/")
        return verifier.site(f"{address}/log", minutes), key or _published(verifier.site(address, minutes))
    folder = CallersPath(path_type=Path).convert(target, None, context)
    get = verifier.folder(folder)
    return get, key or verifier.parse_key(get("key", verifier.NOTE_BYTES_MAX).decode(errors="replace"))


def _published(get: Get) -> Key:
    from avow.proof import verifier

    try:
        found = json.loads(get(".well-known/avow-receipt-key", verifier.NOTE_BYTES_MAX))
        return verifier.parse_key(str(found["log"]))
    except (ValueError, KeyError, TypeError):
        raise verifier.Wrong("the published key cannot be read") from None


def _checked(get: Get, key: Key, known: Checkpoint | None) -> Checkpoint:
    from avow.proof import verifier

    return verifier.check_copy(get, key, known, lambda said: None)
