"""The `avow` command with the clock of the tests and, unless a test is about it, a password hash that is quick and a keeper
that does not look of its own: no setting of the product can move its time, weaken its passwords or shut its eyes, only a
caller can."""

import os
import socket
import sys
from pathlib import Path

from argon2 import PasswordHasher

from avow.base.clock import FileClock
from avow.cli import main
from tests.warm import wait_for_order

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

if __name__ == "__main__":
    arguments = wait_for_order(socket.socket(fileno=int(sys.argv[1])))
    if arguments is not None:
        hasher = QUICK if os.environ.get("TEST_HASH") == "quick" else None
        clock, look_s = FileClock(Path(os.environ["TEST_CLOCK"])), os.environ["TEST_FIRST_LOOK_S"]
        first_look_s = float(look_s) if look_s else None
        main(arguments, "avow", obj={"clock": clock, "hasher": hasher, "first_look_s": first_look_s})
