"""Which samples are shown."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import Params, Scalar, Summary, Table
from harness.datasets import evenly_spaced
from harness.showcase import choose, indices_of


class Mean:
    """The mean of a column; a row of -1 can not be evaluated."""

    higher = True

    def __init__(self, params: Params) -> None:
        pass

    def summarize(self, rows: Table) -> Summary:
        value = float(rows.dense("value").mean())
        scalar = Scalar(value=None if value == -1 else value, n=rows.rows, higher_is_better=self.higher)
        return Summary({"": scalar, ".part": Scalar(value=1.0, n=1, detail=True)})


class Error(Mean):
    higher = False


def entry(kind, name="m"):
    spec = SimpleNamespace(factory=f"{__name__}:{kind.__name__}", params=Params, provider="tests", role="metric",
                           name=name)
    return SimpleNamespace(id=name, spec=spec, params=Params())


@pytest.fixture(autouse=True)
def creates(monkeypatch):
    kinds = {kind.__name__: kind for kind in (Mean, Error)}
    monkeypatch.setattr("harness.showcase.create", lambda spec, params: kinds[spec.factory.split(":")[1]](params))


@settings(deadline=None)
@given(st.integers(0, 3000), st.integers(1, 100))
def test_evenly_spaced(total: int, most: int) -> None:
    rows = evenly_spaced(total, most)
    assert len(rows) == min(total, most)
    assert set(rows) <= set(range(total))
    if len(rows) > 1:
        assert (rows[0], rows[-1]) == (0, total - 1)
        gaps = np.diff(rows)
        assert gaps.max() - gaps.min() <= 1


def test_what_is_not_finite_is_no_score():
    values = np.linspace(0, 1, 64)
    values[[3, 9]] = np.nan, np.inf
    found = choose([entry(Error)], {"m": Table({"value": values})}, 64)
    assert [found.scores[row]["m"] for row in (3, 9)] == [None, None]
    json.dumps(list(found.scores.values()), allow_nan=False)
    assert set(range(56, 64)) <= set(found.rows)


@pytest.mark.parametrize(("kind", "sign"), [(Mean, 1), (Error, -1)])
def test_the_worst_candidates_are_shown(kind, sign):
    values = np.random.default_rng(0).random(500)
    found = choose([entry(kind)], {"m": Table({"value": values})}, 500)
    candidates = np.array(evenly_spaced(500, 64))
    worst = candidates[np.argsort(sign * values[candidates])[:8]]
    assert set(worst) <= set(found.rows)
    assert set(candidates[evenly_spaced(64, 16)]) | set(worst) == set(found.rows)
    assert {row: scores["m"] for row, scores in found.scores.items()} == {row: values[row] for row in candidates}


def test_what_can_not_be_evaluated_is_no_worst_case():
    values = np.where(np.arange(30) < 20, -1.0, 0.5)
    found = choose([entry(Mean)], {"m": Table({"value": values})}, 30)
    assert set(range(22, 28)) <= set(found.rows)
    assert found.scores[0] == {"m": None}


def test_all_of_few_samples_are_shown():
    assert choose([entry(Mean)], {"m": Table({"value": np.zeros(5)})}, 5).rows == (0, 1, 2, 3, 4)
    assert choose([], {}, 30).rows == tuple(evenly_spaced(30, 24))


@given(st.sets(st.integers(0, 40), max_size=6), st.sets(st.integers(0, 34), min_size=1, max_size=8))
def test_the_samples_of_rows_are_among_the_indices(unreadable, rows):
    readable = [index for index in range(41) if index not in unreadable]
    wanted = sorted(row for row in rows if row < len(readable))
    found = indices_of(wanted, len(unreadable), 41)
    assert {readable[row] for row in wanted} <= set(found) <= set(range(41))
    assert indices_of(wanted, 0, 41) == wanted
