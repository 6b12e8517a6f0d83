import os

from avow.base.ids import uuid7


def test_ids_are_version_7_unique_and_in_order() -> None:
    made = [uuid7() for _ in range(20_000)]
    assert all(each.version == 7 and each.variant == "specified in RFC 4122" for each in made)
    assert made == sorted(set(made))


def test_a_forked_child_makes_other_ids_than_its_parent() -> None:
    uuid7()
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(writer, b"".join((uuid7().int & ((1 << 62) - 1)).to_bytes(8, "big") for _ in range(50)))
        os._exit(0)
    os.waitpid(pid, 0)
    theirs = os.read(reader, 400)
    tails = {int.from_bytes(theirs[n : n + 8], "big") for n in range(0, 400, 8)}
    assert len(tails) == 50
    assert not tails & {uuid7().int & ((1 << 62) - 1) for _ in range(600)}
    os.close(reader)
    os.close(writer)
