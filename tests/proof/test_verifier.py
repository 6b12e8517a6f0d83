"""What a service can show a visitor, and what the visitor makes of it: a service that hides or fakes never ends well."""

from __future__ import annotations

import hashlib
import html
import json
import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer, ThreadingTCPServer
from threading import Event, Thread
from typing import Any

import pytest

from avow.base.errors import NotFound
from avow.proof import verifier
from avow.proof.log import Log
from avow.proof.receipts import Receipts
from avow.proof.verifier import Checkpoint, Missing
from avow.vault import Ring, tlog
from tests.conftest import Databases

PROBE, HASH = "sums", "a policy"
CLAUSES = [{"id": id, "sentence": {"en": f"{id} & more", "zh": f"{id}。"}, "probes": [PROBE]} for id in ("one", "two")]
HIDDEN: dict[str, Any] = {"id": "three", "sentence": {"en": "three", "zh": "三"}}
IN_FORCE = tlog.spelled(
    {
        "hash": HASH,
        "sentences": {
            each["id"]: {"sha256": hashlib.sha256(tlog.spelled(each["sentence"])).hexdigest(), "needs": needs}
            for each, needs in [*((clause, None) for clause in CLAUSES), (HIDDEN, "ads")]
        },
    }
)


@dataclass
class Service:
    """All that a service answers; a test changes what it wants."""

    made: Log
    signer: Receipts
    told: dict[str, Any]
    policy: dict[str, Any]
    answers: dict[str, bytes] = field(default_factory=dict)

    def get(self, path: str, most: int) -> bytes:
        if path in self.answers:
            return self.answers[path]
        if path == "api/proof/sentences":
            return json.dumps(self.told).encode()
        if path == ".well-known/avow-policy.json":
            return self.signer(self.policy)
        if path.startswith("privacy?locale="):
            texts = {each["id"]: each["sentence"][path[-2:]] for each in self.policy["clauses"]}
            return "".join(
                f'<li id="{id}"><span>{html.escape(text)}</span></li>' for id, text in texts.items()
            ).encode()
        if path == ".well-known/avow-receipt-key":
            return json.dumps({"log": str(self.made.key)}).encode()
        try:
            return self.made.resource(path.removeprefix("log/"))
        except NotFound:
            raise Missing(path) from None

    async def grow(self, databases: Databases) -> None:
        """The log goes on; the list of sentences stays with the head that it has."""
        async with databases.keeper.begin() as c:
            await tlog.append(c, "evidence", b"later")
        await self.made.extend(databases.keeper)


@pytest.fixture
async def service(tmp_path: Path, database: Databases) -> Service:
    return await told_at(tmp_path, database, datetime.now(UTC))


async def told_at(folder: Path, databases: Databases, at: datetime) -> Service:
    """A service of two sentences, with evidence of that time."""
    (folder / "home").mkdir()
    ring = Ring(folder / "home" / "keyring" / "ring.db")
    made = Log(folder / "home", ring, "https://visited.example")
    said = {"probe": PROBE, "policy": HASH, "at": at.isoformat(), "verdict": "proved", "figure": "1"}
    content = tlog.spelled(said)
    async with databases.keeper.begin() as c:
        leaves = [await tlog.append(c, "evidence", content), await tlog.append(c, "policy", IN_FORCE)]
    await made.extend(databases.keeper)
    proofs = [made.proof(leaf.salt, place, made.checkpoint()) for place, leaf in enumerate(leaves)]
    listed = [{"id": clause["id"], "verdict": "proved", "evidence": [PROBE]} for clause in CLAUSES]
    told = {
        "policy": HASH,
        "in_force": {"content": IN_FORCE.decode(), "log": proofs[1]},
        "checkpoint": made.note().decode(),
        "sentences": listed,
        "evidence": {PROBE: {"content": content.decode(), "at": said["at"], "log": proofs[0]}},
    }
    policy = {"hash": HASH, "at": at.isoformat(), "clauses": deepcopy(CLAUSES)}
    return Service(made, Receipts(ring), told, policy)


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run the program against a service; gives the status and what it said."""

    def run(service: Service, *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(verifier, "site", lambda address, minutes: service.get)
        return verifier.main(["https://visited.example", *arguments]), capsys.readouterr().out

    return run


Look = Callable[..., tuple[int, str]]


async def test_a_service_that_shows_all_is_believed(service: Service, look: Look) -> None:
    code, said = look(service)
    assert code == 0 and "proved: 2" in said and "wait for a part or a document: ads" in said, said


async def test_a_list_that_leaves_sentences_away_is_wrong(service: Service, look: Look) -> None:
    [one, two], clauses = service.told["sentences"], service.policy["clauses"]
    for listed in ([], [one], [one, one], [one, two, two], [one, two, {**two, "id": "three"}]):
        service.told["sentences"] = listed
        code, said = look(service)
        assert code == 1 and "WRONG" in said, (listed, said)
    service.told["sentences"], service.policy["clauses"] = [], []
    assert look(service)[0] == 1
    service.told["sentences"], service.policy["clauses"] = [one], clauses[:1]
    service.answers[".well-known/avow-policy.json"] = service.signer(service.policy).replace(b'"one"', b'"two"')
    assert "not signed" in look(service)[1]


async def test_a_signed_document_is_held_against_the_policy_in_the_log(service: Service, look: Look) -> None:
    """Whoever signs a policy of fewer, other or reworded sentences contradicts what the log says is in force."""
    listed, clauses = service.told["sentences"], service.policy["clauses"]
    service.told["sentences"], service.policy["clauses"] = listed[:1], clauses[:1]
    code, said = look(service)
    assert code == 1 and "are not published: two" in said
    service.told["sentences"] = listed
    service.policy["clauses"] = [clauses[0], {**clauses[1], "sentence": {"en": "two & less", "zh": "two。"}}]
    code, said = look(service)
    assert code == 1 and "two is not as it stands in the log" in said
    service.policy["clauses"] = clauses
    logged = service.told["in_force"]
    service.told["in_force"] = {**logged, "content": logged["content"].replace("three", "seven")}
    assert look(service)[0] == 1
    service.told["in_force"] = None
    code, said = look(service)
    assert code == 2 and "look again" in said


async def test_the_page_shows_each_sentence_to_people(service: Service, look: Look) -> None:
    one, two = (
        f'<li id="{id}"><div><span>{id} &amp; more</span><span>proved</span></div></li>' for id in ("one", "two")
    )
    service.answers["privacy?locale=en"] = f"<ul><br hidden>{one}{two}</ul>".encode()
    assert look(service)[0] == 0
    for hidden in (
        *("<p>one</p>", "<style>two & more</style>one &amp; more", "", f"<p>{one}</p>"),
        *(f"{one}<{name}>{two}</{name}>" for name in ("style", "template", "noscript", "textarea", "p hidden")),
        *(f"{one}<ul aria-hidden=true>{two}</ul>", f"{one}<!--{two}-->", f"{one}<div hidden/>{two}", one + two + two),
        *(one + two.replace("two &", "It is not so: two &"), one + two.replace("<span>", "<span hidden>")),
        *(one + '<li id="two"></li><span>two &amp; more</span>', one + "<![" + two),
    ):
        service.answers["privacy?locale=en"] = hidden.encode()
        code, said = look(service)
        assert code == 1 and "does not show the sentence" in said, hidden


@pytest.mark.parametrize("piece", ["<style ", "<!--", "<", "</", "<a b='", "<![", "<script></", "<li id=x><span>a"])
def test_a_page_is_read_once_whatever_is_open_in_it(piece: str) -> None:
    """140 KB of what is never closed are read in a fraction of a second; each again from each would take ten."""
    page, began = (piece * (140_000 // len(piece))).encode(), time.process_time()
    verifier.check_page(page, b'{"clauses": []}', "en")
    verifier.check_page(page + b">", b'{"clauses": []}', "en")
    assert time.process_time() - began < 3


async def test_a_policy_that_is_old_or_another_is_not_held_against(service: Service, look: Look) -> None:
    fresh = service.policy["at"]
    for hours in (-25, 1):
        service.policy["at"] = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
        assert look(service)[0] == 1
    service.policy |= {"at": fresh, "hash": "another"}
    code, said = look(service)
    assert code == 2 and "look again" in said


async def test_a_sentence_rests_on_all_that_its_own_probes_found(
    service: Service, database: Databases, look: Look
) -> None:
    """Else a service calls proved what failed, with the evidence of another probe; what is said of each subject apart counts
    for that subject, and for who has none of its own, all of it does."""
    at = service.policy["at"]
    said = {"policy": HASH, "at": at, "figure": "1"}
    found = {"sums.one": "proved", "sums.two": "failed", "other": "proved"}
    contents = {name: tlog.spelled({**said, "probe": name, "verdict": each}) for name, each in found.items()}
    async with database.keeper.begin() as c:
        leaves = {name: await tlog.append(c, "evidence", each) for name, each in contents.items()}
    await service.made.extend(database.keeper)
    head = service.made.checkpoint()
    service.told["checkpoint"] = service.made.note().decode()
    service.told["in_force"]["log"] = service.made.proof(
        bytes.fromhex(service.told["in_force"]["log"]["salt"]), 1, head
    )
    service.told["evidence"] = {
        name: {"content": contents[name].decode(), "at": at, "log": service.made.proof(leaf.salt, place, head)}
        for place, (name, leaf) in enumerate(leaves.items(), 2)
    }
    one, two = service.told["sentences"]
    for id, rests, status in (
        *(("a.one", ["sums.one"], 0), ("a.one", ["other"], 1), ("a.one", [], 1), ("a.one", ["sums.one", "other"], 1)),
        *(("a.two", ["sums.one"], 1), ("a", ["sums.one"], 1), ("a", ["sums.one", "sums.two"], 1)),
    ):
        one |= {"id": id, "evidence": rests}
        two |= {"verdict": "unproved", "evidence": []}
        document = service.signer({"clauses": [{"id": id, "probes": ["sums"]}, {"id": "two", "probes": ["sums"]}]})
        if status:
            with pytest.raises(verifier.Wrong, match="called proved"):
                verifier.check_sentences(service.told, document, head, datetime.now(UTC))
        else:
            assert verifier.check_sentences(service.told, document, head, datetime.now(UTC))[id] == "proved"
    one |= {"id": "one", "evidence": ["other"]}
    code, said_so = look(service)
    assert code == 1 and "does not rest on what its probes found" in said_so


async def test_what_a_service_says_steers_no_terminal(service: Service, look: Look) -> None:
    service.told["sentences"][0]["verdict"] = "none\x1b[2K\rproved: 300\u202e"
    code, said = look(service)
    assert code == 2 and not {"\x1b", "\r", "\u202e"} & {*said}, said
    for name, odd in (("checkpoint", "\ud800"), ("sentences", [{"id": "\ud800"}])):
        service.told[name] = odd
        assert look(service)[0] == 1


async def test_an_example_is_unproved_unless_examples_are_expected(service: Service, look: Look) -> None:
    service.told["sentences"][0] |= {"verdict": "example", "evidence": []}
    assert look(service)[0] == 2
    assert look(service, "--examples")[0] == 0


async def test_evidence_of_the_future_is_refused(tmp_path: Path, database: Databases, look: Look) -> None:
    service = await told_at(tmp_path, database, datetime.now(UTC) + timedelta(days=3650))
    service.policy["at"] = datetime.now(UTC).isoformat()
    code, said = look(service)
    assert code == 1 and "future" in said


async def test_both_heads_that_are_shown_are_one_log(
    service: Service, database: Databases, tmp_path: Path, look: Look
) -> None:
    """The larger is read to its end, through the smaller; one that was never a beginning of the other is another tree."""
    state = tmp_path / "state"
    await service.grow(database)
    code, said = look(service, "--state", str(state))
    assert code == 0 and "3 leaves" in said, said
    head = service.made.checkpoint()
    other = Checkpoint(head.origin, 0, bytes(32))
    for fake, status in ((other._replace(size=4), 2), (other._replace(size=3), 1), (other, 1)):
        service.answers["log/checkpoint"] = service.made._signed(fake)
        code, said = look(service)
        assert code == status and "proved" not in said, fake
    service.answers.clear()
    code, said = look(service, "--state", str(state))
    assert code == 1 and "cut off" in said, "the list rests on a head older than the last visit"
    service.told["checkpoint"] = service.made._signed(other._replace(size=1)).decode()
    code, said = look(service)
    assert code == 1 and "first 1 leaves" in said


@pytest.mark.parametrize(
    "answer",
    [
        b"nothing of HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000,
    ],
)
def test_a_service_that_speaks_no_http_could_not_be_looked_at(answer: bytes, tmp_path: Path) -> None:
    class Answering(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(answer)

    with TCPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            assert verifier.main([f"http://127.0.0.1:{server.server_address[1]}", "--state", str(tmp_path / "s")]) == 2
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_service_that_answers_byte_by_byte_holds_no_visitor(
    beginning: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says a byte long before any wait for the next one ends, and never comes to an end."""
    left = Event()

    class Dribbling(BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.sendall(beginning)
                while not left.wait(0.01):
                    self.request.sendall(b"a")

    with ThreadingTCPServer(("127.0.0.1", 0), Dribbling) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}"
            assert verifier.main([address, "--state", str(tmp_path / "s"), "--minutes", "0.01"]) == 2
            assert "takes longer than 0.01 min; --minutes allows more" in capsys.readouterr().out
        finally:
            left.set()
            server.shutdown()
            thread.join()


def test_a_log_that_never_ends_holds_no_visitor() -> None:
    """Each answer comes at once; there is always one more."""

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            get = verifier.site(f"http://127.0.0.1:{server.server_port}", 0.01)
            with pytest.raises(Missing, match="takes longer than"):
                while get("log/tile/0/000", 9):
                    pass
        finally:
            server.shutdown()
            thread.join()


def test_a_policy_without_sentences_of_a_language_is_wrong() -> None:
    for clauses in ([{"id": "one", "sentence": {"en": "one"}}], [{"id": "one"}], ["one"], None):
        with pytest.raises(verifier.Wrong):
            verifier.check_page(b"", json.dumps({"clauses": clauses}).encode(), "zh")
