"""Metrics that ask the generator again, and those of a map alone."""

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy.stats import pearsonr, spearmanr

from harness.api import TaskMismatch
from harness.testing.conformance import create
from harness_saliency_metrics.faithfulness import METRICS
from harness_saliency_metrics.faithfulness_params import InfidelityParams
from harness_saliency_metrics.randomization import weight_layers
from harness_saliency_metrics.sparseness import gini

SPECS = {spec.name: spec for spec in METRICS}


def measured(name, samples, **params):
    metric = create(SPECS[name], **params)
    rows = metric.measure(samples)
    return rows, metric.summarize(rows)


def brightness(inputs, classes, seeds, model=None):
    """A generator that looks at the image alone."""
    return np.abs(inputs).sum(axis=1).astype(np.float32)


@pytest.fixture
def bright(lab):
    made = lab(5)
    return replace(made.samples, saliency=brightness(made.samples.inputs, None, None), explain=brightness), made.model


def test_coherency_complexity_and_adcc(bright):
    samples, model = bright
    for index, image in enumerate(samples.inputs):
        relevance = samples.saliency[index] / samples.saliency[index].max()
        again = brightness((image * relevance)[None], None, None)[0]
        coherency = (pearsonr(relevance.ravel(), again.ravel()).statistic + 1) / 2
        complexity = relevance.mean()
        p, o = (model.probability(each, samples.classes[index]) for each in (image, image * relevance))
        drop = max(0, p - o) / p
        expected = {"coherency": coherency, "complexity": complexity,
                    "adcc": 3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - drop))}
        for name, number in expected.items():
            assert measured(name, samples)[0].dense("value")[index] == pytest.approx(number, abs=1e-5), name


def test_the_second_map_is_made_with_the_draws_of_the_first(bright):
    """A generator that only draws is perfectly coherent: it ignores what it explains, and that is said of it."""
    def noise(inputs, classes, seeds, model=None):
        return np.stack([np.random.default_rng(seed).random(inputs.shape[2:], np.float32) for seed in seeds])

    samples, _ = bright
    drawn = replace(samples, saliency=noise(samples.inputs, None, samples.seeds), explain=noise)
    assert measured("coherency", drawn)[1].scalars[""].value == pytest.approx(1)
    assert measured("max-sensitivity", drawn)[1].scalars[""].value == 0


def test_a_second_map_that_says_nothing_is_invalid(bright):
    samples, _ = bright
    flat = replace(samples, explain=lambda inputs, classes, seeds, model=None: np.ones_like(samples.saliency))
    for name in ("coherency", "adcc"):
        scalar = measured(name, flat)[1].scalars[""]
        assert (scalar.value, scalar.n, scalar.n_invalid) == (0, 5, 5)


def test_max_sensitivity(bright):
    """For a linear generator the change is linear in the noise, and bounded by its size."""
    samples, _ = bright

    def weighted(inputs, classes, seeds, model=None):
        return inputs[:, 0] - 2 * inputs[:, 1]

    linear = replace(samples, saliency=weighted(samples.inputs, None, None), explain=weighted)
    small, large = (measured("max-sensitivity", linear, radius=radius)[0].dense("value") for radius in (0.01, 0.02))
    np.testing.assert_allclose(large, 2 * small, rtol=1e-3)
    norm = np.sqrt((linear.saliency**2).sum(axis=(1, 2)))
    bound = 3 * 0.02 * np.sqrt(120) / norm
    typical = np.sqrt(5 / 3) * 0.02 * np.sqrt(120) / norm
    assert (large <= bound).all()
    np.testing.assert_allclose(large, typical, rtol=0.3)
    more = measured("max-sensitivity", linear, radius=0.02, draws=30)[0].dense("value")
    assert (more >= large).all()


def test_maps_that_break_under_noise_are_invalid(bright):
    samples, _ = bright
    broken = replace(samples, explain=lambda *given: np.full_like(samples.saliency, np.nan))
    scalar = measured("max-sensitivity", broken)[1].scalars[""]
    assert (scalar.value, scalar.n_invalid) == (2, 5)


def test_infidelity_of_an_additive_network(lab):
    """p is a sum over pixels: the map of its terms predicts every square exactly, another one does not."""
    made = lab(3)
    share = np.random.default_rng(5).random((12, 10)) / 500

    def predict(inputs):
        p = (inputs[:, 0].astype(np.float64) * share).sum(axis=(1, 2))
        return np.log(np.stack([p, 1 - p, np.full_like(p, 1e-30)], axis=1))

    inputs = np.abs(made.samples.inputs) + 0.5
    samples = replace(made.samples, inputs=inputs, predict=predict, classes=np.zeros(3, np.int64))
    samples.predictions.dense("logits")[:] = predict(inputs)
    right = (inputs[:, 0] * share).astype(np.float32)
    exact, scaled, wrong = (measured("infidelity", replace(samples, saliency=maps))[0].dense("value")
                            for maps in (right, -77 * right, np.random.default_rng(0).random((3, 12, 10))))
    assert (exact < 1e-12).all()
    assert (scaled < 1e-12).all()
    assert (wrong > 1e-7).all()


@pytest.mark.parametrize("given", [{"sigma": 0.4}, {"perturbation": "gaussian", "side": 0.5}])
def test_what_the_other_perturbation_takes_is_refused(given):
    with pytest.raises(ValueError, match="needs perturbation"):
        InfidelityParams(**given)


@pytest.mark.parametrize("perturbation", ["square", "gaussian"])
def test_infidelity_is_never_more_than_saying_nothing(lab, perturbation):
    """The best factor can be zero: then what remains is the mean squared change."""
    made = lab(4, scale=0.2)
    changes = []
    plain = made.samples.predict

    def noted(inputs):
        changes.append([made.model.probability(image, target) for image in inputs])
        return plain(inputs)

    for index in range(4):
        changes.clear()
        target = made.samples.classes[index]
        one = slice(index, index + 1)
        alone = replace(made.samples, ids=made.samples.ids[one], inputs=made.samples.inputs[one],
                        saliency=made.samples.saliency[one], classes=made.samples.classes[one],
                        predictions=made.samples.predictions.take(np.array([index])), predict=noted)
        value = measured("infidelity", alone, perturbation=perturbation, draws=40)[0].dense("value")[0]
        before = made.model.probability(made.samples.inputs[index], target)
        perturbed = np.concatenate([each for each in changes if len(each) > 1])
        square = np.mean((before - perturbed) ** 2)
        assert 0 < value <= square * (1 + 1e-5)


def test_gini():
    assert gini(np.ones(10)) == pytest.approx(0)
    assert gini(np.eye(1, 10)) == pytest.approx(0.9)
    values = np.random.default_rng(0).exponential(size=50)
    pairs = np.abs(values[:, None] - values[None]).sum() / (2 * 50 * values.sum())
    assert gini(values) == pytest.approx(pairs)


def test_sparseness_is_of_magnitudes(lab):
    maps = np.random.default_rng(0).normal(size=(2, 12, 10)).astype(np.float32)
    first = measured("sparseness", lab(2, maps).samples)[0].dense("value")
    np.testing.assert_allclose(measured("sparseness", lab(2, -np.abs(maps)).samples)[0].dense("value"), first)
    np.testing.assert_allclose(first, [gini(np.abs(each)) for each in maps.astype(np.float64)])


# --- parameter randomization


def three_layers():
    rng = np.random.default_rng(0)
    weights = {"w1": rng.normal(2, 3, (6, 3, 3, 3)), "b1": rng.normal(size=6), "w2": rng.normal(size=(4, 6, 1, 1)),
               "w3": rng.normal(size=(4, 5)), "b3": rng.normal(size=5)}
    nodes = [helper.make_node("Conv", ["image", "w1", "b1"], ["h1"]), helper.make_node("Relu", ["h1"], ["r1"]),
             helper.make_node("Conv", ["r1", "w2"], ["h2"]), helper.make_node("GlobalAveragePool", ["h2"], ["g"]),
             helper.make_node("Flatten", ["g"], ["f"]), helper.make_node("Gemm", ["f", "w3", "b3"], ["scores"])]
    graph = helper.make_graph(
        nodes, "three", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 12, 10])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@dataclass
class Model:
    """A model handle that remembers the weights it was given."""

    graph: onnx.ModelProto
    path: Path = Path("three.onnx")
    given: list = None

    @contextmanager
    def with_weights(self, weights):
        self.given.append(weights)
        yield weights


def test_layers_from_the_top():
    layers = weight_layers(three_layers())
    assert [list(layer) for layer in layers] == [["w3", "b3"], ["w2"], ["w1", "b1"]]


@pytest.fixture
def randomized(lab):
    """explain answers a map that depends on how many layers are randomized."""
    made = lab(4)
    model = Model(three_layers(), given=[])
    base = np.random.default_rng(1).random((4, 12, 10)).astype(np.float32)

    def explain(inputs, classes, seeds, model=None):
        if model is None:
            return base
        rng = np.random.default_rng(len(model))
        return (base + len(model) * rng.random(base.shape)).astype(np.float32)

    return replace(made.samples, saliency=base, explain=explain, model=model), model


def test_randomization_cascades_and_correlates_ranks(randomized):
    samples, model = randomized
    rows, summary = measured("parameter-randomization", samples, layers=3)
    assert [sorted(weights) for weights in model.given] == [["b3", "w3"], ["b3", "w2", "w3"],
                                                            ["b1", "b3", "w1", "w2", "w3"]]
    np.testing.assert_array_equal(model.given[0]["w3"], model.given[2]["w3"])
    expected = np.array([[spearmanr(first.ravel(), second.ravel()).statistic
                          for first, second in zip(samples.saliency, samples.explain(None, None, None, weights),
                                                   strict=True)] for weights in model.given]).T
    np.testing.assert_allclose(rows.dense("rho"), expected, atol=1e-12)
    assert summary.scalars[""].value == pytest.approx(np.abs(expected).mean())
    assert summary.curves[""].x == pytest.approx([1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(summary.curves[""].y, expected.mean(axis=0))


@pytest.mark.parametrize("values", ["normal", "permuted"])
def test_randomized_weights_keep_their_distribution(randomized, values):
    samples, model = randomized
    measured("parameter-randomization", samples, layers=1, values=values)
    (drawn,) = model.given
    trained = {each.name: numpy_helper.to_array(each) for each in model.graph.graph.initializer}
    assert {name: (each.shape, each.dtype) for name, each in drawn.items()} == {
        name: (trained[name].shape, trained[name].dtype) for name in ("w3", "b3")}
    samples, model = replace(samples), Model(three_layers(), given=[])
    measured("parameter-randomization", replace(samples, model=model), layers=3, values=values)
    new, old = model.given[2]["w1"], trained["w1"]
    assert not np.allclose(new, old)
    if values == "permuted":
        np.testing.assert_array_equal(np.sort(new, axis=None), np.sort(old, axis=None))
    else:
        assert (new.mean(), new.std()) == (pytest.approx(old.mean(), abs=0.6), pytest.approx(old.std(), rel=0.15))


def test_a_map_that_dies_with_the_weights_has_nothing_in_common(randomized):
    samples, _ = randomized
    dead = replace(samples, explain=lambda inputs, classes, seeds, model: np.zeros_like(samples.saliency))
    assert measured("parameter-randomization", dead)[1].scalars[""].value == 0
    same = replace(samples, explain=lambda inputs, classes, seeds, model: 3 * samples.saliency + 1)
    assert measured("parameter-randomization", same)[1].scalars[""].value == pytest.approx(1)


def test_a_graph_without_weights_is_refused(randomized):
    samples, _ = randomized
    bare = three_layers()
    del bare.graph.node[2:]
    del bare.graph.node[0]
    with pytest.raises(TaskMismatch, match="leave the metric out"):
        measured("parameter-randomization", replace(samples, model=Model(bare, given=[])))
