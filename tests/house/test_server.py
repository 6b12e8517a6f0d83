"""Listening, with real sockets: workers that share one, TLS, and clients that mean no good."""

from __future__ import annotations

import datetime
import http.client
import os
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from avow import server
from tests import LIMIT_S
from tests.house.conftest import Tree

Grow = Callable[[str], Tree]


def get(tree: Tree, path: str = "/", context: ssl.SSLContext | None = None) -> http.client.HTTPResponse:
    port = tree.pid("port")
    if context:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", path)
    return connection.getresponse()


def answering_pid(tree: Tree) -> int:
    return int(get(tree).read().split()[1])


def connect(tree: Tree) -> socket.socket:
    return socket.create_connection(("127.0.0.1", tree.pid("port")), timeout=LIMIT_S)


def read_all(client: socket.socket) -> bytes:
    """What came until the server closed; a reset is a way to close."""
    told = b""
    try:
        while piece := client.recv(65536):
            told += piece
    except ConnectionError:
        pass
    return told


def logged(tree: Tree) -> str:
    return "".join(path.read_text() for path in (tree.folder / "log").glob("*.jsonl"))


def certificate(folder: Path, name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    (folder / f"{name.replace('cert', 'key')}.pem").write_bytes(private)


def test_workers_share_a_socket_and_one_answers_while_the_other_is_dead(tree: Grow) -> None:
    serving = tree("serving")
    serving.until_told("port")
    first = answering_pid(serving)
    os.kill(first, signal.SIGSTOP)
    assert first not in {answering_pid(serving) for _ in range(20)}
    os.kill(first, signal.SIGKILL)
    serving.until(lambda: "it starts again" in serving.errors())
    assert first not in {answering_pid(serving) for _ in range(20)}


def test_nothing_says_what_serves(tree: Grow) -> None:
    serving = tree("serving")
    serving.until_told("port")
    assert get(serving).getheader("server") is None


def test_an_open_answer_is_finished_when_the_server_is_told_to_stop(tree: Grow) -> None:
    serving = tree("serving")
    serving.until_told("port")
    answer = get(serving, "/slow")
    assert answer.read(6) == b"begun "
    serving.process.send_signal(signal.SIGTERM)
    serving.until_told("shutdown")  # the worker without an open answer
    (serving.folder / "go").touch()
    assert answer.read().isdigit()
    assert serving.process.wait(60) == 0
    assert len(serving.lines("shutdown")) == 2


def test_an_unexpected_error_is_logged_without_its_words(tree: Grow) -> None:
    serving = tree("serving")
    serving.until_told("port")
    assert get(serving, "/fault").status == 500
    serving.until(lambda: '"error":"ValueError","where":' in logged(serving))
    assert "what somebody wrote" not in logged(serving) + serving.errors()


@pytest.mark.parametrize("line", [b"x-long: " + b"a" * 1024, b"x: y\r\n" * 128])
def test_a_head_without_end_is_refused(tree: Grow, line: bytes) -> None:
    serving = tree("serving")
    serving.until_told("port")
    client = connect(serving)
    client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n" + line)
    sent = 0
    try:
        while sent < 16 * 2**20:
            sent += client.send(line[-1024:] if b"\n" in line else b"a" * 1024)
    except ConnectionError:
        pass
    assert sent < 16 * 2**20, "the server read on and on"
    assert get(serving).status == 200


def test_a_head_in_pieces_below_the_limit_is_read(tree: Grow) -> None:
    serving = tree("serving")
    serving.until_told("port")
    client = connect(serving)
    for piece in (
        b"GET / HT",
        b"TP/1.1\r\nhost: a\r\nx: " + b"a" * 30_000,
        b"a" * 30_000,
        b"\r\nconnection: close\r\n\r\n",
    ):
        client.sendall(piece)
    assert read_all(client).startswith(b"HTTP/1.1 200")


def test_a_large_body_is_no_head(tree: Grow) -> None:
    serving = tree("serving")
    serving.until_told("port")
    client = connect(serving)
    client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 300000\r\n\r\n")
    client.sendall(b"a" * 300_000)
    assert b" 200 " in read_all(client)


@pytest.mark.parametrize("line", [b"x: " + b"y" * 1000 + b"\r\n", b"y" * 1000])
def test_trailers_without_end_close_the_connection(tree: Grow, line: bytes) -> None:
    serving = tree("serving")
    serving.until_told("port")
    client = connect(serving)
    client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y")
    sent = 0
    try:
        while sent < 16 * 2**20:
            sent += client.send(line)
    except ConnectionError:
        pass
    assert sent < 16 * 2**20, "the server read on and on"
    assert get(serving).status == 200


def test_a_chunked_body_with_a_trailer_is_read(tree: Grow) -> None:
    serving = tree("serving")
    serving.until_told("port")
    client = connect(serving)
    client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(200):
        client.sendall(b"400\r\n" + b"a" * 1024 + b"\r\n")
    client.sendall(b"0\r\nx: y\r\n\r\n")
    assert b" 200 " in read_all(client)


@pytest.mark.parametrize("length", [b"content-length: 9", b"transfer-encoding: chunked"])
def test_a_body_that_does_not_come_closes_the_connection(tree: Grow, length: bytes) -> None:
    serving = tree("serving_impatient")
    serving.until_told("port")
    client = connect(serving)
    client.sendall(b"POST / HTTP/1.1\r\nhost: a\r\n" + length + b"\r\n\r\n")
    client.settimeout(20)
    read_all(client)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nhost: a\r\n"])
def test_a_head_that_does_not_come_closes_the_connection(tree: Grow, begun: bytes) -> None:
    serving = tree("serving_impatient")
    serving.until_told("port")
    client = connect(serving)
    client.sendall(begun)
    assert read_all(client) == b""


def test_garbage_is_refused_and_served_on(tree: Grow) -> None:
    serving = tree("serving")
    serving.until_told("port")
    client = connect(serving)
    client.sendall(b"\x16\x03\x01\x02\x00\x01\x00 what somebody wrote\r\n\r\n")
    assert read_all(client).startswith(b"HTTP/1.1 400")
    assert get(serving).status == 200
    assert "what somebody wrote" not in logged(serving) + serving.errors()


def test_tls_is_1_3_or_nothing(tree: Grow, tmp_path: Path) -> None:
    certificate(tmp_path, "cert")
    serving = tree("serving_tls")
    serving.until_told("port")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    assert get(serving, context=context).status == 200
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        get(serving, context=context)


def test_a_key_of_another_certificate_is_refused_with_its_name(tmp_path: Path) -> None:
    certificate(tmp_path, "cert")
    certificate(tmp_path, "other-cert")
    with pytest.raises(server.CertificateUnusable, match=r"cert\.pem and .*other-key\.pem"):
        server.tls(tmp_path / "cert.pem", tmp_path / "other-key.pem")
    with pytest.raises(server.CertificateUnusable, match=r"no\.pem"):
        server.tls(tmp_path / "no.pem", tmp_path / "key.pem")


def test_a_taken_port_is_named_with_a_way_out() -> None:
    with server.listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(server.CannotListen, match=f"127.0.0.1:{port} is taken") as caught:
            server.listen("127.0.0.1", port)
    assert "AVOW_PORT" in caught.value.hint


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(server.CannotListen, match="not an address of this machine"):
        server.listen("192.0.2.1", 0)
