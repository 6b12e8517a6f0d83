"""A running Avow whose only upstream follows a script."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from avow.gateway.scripted import Script, ScriptedUpstream
from tests.platform import MODEL, Platform, new_platform, wait_until

DEAD_MODEL = "scripted/dead"
CREDENTIAL = "sk-scripted-0123456789"
PRICES = ("--input", "3", "--output", "7", "--image", "9", "--audio", "11")


class Upstream:
    """The scripted upstream in a loop of its own thread, so that tests and their platform may block."""

    def __init__(self, credential: str = CREDENTIAL) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.scripted = ScriptedUpstream(credential)
        self._run(self.scripted.__aenter__())

    def answer(self, script: Script) -> None:
        """Answer every request from now on like this."""
        self.scripted.script = script

    @property
    def url(self) -> str:
        return f"{self.scripted.url}/v1"

    @property
    def calls(self) -> int:
        """How many requests it has taken."""
        return len(self.scripted.requests)

    def close(self) -> None:
        self._run(self.scripted.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _run(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result()  # type: ignore[arg-type]


@contextmanager
def scripted_platform(
    policy: str | None = None, *, as_a_stranger: bool = False, first_look_s: float | None = None, **settings: str
) -> Iterator[tuple[Platform, Upstream]]:
    """A started platform with MODEL at the scripted upstream, and DEAD_MODEL where nobody listens."""
    upstream = Upstream()
    try:
        with new_platform(
            policy, as_a_stranger=as_a_stranger, first_look_s=first_look_s, engine="0", **settings
        ) as platform:
            platform.start()
            platform.cli("upstream", "add", "scripted", upstream.url, "--key", stdin=CREDENTIAL + "\n")
            platform.cli("model", "add", MODEL, "--upstream", "scripted", *PRICES)
            platform.cli("upstream", "add", "dead", "http://127.0.0.1:9/v1")
            platform.cli("model", "add", DEAD_MODEL, "--upstream", "dead", *PRICES)
            with platform.http() as http:
                bearer = {"authorization": f"Bearer {platform.demo['api_key']}"}
                wait_until(lambda: DEAD_MODEL in http.get("/v1/models", headers=bearer).text)
            yield platform, upstream
    finally:
        upstream.close()
