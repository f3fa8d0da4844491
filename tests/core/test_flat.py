"""Outputs with a row per detection: joining pieces and splitting by sample lose nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import flat
from harness.table import Ragged, Table
from harness.tasks import TASKS

TASK = TASKS["detection"]


def outputs(owners, samples):
    owners = np.array(owners, np.int64)
    return {"boxes": np.arange(4.0 * len(owners), dtype=np.float32).reshape(-1, 4), "scores": owners / 10,
            "labels": owners * 2, "image": owners, "activations": np.arange(samples * 2.0).reshape(samples, 2, 1, 1)}


@given(st.lists(st.lists(st.integers(0, 2), max_size=6), min_size=1, max_size=4))
def test_joined_pieces_keep_their_samples(pieces):
    joined = flat.join(TASK, [outputs(piece, 3) for piece in pieces], [3] * len(pieces))
    whole = Table(flat.by_sample(TASK, joined, 3 * len(pieces)))
    parts = Table.concat([Table(flat.by_sample(TASK, outputs(piece, 3), 3)) for piece in pieces])
    assert "image" not in whole
    for name in whole:
        assert flat.difference(whole[name], parts[name]) == 0


def test_by_sample_keeps_the_order_and_empty_samples():
    columns = flat.by_sample(TASK, outputs([2, 0, 2], 4), 4)
    assert [columns["boxes"][i][:, 0].tolist() for i in range(4)] == [[4.0], [], [0.0, 8.0], []]
    assert columns["activations"].shape == (4, 2, 1, 1)


def test_first_drops_the_rows_of_padding():
    kept = flat.first(TASK, outputs([0, 1, 2, 1], 3), 2)
    assert kept["image"].tolist() == [0, 1, 1]
    assert len(kept["activations"]) == 2


@pytest.mark.parametrize(("change", "problem"), [
    ({"image": np.array([0, 3])}, ("image", "names the samples 0 to 3 of a batch of 2")),
    ({"image": np.array([0.0, 1.0])}, ("image", "is float64, sample indices must be integers")),
    ({"scores": np.zeros(3)}, ("scores", "has 3 rows, image has 2")),
])
def test_problems(change, problem):
    good = outputs([0, 1], 2)
    assert list(flat.problems(TASK, good, 2)) == []
    assert problem in list(flat.problems(TASK, {**good, **change}, 2))


def test_differences():
    one = Ragged.of([np.array([1.0]), np.array([2.0, 3.0])])
    assert flat.difference(one, Ragged(one.values + 0.25, one.offsets)) == 0.25
    assert flat.difference(one, Ragged(one.values, np.array([0, 2, 3]))) == np.inf
    assert flat.difference(one, one.values) == np.inf
    assert flat.difference(np.zeros((0, 4)), np.zeros((0, 4))) == 0
    assert flat.difference(np.zeros(2), np.zeros(3)) == np.inf
