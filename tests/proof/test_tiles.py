"""The tree against published vectors and against the words of RFC 6962; tiles as c2sp.org/tlog-tiles says."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avow.base.errors import NotFound
from avow.proof import verifier
from avow.proof.tiles import Tiles
from avow.proof.verifier import Checkpoint, Key, Range, Wrong, leaf_hash, node_hash

VECTOR_LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
VECTOR_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The trees with which implementations of Certificate Transparency are tested."""


def mth(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word, over hashes of leaves."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(mth(leaves[:k]), mth(leaves[k:]))


def entry(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def filled(folder: Path, *batches: int) -> Tiles:
    folder.mkdir(exist_ok=True)
    made, size = Tiles(folder), 0
    for count in batches:
        made.add([entry(size + number) for number in range(count)], size)
        size += count
    return made


def test_the_roots_are_those_of_the_published_trees() -> None:
    made = Range()
    for leaf, root in zip(VECTOR_LEAVES, VECTOR_ROOTS, strict=True):
        made.add(leaf_hash(bytes.fromhex(leaf)))
        assert made.root.hex() == root
    assert Range().root == hashlib.sha256(b"").digest()


def test_a_note_of_the_first_implementation_is_opened_and_its_key_has_the_same_id() -> None:
    """The example of golang.org/x/mod/sumdb/note."""
    key = verifier.parse_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert (key.name, key.id.hex()) == ("PeterNeumann", "c74f20a3")
    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = (
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    with pytest.raises(Wrong, match="less than three lines"):  # genuine, and no checkpoint
        verifier.opened(text + b"\n" + line.encode(), key)
    with pytest.raises(Wrong, match="false signature"):
        verifier.opened(text.upper() + b"\n" + line.encode(), key)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=4), st.data())
def test_every_leaf_is_proved_in_every_tree(
    tmp_path_factory: pytest.TempPathFactory, batches: list[int], data: st.DataObject
) -> None:
    """However the leaves came, in how many pieces: one root, and a proof for each."""
    tiles, total = filled(tmp_path_factory.mktemp("tiles"), *batches), sum(batches)
    leaves = [leaf_hash(entry(number)) for number in range(total)]
    size = data.draw(st.integers(1, total))
    assert tiles.root(size) == mth(leaves[:size])
    index = data.draw(st.integers(0, size - 1))
    path = tiles.path(index, size)
    assert verifier.root_by_path(leaves[index], index, size, path) == tiles.root(size)
    if path:
        for wrong in (path[:-1], [*path, path[0]]):
            with pytest.raises(Wrong):
                verifier.root_by_path(leaves[index], index, size, wrong)
    assert tiles.find(entry(index), size) == index
    assert tiles.find(entry(total), size) is None


def test_a_log_of_70000_leaves_has_the_tiles_of_the_specification(tmp_path: Path) -> None:
    tiles = filled(tmp_path / "log", 255, 1, 60_000, 9_744)
    paths = [path for path in tiles.paths(70_000) if "entries" not in path]
    assert len([path for path in paths if path.startswith("tile/0/") and ".p/" not in path]) == 273
    assert [path for path in paths if not path.startswith("tile/0/") or ".p/" in path] == [
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    head = Checkpoint("example.org/log", 70_000, tiles.root(70_000))
    whole = verifier.audit(lambda path, most: tiles.resource(path, 70_000), head)
    assert (whole.size, whole.root) == (70_000, head.root)
    older = Checkpoint("example.org/log", 66_000, tiles.root(66_000))
    begun = verifier.audit(lambda path, most: tiles.resource(path, 66_000), older)
    assert verifier.audit(lambda path, most: tiles.resource(path, 70_000), head, begun).root == head.root


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/001",  # not whole yet
        "tile/0/001.p/45",  # more than is signed
        "tile/0/001.p/0",
        "tile/0/001.p/044",
        "tile/0/000.p/256",
        "tile/0/002.p/1",
        "tile/00/000",
        "tile/1/000",
        "tile/9/000",
        "tile/entries/1",
        "tile/entries/x000/000/../../secret",
        "tile/../keyring",
        "entries",
        "",
    ],
)
def test_only_tiles_of_what_is_signed_are_served(tmp_path: Path, path: str) -> None:
    tiles = filled(tmp_path / "log", 301)
    with pytest.raises(NotFound):
        tiles.resource(path, 300)


def test_index_1234067_lies_where_the_specification_says() -> None:
    assert verifier.tile_path(0, 1_234_067, 1_234_068 * 256) == "tile/0/x001/x234/067"


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode()))
def test_what_is_no_checkpoint_is_refused_and_nothing_else_is_raised(note: bytes) -> None:
    with pytest.raises(Wrong):
        verifier.opened(note, Key("example.org/log", bytes(32)))
