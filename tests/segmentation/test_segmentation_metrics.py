"""IoU, Dice, accuracy, boundaries and instances against closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import ClassificationTarget, InputSpec, ModelCard, Samples, SegmentationTarget, Table, TaskMismatch
from harness.masks import pack_masks
from harness_segmentation.boundary import BoundaryF1, boundary
from harness_segmentation.counts import Dice, IoU, PixelAccuracy
from harness_segmentation.instances import InstanceF1, PanopticQuality, components, match
from harness_segmentation.params import BoundaryParams, InstanceParams, OverlapParams, PixelAccuracyParams

LABELS = ("background", "cat", "dog")
CARD = {"task": "segmentation", "input": InputSpec(size=(8, 8))}


def samples(truths, predictions, labels=LABELS, card=None, instances=None):
    numbers = instances or [None] * len(truths)
    targets = [SegmentationTarget(mask=np.array(truth, np.int32), labels=labels,
                                  instances=None if each is None else np.array(each, np.int32))
               for truth, each in zip(truths, numbers, strict=True)]
    table = Table(pack_masks([np.array(each, np.int16) for each in predictions]))
    return Samples([f"s{i}" for i in range(len(targets))], targets, table,
                   ModelCard(**{**CARD, "labels": list(labels), **(card or {})}))


def values(metric, data):
    return {name: scalar.value for name, scalar in metric.summarize(metric.measure(data)).scalars.items()}


def brute_overlap(truths, predictions, classes, dice):
    """Sets of pixels, class by class."""
    def score(pairs, c):
        t = {(i, *p) for i, (truth, _) in enumerate(pairs) for p in np.argwhere(truth == c).tolist()}
        p = {(i, *p) for i, (truth, pred) in enumerate(pairs)
             for p in np.argwhere((pred == c) & (truth >= 0)).tolist()}
        if not t | p:
            return None
        return 2 * len(t & p) / (len(t) + len(p)) if dice else len(t & p) / len(t | p)

    def mean(scores):
        scores = [s for s in scores if s is not None]
        return sum(scores) / len(scores) if scores else None

    pairs = [(t, p) for t, p in zip(truths, predictions, strict=True) if (t >= 0).any()]
    images = mean([mean([score([pair], c) for c in range(classes)]) for pair in pairs])
    return images, mean([score(pairs, c) for c in range(classes)]), [score(pairs, c) for c in range(classes)]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.booleans())
def test_overlap_of_several_classes_by_brute_force(seed, dice):
    rng = np.random.default_rng(seed)
    shapes = [(rng.integers(1, 5), rng.integers(1, 5)) for _ in range(4)]
    truths = [rng.integers(-1, rng.integers(0, 4), shape) for shape in shapes]
    predictions = [rng.integers(-1, rng.integers(1, 4), shape) for shape in shapes]
    metric = (Dice if dice else IoU)(OverlapParams())
    found = values(metric, samples(truths, predictions))
    images, macro, by_class = brute_overlap(truths, predictions, 3, dice)
    assert found[""] == pytest.approx(images)
    assert found[".macro"] == pytest.approx(macro)
    assert [found[f".{name}"] for name in LABELS] == pytest.approx(by_class)


@pytest.mark.parametrize("metric", [IoU(OverlapParams()), InstanceF1(InstanceParams()),
                                    PanopticQuality(InstanceParams())])
def test_a_class_called_like_a_part_of_the_metric_hides_none(metric):
    """The same numbers, whatever the classes are called."""
    names = ["", ".macro", ".micro", ".precision", ".recall", ".iou", ".image", ".sq", ".rq"]
    truth, prediction = [[0, 1, 1, 2]], [[0, 1, 2, 2]]
    plain = values(metric, samples([truth], [prediction], instances=[[[0, 1, 1, 2]]]))
    own = [name.strip(".") for name in names if name in plain][1:3]
    named = values(metric, samples([truth], [prediction], labels=("background", *own), instances=[[[0, 1, 1, 2]]]))
    assert {name: named[name] for name in names if name in named} == {
        name: plain[name] for name in names if name in plain}
    assert len(named) == len(plain)


def test_binary_overlap_judges_the_foreground_and_counts_empty_images():
    truths = [[[0, 1, 1]], [[0, 0, 0]], [[0, 0, 0]], [[0, 1, -1]], [[-1, -1, -1]]]
    predictions = [[[1, 1, 0]], [[0, 0, 0]], [[1, 0, 0]], [[0, 1, 0]], [[0, 0, 0]]]
    data = samples(truths, predictions, LABELS[:2])
    iou, dice = IoU(OverlapParams()), Dice(OverlapParams())
    assert values(iou, data) == pytest.approx(
        {"": (1 / 3 + 1 + 0 + 1) / 4, ".macro": 2 / 5, ".micro": 2 / 5, ".cat": 2 / 5, ".empty": 1})
    assert values(dice, data) == pytest.approx(
        {"": (1 / 2 + 1 + 0 + 1) / 4, ".macro": 4 / 7, ".micro": 4 / 7, ".cat": 4 / 7, ".empty": 1})
    scalar = iou.summarize(iou.measure(data)).scalars[""]
    assert (scalar.n, scalar.n_invalid) == (4, 1)
    with_background = values(IoU(OverlapParams(background="include")), samples(truths[:1], predictions[:1], LABELS[:2]))
    assert with_background[""] == pytest.approx((0 / 2 + 1 / 3) / 2)
    assert values(iou, samples([[[0]]], [[[0]]], LABELS[:2]))[".micro"] == 1


def test_dice_and_iou_of_one_image_are_one_function():
    rng = np.random.default_rng(0)
    data = samples([rng.integers(0, 2, (9, 9))], [rng.integers(0, 2, (9, 9))], LABELS[:2])
    iou, dice = values(IoU(OverlapParams()), data)[""], values(Dice(OverlapParams()), data)[""]
    assert dice == pytest.approx(2 * iou / (1 + iou))


def test_pixel_accuracy():
    data = samples([[[0, 0, 1, -1]], [[2, 2, 2, 2]]], [[[0, 1, 1, 0]], [[2, -1, 2, 0]]])
    found = values(PixelAccuracy(PixelAccuracyParams()), data)
    assert found == pytest.approx({"": 4 / 7, ".image": (2 / 3 + 1 / 2) / 2, ".class": (1 / 2 + 1 + 1 / 2) / 3})


def test_classes_are_compared_by_name_and_may_be_ignored():
    truth, prediction = [[0, 1, 2]], [[0, 2, 1]]  # the model has dog before cat
    card = {"labels": ["background", "dog", "cat"]}
    assert values(IoU(OverlapParams()), samples([truth], [prediction], card=card))[".macro"] == 1
    found = values(IoU(OverlapParams(ignore=["dog"])), samples([truth], [[[0, 2, 2]]], card=card))
    assert found[".cat"] == 1
    assert found[".dog"] is None
    with pytest.raises(TaskMismatch, match='no class "dog" of the dataset'):
        values(IoU(OverlapParams()), samples([truth], [prediction], card={"labels": ["background", "cat"]}))
    with pytest.raises(TaskMismatch, match='ignore: the dataset has no class "dgo"; did you mean "dog"'):
        values(IoU(OverlapParams(ignore=["dgo"])), samples([truth], [prediction]))


def test_other_targets_and_sizes_are_named():
    data = samples([[[0]]], [[[0]]])
    wrong = Samples(data.ids, [ClassificationTarget(label="cat")], data.predictions, data.card)
    with pytest.raises(TaskMismatch, match="ClassificationTarget"):
        IoU(OverlapParams()).measure(wrong)
    with pytest.raises(TaskMismatch, match=r"s0: the prediction has \(1, 2\) pixels, the truth \(1, 1\)"):
        IoU(OverlapParams()).measure(samples([[[0]]], [[[0, 0]]]))


def test_boundary_pixels():
    mask = np.zeros((5, 5), bool)
    mask[1:4, 1:4] = True
    ring = mask.copy()
    ring[2, 2] = False
    np.testing.assert_array_equal(boundary(mask, np.ones_like(mask)), ring)
    judged = np.ones_like(mask)
    judged[0] = False
    top = boundary(mask, judged)
    assert not top[1, 2]
    assert top[1, 1]
    assert not boundary(np.ones((3, 3), bool), np.ones((3, 3), bool)).any()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.05, 0.4))
def test_boundary_f1_by_brute_force(seed, tolerance):
    rng = np.random.default_rng(seed)
    truth, prediction = (rng.integers(0, 2, (5, 6)) for _ in range(2))
    outlines = [np.argwhere(boundary(each == 1, np.ones(each.shape, bool))) for each in (prediction, truth)]

    def share(one, other):
        near = [other.size and np.hypot(*(other - p).T).min() <= tolerance * np.hypot(5, 6) for p in one]
        return sum(map(bool, near)) / len(one) if len(one) else 0

    precision, recall = share(*outlines), share(*outlines[::-1])
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    if not any(len(each) for each in outlines):
        expected = 1.0
    found = values(BoundaryF1(BoundaryParams(tolerance=tolerance)), samples([truth], [prediction], LABELS[:2]))
    assert found[""] == pytest.approx(expected)


def test_a_shifted_outline_is_right_within_the_tolerance():
    truth, prediction = np.zeros((40, 40), int), np.zeros((40, 40), int)
    truth[10:20, 10:20] = prediction[11:21, 10:20] = 1
    data = samples([truth], [prediction], LABELS[:2])
    assert values(BoundaryF1(BoundaryParams(tolerance=1.01 / np.hypot(40, 40))), data)[""] == 1
    assert values(BoundaryF1(BoundaryParams(tolerance=0.5 / np.hypot(40, 40))), data)[""] < 0.6


def brute_match(predicted, truth, ignored, threshold):
    true = [t & ~ignored for t in (truth == n for n in np.unique(truth[truth > 0]))]
    true = [t for t in true if t.any()]
    found = [p for p in (predicted == n for n in np.unique(predicted[predicted > 0]))
             if 2 * (p & ~ignored).sum() >= p.sum()]
    ious = [(p & t).sum() / ((p & ~ignored) | t).sum() for p in found for t in true]
    good = [iou for iou in ious if iou > threshold]
    return len(good), len(found) - len(good), len(true) - len(good), pytest.approx(sum(good))


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.75]))
def test_matches_by_brute_force(seed, threshold):
    rng = np.random.default_rng(seed)
    truth = np.repeat(rng.integers(0, 4, (3, 4)) * 70_000, 3, axis=1).astype(np.int32)
    noise = rng.integers(0, 5, truth.shape)
    predicted = np.where(rng.random(truth.shape) < 0.8, truth // 70_000, noise).astype(np.int32)
    ignored = rng.random(truth.shape) < rng.choice([0, 0.3, 1])
    assert tuple(match(predicted, truth, ignored, threshold)) == brute_match(predicted, truth, ignored, threshold)


def test_instances_and_panoptic_quality_by_hand():
    truth = [[1, 1, 1, 0, 2, 2, 0, 0, 3]]
    prediction = [[1, 1, 0, 0, 1, 1, 0, 1, 0]]
    data = samples([np.array(truth) > 0, [[0]]], [prediction, [[0]]], LABELS[:2], instances=[truth, [[0]]])
    found = values(InstanceF1(InstanceParams()), data)
    assert found == pytest.approx({"": 2 / 3, ".precision": 2 / 3, ".recall": 2 / 3, ".iou": (2 / 3 + 1) / 2,
                                   ".image": (2 / 3 + 1) / 2})
    found = values(PanopticQuality(InstanceParams()), data)
    assert found == pytest.approx({"": (2 / 3 + 1) / 3, ".sq": 5 / 6, ".rq": 2 / 3})
    assert found[""] == pytest.approx(found[".sq"] * found[".rq"])


def test_a_bridge_between_cells_costs_both():
    truth = [[1, 1, 1, 0, 2, 2, 2]]
    data = samples([np.array(truth) > 0], [[[1] * 7]], LABELS[:2], instances=[truth])
    assert values(IoU(OverlapParams()), data)[""] == pytest.approx(6 / 7)
    assert values(InstanceF1(InstanceParams()), data)[""] == 0


def test_components_by_connectivity_and_area():
    mask = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1]], bool)
    assert components(mask, 4, 0).max() == 2
    assert components(mask, 8, 0).max() == 1
    assert (components(mask, 4, 2) > 0).sum() == 3


def test_instance_metrics_need_numbered_objects():
    with pytest.raises(TaskMismatch, match="s0: instance metrics need numbered objects"):
        InstanceF1(InstanceParams()).measure(samples([[[0]]], [[[0]]]))


def test_several_classes_keep_their_objects_apart():
    truth, numbers = [[1, 1, 0, 2, 2]], [[1, 1, 0, 2, 2]]
    data = samples([truth], [[[1, 1, 0, 1, 1]]], instances=[numbers])
    found = values(PanopticQuality(InstanceParams()), data)
    assert found[".cat"] == pytest.approx(1 / 1.5)
    assert found[".dog"] == 0
    assert found[""] == pytest.approx((1 / 1.5) / 2)
