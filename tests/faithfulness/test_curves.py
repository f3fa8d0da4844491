"""Insertion, deletion and pixel flipping against loops over steps, and where the area is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d

from harness.api import Table
from harness.testing.conformance import create
from harness_saliency_metrics.faithfulness import METRICS
from harness_saliency_metrics.ordering import background

SPECS = {spec.name: spec for spec in METRICS}


def measured(name, samples, **params):
    metric = create(SPECS[name], **params)
    rows = metric.measure(samples)
    return rows, metric.summarize(rows)


def gaussian(kind):
    if kind == "rise":  # as RISE's script makes its kernel
        kernel = np.zeros((11, 11))
        kernel[5, 5] = 1
        return gaussian_filter(kernel, 5)
    y, x = np.mgrid[-5:6, -5:6]
    kernel = np.exp(-(x**2 + y**2) / (2 * 5**2))
    return kernel / kernel.sum()


def blurred(image, kind):
    return np.stack([convolve2d(plane, gaussian(kind), mode="same") for plane in image.astype(np.float64)])


def by_steps(lab, index, start, end, per_step):
    """Probability after each step, one pixel after the other."""
    samples = lab.samples
    saliency = samples.saliency[index]
    order = sorted(np.ndindex(*saliency.shape), key=lambda at: (-saliency[at], at))
    image, curve = start.astype(np.float64).copy(), []
    target = samples.classes[index]
    for done, (row, column) in enumerate(order):
        if done % per_step == 0:
            curve.append(lab.model.probability(image, target))
        image[:, row, column] = end[:, row, column]
    return [*curve, lab.model.probability(image, target)]


def area(curve, counts):
    return sum((b + a) / 2 * (right - left) for a, b, left, right in
               zip(curve, curve[1:], counts, counts[1:], strict=False))


@pytest.mark.parametrize("kind", ["zero", "blur", "rise"])
@pytest.mark.parametrize("steps", [None, 7, 120])
def test_insertion_and_deletion(lab, kind, steps):
    made = lab(3, scale=0.1)
    made.samples.saliency[0] = np.round(made.samples.saliency[0], 1)  # ties, in raster order
    per_step = 10 if steps is None else -(-120 // steps)
    counts = [*range(0, 120, per_step), 120]
    for name in ("insertion", "deletion"):
        rows, summary = measured(name, made.samples, baseline=kind, steps=steps)
        for index, image in enumerate(made.samples.inputs):
            empty = np.zeros_like(image) if kind == "zero" else blurred(image, kind)
            start, end = (empty, image) if name == "insertion" else (image, empty)
            curve = by_steps(made, index, start, end, per_step)
            np.testing.assert_allclose(rows.dense("curve")[index], curve, atol=2e-6)
            assert rows.dense("value")[index] == pytest.approx(area(curve, counts) / 120, abs=2e-6)
        shown = summary.curves[""]
        np.testing.assert_allclose(shown.x, np.array(counts) / 120)
        np.testing.assert_allclose(shown.y, rows.dense("curve").mean(axis=0))


def test_kernels_differ_as_documented():
    """RISE's kernel is nearly flat, because the tails of the Gaussian are folded back into its 11 pixels."""
    def ratio(kind):
        return gaussian(kind).min() / gaussian(kind).max()

    assert ratio("rise") == pytest.approx(0.876, abs=1e-3)
    assert ratio("blur") == pytest.approx(np.exp(-1))
    image = np.random.default_rng(0).random((3, 20, 30)).astype(np.float32)
    for kind in ("rise", "blur"):
        np.testing.assert_allclose(background(image, kind, channels_last=False), blurred(image, kind), atol=1e-6)
        np.testing.assert_allclose(background(image.transpose(1, 2, 0), kind, channels_last=True).transpose(2, 0, 1),
                                   blurred(image, kind), atol=1e-6)


def test_areas_that_are_known(lab):
    """p is the share of bright pixels among the relevant ones, so that areas follow from the order alone."""
    relevant = np.zeros((12, 10), np.bool_)
    relevant[:6] = True

    def logits(inputs):
        share = np.clip(inputs[:, 0, relevant].mean(axis=1, dtype=np.float64), 1e-12, 1 - 1e-12)
        return np.log(np.stack([share, 1 - share], axis=1))

    made = lab(2, maps=np.stack([relevant, ~relevant]) + np.random.default_rng(0).random((2, 12, 10)) / 2)
    ones = np.ones_like(made.samples.inputs)
    samples = replace(made.samples, inputs=ones, predict=logits, classes=np.zeros(2, np.int64),
                      predictions=Table({"logits": logits(ones)}))
    for name, right, wrong in (("deletion", 0.25, 0.75), ("insertion", 0.75, 0.25)):
        found = measured(name, samples, baseline="zero")[0].dense("value")
        np.testing.assert_allclose(found, [right, wrong], atol=1e-6)
    flipped = measured("pixel-flipping", samples)[0].dense("value")
    np.testing.assert_allclose(flipped, [np.mean([max(0, 1 - step / 6) for step in range(1, 13)]),
                                         np.mean([min(1, 2 - step / 6) for step in range(1, 13)])], atol=1e-6)


def test_relative_to_the_original_probability(lab):
    made = lab(4)
    absolute, _ = measured("insertion", made.samples)
    relative, summary = measured("insertion", made.samples, relative=True)
    before = [made.model.probability(*each) for each in zip(made.samples.inputs, made.samples.classes, strict=True)]
    np.testing.assert_allclose(relative.dense("value"), absolute.dense("value") / before, rtol=1e-5)
    assert summary.scalars[""].convention == "relative=True"


def test_pixel_flipping_is_deletion_by_pixels_and_shares_its_passes(lab):
    made = lab(4)
    deletion, _ = measured("deletion", made.samples)
    passes = sum(made.model.calls)
    assert passes == 4 + 4 * 12
    flipping, summary = measured("pixel-flipping", made.samples)
    assert sum(made.model.calls) == passes
    np.testing.assert_array_equal(flipping.dense("curve"), deletion.dense("curve"))
    np.testing.assert_allclose(flipping.dense("value"), deletion.dense("curve")[:, 1:].mean(axis=1))
    assert summary.curves[""].x == [*range(0, 121, 10)]


def test_only_the_order_of_saliency_counts(lab):
    made = lab(3)
    stretched = replace(made.samples, saliency=np.exp(3 * made.samples.saliency) - 40)
    for name in ("insertion", "deletion", "pixel-flipping"):
        np.testing.assert_array_equal(measured(name, made.samples)[0].dense("value"),
                                      measured(name, stretched)[0].dense("value"))


def test_invalid_maps_are_not_part_of_the_curve(lab, bad_maps):
    made = lab(6, bad_maps)
    rows, summary = measured("deletion", made.samples)
    assert rows.dense("value").tolist()[:5] == [1] * 5
    assert summary.scalars[""].n_invalid == 5
    np.testing.assert_allclose(summary.curves[""].y, rows.dense("curve")[5])
    assert sum(made.model.calls) == 6 + 12
    only_bad = measured("deletion", replace(made.samples, saliency=np.zeros_like(made.samples.saliency)))[1]
    assert (only_bad.scalars[""].value, only_bad.curves) == (1, {})
