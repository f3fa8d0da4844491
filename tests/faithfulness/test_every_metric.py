"""Every metric on the shipped CAM network: its declaration, its contract, maps that say nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.api import Fit, Samples, Table
from harness.evaluate import card_of
from harness.geometry import Size, prepare
from harness.handle import open_handle
from harness.onnx.session import open_session
from harness.testing.conformance import check_metric, check_spec, create
from harness_classification.foreground import Foreground
from harness_classification.params import ForegroundParams
from harness_saliency_metrics.faithfulness import METRICS
from harness_saliency_metrics.localization import METRICS as LOCALIZATION

CAM_CNN = Path(__file__).parents[2] / "exports" / "cam-cnn" / "model.fp32.onnx"
SPECS = [*METRICS, *(spec for spec in LOCALIZATION if spec.name == "warping-error")]
FEW = {"insertion": {"steps": 6}, "deletion": {"steps": 6}, "pixel-flipping": {"steps": 6}, "infidelity": {"draws": 8},
       "max-sensitivity": {"draws": 2}, "road": {"removed": [0.2, 0.6]}, "parameter-randomization": {"layers": 2}}


def cam(handle):
    """A generator: mean activation of the layer before the pooling, enlarged, with a little of each sample's draw."""
    def explain(inputs, classes, seeds, model=None):
        found = (model or handle).activations(inputs).mean(axis=1)
        scale = inputs.shape[2] // found.shape[1]
        noise = [np.random.default_rng(seed).random(inputs.shape[2:]) for seed in seeds]
        return (found.repeat(scale, 1).repeat(scale, 2) + 1e-3 * np.stack(noise)).astype(np.float32)

    return explain


@pytest.fixture(scope="module")
def samples() -> Iterator[Samples]:
    card = card_of(CAM_CNN)
    handle, _ = open_handle(card, CAM_CNN, lambda path: open_session(path, threads=1), lambda count: None)
    (batch,) = Foreground(ForegroundParams(count=5)).batches(5)
    inputs, fits = prepare(batch.images, card.input)
    classes = np.array([card.class_index(target.label) for target in batch.targets])
    explain, seeds = cam(handle), list(range(5))
    assert isinstance(fits[0], Fit)
    assert fits[0].size == Size(96, 96)
    yield Samples(batch.ids, batch.targets, Table({"logits": handle.predict(inputs)}), card, seed=11, inputs=inputs,
                  fits=fits, saliency=explain(inputs, classes, seeds), classes=classes, seeds=seeds,
                  predict=handle.predict, explain=explain, model=handle)
    handle.close()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_contract(spec, samples):
    check_spec(spec)
    metric = create(spec, **FEW.get(spec.name, {}))
    check_metric(spec, metric, replace(samples))
    summary = metric.summarize(metric.measure(samples))
    for scalar in summary.scalars.values():
        assert scalar.convention or scalar.unit == "images"
    main = summary.scalars.get("", summary.scalars.get(".mask"))
    assert main.higher_is_better == spec.higher_is_better
    assert main.unit == spec.unit


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_maps_that_say_nothing_score_worst(spec, samples):
    maps = samples.saliency.copy()
    maps[0], maps[1] = 0, 0.7
    maps[2, 5, 5] = np.nan
    maps[3, 0, 0] = -np.inf
    metric = create(spec, **FEW.get(spec.name, {}))
    rows = metric.measure(replace(samples, saliency=maps))
    summary = metric.summarize(rows)
    bad = metric.summarize(rows.take(np.arange(4)))
    for suffix in ("",) if "" in summary.scalars else (".box", ".mask"):
        assert (summary.scalars[suffix].n, summary.scalars[suffix].n_invalid) == (5, 4)
        assert bad.scalars[suffix].value == spec.worst
        alone = metric.summarize(metric.measure(replace(samples))).scalars[suffix]
        assert alone.n_invalid == 0
    assert metric.summarize(rows.take(np.zeros(0, np.int64))).scalars.keys() == summary.scalars.keys()


@pytest.mark.parametrize("name", ["complexity", "coherency", "adcc", "average-drop", "average-increase"])
def test_a_map_without_positive_values_is_no_mask(name, samples):
    spec = next(spec for spec in METRICS if spec.name == name)
    metric = create(spec)
    scalar = metric.summarize(metric.measure(replace(samples, saliency=-1 - samples.saliency))).scalars[""]
    assert (scalar.value, scalar.n_invalid) == (spec.worst, 5)


def test_weights_really_change_the_maps(samples):
    """The cascade reaches the maps through the graph on onnxruntime."""
    spec = next(spec for spec in METRICS if spec.name == "parameter-randomization")
    rows = create(spec, layers=20).measure(samples)
    rho = rows.dense("rho")
    assert rho.shape[1] == 7
    np.testing.assert_allclose(rho[:, 0], 1, atol=1e-9)  # the linear layer at the top is above the layer of the maps
    assert (np.abs(rho[:, -1]) < 0.9).all()
