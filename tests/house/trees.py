"""Process trees for the tests, each run as `python -m tests.house.trees NAME FOLDER`; they tell what happens in files."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from avow import server, supervisor
from avow.base import log
from avow.supervisor import Child, Ready

FOLDER = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()


def tell(name: str, line: object) -> None:
    with (FOLDER / name).open("a") as file:
        file.write(f"{line}\n")


def greet() -> None:
    tell("greeting", os.getpid())


def worker(name: str) -> Callable[[Ready], None]:
    """Works until SIGTERM, and says in which order it ended."""

    def start(ready: Ready) -> None:
        signal.signal(signal.SIGTERM, lambda *_: (tell("ended", name), sys.exit(0)))
        tell(name, os.getpid())
        ready()
        while True:
            signal.pause()

    return start


def failing(name: str, *, after_ready: bool = False) -> Callable[[Ready], None]:
    def start(ready: Ready) -> None:
        tell(name, os.getpid())
        if after_ready:
            ready()
        int("what somebody wrote")

    return start


def stubborn(ready: Ready) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell("stubborn", os.getpid())
    ready()
    while True:
        signal.pause()


def with_grandchild(ready: Ready) -> None:
    tell("grandchild", subprocess.Popen(["sleep", "1000"]).pid)
    worker("a")(ready)


def slow_greeting() -> None:
    greet()
    time.sleep(1000)


def steady() -> int:
    children = [Child("a", worker("a")), Child("b", worker("b")), Child("c", worker("c"), wave=1)]
    return supervisor.run(children, greet, lambda name, pid: tell("reaped", f"{name} {pid}"))


def grandchild() -> int:
    return supervisor.run([Child("a", with_grandchild)], greet)


def hopeless() -> int:
    return supervisor.run([Child("a", worker("a")), Child("b", failing("b"))], greet)


def lame() -> int:
    return supervisor.run([Child("a", worker("a")), Child("b", failing("b"), vital=False)], greet)


def crashing() -> int:
    return supervisor.run([Child("b", failing("b", after_ready=True))])


def slow() -> int:
    return supervisor.run([Child("a", worker("a"))], slow_greeting)


def late() -> int:
    return supervisor.run([Child("stubborn", stubborn)], greet, stop_limit_s=0.2)


def patient() -> int:
    return supervisor.run([Child("stubborn", stubborn)], greet, stop_limit_s=1000)


def told() -> int:
    """One child reads, from the pipe, of the ends of the other."""
    reaped = supervisor.Reaped()

    def keeper(ready: Ready) -> None:
        ready()
        os.set_blocking(reaped.fileno(), True)
        while True:
            tell("keeper", os.read(reaped.fileno(), 1000).decode().strip())

    return supervisor.run([Child("a", worker("a")), Child("keeper", keeper)], greet, reaped.tell)


def claimed() -> int:
    supervisor.claim(FOLDER)
    return steady()


# The servers.


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        tell("shutdown", os.getpid())
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/fault":
        int("what somebody wrote")
    if scope["method"] == "POST":
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
    if scope["path"] == "/slow":
        while not (FOLDER / "go").exists():  # noqa: ASYNC110  another process says go
            await asyncio.sleep(0.01)
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


def serving(**tls: Path) -> int:
    log.set_up(FOLDER / "log", "worker")
    listener = server.listen("127.0.0.1", 0)
    context = server.tls(**tls) if tls else None
    children = [Child(f"worker-{n}", lambda ready: server.serve(app, listener, ready, tls=context)) for n in (1, 2)]
    return supervisor.run(children, lambda: tell("port", listener.getsockname()[1]))


def serving_tls() -> int:
    return serving(certificate=FOLDER / "cert.pem", private_key=FOLDER / "key.pem")


def serving_impatient() -> int:
    server.HEAD_TIME_S_MAX = server.BODY_TIME_S_MAX = 0.2  # type: ignore[misc]
    return serving()


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1]]())
