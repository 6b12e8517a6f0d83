"""The line index against `tomllib`: in every generated text each leaf's value is the line on which it stands."""

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.policy import language, lines

LINE = "\0"  # stands for "the number of this line" until the text is complete

bare = st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True)
odd = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=4)
literal = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="'"), max_size=4)
keys = st.one_of(
    bare,
    odd.map(lambda key: json.dumps(key, ensure_ascii=False)),
    odd.map(lambda key: json.dumps(key, ensure_ascii=True)).filter(lambda key: "\\ud" not in key),
    literal.map(lambda key: f"'{key}'"),
)
dots = st.sampled_from([".", " . ", "\t.", ". "])
blanks = st.sampled_from(["", " ", "\t "])
between = st.sampled_from(["", " ", "\n", "\n\n ", ' # a ] } , " \'\'\' """ comment\n', "\r\n"])
strings = st.sampled_from(
    [
        '"x = 1 # [no]"',
        "'[no]\\'",
        '"a\\"b"',
        '"""one\ntwo = 2\n[three]\n"""',
        '"""a "quoted" ""word"" \\""" end"""""',
        "'''one\n\"\"\" two\n'' three'''''",
        '"""\\\n   folded"""',
        '""',
        "''",
        '""""""',
        "''''''",
        "1979-05-27 07:32:00",
        "true",
        "-1_000.5e3",
    ]
)


@st.composite
def dotted(draw: st.DrawFn) -> str:
    parts = draw(st.lists(keys, min_size=1, max_size=3))
    return "".join(part + draw(dots) for part in parts[:-1]) + parts[-1]


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    elements = draw(st.lists(inner, max_size=4))
    text = "".join(f"{draw(between)}{element}{draw(between)}," for element in elements[:-1])
    last = f"{draw(between)}{elements[-1]}{draw(st.sampled_from(['', ',']))}" if elements else ""
    return f"[{text}{last}{draw(between)}]"


@st.composite
def tables(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    pairs = [f"{draw(blanks)}{draw(dotted())}{draw(blanks)}={draw(blanks)}{draw(inner)}" for _ in range(draw(small))]
    return "{" + ",".join(pairs) + draw(blanks) + "}"


small = st.integers(0, 3)
values = st.recursive(
    st.one_of(st.just(LINE), strings),
    lambda inner: st.one_of(arrays(inner), tables(inner)),
    max_leaves=6,
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    parts: list[str] = []
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["pair", "pair", "table", "tables", "blank"]))
        if kind == "pair":
            parts.append(f"{draw(blanks)}{draw(dotted())}{draw(blanks)}={draw(blanks)}{draw(values)}")
        elif kind == "table":
            parts.append(f"[{draw(blanks)}{draw(dotted())}{draw(blanks)}]")
        elif kind == "tables":
            parts.append(f"[[{draw(st.sampled_from(['a', 'a.b', 'b', 'a.b.c']))}]]")
        else:
            parts.append(draw(st.sampled_from(["", "# = [ { \" '''", "\t"])))
        parts[-1] += draw(st.sampled_from(["", "  # comment ] = '", "\t"]))
    text = draw(st.sampled_from(["\n", "\r\n"])).join(parts)
    return _numbered(text)


def _numbered(text: str) -> str:
    first, *rest = text.split(LINE)
    for part in rest:
        first += str(first.count("\n") + 1) + part
    return first


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, number))
    else:
        yield path, value


@given(texts())
def test_each_leaf_is_found_on_its_line(text: str) -> None:
    where = lines.index(text, depth_max=99)
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # two keys fell together: nothing to compare
    for path, value in _leaves(read):
        assert path in where
        if isinstance(value, int) and not isinstance(value, bool):
            assert where[path] == value, path


@given(st.one_of(st.text(), st.text(alphabet="[]{}=.,\"'#\\\n ab\r")))
def test_any_text_is_read_to_its_end(text: str) -> None:
    last = text.count("\n") + 1
    assert all(1 <= line <= last for line in lines.index(text, depth_max=2_000).values())


def test_a_text_with_every_form() -> None:
    text = '''# comment
title = 3 # = 4
"quoted key" = 3
'lit.eral' . b = 4
text = """
not = 6
[not]
"""
[a."b.c".d]
x = {y = 10, "z" = {w = 10}}
list = [
  11, # [
  {k = "]"}, 13,
]
[[many]]
n = 16
[[many]]
n = 18
[many.below]
deep = 20
[[many.below.more]]
m = 22
"tab\\tkey" = 23
"\\u00e9\\U0001F600" = 24
'''
    where = lines.index(text, depth_max=9)
    assert where[("title",)] == 2
    assert where[("quoted key",)] == 3
    assert where[("lit.eral", "b")] == 4
    assert where[("a", "b.c")] == 9
    assert where[("a", "b.c", "d", "x", "z", "w")] == 10
    assert where[("a", "b.c", "d", "list", 1, "k")] == 13
    assert where[("a", "b.c", "d", "list", 2)] == 13
    assert [where["many", 0, "n"], where["many", 1, "n"]] == [16, 18]
    assert where["many", 1, "below", "deep"] == 20
    assert where["many", 1, "below", "more", 0, "m"] == 22
    assert where["many", 1, "below", "more", 0, "tab\tkey"] == 23
    assert where["many", 1, "below", "more", 0, "é😀"] == 24
    assert ("not",) not in where and ("many", 0, "below") not in where


def test_a_string_may_end_in_quotes_of_its_own() -> None:
    elements = ['"' * 3 + "a" + '"' * 5, "\n 2", '"' * 3 + "b" + '"' * 4, "\n 3", '"' * 6, "'" * 6, "\n 4"]
    text = "x = [" + ",".join(elements) + "]\ny = 5"
    where = lines.index(text, depth_max=9)
    assert [where["x", number] for number in range(7)] == [1, 2, 2, 3, 3, 3, 4]
    assert ("x", 7) not in where
    assert where["y",] == 5


def test_a_table_has_the_line_that_names_it_first() -> None:
    where = lines.index("[a.b]\nc = 2\n[a]\nd.e = 4\nd.f = 5\n[[l]]\n[[l]]", depth_max=9)
    assert (where["a",], where["a", "b"], where["a", "d"]) == (1, 1, 4)
    assert (where["l",], where["l", 0], where["l", 1]) == (6, 6, 7)


@pytest.mark.parametrize(
    ("deep", "line"),
    [
        ("x = 1\ny = " + "[" * 40, 2),
        ("\n\nx = " + "{a = " * 40, 3),
        (".".join("a" * 40) + " = 1", 1),
        ("[" + ".".join("a" * 40) + "]", 1),
    ],
)
def test_nesting_is_bounded(deep: str, line: int) -> None:
    with pytest.raises(lines.TooDeep) as refused:
        lines.index(deep, language.DEPTH_MAX)
    assert refused.value.line == line
