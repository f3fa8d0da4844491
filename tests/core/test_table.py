"""Tables of rows: selection, concatenation and files, against plain Python lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.table import Ragged, Table

samples = st.lists(st.lists(st.integers(-5, 5), max_size=4), min_size=1, max_size=6)


def ragged(lists: list[list[int]]) -> Ragged:
    return Ragged.of([np.array([[value, -value] for value in values], np.int32).reshape(-1, 2) for values in lists])


def lists_of(column: Ragged) -> list[list[int]]:
    return [[int(pair[0]) for pair in column[i]] for i in range(len(column))]


def table(lists: list[list[int]]) -> Table:
    return Table({"n": np.array([len(values) for values in lists]), "values": ragged(lists)})


@settings(deadline=None)
@given(samples, st.data())
def test_take_selects_and_repeats(lists: list[list[int]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8))
    taken = table(lists).take(np.array(chosen, np.int64))
    assert taken.rows == len(chosen)
    assert taken.dense("n").tolist() == [len(lists[i]) for i in chosen]
    assert lists_of(taken.ragged("values")) == [lists[i] for i in chosen]


@settings(deadline=None)
@given(st.lists(samples, min_size=1, max_size=4))
def test_concat_is_concatenation(parts: list[list[list[int]]]) -> None:
    whole = Table.concat([table(part) for part in parts])
    expected = [values for part in parts for values in part]
    assert lists_of(whole.ragged("values")) == expected
    assert whole.dense("n").tolist() == [len(values) for values in expected]


@settings(max_examples=30, deadline=None)
@given(lists=samples)
def test_a_file_gives_back_the_same_table(tmp_path_factory: pytest.TempPathFactory, lists: list[list[int]]) -> None:
    folder = tmp_path_factory.mktemp("table")
    table(lists).save(folder / "rows.npz")
    loaded = Table.load(folder / "rows.npz")
    assert list(loaded) == ["n", "values"]
    assert lists_of(loaded.ragged("values")) == lists
    assert loaded.ragged("values").values.dtype == np.int32
    assert [path.name for path in folder.iterdir()] == ["rows.npz"]


@pytest.mark.parametrize("name", ["file", "allow_pickle", "self", "a/b", "per class", "ü"])
def test_a_column_may_be_called_anything(tmp_path: Path, name: str) -> None:
    Table({name: np.arange(3), f"{name} too": ragged([[1], [], [2, 3]])}).save(tmp_path / "rows.npz")
    loaded = Table.load(tmp_path / "rows.npz")
    assert loaded.dense(name).tolist() == [0, 1, 2]
    assert lists_of(loaded.ragged(f"{name} too")) == [[1], [], [2, 3]]
    with np.load(tmp_path / "rows.npz") as archive:  # any reader of .npz
        assert archive[name].tolist() == [0, 1, 2]


def test_a_name_that_a_file_needs_for_itself_is_refused() -> None:
    with pytest.raises(ValueError, match='"x#offsets".*reserved'):
        Table({"x#offsets": np.arange(3)})


def test_ragged_indexing() -> None:
    column = ragged([[1, 2], [], [3]])
    assert len(column) == 3
    assert lists_of(column) == [[1, 2], [], [3]]
    with pytest.raises(IndexError):
        column[3]
    with pytest.raises(IndexError):
        column[-1]


def test_dense_and_ragged_are_told_apart() -> None:
    rows = table([[1], [2, 3]])
    with pytest.raises(TypeError, match="'values' is ragged"):
        rows.dense("values")
    with pytest.raises(TypeError, match="'n' is dense"):
        rows.ragged("n")


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Table({"a": np.zeros(2), "b": np.zeros(3)})


def test_tables_with_other_columns_are_not_concatenated() -> None:
    with pytest.raises(ValueError, match="columns"):
        Table.concat([Table({"a": np.zeros(2)}), Table({"a": np.zeros(2), "b": np.zeros(2)})])


def test_nothing() -> None:
    assert Table.concat([]).rows == 0
    assert Table({"a": np.zeros((0, 3))}).rows == 0


def test_select() -> None:
    assert list(table([[1]]).select(["n"])) == ["n"]


def test_objects_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        Table({"a": np.array([{}, None], object)}).save(tmp_path / "rows.npz")
    assert not (tmp_path / "rows.npz").exists()


def test_a_damaged_file_is_an_ordinary_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    table([[1, 2], [3]]).save(path)
    whole = path.read_bytes()
    for damaged in [whole[:length] for length in range(0, len(whole), 37)] + [b"no archive"]:
        path.write_bytes(damaged)
        with pytest.raises((ValueError, OSError)):
            Table.load(path)
    for position in range(0, len(whole), 7):  # a changed byte may go unnoticed in a date, but never ends otherwise
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x5A]) + whole[position + 1 :])
        try:
            Table.load(path)
        except (ValueError, OSError):
            continue
    with pytest.raises(OSError, match="absent"):
        Table.load(tmp_path / "absent.npz")
