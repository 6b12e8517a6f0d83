"""The process: what it forgets, what it never writes, what it does not know, and when it ends."""

from __future__ import annotations

import os
import secrets
import signal
import struct
from pathlib import Path

import pytest

from avow.engines import llm

from .conftest import Running, fork_engine, heard, running, wait_until

COMPLETIONS = "/v1/chat/completions"


def test_the_text_of_a_request_leaves_the_memory(engine: Running) -> None:
    begin = secrets.token_hex(4).encode()
    markers = [begin + secrets.token_hex(8).encode() for _ in range(100)]
    text = b" ".join(markers).decode()
    request = llm.to_theirs({"messages": [{"role": "user", "content": text}], "max_tokens": 20})
    with engine.client() as client, client.stream("POST", COMPLETIONS, json=request) as answer:
        assert next(answer.iter_raw())
        assert engine.finds(*markers, begin=begin) == set(markers), "the scan finds what is there"
    wait_until(lambda: not engine.finds(*markers, begin=begin), pause_s=1)


def test_the_tokens_of_a_request_leave_the_memory_when_it_rests(engine: Running, sleeper: Running) -> None:
    text = "The" + "".join(f" harbour {secrets.token_hex(16)}" for _ in range(8))
    with engine.client() as other:
        [word] = other.post("/tokenize", json={"content": " harbour"}).json()["tokens"]
        tokens = other.post("/tokenize", json={"content": text}).json()["tokens"]
    runs = [struct.pack("8i", *tokens[n : n + 8]) for n, token in enumerate(tokens) if token == word]
    begin = struct.pack("i", word).rstrip(b"\0")
    assert len(runs) == 8
    request = llm.to_theirs({"messages": [{"role": "user", "content": text}], "max_tokens": 20})
    with sleeper.client() as client, client.stream("POST", COMPLETIONS, json=request) as answer:
        for part in answer.iter_raw():
            if b'"content":"' in part:
                break
        assert sleeper.finds(*runs, begin=begin) == set(runs), "the scan finds what is there"
    wait_until(lambda: not sleeper.finds(*runs, begin=begin), pause_s=1)


def test_when_nothing_is_asked_the_model_leaves_the_memory_and_comes_back(sleeper: Running) -> None:
    request = llm.to_theirs({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2})
    with sleeper.client() as client:
        for _ in range(2):
            assert client.post(COMPLETIONS, json=request).status_code == 200
            awake_kb = sleeper.resident_kb()
            wait_until(lambda: sleeper.resident_kb() < awake_kb / 2)  # noqa: B023


def test_nothing_of_a_request_is_ever_written(engine: Running) -> None:
    marker = secrets.token_hex(12)
    said = [{"role": "user", "content": marker}]
    schema = {"type": "json_schema", "json_schema": {"schema": {"type": "string", "pattern": f"{marker}(("}}}
    with engine.client() as client:
        client.post(COMPLETIONS, json=llm.to_theirs({"messages": said, "max_tokens": 4}))
        client.post(COMPLETIONS, json={"messages": said, "max_tokens": 4, "response_format": schema})
        client.post(COMPLETIONS, json={"messages": said, "grammar": marker})
        client.post(COMPLETIONS, json={"messages": marker})
        client.post(COMPLETIONS, content=f'{{"{marker}')
        client.get(f"/{marker}")
    folder = engine.engine.socket_path.parent
    assert {path.name for path in folder.iterdir()} == {"engine.sock", "log"}
    assert marker not in engine.log.read_text()
    outputs = {str(Path(f"/proc/{engine.pid}/fd/{number}").readlink()) for number in (1, 2)}
    assert outputs == {os.devnull}


def test_it_knows_neither_the_parents_environment_nor_its_key_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secrets.token_hex(12)
    monkeypatch.setenv("AVOW_MASTER_KEY", secret)
    with running() as made:
        process = Path(f"/proc/{made.pid}")
        told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        assert secret.encode() not in told
        assert made.engine.api_key.encode() not in told
        assert not made.finds(secret.encode())


def test_it_writes_no_core_dump_and_its_socket_is_private(engine: Running) -> None:
    limits = Path(f"/proc/{engine.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["1", "1"]
    assert engine.engine.socket_path.stat().st_mode & 0o777 == 0o600


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    pid_out, pid_in = os.pipe()
    parent = os.fork()
    if parent == 0:
        try:
            child, ready = fork_engine(tmp_path / "s", "key", tmp_path / "log", llm.IDLE_S)
            heard(ready)
            os.write(pid_in, str(child).encode())
            signal.pause()
        finally:
            os._exit(70)
    child = int(os.read(pid_out, 20))
    assert Path(f"/proc/{child}").exists()
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    wait_until(lambda: not Path(f"/proc/{child}/exe").exists())


def test_a_socket_left_by_a_killed_engine_is_replaced(tmp_path: Path) -> None:
    with running() as made:
        path = made.engine.socket_path
        os.kill(made.pid, signal.SIGSTOP)
        pid, ready = fork_engine(path, "other", tmp_path / "log", llm.IDLE_S)
        assert heard(ready) == b"1"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o770])
def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    pid, ready = fork_engine(folder / "s", "key", tmp_path / "log", llm.IDLE_S)
    assert heard(ready) == b""
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert llm.SocketUnsafe().sentence in (tmp_path / "log").read_text()


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 90)
    folder.mkdir(mode=0o700)
    pid, ready = fork_engine(folder / "s", "key", tmp_path / "log", llm.IDLE_S)
    assert heard(ready) == b""
    os.waitpid(pid, 0)
    assert "90 bytes" in (tmp_path / "log").read_text()
