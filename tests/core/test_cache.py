"""The cache of predictions and rows: what goes in comes out, and losing it costs time only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness.cache import Cache, default_folder
from harness.table import Ragged, Table

KEY = "0123456789abcdef0123"


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


TABLE = Table({"dense": np.arange(6, dtype=np.float32).reshape(3, 2), "names": np.array(["a", "bc", ""]),
               "ragged": Ragged.of([np.zeros((n, 4)) for n in (2, 0, 1)])})


def same(a, b):
    assert list(a) == list(b)
    for name in a:
        left, right = ((column.values, column.offsets) if isinstance(column, Ragged) else (column,)
                       for column in (a[name], b[name]))
        for x, y in zip(left, right, strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
    return True


def test_a_table_comes_back(cache):
    assert cache.table("rows", KEY) is None
    cache.store_table("rows", KEY, TABLE)
    assert same(cache.table("rows", KEY), TABLE)
    assert cache.table("predictions", KEY) is None
    assert cache.table("rows", KEY[::-1]) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(arrays.arrays(st.sampled_from([np.float32, np.int64, np.uint8, np.bool_]),
                     arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)))
def test_any_array_comes_back(cache, array):
    cache.store_table("rows", KEY, Table({"x": array}))
    assert same(cache.table("rows", KEY), Table({"x": array}))


def test_facts_come_back(cache):
    facts = {"runs_on": "CPU", "unreadable": [["ünreadable", "why"]], "none": None}
    assert cache.facts("predictions", KEY) is None
    cache.store_facts("predictions", KEY, facts)
    assert cache.facts("predictions", KEY) == facts


@pytest.mark.parametrize("keep", [0, 1, 30, 0.5, 0.9, -1])
def test_a_damaged_table_is_a_miss_and_can_be_stored_again(cache, keep):
    cache.store_table("rows", KEY, TABLE)
    (path,) = cache.folder.rglob("*.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[:int(keep * len(whole)) if isinstance(keep, float) else keep])
    assert cache.table("rows", KEY) is None
    cache.store_table("rows", KEY, TABLE)
    assert same(cache.table("rows", KEY), TABLE)


def test_a_flipped_byte_is_a_miss_or_harmless(cache):
    cache.store_table("rows", KEY, TABLE)
    (path,) = cache.folder.rglob("*.npz")
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1:])
        found = cache.table("rows", KEY)
        assert found is None or set(found) <= set(TABLE) or found.rows == 3


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"3"])
def test_damaged_facts_are_a_miss(cache, content):
    cache.store_facts("predictions", KEY, {})
    (path,) = cache.folder.rglob("*.json")
    path.write_bytes(content)
    assert cache.facts("predictions", KEY) is None


def test_fresh_reads_nothing_and_stores_everything(cache, tmp_path):
    cache.store_table("rows", KEY, Table({"old": np.zeros(1)}))
    cache.store_facts("rows", KEY, {"old": True})
    fresh = Cache(cache.folder, enabled=False)
    assert fresh.table("rows", KEY) is None
    assert fresh.facts("rows", KEY) is None
    fresh.store_table("rows", KEY, TABLE)
    fresh.store_facts("rows", KEY, {"new": True})
    assert same(cache.table("rows", KEY), TABLE)
    assert cache.facts("rows", KEY) == {"new": True}


def test_no_partial_file_stays(cache):
    cache.store_table("rows", KEY, TABLE)
    cache.store_facts("rows", KEY, {})
    assert sorted(path.name for path in cache.folder.rglob("*") if path.is_file()) == [f"{KEY}.json", f"{KEY}.npz"]


def test_the_folder_is_the_users_choice(tmp_path):
    assert default_folder({"HARNESS_CACHE_DIR": str(tmp_path)}) == tmp_path
    assert default_folder({}).name == default_folder({"HARNESS_CACHE_DIR": ""}).name == "vision-harness"
