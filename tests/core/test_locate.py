"""Lines of TOML keys, against documents whose structure tomllib knows and whose lines a generator knows."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.locate import Locations

SUITE = """\
#:schema ./suite.schema.json
[suite]
name = "example"
[datasets.figures]
use = "stick-figures"   # a [comment] with = and "quotes
"split" = 'test'

[models.mobilenet]
input = { size = [192,
                  192], range = [-1.0, 1.0], color = "RGB" }
classes = { Abyssinian = 286, "scottish terrier" = 200 }
[[bench]]
models = ["heatmap"]
[[bench]]
models = [
    "heatmap",  # ] not the end
    # nor "this

    "regression",
]
latency = [{ scenario = "single-stream", batch = [1, 8] },
           { scenario = "server" }]
[[gates]]
cell = "accuracy/*"
"""


@pytest.mark.parametrize(("path", "line"), [
    (("suite",), 2),
    (("suite", "name"), 3),
    (("datasets",), 4),
    (("datasets", "figures"), 4),
    (("datasets", "figures", "split"), 6),
    (("models", "mobilenet", "input", "size"), 9),
    (("models", "mobilenet", "input", "size", 1), 10),
    (("models", "mobilenet", "input", "color"), 10),
    (("models", "mobilenet", "classes", "scottish terrier"), 11),
    (("bench",), 12),
    (("bench", 0, "models", 0), 13),
    (("bench", 1), 14),
    (("bench", 1, "models"), 15),
    (("bench", 1, "models", 1), 19),
    (("bench", 1, "latency", 0, "batch", 1), 21),
    (("bench", 1, "latency", 1, "scenario"), 22),
    (("gates", 0, "cell"), 24),
])
def test_suite(path: tuple[str | int, ...], line: int) -> None:
    assert Locations.of(SUITE).line(path) == line


@pytest.mark.parametrize(("path", "line"), [
    (("datasets", "figures", "count"), 4),      # a missing key stands at its table
    (("bench", 1, "backends", 0), 14),
    (("gates", 0, "cell", "deeper", 3), 24),    # a table expected where a string is
    (("gates", 7, "cell"), 23),
    (("absent",), None),
    ((), None),
])
def test_missing_key_points_to_the_nearest_enclosing_one(path: tuple[str | int, ...], line: int | None) -> None:
    assert Locations.of(SUITE).line(path) == line


NASTY: list[tuple[str, tuple[str | int, ...], int]] = [
    ('a = """\n[b]\nc = 1\n"""\nd = 1', ("d",), 5),
    ('a = """x\\"""\n[b]\n"""\nd = 1', ("d",), 4),                 # an escaped quote does not close
    ('a = """x""""\nd = 1', ("d",), 2),                            # one quote of the text before the closing three
    ('a = """x"""""\nd = 1', ("d",), 2),
    ('a = """""x"""\nd = 1', ("d",), 2),
    ('a = """"""\nd = 1', ("d",), 2),
    ("a = ''''x'''\nd = 1", ("d",), 2),
    ("a = '''\n\\'''\nd = 1", ("d",), 3),
    ("a = 'C:\\'\nd = 1", ("d",), 2),
    ('a = "#"\nd = 1', ("d",), 2),
    ('"a.b" = 1\na.b = 2', ("a.b",), 1),
    ('"a.b" = 1\na.b = 2', ("a", "b"), 2),
    ('\n"\\u0061\\"\\t" = 1', ('a"\t',), 2),
    ("\n'\\u0061' = 1", ("\\u0061",), 2),
    ('\n"" = 1', ("",), 2),
    ("\n1234 = 1\n-5 = 2", ("-5",), 3),
    ("a . 'b' .\tc = 1", ("a", "b", "c"), 1),
    ("\n[ a . b ]\nc = 1", ("a", "b", "c"), 3),
    ("[a.b]\nc=1\n[a]\nd=1", ("a",), 3),                            # its own header is better than a mention
    ("[a.b]\nc=1\n[a]\nd=1", ("a", "b", "c"), 2),
    ("[a.b]\n[a.c]\n", ("a",), 1),
    ("[[a]]\n[[a.b]]\n[[a.b]]\nx=1\n[[a]]\n[[a.b]]\nx=2", ("a", 0, "b", 1, "x"), 4),
    ("[[a]]\n[[a.b]]\n[[a.b]]\nx=1\n[[a]]\n[[a.b]]\nx=2", ("a", 1, "b", 0, "x"), 7),
    ("[[a]]\n[a.b.c]\nx=1\n[[a]]\n[a.b.c]\nx=2", ("a", 1, "b"), 5),
    ("[[a]]\n[[a]]\n[a.b]\n", ("a",), 1),
    ("a = [[1,\n2],\n[3, [\n4]]]", ("a", 1, 1, 0), 4),
    ("a = [ # [\n]\nb = {}\nc = [{}, {x = []}]", ("c", 1, "x"), 4),
    ("a = [\n1979-05-27 07:32:00Z\n,\n-inf]", ("a", 1), 4),
    ('a = {b = """\n"""}\nc = 1', ("c",), 3),
    ("a = {b.c = [\n{d = 1}]}", ("a", "b", "c", 0, "d"), 2),
    ("a = 1\r\n[b]\r\nc = [1,\r\n2]\r\n", ("b", "c", 1), 4),
    ("a=[1,]#\n#\n\n   [b]#x\n\tc=true#y", ("b", "c"), 5),
]


@pytest.mark.parametrize(("text", "path", "line"), NASTY)
def test_nasty(text: str, path: tuple[str | int, ...], line: int) -> None:
    value: Any = tomllib.loads(text)
    for part in path:
        value = value[part]
    assert Locations.of(text).line(path) == line


@pytest.mark.parametrize("text", ["a", "[a", "a = [1", "a = {b = 1", "= 1", "a = ]", "a = [1 [2]]"])
def test_text_that_is_no_toml_ends_in_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="line 1: expected"):
        Locations.of(text)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every key path of a parsed document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield (*path, index)
            yield from paths(inner, (*path, index))


class Emitter:
    """Writes random TOML for a tree; every key and scalar is unique, so that a line can be recognized by its text."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.count = 0
        self.lines: list[str] = []

    def chance(self) -> bool:
        return self.draw(st.booleans())

    def unique(self) -> str:
        self.count += 1
        return f"u{self.count}u"

    def key(self) -> str:
        name = self.unique()
        return self.draw(st.sampled_from([
            name, f'"{name}"', f"'{name}'", f'"{name} = [\\" # \\u00e9\\\\"', f"'{name} ] . # \\'",
        ]))

    def scalar(self) -> str:
        name = self.unique()
        return self.draw(st.sampled_from([
            f'"{name}"', f"'{name}'", f'"{name} \\" ]}} #\\\\"', f"'{name} [{{ #\\'",
            f'"""{name}\n[x]\ny = "1" ""\\"""\n"""""', f"'''{name}\n[[x]]\n''\n'''''", f'"""{name}\\\n  """',
            f"0x{self.count}", "1979-05-27 07:32:00", "-1.5e3", "true",
        ]))

    def gap(self) -> str:
        return self.draw(st.sampled_from(["", " ", "\n", " # ]}, \"x\n", "\n\n\t"]))

    def value(self, depth: int) -> str:
        kind = self.draw(st.sampled_from(["scalar", "array", "inline"])) if depth else "scalar"
        inner = range(self.draw(st.integers(0, 3)))
        if kind == "array":
            parts = [f"{self.gap()}{self.value(depth - 1)}{self.gap()}" for _ in inner]
            return "[" + ",".join(parts) + ("," if parts and self.chance() else "") + self.gap() + "]"
        if kind == "inline":
            return "{" + ", ".join(self.pair(depth - 1) for _ in inner) + "}"
        return self.scalar()

    def pair(self, depth: int) -> str:
        dotted = f"{self.key()} . {self.key()}" if self.chance() else self.key()
        return f"{dotted} = {self.value(depth)}"

    def body(self) -> None:
        for _ in range(self.draw(st.integers(0, 3))):
            self.lines.append(self.pair(2) + self.draw(st.sampled_from(["", "  # [no]", "\n"])))

    def tables(self, prefix: str, depth: int) -> None:
        for _ in range(self.draw(st.integers(0, 2)) if depth else 0):
            name = prefix + (f"{self.key()} ." if self.chance() else "") + self.key()
            repeated = self.draw(st.integers(0, 3))  # 0: a plain table
            for _ in range(max(1, repeated)):
                self.lines.append(f"[[{name}]]" if repeated else f"[ {name} ] # [[x]]")
                self.body()
                self.tables(f"{name} . ", depth - 1)


@st.composite
def documents(draw: st.DrawFn) -> str:
    emitter = Emitter(draw)
    emitter.body()
    emitter.tables("", 3)
    return "\n".join(emitter.lines)


@settings(max_examples=300, deadline=None)
@given(documents())
def test_every_path_is_found_on_a_line_that_mentions_it(text: str) -> None:
    parsed = tomllib.loads(text)
    locations, rows = Locations.of(text), text.split("\n")
    for path in paths(parsed):
        line = locations.line(path)
        assert line is not None
        key = path[-1]
        assert line > 0
        if isinstance(key, str):  # the unique part of the name, free of escapes
            assert key.split(" ")[0] in rows[line - 1]
        elif isinstance(value := _at(parsed, path), str):
            assert value.split()[0].rstrip("\\") in rows[line - 1]


@settings(max_examples=100, deadline=None)
@given(documents())
def test_exactly_the_paths_of_the_document(text: str) -> None:
    """Nothing is invented: a path that is not in the document falls back to an enclosing one."""
    assert set(Locations.of(text)._lines) == set(paths(tomllib.loads(text)))


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


def test_five_thousand_lines_are_fast() -> None:
    text = "".join(f'[models.m{i}]\nuse = "onnx"\ninput = {{ size = [1, 2] }}  # c\nx = [1, 2, 3]\ny = "z"\n'
                   for i in range(1000))
    start = time.process_time()
    locations = Locations.of(text)
    assert time.process_time() - start < 0.2
    assert locations.line(("models", "m999", "y")) == 5000
