"""One latency cell: a model bound to fixed inputs, timed by a scenario."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.card import InputSpec
from harness.contracts import ModelFile, Scenario, Timing
from harness.geometry import normalize
from harness.host import blame, create
from harness.measure import latency_result
from harness.opened import open_model
from harness.plan import Cell
from harness.results import LatencyResult
from harness.stats import stable_seed


def measure(cell: Cell, file: ModelFile) -> tuple[str, Timing, LatencyResult]:
    """(what it ran on, raw timing, statistics). Raises CellError when the model can not be run."""
    setting = cell.latency
    if setting is None:
        raise ValueError(f"{cell.key} is no latency cell")
    with open_model(cell, file, setting.threads) as model:
        query = model.runner.bind(synthetic_inputs(model.card.input, setting.batch, cell.seed))
        with blame(setting.spec):
            scenario: Scenario = create(setting.spec, setting.params)
            timing = scenario.measure(query)
        result = latency_result(timing, setting.spec.name, setting.batch, setting.threads,
                                seed=stable_seed(cell.seed, cell.key))
        return model.runs_on, timing, result


def synthetic_inputs(spec: InputSpec, batch: int, seed: int) -> NDArray[np.float32]:
    """Uniform noise as a model would see it: (N, C, h, w) or (N, h, w, C) float32, the same for the same seed."""
    rng = np.random.default_rng(stable_seed("inputs", seed))
    return normalize(rng.integers(0, 256, (batch, *spec.size, spec.channels), dtype=np.uint8), spec)
