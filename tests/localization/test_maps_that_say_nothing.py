"""Constant, empty and broken maps, single pixels, borders, nothing to be found: each has a defined score."""

import math

import numpy as np
import pytest

from harness.contracts import Samples
from harness.errors import TaskMismatch
from harness.host import Host
from harness.specs import MetricSpec
from harness.tasks import DetectionTarget
from harness_saliency_metrics.localization import METRICS
from harness_saliency_metrics.maps import normalized

SHAPE = (12, 10)
BOX, EVERYWHERE = (3, 2, 8, 9), (0, 0, 10, 12)
NAMES = [spec.name for spec in METRICS if "warping" not in spec.name]
BY_MAXIMUM = {"energy-pointing-game"}


def mask_of(box):
    mask = np.zeros(SHAPE, bool)
    mask[box[1]:box[3], box[0]:box[2]] = True
    return mask


def noise(seed=0):
    return np.random.default_rng(seed).random(SHAPE)


def broken(value):
    values = noise()
    values[4, 4] = value
    return values


def network(inputs):
    return np.zeros((len(inputs), 2), np.float32)


@pytest.fixture
def measured(batch, metric):
    """measured(name, maps, boxes=..., masks=...): the metric's scalars."""
    def call(name, maps, params=None, **truth):
        inputs = np.ones((len(maps), 3, *SHAPE), np.float32)
        made = metric(name, **(params or {}))
        return made.summarize(made.measure(batch(maps, inputs=inputs, predict=network, **truth))).scalars

    return call


INVALID = {"zero": np.zeros(SHAPE), "constant": np.full(SHAPE, 3.0), "negative constant": np.full(SHAPE, -2.0),
           "nan": broken(np.nan), "inf": broken(np.inf), "-inf": broken(-np.inf), "all nan": np.full(SHAPE, np.nan)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", INVALID)
def test_an_invalid_map_is_counted_and_scores_worst(name, kind, measured):
    spec = next(spec for spec in METRICS if spec.name == name)
    found = measured(name, [INVALID[kind]] * 2, boxes=[[BOX]] * 2, masks=[mask_of(BOX)] * 2)
    for suffix in (".box", ".mask") if ".box" in found else ("",):
        assert (found[suffix].value, found[suffix].n, found[suffix].n_invalid) == (spec.worst, 2, 2), suffix
        assert found[f"{suffix}.left-out"].value == 0


@pytest.mark.parametrize("name", NAMES)
def test_an_invalid_map_is_not_dropped_among_others(name, measured):
    """The mean of a good map and a bad one is between the two, wherever it is a mean."""
    spec = next(spec for spec in METRICS if spec.name == name)
    truth = {"boxes": [[BOX]] * 2, "masks": [mask_of(BOX)] * 2}
    good = measured(name, [mask_of(BOX) + 0.01 * noise()] * 2, **truth)
    mixed = measured(name, [mask_of(BOX) + 0.01 * noise(), INVALID["nan"]], **truth)
    for suffix in (".box", ".mask") if ".box" in good else ("",):
        assert (mixed[suffix].n, mixed[suffix].n_invalid) == (2, 1)
        if name == "lrp-error":  # a sum over detections: one right, one wrong, one missed
            assert mixed[suffix].value == pytest.approx((good[suffix].value + 2) / 3)
        else:
            assert mixed[suffix].value == pytest.approx((good[suffix].value + spec.worst) / 2)


@pytest.mark.parametrize("name", NAMES)
def test_negative_maps_have_an_order_but_no_energy(name, measured):
    found = measured(name, [-1 - noise()], boxes=[[BOX]], masks=[mask_of(BOX)])
    suffix = ".box" if ".box" in found else ""
    assert found[suffix].n_invalid == (1 if name in BY_MAXIMUM else 0)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_be_found_is_left_out_and_counted(name, measured):
    nothing = {"boxes": [[BOX], np.zeros((0, 4))], "masks": [mask_of(BOX), np.zeros(SHAPE, bool)]}
    found = measured(name, [noise(1), noise(2)], **nothing)
    alone = measured(name, [noise(1)], boxes=[[BOX]], masks=[mask_of(BOX)])
    for suffix in (".box", ".mask") if ".box" in found else ("",):
        if name == "saliency-metric":  # asks the network, not the annotation
            assert (found[suffix].n, found[f"{suffix}.left-out"].value) == (2, 0)
            continue
        assert (found[suffix].value, found[suffix].n) == (alone[suffix].value, 1)
        assert found[f"{suffix}.left-out"].value == 1


@pytest.mark.parametrize("name", [name for name in NAMES if name != "saliency-metric"])
def test_only_nothing(name, measured):
    found = measured(name, [noise()], boxes=[np.zeros((0, 4))], masks=[np.zeros(SHAPE, bool)])
    suffix = ".box" if ".box" in found else ""
    assert (found[suffix].value, found[suffix].n, found[f"{suffix}.left-out"].value) == (None, 0, 1)


def test_an_object_that_is_ignored_whole_or_cropped_away_is_nothing(measured, batch, values):
    found = measured("localization-error", [noise()], masks=[mask_of(BOX)], ignore=[mask_of(EVERYWHERE)])
    assert (found[".mask"].n, found[".mask.left-out"].value) == (0, 1)
    # The center crop of a wide image does not reach its left border.
    wide = np.zeros((12, 40), bool)
    wide[:, :5] = True
    samples = batch([noise()], boxes=[[(0, 0, 5, 12)]], masks=[wide], native=(12, 40), spec={"fit": "crop"})
    found = values(samples, "localization-error")
    assert (found[".box"], found[".mask"], found[".box.left-out"], found[".mask.left-out"]) == (None, None, 1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_an_object_that_fills_the_image(name, measured):
    found = measured(name, [noise()], boxes=[[EVERYWHERE]], masks=[mask_of(EVERYWHERE)])
    suffix = ".mask" if ".mask" in found else ""
    if name == "attribution-auc":  # no background to be told apart
        assert (found[suffix].n, found[f"{suffix}.left-out"].value) == (0, 1)
    else:
        assert math.isfinite(found[suffix].value)
    if name in ("energy-pointing-game", "pointing-game", "pxap", "relevance-rank-accuracy"):
        assert found[suffix].value == pytest.approx(1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("y", "x"), [(0, 0), (11, 9), (5, 4)])
def test_one_pixel(name, y, x, measured):
    values = np.zeros(SHAPE)
    values[y, x] = 1
    box = (x, y, x + 1, y + 1)
    found = measured(name, [values], boxes=[[box]], masks=[mask_of(box)])
    spec = next(spec for spec in METRICS if spec.name == name)
    suffix = ".box" if ".box" in found else ""
    if name == "saliency-metric":
        assert found[suffix].value == pytest.approx(math.log(0.05) - math.log(0.5))
    else:
        assert found[suffix].value == (1 - spec.worst)
        assert found[suffix].n_invalid == 0


@pytest.mark.parametrize("box", [(0, 0, 10, 3), (0, 0, 4, 12), (6, 5, 10, 12), (0, 11, 10, 12)])
def test_objects_at_the_border(box, measured):
    for name in ("localization-error", "mae", "lrp-error"):
        found = measured(name, [mask_of(box)], boxes=[[box]], masks=[mask_of(box)])
        assert (found[".box"].value, found[".mask"].value) == (0, 0), name
    assert measured("max-box-acc", [mask_of(box)], boxes=[[box]])[""].value == 1


def test_a_map_of_one_pixel_says_nothing(batch, values):
    found = values(batch([[[1.0]]], boxes=[[(0, 0, 1, 1)]]), "pointing-game", region="box")
    assert found[".box"] == 0


@pytest.mark.parametrize("how", ["min-max", "max"])
def test_extreme_values_do_not_overflow(how):
    for values in ([-3e38, 0, 3e38], [1e-45, 0, 3e-45], [-1e-45, 0, 3e38], [1e38, 2e38, 3e38]):
        found = normalized(np.array([values], np.float32), how)
        assert found is not None
        assert np.isfinite(found).all()
        assert (found.min() >= 0, found.max()) == (True, 1)
        assert (np.diff(found[0][np.argsort(values)]) >= 0).all()


def test_the_largest_value_of_the_normalized_map_is_1_and_the_order_stays():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(30, 40)).astype(np.float32)
    low_to_high = normalized(raw, "min-max")
    np.testing.assert_array_equal(low_to_high, (raw - raw.min()) / (raw - raw.min()).max())
    np.testing.assert_array_equal(normalized(raw, "max"), np.maximum(raw, 0) / raw.max())
    np.testing.assert_array_equal(normalized(raw, "none"), raw)
    assert normalized(-np.abs(raw), "max") is None
    assert normalized(-np.abs(raw), "min-max") is not None


def test_empty_level_sets(measured):
    """A number in the map's own units that no pixel reaches: the worst score, though the map is valid."""
    params = {"threshold": 7.0, "normalize": "none"}
    for name in ("localization-error", "official-metric", "pixel-f1", "lrp-error", "saliency-metric"):
        spec = next(spec for spec in METRICS if spec.name == name)
        found = measured(name, [noise()], params, boxes=[[BOX]], masks=[mask_of(BOX)])
        for suffix in (".box", ".mask"):
            assert (found[suffix].value, found[suffix].n_invalid) == (spec.worst, 0), name


def test_what_is_missing_is_said(batch, metric):
    samples = batch([noise()], boxes=[[BOX]])
    for name, params in (("localization-error", {"region": "mask"}), ("max-mask-acc", {}), ("pxap", {})):
        with pytest.raises(TaskMismatch, match="needs masks"):
            metric(name, **params).measure(samples)
    made = metric("localization-error")
    scalars = made.summarize(made.measure(samples)).scalars
    assert (scalars[".mask"].value, scalars[".mask"].n, scalars[".box"].n) == (None, 0, 1)
    target = DetectionTarget(boxes=np.zeros((0, 4), np.float32), labels=(), crowd=np.zeros(0, bool))
    wrong = Samples(samples.ids, [target], samples.predictions, samples.card, fits=samples.fits,
                    saliency=samples.saliency, classes=samples.classes)
    with pytest.raises(TaskMismatch, match="DetectionTarget"):
        metric("localization-error").measure(wrong)
    unknown = batch([noise()], boxes=[[BOX]])
    unknown = Samples(unknown.ids, unknown.targets, unknown.predictions,
                      unknown.card.model_copy(update={"labels": ["a", "b"]}), fits=unknown.fits,
                      saliency=unknown.saliency, classes=unknown.classes)
    with pytest.raises(TaskMismatch, match='"yes"'):
        metric("official-metric", region="box").measure(unknown)


def test_every_localization_metric_is_declared():
    declared = {spec.name for spec in Host.discover().specs(MetricSpec)}
    assert set(NAMES) <= declared
    assert len(NAMES) == 13
