"""Requests to every surface with a marker in each place, answered or failed in every way."""

from __future__ import annotations

import itertools
import json
import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

import httpx

from avow.gateway.picture_formats import drawn
from avow.gateway.scripted import Script
from tests.gateway import shown
from tests.gateway.sound import wav
from tests.test_markers import Markers
from tests.upstream import DEAD_MODEL, MODEL, Upstream

CLAUDE = "scripted/claude"
SURFACES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "WORD"}]},
    "/v1/completions": {"prompt": ["WORD"], "suffix": "WORD"},
    "/v1/responses": {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "WORD"}]}],
        "instructions": "WORD",
    },
    "/v1/embeddings": {"input": ["WORD"]},
    "/v1/moderations": {"input": "WORD"},
    "/v1/rerank": {"query": "WORD", "documents": ["WORD"]},
    "/v1/images/generations": {"prompt": "WORD"},
    "/v1/messages": {"max_tokens": 9, "system": "WORD", "messages": [{"role": "user", "content": "WORD"}]},
    "/v1/messages/count_tokens": {"messages": [{"role": "user", "content": "WORD"}]},
}
SPEECH = {"input": "WORD", "instructions": "WORD", "voice": {"id": "WORD"}}
FORMS = {
    "/v1/images/edits": ("image", "png"),
    "/v1/images/variations": ("image", "png"),
    "/v1/audio/transcriptions": ("file", "mp3"),
    "/v1/audio/translations": ("file", "mp3"),
}
SEES = ("--picture-tokens", "1500")
SHOW = ("/v1/chat/completions", "/v1/messages", "/v1/responses")
STREAMS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
PERSONAL = {"user": "WORD", "metadata": {"user_id": "WORD", "about": "WORD"}, "safety_identifier": "WORD"}


def body(mark: Markers, path: str, place: str, **changed: Any) -> bytes:
    """A valid request of a surface with a marker for each word."""
    model = CLAUDE if path.endswith("count_tokens") else MODEL
    text = json.dumps({"model": model, **SURFACES.get(path, SPEECH), **PERSONAL, **changed})
    number = 0
    while "WORD" in text:
        text = text.replace("WORD", mark(f"{place} {path} {number}"), 1)
        number += 1
    return text.encode()


def form(mark: Markers, path: str, place: str, **changed: str) -> tuple[bytes, str]:
    """A valid form with a marker for each word, the name of its file and what is in it; and its content type."""
    field, ending = FORMS[path]
    words = {
        name: mark(f"{place} {path} {name}") for name in ("prompt", "user", "metadata[about]", "safety_identifier")
    }
    name, content = mark(f"{place} {path} file name"), mark(f"{place} {path} content").encode()
    content = wav(content) if ending == "mp3" else shown.png(rows=content)
    fields = {"model": MODEL, **words, **changed}
    request = httpx.Request("POST", "http://x", data=fields, files={field: (f"{name}.{ending}", content)})
    return request.read(), request.headers["content-type"]


def encoded(mark: Markers, place: str) -> bytes:
    """A marker that is looked for as it is and as Base64, where three bytes before it end a group."""
    word = mark(place)
    mark.planted[f"{place}, encoded"] = b64encode(word.encode()).decode()
    return word.encode()


def picture(mark: Markers, place: str) -> str:
    """A picture in Base64, with a marker in what draws it, and others in what says where it was taken."""
    said, rows = encoded(mark, f"{place}, comment"), encoded(mark, f"{place}, drawn")
    for before, behind, within in itertools.product(range(3), repeat=3):
        data = shown.png(said=bytes(before) + said + bytes(behind), rows=bytes(within) + rows)
        text, left = b64encode(data).decode(), b64encode(drawn(data).data).decode()
        if b64encode(said).decode() in text and b64encode(rows).decode() in text and b64encode(rows).decode() in left:
            return text
    raise AssertionError("no marker stands at the begin of a group")


def showing(mark: Markers, path: str, place: str, **changed: Any) -> bytes:
    """A request that shows a picture beside its words."""
    data = picture(mark, f"{place} {path}")
    url = f"data:image/png;base64,{data}"
    parts: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"type": "image_url", "image_url": {"url": url}},
        "/v1/messages": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        "/v1/responses": {"type": "input_image", "image_url": url},
    }
    said = {"role": "user", "content": [parts[path]]}
    return body(mark, path, place, **{"input" if path == "/v1/responses" else "messages": [said]}, **changed)


def batch_file(mark: Markers, place: str) -> tuple[bytes, str]:
    """A form with a file for a batch, a marker for its name and for each word of its two requests."""
    lines = [
        {
            **{"custom_id": mark(f"{place} custom id {number}"), "method": "POST", "url": "/v1/chat/completions"},
            "body": json.loads(body(mark, "/v1/chat/completions", f"{place} line {number}")),
        }
        for number in range(2)
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    named = {"file": (f"{mark(f'{place} file name')}.jsonl", content)}
    request = httpx.Request("POST", "http://x", data={"purpose": "batch"}, files=named)
    return request.read(), request.headers["content-type"]


@dataclass
class Asker:
    """Somebody who plants a marker in every place of every request, whatever becomes of it."""

    http: httpx.Client
    upstream: Upstream
    key: str
    mark: Markers = field(default_factory=Markers)

    def post(self, path: str, content: bytes, *status: int, kind: str = "application/json") -> httpx.Response:
        """Send a request that has to end with one of these."""
        heads = {
            "anthropic-version": self.mark("version"),
            "anthropic-beta": self.mark(f"beta {len(self.mark.planted)}"),
        }
        given = {"authorization": f"Bearer {self.key}", "content-type": kind, **heads}
        answer = self.http.post(path, content=content, headers=given)
        assert answer.status_code in status, (path, status, answer.text)
        return answer

    def say(self, path: str) -> None:
        """A surface that takes JSON: its answers, and each way in which there is none."""
        mark, upstream = self.mark, self.upstream
        self.post(path, body(mark, path, "answered"), 200)
        upstream.answer(Script(tokens=(mark(f"said {path}"), " and more"), thinking=mark(f"thought {path}")))
        self.post(path, body(mark, path, "told"), 200)
        for status, told in ((400, 400), (429, 503)):
            fault = Script(status=status, error_text=mark(f"no {path} {status}"))
            upstream.answer(fault)
            refused = self.post(path, body(mark, path, f"refused {status}"), told)
            assert fault.error_text not in refused.text
        upstream.answer(Script(garbage_after=0))
        self.post(path, body(mark, path, "garbage"), 502)
        upstream.answer(Script())
        self.post(path, body(mark, path, "answered again"), 200)
        self.post(path, body(mark, path, "broken JSON")[:-1], 400)
        self.post(path, body(mark, path, "wrong type", model={mark("model"): 1}), 400)
        self.post(path, body(mark, path, "no such model", model=mark(f"unknown {path}")), 404)
        down = (400,) if path.endswith("count_tokens") else (502, 503)
        self.post(path, body(mark, path, "down", model=DEAD_MODEL), *down)
        if path in ("/v1/chat/completions", "/v1/responses"):
            self.post(path, body(mark, path, "stored", store=True), 403)

    def fill_in(self, path: str) -> None:
        """A surface that takes a form: whole, half, refused, for a model that is not there."""
        mark, upstream = self.mark, self.upstream
        upstream.answer(Script(tokens=(mark(f"said {path}"), " and more")))
        content, kind = form(mark, path, "answered")
        self.post(path, content, 200, kind=kind)
        self.post(path, content[: len(content) // 2], 400, kind=kind)
        for status, told in ((400, 400), (429, 503)):
            upstream.answer(Script(status=status, error_text=mark(f"no {path} {status}")))
            content, kind = form(mark, path, f"refused {status}")
            self.post(path, content, told, kind=kind)
        upstream.answer(Script())
        content, kind = form(mark, path, "no such model", model=mark(f"unknown {path}"))
        self.post(path, content, 404, kind=kind)

    def show(self, path: str) -> None:
        """A picture beside the words: seen, streamed, for a model without eyes, elsewhere, broken, refused."""
        mark, upstream = self.mark, self.upstream
        for model in (MODEL, CLAUDE):
            self.post(path, showing(mark, path, f"shown {model}", model=model), 200)
            self.post(path, showing(mark, path, f"streamed picture {model}", model=model, stream=True), 200)
        self.post(path, showing(mark, path, "picture for nobody", model=DEAD_MODEL), 400)
        far = json.dumps(f"https://example.org/{mark(f'far {path}')}.png").encode()
        elsewhere = showing(mark, path, "picture elsewhere")
        self.post(path, re.sub(rb'"data:[^"]*"|"(?=iVBOR)[^"]*"', far, elsewhere), 400)
        self.post(path, showing(mark, path, "broken picture").replace(b"iVBORw0K", b"aVBORw0K"), 400)
        upstream.answer(Script(status=400, error_text=mark(f"no picture {path}")))
        self.post(path, showing(mark, path, "refused picture"), 400)
        upstream.answer(Script())

    def send_files(self) -> None:
        """Files and batches where nothing is kept."""
        content, kind = batch_file(self.mark, "file that nobody keeps")
        self.post("/v1/files", content, 403, kind=kind)
        self.post("/v1/files", content[: len(content) // 2], 400, kind=kind)
        batch = {"input_file_id": self.mark("file"), "metadata": {"x": self.mark("of a batch")}}
        self.post("/v1/batches", json.dumps(batch).encode(), 400)
        place = f"/v1/files/{self.mark('id of a file')}"
        self.http.get(place, headers={"authorization": f"Bearer {self.key}"})

    def have_read(self) -> None:
        """Words that become speech, or do not."""
        for fault, status in ((Script(), 200), (Script(status=400, error_text=self.mark("no speech")), 400)):
            self.upstream.answer(fault)
            self.post("/v1/audio/speech", body(self.mark, "/v1/audio/speech", f"spoken {status}"), status)

    def listen(self, path: str) -> None:
        """Streams: whole, dying and garbled in the middle."""
        for model in (MODEL, CLAUDE) if path in ("/v1/messages", "/v1/chat/completions") else (MODEL,):
            words = (self.mark(f"streamed {path} {model}"), " and", " more")
            for name, fault in {"whole": {}, "dies": {"die_after": 4}, "garbles": {"garbage_after": 4}}.items():
                self.upstream.answer(Script(tokens=words, **fault))
                content = body(self.mark, path, f"stream {model} {name}", stream=True, model=model)
                self.post(path, content, 200)
        self.upstream.answer(Script())
