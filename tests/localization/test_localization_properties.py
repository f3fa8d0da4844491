"""What must hold for any map: identities between metrics, invariances, and facts about published definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness_saliency_metrics.localization_params import LocalizationErrorParams, PixelF1Params

SHAPE = (9, 8)
FAST = settings(max_examples=60, deadline=None)
MAPS = arrays(np.float32, SHAPE, elements=st.integers(-40, 40).map(float)).filter(lambda m: m.min() != m.max())
MASKS = arrays(np.bool_, SHAPE).filter(np.any)
BOXES = st.tuples(st.integers(0, 7), st.integers(0, 8), st.integers(1, 8), st.integers(1, 9)).map(
    lambda b: (b[0], b[1], min(8, b[0] + b[2]), min(9, b[1] + b[3])))
CHANGES = st.sampled_from([lambda v: v ** 3, lambda v: np.arctan(v / 20), lambda v: 3 * v - 7])
PIXELWISE = [("energy-pointing-game", {}), ("pointing-game", {}), ("mae", {}), ("relevance-rank-accuracy", {}),
             ("attribution-auc", {}), ("pixel-f1", {"convention": "continuous"})]


def rectangle(box):
    values = np.zeros(SHAPE, np.float32)
    values[box[1]:box[3], box[0]:box[2]] = 1
    return values


@FAST
@given(raw=MAPS, box=BOXES, mask=MASKS)
def test_iou_error_and_f1_say_the_same(raw, box, mask, batch, values):
    samples = batch([raw], boxes=[[box]], masks=[mask])
    error, f1 = values(samples, "localization-error"), values(samples, "pixel-f1")
    for region in (".box", ".mask"):
        iou = 1 - error[region]
        assert 0 <= iou <= 1
        assert f1[region] == pytest.approx(2 * iou / (1 + iou), abs=1e-12)
        precision, recall = f1[region + ".precision"], f1[region + ".recall"]
        assert f1[region] * (precision + recall) == pytest.approx(2 * precision * recall, abs=1e-12)


@FAST
@given(raw=MAPS, box=BOXES, mask=MASKS)
def test_shares_are_shares(raw, box, mask, batch, values):
    samples = batch([raw], boxes=[[box]], masks=[mask])
    for name in ("energy-pointing-game", "pointing-game", "mae", "relevance-rank-accuracy", "attribution-auc",
                 "lrp-error"):
        found = values(samples, name)
        assert all(found[region] is None or 0 <= found[region] <= 1 for region in (".box", ".mask")), name


@FAST
@given(raw=MAPS, box=BOXES, mask=MASKS, change=CHANGES)
def test_only_the_order_of_the_pixels_matters(raw, box, mask, change, batch, values):
    """Metrics of ranks, and optima of each image over all thresholds, under strictly increasing transforms."""
    changed = change(raw.astype(np.float64)).astype(np.float32)
    both = [batch([each], boxes=[[box]], masks=[mask]) for each in (raw, changed)]
    for name, params in (("relevance-rank-accuracy", {}), ("attribution-auc", {}), ("pointing-game", {}),
                         ("max-box-acc", {"convention": "per-image"}), ("max-mask-acc", {"convention": "per-image"})):
        one, other = (values(samples, name, **params) for samples in both)
        assert one == other, name


@FAST
@given(raw=MAPS, box=BOXES)
@pytest.mark.parametrize(("name", "params"), PIXELWISE)
def test_a_rectangular_mask_is_its_box(name, params, raw, box, batch, values):
    """Pixel by pixel at any size: here images of three times and of two thirds of the input's size."""
    for factor in (3, 2 / 3):
        native = tuple(max(1, round(side * factor)) for side in SHAPE)
        edges = np.array(box) * np.tile(np.divide(native, SHAPE)[::-1], 2)
        x0, y0, x1, y1 = np.rint(edges).astype(int)
        mask = np.zeros(native, bool)
        mask[y0:y1, x0:x1] = True
        samples = batch([raw], boxes=[[(x0, y0, x1, y1)]], masks=[mask], native=native)
        found = values(samples, name, **params)
        assert found[".box"] == found[".mask"]
        assert found[".box.left-out"] == found[".mask.left-out"]


@FAST
@given(shown=BOXES, box=BOXES)
@pytest.mark.parametrize("name", ["localization-error", "pixel-f1", "lrp-error"])
def test_a_map_of_one_rectangle_against_one_rectangle(name, shown, box, batch, values):
    if rectangle(shown).all():
        return  # constant: says nothing
    samples = batch([rectangle(shown)], boxes=[[box]], masks=[rectangle(box)])
    found = values(samples, name)
    assert found[".box"] == found[".mask"]
    assert (found[".box"] == (1 if name == "pixel-f1" else 0)) == (shown == box)


@FAST
@given(raw=MAPS, box=BOXES, mask=MASKS)
def test_the_best_threshold_of_an_image_is_an_upper_bound(raw, box, mask, batch, metric):
    samples = batch([raw], boxes=[[box]], masks=[mask])
    for name in ("max-box-acc", "max-mask-acc"):
        region = name.split("-")[1]
        own = metric(name, convention="per-image").measure(samples).dense(region)[0, 0]
        grid = metric(name).measure(samples).dense(region)[0]
        every = metric(name, convention="v2").measure(samples).dense(region)[0]
        assert grid.max() <= own
        assert (grid <= every).all()


def test_recall_is_no_overlap(batch, values):
    """A published script divides by the mask's area alone. A map of ones all over scores a perfect 1 there, and so the
    mean masked localization error that its authors report is .25 where 1 - IoU of comparable maps is about .49.
    """
    raw = np.ones((20, 20))
    raw[0, 0] = 0  # all ones would say nothing at all
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    samples = batch([raw], boxes=[[(5, 5, 15, 15)]], masks=[mask])
    assert values(samples, "pixel-f1")[".mask.recall"] == 1
    assert values(samples, "localization-error")[".mask"] == pytest.approx(1 - 100 / 399)
    assert values(samples, "localization-error")[".box"] == pytest.approx(1 - 100 / 400)
    assert values(batch([np.ones((20, 20))], masks=[mask]), "localization-error", region="mask")[".mask"] == 1


def test_parameters_are_checked():
    for params in ({"threshold": 1.5}, {"threshold": "median"}, {"threshold": float("nan")},
                   {"threshold": "area", "normalize": "none"}, {"region": "boxes"}):
        with pytest.raises(ValueError, match="threshold|region|mean"):
            LocalizationErrorParams.model_validate(params)
    assert LocalizationErrorParams.model_validate({"threshold": 30.0, "normalize": "none"}).threshold == 30
    assert PixelF1Params(convention="continuous").normalize == "max"
    assert PixelF1Params(convention="continuous", normalize="min-max").normalize == "min-max"
    with pytest.raises(ValueError, match="threshold needs convention"):
        PixelF1Params(convention="continuous", threshold=0.3)
    assert PixelF1Params().normalize == "min-max"
