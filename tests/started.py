"""The `avow` command with the clock of the tests: no setting of the product can move its time, only a caller can."""

import os
from pathlib import Path

from avow.base.clock import FileClock
from avow.cli import main

if __name__ == "__main__":
    main(obj={"clock": FileClock(Path(os.environ["TEST_CLOCK"]))})
