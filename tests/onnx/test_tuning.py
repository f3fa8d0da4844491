"""Options chosen by measuring."""

from __future__ import annotations

import time

import numpy as np
import pytest

from harness.onnx import tuning
from harness.onnx.session import open_session
from harness.onnx.tuning import Candidate, candidates, tuned_session


class Slow:
    """A session that takes a given time."""

    open = 0

    def __init__(self, seconds):
        from harness.contracts import TensorInfo

        self.seconds, self.settings = seconds, {}
        self.inputs = [TensorInfo("x", "float32", (None, 3))]
        Slow.open += 1
        assert Slow.open == 1, "one at a time"

    def bind(self, feeds):
        assert feeds["x"].shape == (1, 3)
        return lambda: time.sleep(self.seconds)

    def close(self):
        Slow.open -= 1


@pytest.fixture
def opened(monkeypatch):
    """opened(choose): sessions whose time the function of their options decides."""
    monkeypatch.setattr(tuning, "_TURN_NS", 2_000_000)
    monkeypatch.setattr(Slow, "open", 0)

    def make(seconds):
        return lambda path, **options: Slow(seconds(Candidate(**options)))

    return make


def test_candidates_never_exceed_the_threads_of_the_cell():
    assert candidates(1) == [Candidate(1, False, "all"), Candidate(1, False, "extended")]
    assert {candidate.threads for candidate in candidates(6)} == {1, 2, 4, 6}
    assert candidates(2)[0] == Candidate(2, False, "all")


def test_the_fastest_is_chosen_and_recorded(opened, tmp_path):
    best = Candidate(2, True, "extended")
    session = tuned_session(tmp_path, 2, opened(lambda options: 0.0005 if options == best else 0.003))
    assert session.seconds == 0.0005
    assert session.settings["tuned"]
    assert (session.settings["threads"], session.settings["allow_spinning"]) == (2, True)
    assert session.settings["optimization"] == "extended"
    assert 0.5 <= session.settings["median_ms"] < session.settings["default_ms"]


def test_equal_candidates_leave_the_simplest(opened, tmp_path):
    session = tuned_session(tmp_path, 1, opened(lambda _: 0.002))
    assert session.settings["optimization"] == "all"


def test_a_real_graph(make_model, save):
    path = save(make_model())
    session = tuned_session(path, 1)
    image = np.random.default_rng(0).random((2, 3, 8, 6), np.float32)
    found, expected = (each.run({"image": image})["logits"] for each in (session, open_session(path)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert session.settings["candidates"] == 2
    session.close()


def test_a_graph_with_free_lengths_is_not_tuned(make_model, save):
    model = make_model()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    session = tuned_session(save(model), 1)
    assert session.settings["tuned"] is False
    session.close()
