"""An upstream that follows a script: a strict double that speaks real HTTP over a real socket.

Strict: a request with a wrong path, credential, content type or body is answered as a provider would answer it, and kept in
`refused`. It cuts its answer at the token limit it was given, as real ones do.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from avow.gateway import scripted_forms
from avow.gateway.scripted_answers import PATHS, event

MODELS = "/v1/models"


@dataclass(frozen=True, slots=True)
class Script:
    """How to answer one request. `tokens` are sent one per chunk; token counts are what usage will say.

    `die_after`, `garbage_after`, `error_after`: chunks after which the connection is cut, nonsense follows, or an error
    chunk follows (in a stream). `gate`: wait for it before each chunk after the first `gate_after`. `progress`: tell how
    far the prompt was read, as the embedded engine does when asked. `tool`: call it, by its name and arguments in JSON.
    `usage_fields`: report this use, in the dialect's own words. `images_fields`: say this of images. `flagged`: a
    moderation objects. `seconds`: how long a recording is. `whole`: answer in JSON where a stream was asked for. `raw`: send
    these bytes and nothing else.
    """

    tokens: tuple[str, ...] = ("Hello", " there", ".")
    prompt_tokens: int = 11
    cached_tokens: int = 0
    status: int = 200
    retry_after_s: int | None = None
    error_text: str = "upstream says no"
    delay_s: float = 0.0
    gate: asyncio.Event | None = None
    gate_after: int = 0
    die_after: int | None = None
    garbage_after: int | None = None
    error_after: int | None = None
    error_code: int = 500
    silent: bool = False
    progress: bool = False
    tool: tuple[str, str] | None = None
    thinking: str = ""
    usage: bool = True
    usage_fields: dict[str, Any] | None = None
    images_fields: dict[str, Any] | None = None
    done: bool = True
    flagged: bool = False
    seconds: float = 4.2
    whole: bool = False
    raw: bytes | None = None


class ScriptedUpstream:
    """`async with ScriptedUpstream("credential") as upstream:` listens on `upstream.url` (or on a unix socket).

    `lives`: whether it answers probes, which are in no list of requests.
    """

    def __init__(self, credential: str = "", script: Script | None = None, *, unix: str | None = None) -> None:
        self.script = script or Script()
        self.requests: list[dict[str, Any]] = []
        self.heads: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.refused: list[str] = []
        self.lives = True
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()
        self.url = "http://engine" if unix else ""
        self._credential = credential
        self._unix = unix
        self._next: deque[Script] = deque()
        self._server: asyncio.Server | None = None

    def then(self, *scripts: Script) -> None:
        """Answer the next requests by these, then by `script` again."""
        self._next.extend(scripts)

    async def __aenter__(self) -> ScriptedUpstream:
        if self._unix:
            self._server = await asyncio.start_unix_server(self._serve, self._unix)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # uvloop says RuntimeError to whoever writes to a connection that the client has closed
        with suppress(asyncio.IncompleteReadError, ConnectionError, RuntimeError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        head = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
        body = await reader.readexactly(int(head.get("content-length", "0")))
        if lines[0] == f"GET {MODELS} HTTP/1.1":
            await self._error(writer, 200 if self.lives else 503, "nobody reads this", None)
            return True
        refusal = self._judge(lines[0], head, body)
        if refusal:
            self.refused.append(refusal)
            await self._error(writer, 401 if "credential" in refusal else 400, refusal, None)
            return True
        self.heads.append(head)
        self.paths.append(lines[0].split(" ")[1])
        self.requests.append(_asked(self.paths[-1], head, body))
        self.arrived.set()
        script = self._next.popleft() if self._next else self.script
        return await self._play(script, self.requests[-1], self.paths[-1], reader, writer)

    def _judge(self, line: str, head: dict[str, str], body: bytes) -> str:
        verb, _, rest = line.partition(" ")
        path = PATHS.get(rest.removesuffix(" HTTP/1.1"))
        if verb != "POST" or path is None:
            return "no such route"
        if self._credential and self._credential not in (
            head.get("authorization", "").removeprefix("Bearer "),
            head.get("api-key"),
            head.get("x-api-key") if head.get("anthropic-version") else None,
        ):
            return "wrong credential"
        if head.get("content-type", "").partition(";")[0] != (
            "multipart/form-data" if path.form else "application/json"
        ):
            return "not a form" if path.form else "not JSON"
        try:
            asked = _asked(rest.removesuffix(" HTTP/1.1"), head, body)
        except ValueError:
            return "not a form" if path.form else "not JSON"
        valid = isinstance(asked, dict) and all(isinstance(asked.get(name), kind) for name, kind in path.needs.items())
        return "" if valid else "a field is missing"

    async def _play(
        self,
        script: Script,
        asked: dict[str, Any],
        path: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        gone = asyncio.create_task(reader.read(1))
        play = asyncio.create_task(self._write(script, asked, path, writer))
        try:
            await asyncio.wait((gone, play), return_when=asyncio.FIRST_COMPLETED)
            if not play.done():
                self.left.set()
                return False
            return await play
        finally:
            play.cancel()
            gone.cancel()
            await asyncio.gather(gone, play, return_exceptions=True)

    async def _write(self, script: Script, asked: dict[str, Any], path: str, writer: asyncio.StreamWriter) -> bool:
        if script.silent:
            await asyncio.Event().wait()
        if script.raw is not None:
            writer.write(script.raw)
            await writer.drain()
            return False
        if script.status != 200:
            await self._error(writer, script.status, script.error_text, script.retry_after_s)
            return True
        if (asked.get("stream") in (True, "true") and not script.whole) or PATHS[path].flows is not None:
            return await self._stream(script, asked, path, writer)
        if script.gate is not None:
            await script.gate.wait()
        if script.die_after is not None:
            return False
        answer = PATHS[path].whole(script, asked)
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        text = b"{not json" if script.garbage_after is not None else text
        kind = b"text/plain" if isinstance(answer, bytes) else b"application/json"
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind, len(text))
        writer.write(head + text)
        await writer.drain()
        return True

    async def _stream(self, script: Script, asked: dict[str, Any], path: str, writer: asyncio.StreamWriter) -> bool:
        flows = PATHS[path].flows
        kind = "text/event-stream" if flows is None else flows(asked)
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        for number, data in enumerate(_events(script, asked, path)):
            if script.gate is not None and number >= script.gate_after:
                await script.gate.wait()
            if script.delay_s:
                await asyncio.sleep(script.delay_s)
            if number == script.die_after:
                return False
            if number == script.garbage_after:
                data = b"data: {not json\n\n"
            if number == script.error_after:
                data = event({"type": "error", "error": {"message": script.error_text, "code": script.error_code}})
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _error(self, writer: asyncio.StreamWriter, status: int, text: str, retry_after_s: int | None) -> None:
        body = json.dumps({"error": {"message": text, "type": "x", "param": None, "code": None}}).encode()
        wait = f"retry-after: {retry_after_s}\r\n" if retry_after_s is not None else ""
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{wait}content-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()


def _events(script: Script, asked: dict[str, Any], path: str) -> list[bytes]:
    made = PATHS[path].events
    assert made is not None, "this path does not stream"
    return made(script, asked)


def _asked(path: str, head: dict[str, str], body: bytes) -> Any:
    """What a request says. Raises ValueError where that cannot be read."""
    return scripted_forms.read(head["content-type"], body) if PATHS[path].form else json.loads(body)
