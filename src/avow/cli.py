"""The `avow` command: the same functions as the routes, for the operator at a terminal."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from avow import app, settings, start
from avow.base.errors import AvowError
from avow.policy import PolicyError


class Commands(click.Group):
    """Shows an error of ours as its sentence and what to do next, and ends with 1."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (AvowError, PolicyError) as error:
            click.echo(f"avow: {error}", err=True)
            if error.hint:
                click.echo(f"  {error.hint}", err=True)
            sys.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="avow")
@click.pass_context
def main(context: click.Context) -> None:
    """Avow: an AI inference platform whose privacy policy is its configuration."""
    context.obj = context.obj or {}


def parts_of(context: click.Context, *, demo: bool = False, **given: Any) -> app.Parts:
    if os.geteuid() == 0:
        raise AvowError("Avow does not run as root.", hint="Run it as the system user: tools/avow, or runuser -u avow.")
    return app.build(settings.read(os.environ, **given), demo=demo, **context.obj)


@main.command()
@click.option("--home", help="Folder of the database, keys and logs.")
@click.option("--port", type=int, help="Port to listen on, on 127.0.0.1.")
@click.option("--policy", help="A policy file, or the name of a profile.")
@click.pass_context
def up(context: click.Context, home: str | None, port: int | None, policy: str | None) -> None:
    """Run everything on this machine, with a demo person and a first answer."""
    sys.exit(start.run(parts_of(context, demo=True, home=home, port=port, policy=policy)))


@main.command()
@click.pass_context
def serve(context: click.Context) -> None:
    """Run in production: settings from AVOW_… and avow.toml, no demo data."""
    sys.exit(start.run(parts_of(context)))


if __name__ == "__main__":
    main()
