"""Answers that take the same time whatever was found.

The work for a known and an unknown address is made alike; what is left (a row written, a box opened) is hidden by
giving each answer at the next full step after its beginning. A step is longer than one password hash, so nearly all
answers take exactly one; under load all become slower together.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

STEP_S = 0.25


@asynccontextmanager
async def even(step_s: float) -> AsyncIterator[None]:
    """Run the block and leave it, with its result or its error, at the next multiple of `step_s` since its start."""
    started = time.monotonic()
    try:
        yield
    finally:
        spent = time.monotonic() - started
        await asyncio.sleep(step_s - spent % step_s)
