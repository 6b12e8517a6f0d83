"""The probe of listeners, tried on the sockets of a process of its own, beside which no platform runs."""

import multiprocessing
import socket
from pathlib import Path

from avow.proof import hygiene


def test_a_listener_elsewhere_is_seen(tmp_path: Path) -> None:
    alone = multiprocessing.get_context("spawn").Process(target=look, args=(tmp_path,))
    alone.start()
    alone.join()
    assert alone.exitcode == 0


def look(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as front:
        port = front.getsockname()[1]
        assert hygiene._look_at_listeners(tmp_path, "127.0.0.1", port).verdict == "proved"
        with socket.create_server(("127.0.0.1", 0)) as other:
            seen = hygiene._look_at_listeners(tmp_path, "127.0.0.1", port)
            assert seen.verdict == "failed" and str(other.getsockname()[1]) in seen.figure
    with socket.create_server(("0.0.0.0", 0)) as wide:
        assert hygiene._look_at_listeners(tmp_path, "127.0.0.1", wide.getsockname()[1]).verdict == "failed"
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
        port = six.getsockname()[1]
        assert hygiene._look_at_listeners(tmp_path, "::1", port).verdict == "proved"
        assert hygiene._look_at_listeners(tmp_path, "127.0.0.1", port).verdict == "failed"
    assert hygiene._look_at_listeners(tmp_path, "127.0.0.1", port).verdict == "unproved"
