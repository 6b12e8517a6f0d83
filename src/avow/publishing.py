"""`avow log …`: the transparency log copied off the box, checked without a server, and begun anew when it was lost."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from avow import app, commands
from avow.base.actor import COMMAND
from avow.base.errors import AvowError, NotFound
from avow.proof import verifier
from avow.proof.tiles import LogBroken
from avow.proof.verifier import Checkpoint, Get, Key, Missing, Wrong
from avow.terminal import CallersPath, at_desk, parts_of, run
from avow.vault import Act

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
    """The transparency log: evidence, versions of the policy and receipts, in an order that can never change."""


@log.command("key")
@click.pass_context
def log_key(context: click.Context) -> None:
    """Print the log's public key, with which anybody can check it."""
    click.echo(str(parts_of(context).log.key))


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
    made = parts.log.export(folder)
    click.echo(f"{made.size} leaves of {made.origin} in {folder}")


def _refuse_another(parts: app.Parts, folder: Path) -> None:
    """A copy that is there already must be the beginning of this log. Raises TargetUnfit, LogWrong."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        known = verifier.opened((folder / "checkpoint").read_bytes(), parts.log.key)
        _checked(own(parts), parts.log.key, known)
    except OSError:
        raise TargetUnfit from None
    except Wrong as wrong:
        raise LogWrong(f"The copy in that folder is of another log: {wrong}.") from None


@log.command("verify")
@click.argument("target", required=False)
@click.option("--key", help="NAME+ID+KEY; by default that of this home, or what stands beside the copy.")
@click.option(
    "--known", type=CallersPath(path_type=Path, exists=True, dir_okay=False), help="A checkpoint from an earlier day."
)
@click.pass_context
def log_verify(context: click.Context, target: str | None, key: str | None, known: Path | None) -> None:
    """Check every leaf, hash and signature: of this home's log, of a copy in a folder, or of a service at an URL.

    Ends with 0: it is whole, 1: it is not, 2: it could not be read.
    """
    try:
        get, named = _target(context, target, verifier.parse_key(key) if key else None)
        before = verifier.opened(known.read_bytes(), named) if known else None
        found = _checked(get, named, before)
    except Wrong as wrong:
        raise LogWrong(f"WRONG: {wrong}.") from None
    except Missing as missing:
        click.echo(f"avow: could not look: {missing}", err=True)
        sys.exit(EXIT_MISSING)
    click.echo(f"whole: {found.origin}, {found.size} leaves, root {found.root.hex()}")


@log.command("begin")
@click.pass_context
def log_begin(context: click.Context) -> None:
    """Begin another log under another name, after the files of the old one were lost; its first leaf says what that was."""

    async def work() -> Checkpoint:
        async with at_desk(context) as at:
            async with at.keeper.begin() as c:
                await at.vault.record_act(
                    c, Act.of_platform(COMMAND, "begin another log", reason=commands.why(context))
                )
            return await at.parts.log.begin(at.keeper, commands.why(context))

    made = run(work())
    click.echo(f"{made.origin} has {made.size} leaves")


def own(parts: app.Parts) -> Get:
    """Reads this home's log."""

    def get(path: str, most: int) -> bytes:
        try:
            return parts.log.resource(path)
        except (LogBroken, NotFound):
            raise Missing(f"{path} is not in the files of this home") from None

    return get


def _target(context: click.Context, target: str | None, key: Key | None) -> tuple[Get, Key]:
    """How to read what is to be checked, and the key that must have signed it."""
    if target is None:
        parts = parts_of(context)
        return own(parts), key or parts.log.key
    if "://" in target:
        address = target.rstrip("/")
        return verifier.site(f"{address}/log"), key or _published(verifier.site(address))
    folder = CallersPath(path_type=Path).convert(target, None, context)
    get = verifier.folder(folder)
    return get, key or verifier.parse_key(get("key", verifier.NOTE_BYTES_MAX).decode(errors="replace"))


def _published(get: Get) -> Key:
    try:
        found = json.loads(get(".well-known/avow-receipt-key", verifier.NOTE_BYTES_MAX))
        return verifier.parse_key(str(found["log"]))
    except (ValueError, KeyError, TypeError):
        raise Wrong("the published key cannot be read") from None


def _checked(get: Get, key: Key, known: Checkpoint | None) -> Checkpoint:
    return verifier.check_copy(get, key, known, lambda said: None)
