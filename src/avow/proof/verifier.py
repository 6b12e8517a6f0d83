"""Check what a service publishes about its privacy without believing it: its log, and the evidence behind each sentence.

    python verify.py https://HOST                 all that HOST publishes
    python verify.py https://HOST --state FILE    and that it is still the log of the last visit, which FILE remembers
    python verify.py FOLDER --key KEY             a copy of the log (`avow log export`), off line

One file; needs Python 3.11 and the package `cryptography`. Ends with 0: all is as it is said, 1: something is not,
2: could not look, or a sentence has no fresh evidence, as an example has none (`--examples`, for a demo: they are no fault).
Without --key or a remembered one, the key is what HOST says it is: keep it, or ask somebody else for theirs.

The log: Merkle tree of RFC 9162 section 2.1, tiles of c2sp.org/tlog-tiles, checkpoints of c2sp.org/tlog-checkpoint,
signatures of c2sp.org/signed-note. Each entry is SHA-256(salt || content) with a salt of 32 bytes: whoever has both can show
what an entry says; once the salt is erased, nobody can tell, and all proofs hold as before.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import json
import sys
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import reduce
from html.parser import HTMLParser
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HASH_BYTES, SALT_BYTES, TILE, SIZE_MAX = 32, 32, 256, 1 << 40
NOTE_BYTES_MAX, ANSWER_BYTES_MAX, SIGNATURES_MAX, BUNDLE_BYTES_MAX = 1 << 16, 1 << 24, 16, TILE * (2 + (1 << 16))
WAIT_S, MINUTES, MINUTES_MAX = 30, 10, 10_080
FRESH_FOR, AHEAD_MAX = timedelta(hours=24), timedelta(minutes=5)
ED25519, NOTHING, GOOD, LOCALES = b"\x01", hashlib.sha256(b"").digest(), ("proved", "attested"), ("en", "zh")
UNSEEN = frozenset({"head", "script", "style", "template", "noscript", "textarea"})
VOID = frozenset(("br", "hr", "img", "input", "link", "meta", "wbr"))
"""Elements that people do not see as text of a page, and those without an end."""
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, RecursionError)

Get = Callable[[str, int], bytes]  # a resource below the log's prefix, of at most so many bytes; raises Missing


class Wrong(Exception):
    """Something that was said is not so."""


class Missing(Exception):
    """Something could not be read."""


class Key(NamedTuple):
    """The public key of a log, as signed notes name it: `NAME+ID+KEY`."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The first four bytes of SHA-256(name, newline, type of signature, public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"


class Checkpoint(NamedTuple):
    """What a log has signed: that it is `origin`, has `size` leaves, and this root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> bytes:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


def parse_key(text: str) -> Key:
    """Read `NAME+ID+KEY`. Raises Wrong."""
    name, _, rest = text.strip().partition("+")
    id, _, encoded = rest.partition("+")
    raw = _base64(encoded)
    found = Key(name, raw[1:])
    if len(raw) != 33 or raw[:1] != ED25519 or not name or found.id.hex() != id:
        raise Wrong("this is no key of a log (NAME+ID+KEY)")
    return found


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def commitment(salt: bytes, content: bytes) -> bytes:
    """What stands in the log of a content. The salt has 32 bytes, so no content can be guessed and tried."""
    if len(salt) != SALT_BYTES:
        raise Wrong("a salt has 32 bytes")
    return hashlib.sha256(salt + content).digest()


@dataclass
class Range:
    """The first `size` leaves of a tree: the roots of the complete subtrees that they make, the largest first. It can grow,
    and no leaf before `size` is needed for that."""

    size: int = 0
    roots: list[bytes] = field(default_factory=list)

    def add(self, leaf: bytes) -> None:
        whole = self.size
        while whole & 1:
            leaf, whole = node_hash(self.roots.pop(), leaf), whole >> 1
        self.roots.append(leaf)
        self.size += 1

    @property
    def root(self) -> bytes:
        return reduce(lambda right, left: node_hash(left, right), reversed(self.roots)) if self.roots else NOTHING


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root of a tree of `size` leaves that has `leaf` at `index`, by its inclusion proof (RFC 9162, 2.1.3.2). Raises
    Wrong for a path of another length."""
    if not 0 <= index < size:
        raise Wrong("a leaf outside its tree")
    at, last, found = index, size - 1, leaf
    for other in path:
        if last == 0:
            raise Wrong("an inclusion proof that is too long")
        if at & 1 or at == last:
            found = node_hash(other, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, other)
        at, last = at >> 1, last >> 1
    if last:
        raise Wrong("an inclusion proof that is too short")
    return found


def opened(note: bytes, key: Key) -> Checkpoint:
    """The checkpoint in a note that `key` has signed. Raises Wrong."""
    text, _, lines = note.rpartition(b"\n\n")
    try:
        signatures, body = lines.decode().split("\n"), text.decode() + "\n"
    except UnicodeDecodeError:
        raise Wrong("a checkpoint that is no text") from None
    if len(note) > NOTE_BYTES_MAX or signatures.pop() or not 0 < len(signatures) <= SIGNATURES_MAX:
        raise Wrong("a checkpoint without signatures")
    if any(ord(each) < 32 and each != "\n" for each in note.decode()):
        raise Wrong("a checkpoint with control characters")
    parts = [line.split(" ") for line in signatures]
    if any(len(each) != 3 or each[0] != "—" for each in parts):
        raise Wrong("a checkpoint with a line that is no signature")
    values = [_base64(value) for _, name, value in parts if name == key.name]
    ours = [value[4:] for value in values if value[:4] == key.id]
    if not ours:
        raise Wrong("a checkpoint that the known key has not signed")
    for value in ours:
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(value, text + b"\n")
        except InvalidSignature:
            raise Wrong("a checkpoint with a false signature") from None
    return _checkpoint(body)


def _checkpoint(body: str) -> Checkpoint:
    lines = body.split("\n")[:-1]
    if len(lines) < 3 or not all(lines):
        raise Wrong("a checkpoint of less than three lines")
    size, root = lines[1], _base64(lines[2])
    if not (size.isascii() and size.isdigit() and str(int(size[:20])) == size) or len(root) != HASH_BYTES:
        raise Wrong("a checkpoint without a size and a root")
    if int(size) > SIZE_MAX:
        raise Wrong("a checkpoint of a tree that is too large")
    return Checkpoint(lines[0], int(size), root)


def _base64(text: str) -> bytes:
    """The bytes of a text in its only spelling. Raises Wrong."""
    try:
        found = base64.b64decode(text, validate=True)
    except ValueError:
        raise Wrong("something that is no base64") from None
    if base64.b64encode(found).decode() != text:
        raise Wrong("base64 in another spelling")
    return found


def tile_path(level: int | str, number: int, size: int) -> str:
    """Where a tile of a tree lies whose level has `size` hashes; level `entries`: the entries themselves."""
    parts, left = [f"{number % 1000:03}"], number // 1000
    while left:
        parts.insert(0, f"x{left % 1000:03}")
        left //= 1000
    width = size - number * TILE
    return f"tile/{level}/{'/'.join(parts)}" + (f".p/{width}" if width < TILE else "")


def audit(get: Get, checkpoint: Checkpoint, known: Range | None = None, passing: Checkpoint | None = None) -> Range:
    """Read the log from the end of what is `known` on, and hold all of it against the checkpoint; gives the whole.

    `passing`: an older checkpoint that it must have gone through. Raises Wrong, or Missing for a hole.
    """
    whole = Range(known.size, list(known.roots)) if known else Range()
    last = ", or not those of last time" if known else ""
    before = max(whole.size, passing.size if passing else 0)
    if before > checkpoint.size:
        raise Wrong(f"the log has {checkpoint.size} leaves and had {before}: its end was cut off")
    if passing and whole.size == passing.size and whole.root != passing.root:
        raise Wrong(f"the first {passing.size} leaves are not those that were signed before, or not those of last time")
    full: list[bytes] = []
    for number in range(whole.size // TILE, -(-checkpoint.size // TILE)):
        leaves = [leaf_hash(entry) for entry in _entries(get, number, checkpoint.size)]
        _compare(get, 0, number, checkpoint.size, leaves)
        for leaf in leaves[whole.size - number * TILE :]:
            whole.add(leaf)
            if passing and whole.size == passing.size and whole.root != passing.root:
                raise Wrong(f"the first {passing.size} leaves are not those of the checkpoint that is known{last}")
        full += [_root(leaves)] if len(leaves) == TILE else []
    if whole.root != checkpoint.root:
        raise Wrong(f"the leaves do not make the root that was signed{last}")
    if known is None or not known.size:
        _audit_above(get, full)
    return whole


def _audit_above(get: Get, hashes: list[bytes]) -> None:
    """The tiles above the leaves, each of which is the root of a full one below."""
    level = 1
    while hashes:
        above = []
        for number in range(-(-len(hashes) // TILE)):
            part = hashes[number * TILE : (number + 1) * TILE]
            _compare(get, level, number, len(hashes), part)
            above += [_root(part)] if len(part) == TILE else []
        hashes, level = above, level + 1


def _compare(get: Get, level: int, number: int, size: int, hashes: Sequence[bytes]) -> None:
    path = tile_path(level, number, size)
    if get(path, TILE * HASH_BYTES) != b"".join(hashes):
        raise Wrong(f"{path} is not what the entries make")


def _entries(get: Get, number: int, size: int) -> Iterator[bytes]:
    path = tile_path("entries", number, size)
    bundle, at = get(path, BUNDLE_BYTES_MAX), 0
    for _ in range(min(TILE, size - number * TILE)):
        length = int.from_bytes(bundle[at : at + 2], "big")
        entry = bundle[at + 2 : at + 2 + length]
        if at + 2 > len(bundle) or len(entry) < length:
            raise Wrong(f"{path} ends too early")
        yield entry
        at += 2 + length
    if at != len(bundle):
        raise Wrong(f"{path} holds more than its entries")


def _root(leaves: Sequence[bytes]) -> bytes:
    made = Range()
    for leaf in leaves:
        made.add(leaf)
    return made.root


def proved_leaf(proof: Any, content: bytes, checkpoint: Checkpoint) -> int:
    """The index of the leaf of a content, by a proof `{salt, index, path}` in hexadecimal. Raises Wrong."""
    try:
        salt, path, index = _hash(proof["salt"]), [_hash(each) for each in proof["path"]], proof["index"]
        if type(index) is not int:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise Wrong("a proof that cannot be read") from None
    if root_by_path(leaf_hash(commitment(salt, content)), index, checkpoint.size, path) != checkpoint.root:
        raise Wrong("a proof that does not lead to the root that was signed")
    return index


def _hash(text: str) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != HASH_BYTES or found.hex() != text:
        raise ValueError
    return found


def check_sentences(told: Any, document: bytes, checkpoint: Checkpoint, now: datetime) -> dict[str, str]:
    """The verdict of each sentence, from all that the probes of its clause found, by the log; `stale` where that is older than
    a day, `waiting` where it is so new that the log has not signed it yet. Raises Wrong."""
    found = {}
    try:
        probes = {each["id"]: each["probes"] for each in _json(document, "the published policy")["clauses"]}
        words_of = {name: _verdict(name, each, told, checkpoint, now) for name, each in told["evidence"].items()}
        for sentence in told["sentences"]:
            id, claimed, names = str(sentence["id"]), str(sentence["verdict"]), sentence["evidence"]
            seen = [_seen(words_of, probe, id.partition(".")[2]) for probe in probes[id]]
            if claimed in GOOD and not (all(seen) and set().union(*seen) == {*names}):
                raise Wrong(f"the sentence {id} is called {claimed}, and does not rest on what its probes found")
            found[id] = _worst([words_of[name] for name in names], claimed)
    except _UNREADABLE:
        raise Wrong("the list of sentences cannot be read") from None
    return found


def _seen(found: Collection[str], probe: str, subject: str) -> list[str]:
    """What a probe found of a sentence: about its subject where it looks at each apart, else about all of them."""
    own = [name for name in (f"{probe}.{subject}", probe) if name in found]
    return own[:1] or [name for name in found if name.startswith(f"{probe}.")]


def check_policy(document: bytes, told: Any, key: Key, now: datetime) -> None:
    """That the list `told` has every sentence of the published policy and no other; the service signed that policy with the
    key of its log, within a day. Raises Wrong; Missing where the list is of another policy: it changed meanwhile."""
    policy = _json(document, "the published policy")
    try:
        made = dict(policy["signature"])
        value = _base64(made.pop("value"))
        Ed25519PublicKey.from_public_bytes(key.public).verify(value, _spelled({**policy, "signature": made}))
        published, at = [str(each["id"]) for each in policy["clauses"]], datetime.fromisoformat(policy["at"])
        listed, hashes = [str(each["id"]) for each in told["sentences"]], (policy["hash"], told["policy"])
        is_fresh = -AHEAD_MAX <= now - at < FRESH_FOR
    except InvalidSignature:
        raise Wrong("the published policy is not signed with the key of the log") from None
    except _UNREADABLE:
        raise Wrong("the published policy or the list of sentences cannot be read") from None
    if _spelled(policy) != document or not is_fresh:
        raise Wrong("the published policy is in another spelling, or not signed within the last day")
    if hashes[0] != hashes[1]:
        raise Missing("the list of sentences is not of the policy that is published; look again")
    other = sorted({*published} ^ {*listed})
    if other or not published or len(listed) != len(published):
        raise Wrong(f"the list does not hold each published sentence once: {', '.join(other[:10]) or len(listed)}")


def check_clauses(document: bytes, told: Any, checkpoint: Checkpoint) -> dict[str, str]:
    """That the published sentences are those of the policy which stands in the log, to the letter; gives those that are not
    published here, with the part or document that each would need. Raises Wrong, or Missing where the log has not signed
    that policy yet."""
    shown = told.get("in_force")
    if shown is None:
        raise Missing("the policy in force is so new that the log has not signed it yet; look again")
    try:
        content = str(shown["content"]).encode()
        proved_leaf(shown["log"], content, checkpoint)
        said, clauses = json.loads(content), _json(document, "the published policy")["clauses"]
        if said["hash"] != told["policy"]:
            raise Wrong("the policy in the log is another one")
        left = {id: each["needs"] for id, each in said["sentences"].items()}
        for clause in clauses:
            made = hashlib.sha256(_spelled(clause["sentence"])).hexdigest()
            if clause["id"] not in left or said["sentences"][clause["id"]]["sha256"] != made:
                raise Wrong(f"the sentence {clause['id']} is not as it stands in the log")
            del left[clause["id"]]
    except _UNREADABLE:
        raise Wrong("the policy in the log cannot be read") from None
    hidden = sorted(id for id, needs in left.items() if not needs)
    if hidden:
        raise Wrong(f"sentences of the policy in the log are not published: {', '.join(hidden[:10])}")
    return {id: str(needs) for id, needs in left.items()}


def check_page(page: bytes, document: bytes, locale: str) -> None:
    """That every sentence of the policy stands on the page that people read, alone, in the item of its id. Raises Wrong."""
    shown = _Sentences(page.decode(errors="replace")).found
    try:
        for clause in _json(document, "the published policy")["clauses"]:
            if "".join(shown.get(clause["id"], ())).split() != str(clause["sentence"][locale]).split():
                raise Wrong(f"the page does not show the sentence {clause['id']} ({locale})")
    except _UNREADABLE:
        raise Wrong(f"the published policy has no sentences ({locale})") from None


class _Sentences(HTMLParser):
    """What people see of the first span in each list item, by the item's id; an id that stands twice has both texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self.item, self.unseen, self.spans, self.depth = "", "", 0, 0
        # An open tag at the end would be read again from each of its characters; `<![` is not HTML, and refused.
        self.feed(page[: page.rfind(">") + 1].replace("<![", "<!-"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        hides = tag in UNSEEN or "hidden" in given or given.get("aria-hidden") == "true"
        if self.unseen:
            self.depth += tag == self.unseen
        elif hides and tag not in VOID:
            self.unseen, self.depth = tag, 1
        elif tag == "li":
            self.item, self.spans = given.get("id") or "", 0
        elif tag == "span" and self.item:
            self.spans += 1

    handle_startendtag = handle_starttag  # a slash ends no element of HTML

    def handle_endtag(self, tag: str) -> None:
        if self.unseen:
            self.depth -= tag == self.unseen
            self.unseen = self.unseen if self.depth else ""
        elif tag == "li" or (tag == "span" and self.spans == 1):
            self.item, self.spans = "", 0
        elif tag == "span" and self.spans:
            self.spans -= 1

    def handle_data(self, data: str) -> None:
        if self.spans and not self.unseen:
            self.found.setdefault(self.item, []).append(data)


def _spelled(fields: Any) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _verdict(name: str, shown: Any, told: Any, checkpoint: Checkpoint, now: datetime) -> str:
    if shown["log"] is None:
        return "waiting"
    content = str(shown["content"]).encode()
    proved_leaf(shown["log"], content, checkpoint)
    said = json.loads(content)
    if [said[each] for each in ("probe", "policy", "at")] != [name, told["policy"], shown["at"]]:
        raise Wrong(f"the evidence of {name} is not what stands in the log")
    verdict, age = str(said["verdict"]), now - datetime.fromisoformat(said["at"])
    if age < -AHEAD_MAX:
        raise Wrong(f"the evidence of {name} is dated in the future")
    return "stale" if age >= FRESH_FOR and verdict in GOOD else verdict


def _worst(words: Sequence[str], claimed: str) -> str:
    """Nobody may claim more than the evidence says; that it is less, is believed."""
    if claimed not in GOOD:
        return claimed
    if not words or not set(words) <= {*GOOD, "stale", "waiting"}:
        raise Wrong(f"a sentence is called {claimed}, and its evidence says {', '.join(words) or 'nothing'}")
    return next((word for word in ("stale", "waiting") if word in words), claimed)


def folder(root: Path) -> Get:
    """Reads a copy of a log."""

    def get(path: str, most: int) -> bytes:
        try:
            with (root / path).open("rb") as file:
                return file.read(most + 1)
        except OSError:
            raise Missing(f"{path} is missing") from None

    return get


def site(address: str, minutes: float = MINUTES) -> Get:
    """Reads from a service, for so long in all: a thread waits for what comes byte by byte or never, and is left behind."""
    end = time.monotonic() + 60 * min(minutes, MINUTES_MAX)

    def read(path: str, most: int, told: list[bytes | Missing]) -> None:
        request = urllib.request.Request(f"{address}/{path}", headers={"accept-encoding": "identity"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310  the visitor names it
                told.append(bytes(answer.read(most + 1)))
        except (OSError, ValueError, http.client.HTTPException) as wrong:
            told.append(Missing(f"{address}/{path} cannot be read: {type(wrong).__name__}"))

    def get(path: str, most: int) -> bytes:
        told: list[bytes | Missing] = []
        asking = Thread(target=read, args=(path, most, told), daemon=True)
        asking.start()
        asking.join(max(0.0, end - time.monotonic()))
        found = told[0] if told else Missing(f"{address} takes longer than {minutes:g} min; --minutes allows more")
        if isinstance(found, Missing):
            raise found
        return found

    return get


def remembered(path: Path) -> tuple[Key, Range, str] | None:
    """Key, leaves and origin of the last visit. Raises Wrong for a file of something else."""
    try:
        kept = json.loads(path.read_bytes())
        whole = Range(int(kept["size"]), [*map(bytes.fromhex, kept["roots"])])
        return parse_key(kept["key"]), whole, str(kept["origin"])
    except FileNotFoundError:
        return None
    except _UNREADABLE:
        raise Wrong(f"{path} does not remember a visit") from None


def remember(path: Path, key: Key, whole: Range, origin: str) -> None:
    kept = {"key": str(key), "size": whole.size, "roots": [each.hex() for each in whole.roots], "origin": origin}
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(json.dumps(kept, indent=1) + "\n")
    draft.replace(path)


def visit(get: Get, key: Key | None, state: Path | None, say: Callable[[str], None]) -> dict[str, str]:
    """Check a service: its log, whether that is the one of the last visit, and every sentence. Raises Wrong, Missing."""
    last = remembered(state) if state else None
    key = key or (last[0] if last else None)
    if key is None:
        key = parse_key(str(_json(get(".well-known/avow-receipt-key", NOTE_BYTES_MAX), "the key").get("log")))
        say(f"first visit, the key is what the service says: {key}")
    told = _json(get("api/proof/sentences", ANSWER_BYTES_MAX), "the list of sentences")
    checkpoint = opened(str(told.get("checkpoint", "")).encode(), key)
    whole = _audit_heads(get, checkpoint, opened(get("log/checkpoint", NOTE_BYTES_MAX), key), last)
    say(f"the log {checkpoint.origin} has {whole.size} leaves" + (f", {last[1].size} as last time" if last else ""))
    now = datetime.now(UTC)
    document = get(".well-known/avow-policy.json", ANSWER_BYTES_MAX)
    check_policy(document, told, key, now)
    left = check_clauses(document, told, checkpoint)
    if left:
        say(f"{len(left)} sentences of the policy wait for a part or a document: {', '.join(sorted({*left.values()}))}")
    for locale in LOCALES:
        check_page(get(f"privacy?locale={locale}", ANSWER_BYTES_MAX), document, locale)
    found = check_sentences(told, document, checkpoint, now)
    if state:
        remember(state, key, whole, checkpoint.origin)
    return found


def _audit_heads(get: Get, one: Checkpoint, other: Checkpoint, last: tuple[Key, Range, str] | None) -> Range:
    """Read the log up to the larger of two heads that a service shows, through the smaller one. Raises Wrong, Missing."""
    smaller, larger = sorted((one, other), key=lambda head: head.size)
    if smaller.origin != larger.origin or (last and last[2] != smaller.origin):
        raise Wrong(f"another log is served: {one.origin}")
    if smaller.size == larger.size and smaller.root != larger.root:
        raise Wrong("two trees of one size")
    if last and last[1].size > smaller.size:
        raise Wrong(f"the log has {smaller.size} leaves and had {last[1].size}: its end was cut off")
    return audit(lambda path, most: get(f"log/{path}", most), larger, last[1] if last else None, passing=smaller)


def _json(text: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Wrong(f"{what} cannot be read")
    return found


def check_copy(get: Get, key: Key | None, known: Checkpoint | None, say: Callable[[str], None]) -> Checkpoint:
    """Check a copy of a log, and that it goes on from a checkpoint that is `known`. Raises Wrong, Missing."""
    if key is None:
        key = parse_key(get("key", NOTE_BYTES_MAX).decode(errors="replace"))
        say(f"the key is what stands beside the log: {key}")
    checkpoint = opened(get("checkpoint", NOTE_BYTES_MAX), key)
    if known is not None and known.origin != checkpoint.origin:
        raise Wrong(f"this is the log {checkpoint.origin}, not {known.origin}")
    whole = audit(get, checkpoint, passing=known)
    say(f"the log {checkpoint.origin} has {whole.size} leaves and the root {checkpoint.root.hex()[:16]}")
    return checkpoint


def _say(line: str) -> None:
    """What a service said steers no terminal."""
    print("".join(each if each.isprintable() else "?" for each in line))


def main(arguments: Sequence[str] | None = None) -> int:
    asked = argparse.ArgumentParser(description="Check a log and the evidence of what a service publishes.")
    asked.add_argument("target", help="https://HOST, or the folder of a copy")
    asked.add_argument("--key", help="the key of the log, NAME+ID+KEY")
    asked.add_argument("--state", type=Path, help="a file that remembers the log between two visits")
    asked.add_argument("--examples", action="store_true", help="a sentence that is an example is no fault: for a demo")
    asked.add_argument("--minutes", type=float, default=MINUTES, help="how long it may take in all")
    given = asked.parse_args(arguments)
    try:
        key = parse_key(given.key) if given.key else None
        if "://" not in given.target:
            check_copy(folder(Path(given.target)), key, None, _say)
            return 0
        found = visit(site(given.target.rstrip("/"), given.minutes), key, given.state, _say)
    except (Wrong, UnicodeError) as wrong:
        _say(f"WRONG: {wrong}")
        return 1
    except Missing as missing:
        _say(f"could not look: {missing}")
        return 2
    for word in sorted(set(found.values())):
        named = [id for id, verdict in found.items() if verdict == word]
        _say(f"{word}: {len(named)}" + ("" if word in GOOD else f" ({', '.join(named[:10])})"))
    fine = {*GOOD, "example"} if given.examples else {*GOOD}
    return 1 if "failed" in found.values() else 0 if {*found.values()} <= fine else 2


if __name__ == "__main__":
    sys.exit(main())
