"""The `avow` command with the clock of the tests and, unless a test is about it, a password hash that is quick and a keeper
that does not look of its own: no setting of the product can move its time, weaken its passwords or shut its eyes, only a
caller can."""

import os
import pkgutil
import socket
import sys
from importlib import import_module
from pathlib import Path

from argon2 import PasswordHasher

import avow
from avow.base.clock import FileClock
from avow.cli import main
from tests.warm import wait_for_order

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def read_all() -> None:
    """Read the whole program, for a command alone reads only what it needs."""
    for module in pkgutil.walk_packages(avow.__path__, "avow."):
        if not module.name.startswith("avow.base.migrations."):
            import_module(module.name)


if __name__ == "__main__":
    read_all()
    arguments = wait_for_order(socket.socket(fileno=int(sys.argv[1])))
    if arguments is not None:
        hasher = QUICK if os.environ.get("TEST_HASH") == "quick" else None
        clock, look_s = FileClock(Path(os.environ["TEST_CLOCK"])), os.environ["TEST_FIRST_LOOK_S"]
        first_look_s = float(look_s) if look_s else None
        main(arguments, "avow", obj={"clock": clock, "hasher": hasher, "first_look_s": first_look_s})
