"""The local language model: llama.cpp's server on a unix socket, in a process that keeps no prompt.

llama.cpp is written for one user who likes to be remembered. Five of its habits are ended here:

- A slot keeps its last prompt, and a request that says `cache_prompt` is answered faster when it begins like the one before
  it, whoever sent that: `to_theirs` lets no such field through. The prompt cache in RAM (8 GiB unless told) is off.
- Memory that it frees keeps its text. The process starts with glibc told to overwrite what is freed at once.
- The thread that read a request keeps up to 16 KB of it on its stack until it reads another. The one permanent thread of its
  HTTP server is kept busy for ever (`_occupy`), so that requests get threads that end, with their stacks, 3 s later.
- A schema for the answer becomes a grammar: one that refers to itself ends the process, and one with many alternatives keeps
  every other request waiting for as long as it likes. So there is none (`_form`).
- Slots, their former tasks and the input buffer keep tokens until overwritten. When the engine comes to rest, `_forget` has
  it read a text of ours in all of them. What was computed from the tokens (the attention cache) is dropped, together with
  the model, when nothing was asked for `IDLE_S`; the next request loads it again (0.5 s).

It also prints parts of requests when it dislikes a grammar, at any log level: so after loading it has no output at all.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import resource
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from avow.base.errors import AvowError, BadInput
from avow.engines import model

MODEL = "avow/smollm2-135m"
CONTEXT_TOKENS = 4096  # prompt and answer together, for each of the PARALLEL requests; others wait their turn
OUTPUT_TOKENS_MAX = 2048
TOKEN_BYTES_MAX = 81  # of the model's vocabulary: a line feed and eighty spaces
MESSAGE_TOKENS_MIN = 4  # what the chat template writes around each message
PARALLEL = 2
LOGPROBS_MAX = 20  # of one token, as OpenAI has it: without a bound the whole vocabulary, for each token anew
IDLE_S = 60
SOCKET_PATH_BYTES_MAX = 90

# One step of reading a prompt; a client that leaves is noticed between steps.
_BATCH_TOKENS = 128
_THREADS_MAX = 4
_NICENESS = 5
_LOOKS = 6
_REST_CPU_S = 0.01
_PR_SET_PDEATHSIG = 1
_TUNABLES = "glibc.malloc.tcache_count=0:glibc.malloc.perturb=170:glibc.pthread.stack_cache_size=0"
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "LANG", "LC_ALL")

# What a client may decide. llama.cpp has many more fields; some name slots, caches, adapters or files.
_FIELDS = frozenset(
    {
        "temperature",
        "top_p",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
    }
)
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_OF_TOOLS = frozenset(("tool", "function"))


class SocketUnsafe(AvowError):
    """The engine's socket needs a short path in a folder that belongs to this user alone (mode 0700)."""

    code = "engine_socket_unsafe"
    hint = "Give the engine a path of at most 90 bytes in a folder made with mode 0700 by the user that runs Avow."


class EngineFailed(AvowError):
    """The local language model did not start."""

    status = 503
    code = "engine_failed"
    hint = "Its reason stands above in the output of the process; there must be about 400 MB of free memory."


class TextOnly(BadInput):
    """This model reads text only: a message is a role and a text, or a list of parts of type text."""

    code = "text_only"
    hint = "Leave out images, audio, files and tool calls, or choose another model."


class MessageUnfit(BadInput):
    """A message needs a `role` that this model knows and a `content`."""

    code = "message_unfit"
    hint = "Nothing was charged. Correct the field that is named and send the request again."


class FormUnfit(BadInput):
    """This model answers in text or in JSON of any form, with at most 20 log probabilities of a token."""

    code = "answer_form_unfit"
    hint = "Nothing was charged. Send no schema, as `response_format` only `text` or `json_object`; or choose another model."


class PromptTooLong(BadInput):
    """The prompt is longer than this model can read."""

    code = "context_length_exceeded"
    hint = f"Nothing was charged. This model reads {CONTEXT_TOKENS} tokens: send less of the conversation, or choose another."


@dataclass(frozen=True, slots=True)
class Engine:
    """A local language model as the gateway's upstream table sees it.

    Closing the connection stops it. A connection serves one request (send `Connection: close`): after a stream llama.cpp
    closes it unannounced, and its thread, which holds the text of the request, ends only with the connection.
    """

    socket_path: Path
    api_key: str = field(repr=False)


def fits(text_bytes: int, messages: int) -> bool:
    """Whether messages with so many bytes of text may fit into the context; if not, no tokenizer could make them fit."""
    return -(-text_bytes // TOKEN_BYTES_MAX) + messages * MESSAGE_TOKENS_MIN <= CONTEXT_TOKENS


def to_theirs(request: Mapping[str, Any]) -> dict[str, Any]:
    """What is sent to the engine for an OpenAI chat completion `request`: known fields, and those that nobody may choose.

    Always a stream, with progress events while the prompt is read: only so does llama.cpp notice early that a client has
    left. Raises `TextOnly`, `MessageUnfit`, `FormUnfit` or `PromptTooLong`: a long text would keep llama.cpp from everybody
    else while it is cut up.
    """
    messages = [_message(said, f"messages[{number}]") for number, said in enumerate(request["messages"])]
    if not fits(sum(len(said["content"].encode()) for said in messages), len(messages)):
        raise PromptTooLong(param="messages")
    asked = [request.get("max_completion_tokens"), request.get("max_tokens"), OUTPUT_TOKENS_MAX]
    _check_logprobs(request.get("top_logprobs"))
    return {
        **{name: request[name] for name in _FIELDS & request.keys()},
        **_form(request.get("response_format")),
        "model": MODEL,
        "messages": messages,
        "max_tokens": min(tokens for tokens in asked if tokens is not None),
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "cache_prompt": False,
    }


def serve(socket_path: Path, api_key: str, ready: int, idle_s: int = IDLE_S) -> NoReturn:
    """Become the engine; call it in a forked child, it never returns.

    `ready` is the write end of a pipe: one byte is written when the engine answers; it closes without one when the engine
    could not start. The program is replaced (exec), so that nothing the parent knew is in the memory of code that parses
    strangers' text; the key travels through a pipe, not the command line. It ends with the thread that forked it.
    """
    _end_with_parent()
    key_out, key_in = os.pipe()
    os.write(key_in, api_key.encode())
    os.dup2(key_out, 0)
    os.dup2(ready, 3)
    os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    command = [sys.executable, "-m", "avow.engines.llm", str(socket_path), str(idle_s)]
    os.execve(command[0], command, {**environment, "GLIBC_TUNABLES": _TUNABLES})  # noqa: S606


def main() -> None:
    """The replaced program: key on standard input, `ready` as descriptor 3."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run(Path(sys.argv[1]), sys.stdin.read(), 3, int(sys.argv[2]))
    except AvowError as error:
        sys.exit(f"{error.sentence} {error.hint}")


def run(socket_path: Path, api_key: str, ready: int, idle_s: int) -> NoReturn:
    """Load the model, answer on the socket, and stay. Raises `SocketUnsafe`, `ModelMissing`, `ModelAltered` or
    `EngineFailed`."""
    _prepare(socket_path)
    # A limit of one byte also refuses a dump that the kernel pipes into a program; zero does not.
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    os.nice(_NICENESS)
    server = _start(model.locate(), socket_path, api_key, idle_s)
    _fall_silent()
    occupied = _occupy(socket_path, api_key)
    os.write(ready, b"1")
    os.close(ready)
    _stay(server, occupied, lambda: _forget(socket_path, api_key), idle_s / _LOOKS)


def _message(said: Mapping[str, Any], where: str) -> dict[str, str]:
    """A message with its text alone; `where` it stands is told. Raises `TextOnly` or `MessageUnfit`."""
    role, content = str(said.get("role")), said.get("content")
    if role in _OF_TOOLS or said.get("tool_calls"):
        raise TextOnly(param=where)
    if role not in _ROLES:
        known = ", ".join(f"`{name}`" for name in _ROLES)
        raise MessageUnfit(f"The `role` in {where} is none that this model knows: {known}.", param=f"{where}.role")
    if content is None:
        raise MessageUnfit(f"The `content` in {where} is missing.", param=f"{where}.content")
    if isinstance(content, list):
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            raise TextOnly(param=f"{where}.content")
        content = "\n".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str):
        raise TextOnly(param=f"{where}.content")
    return {"role": _ROLES[role], "content": content}


def _form(wanted: Any) -> dict[str, Any]:
    """The form of the answer as it is sent. Raises `FormUnfit`."""
    kind = wanted.get("type") if isinstance(wanted, dict) else "text" if wanted is None else None
    if kind not in ("text", "json_object"):
        raise FormUnfit(param="response_format")
    return {} if kind == "text" else {"response_format": {"type": kind}}


def _check_logprobs(count: Any) -> None:
    if count is not None and (not isinstance(count, int) or count > LOGPROBS_MAX):
        raise FormUnfit(param="top_logprobs")


def _prepare(socket_path: Path) -> None:
    """See that nobody else can reach the socket, and remove what an engine that was killed left there."""
    try:
        folder = socket_path.parent.lstat()
    except OSError:
        raise SocketUnsafe from None
    private = stat.S_ISDIR(folder.st_mode) and folder.st_uid == os.geteuid() and not folder.st_mode & 0o077
    if not private or len(os.fsencode(socket_path)) > SOCKET_PATH_BYTES_MAX:
        raise SocketUnsafe
    socket_path.unlink(missing_ok=True)
    os.umask(0o177)


def _start(file: Path, socket_path: Path, api_key: str, idle_s: int) -> object:
    import xllamacpp

    params = xllamacpp.CommonParams()
    # Threads wait for each other many times per token: one that must share its core stops them all. Half the cores are
    # left to the rest of the platform (on two busy cores: one thread 15 to 40 tokens/s, two threads 2 to 60).
    threads = max(1, min(len(os.sched_getaffinity(0)) // 2, _THREADS_MAX))
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    settings = {
        "hostnames": [str(socket_path)],
        "api_keys": [api_key],
        "model_alias": {MODEL},
        "n_parallel": PARALLEL,
        "n_ctx": CONTEXT_TOKENS * PARALLEL,
        "n_batch": _BATCH_TOKENS,
        "n_ubatch": _BATCH_TOKENS,
        "n_threads_http": 1,
        "cache_prompt": False,
        "cache_idle_slots": False,
        "cache_ram_mib": 0,
        "n_ctx_checkpoints": 0,
        "sleep_idle_seconds": idle_s,
        "endpoint_slots": False,
        "endpoint_metrics": False,
        "endpoint_props": False,
        "ui": False,
        "cors_origins": "",
        "offline": True,
        "verbosity": 1,
    }
    for name, value in settings.items():
        setattr(params, name, value)
    params.model.path = str(file)
    try:
        return xllamacpp.Server(params)
    except RuntimeError:
        raise EngineFailed from None


def _fall_silent() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _connect(socket_path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(socket_path))
    return connection


def _occupy(socket_path: Path, api_key: str) -> socket.socket:
    """Begin a request that never ends, so that the HTTP server's permanent thread reads no other."""
    connection = _connect(socket_path)
    lines = ["POST /tokenize HTTP/1.1", "Host: engine", f"Authorization: Bearer {api_key}", "Content-Length: 100000000"]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def _forget(socket_path: Path, api_key: str) -> None:
    """Write over all tokens that earlier requests left: a text longer than one step, in every slot at once."""
    request = {
        "messages": [{"role": "user", "content": "a " * (_BATCH_TOKENS + 1)}],
        "max_tokens": 1,
        "n": PARALLEL,
    }
    connection = http.client.HTTPConnection("engine")
    connection.sock = _connect(socket_path)
    headers = {"Authorization": f"Bearer {api_key}", "Connection": "close"}
    connection.request("POST", "/v1/chat/completions", json.dumps(request), headers)
    connection.getresponse().read()
    connection.close()


def _stay(_server: object, occupied: socket.socket, forget: Callable[[], None], look_s: float) -> NoReturn:
    """Keep the server and the endless request (llama.cpp waits 3,600 s for its next byte); forget after each time of work.

    Whether it worked is read from its CPU time, which does not move at rest.
    """
    worked, used_s = False, time.process_time()
    while True:
        time.sleep(look_s)
        occupied.sendall(b" ")
        before, worked = worked, time.process_time() - used_s > _REST_CPU_S
        if before and not worked:
            forget()
        used_s = time.process_time()


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent dies; the setting survives exec."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
