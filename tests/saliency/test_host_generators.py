"""Generators on the host against closed forms on linear models, and against plain loops in float64."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from harness.discovery import Disabled
from harness.host import Host, HostConfig
from harness.specs import SaliencySpec
from harness.testing.conformance import check_saliency, create
from harness_saliency.ablation_cam import AblationCam
from harness_saliency.host_params import (
    AblationCamParams,
    KernelShapParams,
    OcclusionParams,
    RiseParams,
    ScoreCamParams,
)
from harness_saliency.kernel_shap import KernelShap, grid_segments
from harness_saliency.occlusion import Occlusion
from harness_saliency.rise import Masks, Rise
from harness_saliency.score_cam import ScoreCam

HOST = Host.discover(HostConfig(Disabled(frozenset({"third-party"}))))
ON_HOST = [replace(spec, provider=None) for spec in HOST.specs(SaliencySpec) if not spec.graph and not spec.stored]
CHEAP = {"rise": {"masks": 40}, "kernel-shap": {"grid": [3, 3], "samples": 60}}
CLASSES = np.array([1, 0, 3])
SEEDS = [5, 6, 7]


def explain(generator, model, images):
    return generator.explain(model, images, CLASSES, SEEDS).astype(np.float64)


def close(found, expected, relative=1e-5):
    np.testing.assert_allclose(found, expected, rtol=0, atol=relative * np.abs(expected).max())


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("spec", ON_HOST, ids=lambda spec: spec.name)
def test_generators_keep_their_contract(nets, opened, images, tmp_path, spec, layout):
    if spec.name.endswith("cam"):
        model = opened(nets.save_cnn(tmp_path))  # its layer is (N, C, h, w) whatever the image is
    else:
        model = opened(nets.save_linear(tmp_path, layout), nets.card(layout))
        images = images if layout == "NCHW" else np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    check_saliency(spec, create(spec, **CHEAP.get(spec.name, {})), model, images, CLASSES)


@pytest.mark.parametrize("spec", [each for each in ON_HOST if "batch_size" in each.params.model_fields],
                         ids=lambda spec: spec.name)
def test_the_size_of_the_batches_changes_nothing(nets, opened, images, tmp_path, spec):
    model = opened(nets.save_cnn(tmp_path))
    one, other = (explain(create(spec, **CHEAP.get(spec.name, {}), batch_size=size), model, images)
                  for size in (5, 64))
    close(one, other)


def test_a_model_with_a_fixed_batch_gives_the_same_maps(nets, opened, images, tmp_path):
    (tmp_path / "fixed").mkdir()
    free, fixed = opened(nets.save_cnn(tmp_path)), opened(nets.save_cnn(tmp_path / "fixed", batch=4))
    for spec in ON_HOST:
        generator = create(spec, **CHEAP.get(spec.name, {}))
        close(explain(generator, fixed, images), explain(generator, free, images))


def test_random_maps_are_uniform_and_the_bell_is_centered(nets, opened, tmp_path):
    model = opened(nets.save_linear(tmp_path))
    by_name = {spec.name: create(spec) for spec in ON_HOST}
    noise = by_name["random"].explain(model, np.zeros((400, 3, *nets.SIZE), np.float32), np.zeros(400, int), range(400))
    assert 0 <= noise.min() < 1e-3
    assert 0.999 < noise.max() < 1
    assert abs(noise.mean() - 0.5) < 5 * math.sqrt(1 / 12 / noise.size)
    (bell,) = by_name["center-gaussian"].explain(model, np.zeros((1, 3, *nets.SIZE), np.float32), [0], [0])
    np.testing.assert_array_equal(bell, bell[::-1, ::-1])
    row, column = 2.0, 3.0
    x, y = (column - 4.5) / (0.25 * 10), (row - 5.5) / (0.25 * 12)
    assert bell[2, 3] == pytest.approx(math.exp(-(x * x + y * y) / 2), rel=1e-6)


# --- occlusion -------------------------------------------------------------------------------------------------------


def contributions(nets, images, other=0.0):
    """(N, h, w): each pixel's part of the class's logit of the linear model, relative to another image."""
    weights, _ = nets.linear_weights()
    return np.stack([((image.astype(np.float64) - other) * weights[..., class_]).sum(axis=0)
                     for image, class_ in zip(images, CLASSES[: len(images)], strict=True)])


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (4, 2), (5, 3), (20, 1), (3, 9)])
def test_occlusion_of_a_linear_model_sums_what_is_covered(nets, opened, images, tmp_path, window, stride):
    model = opened(nets.save_linear(tmp_path))
    params = OcclusionParams(window=window, stride=stride, score="logit", batch_size=7)
    found = explain(Occlusion(params), model, images)
    side, step = min(window, *nets.SIZE), min(stride, window)
    expected = np.zeros_like(found)
    for map_, part in zip(expected, contributions(nets, images), strict=True):
        count = np.zeros(nets.SIZE)
        for top in sorted({*range(0, nets.SIZE[0] - side, step), nets.SIZE[0] - side}):
            for left in sorted({*range(0, nets.SIZE[1] - side, step), nets.SIZE[1] - side}):
                inside = np.s_[top : top + side, left : left + side]
                map_[inside] += part[inside].sum()
                count[inside] += 1
        assert count.min() > 0
        map_ /= count
    close(found, expected)


@pytest.mark.parametrize("kind", ["mean", "blur"])
def test_occlusion_by_another_image(nets, opened, images, tmp_path, kind):
    from scipy.ndimage import gaussian_filter

    model = opened(nets.save_linear(tmp_path))
    others = images.mean(axis=(2, 3), keepdims=True).astype(np.float64)
    if kind == "blur":
        others = gaussian_filter(images.astype(np.float64), (0, 0, 12 / 16, 10 / 16), mode="nearest")
    found = explain(Occlusion(OcclusionParams(window=1, stride=1, score="logit", baseline=kind)), model, images)
    expected = np.concatenate([contributions(nets, images, other)[[index]] for index, other in enumerate(others)])
    close(found, expected, 2e-5)


def test_probabilities_are_those_of_the_softmax(nets, opened, images, tmp_path):
    model = opened(nets.save_cnn(tmp_path))
    found = explain(Occlusion(OcclusionParams(window=10, stride=2)), model, images)  # two patches of full width
    net = nets.Cnn()
    for map_, image, class_ in zip(found, images, CLASSES, strict=True):
        whole = nets.softmax(net.logits(image))[class_]
        rows = np.arange(12)[:, None]
        drops = [whole - nets.softmax(net.logits(np.where((rows >= top) & (rows < top + 10), 0, image)))[class_]
                 for top in (0, 2)]
        expected = np.where(rows < 2, drops[0], np.where(rows < 10, np.mean(drops), drops[1]))
        np.testing.assert_allclose(map_, np.repeat(expected, 10, axis=1), atol=1e-6)


# --- RISE ------------------------------------------------------------------------------------------------------------


def rise_mask(grid, offset, cell, size):
    """One mask by plain bilinear interpolation with half-pixel centers and clamped edges."""
    cells = len(grid)
    mask = np.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            y, x = ((position + start + 0.5) * cells / ((cells + 1) * side) - 0.5
                    for position, start, side in zip((row, column), offset, cell, strict=True))
            y, x = (min(max(value, 0), cells - 1) for value in (y, x))
            top, left = min(int(y), cells - 2), min(int(x), cells - 2)
            part = grid[top : top + 2, left : left + 2]
            mask[row, column] = np.array([1 - y + top, y - top]) @ part @ np.array([1 - x + left, x - left])
    return mask


def test_rise_is_a_weighted_sum_of_its_masks(nets, opened, images, tmp_path):
    model, net = opened(nets.save_cnn(tmp_path)), nets.Cnn()
    params = RiseParams(masks=30, cells=3, keep=0.4, batch_size=7)
    found = explain(Rise(params), model, images)
    expected = np.zeros_like(found)
    for map_, image, class_, seed in zip(expected, images, CLASSES, SEEDS, strict=True):
        drawn = Masks(params, nets.SIZE, seed)
        for grid, offset in zip(drawn.grids, drawn.offsets, strict=True):
            mask = rise_mask(grid, offset, (4, 4), nets.SIZE)
            map_ += nets.softmax(net.logits(image * mask))[class_] * mask / (30 * 0.4)
    close(found, expected)


def test_masks_are_drawn_as_published():
    drawn = Masks(RiseParams(masks=20000, cells=5, keep=0.3), (33, 20), seed=0)
    assert drawn.offsets.min(axis=0).tolist() == [0, 0]
    assert drawn.offsets.max(axis=0).tolist() == [6, 3]  # cells of 7 x 4 pixels
    assert set(np.unique(drawn.grids)) == {0, 1}
    assert abs(drawn.grids.mean() - 0.3) < 5 * math.sqrt(0.3 * 0.7 / drawn.grids.size)
    masks = drawn[10:14]
    assert masks.shape == (4, 33, 20)
    for mask, grid, offset in zip(masks, drawn.grids[10:14], drawn.offsets[10:14], strict=True):
        np.testing.assert_allclose(mask, rise_mask(grid, offset, (7, 4), (33, 20)), atol=1e-6)


def test_rise_of_a_linear_model_has_its_expectation(nets, opened, images, tmp_path):
    """E[S(p)] = bias + keep * sum + (1 - keep) * sum over pixels q of part(q) * cov(p, q) / (keep * (1 - keep)).

    cov(p, q) / (keep * (1 - keep)) is the mean over the offsets of the product of the pixels' weights, summed over
    cells: E[M(p) M(q)] = keep^2 + keep * (1 - keep) * that.
    """
    model = opened(nets.save_linear(tmp_path, scale=0.1))
    keep, count = 0.5, 20000
    (found,) = Rise(RiseParams(masks=count, cells=3, keep=keep, score="logit")).explain(model, images[:1], CLASSES[:1],
                                                                                       [1])
    part = 0.1 * contributions(nets, images[:1])[0]
    bias = nets.linear_weights()[1][CLASSES[0]]
    basis = np.eye(9).reshape(9, 3, 3)
    shared = np.zeros(nets.SIZE)
    for top in range(4):
        for left in range(4):
            weights = np.stack([rise_mask(grid, (top, left), (4, 4), nets.SIZE) for grid in basis])
            shared += np.tensordot((weights * part).sum(axis=(1, 2)), weights, 1) / 16
    expected = bias + keep * part.sum() + (1 - keep) * shared
    error = found - expected
    # Standard error of score * mask / keep over the masks, from its bound by the scores' spread.
    spread = math.sqrt((bias + keep * part.sum()) ** 2 + (np.abs(part).sum() * 0.5) ** 2 / 4) / keep
    assert np.abs(error).max() < 5 * spread / math.sqrt(count)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98


# --- class activation ------------------------------------------------------------------------------------------------


def bilinear(values, size):
    """(h, w) -> size by plain interpolation with half-pixel centers."""
    result = np.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            y, x = ((place + 0.5) * length / wanted - 0.5
                    for place, length, wanted in zip((row, column), values.shape, size, strict=True))
            y, x = (min(max(at, 0), length - 1) for at, length in zip((y, x), values.shape, strict=True))
            top, left = min(int(y), values.shape[0] - 2), min(int(x), values.shape[1] - 2)
            part = values[top : top + 2, left : left + 2]
            result[row, column] = np.array([1 - y + top, y - top]) @ part @ np.array([1 - x + left, x - left])
    return result


@pytest.mark.parametrize("weights", ["softmax", "probability"])
def test_score_cam_against_a_plain_loop(nets, opened, images, tmp_path, weights):
    model, net = opened(nets.save_cnn(tmp_path)), nets.Cnn()
    found = explain(ScoreCam(ScoreCamParams(weights=weights, batch_size=4)), model, images)
    for map_, image, class_ in zip(found, images, CLASSES, strict=True):
        channels = net.activations(image)
        logits = []
        for channel in channels:
            mask = bilinear(channel, nets.SIZE)
            mask = (mask - mask.min()) / (mask.max() - mask.min()) if np.ptp(channel) else np.zeros(nets.SIZE)
            logits.append(net.logits(image * mask))
        dead = np.array([np.ptp(channel) == 0 for channel in channels])
        if weights == "softmax":
            scores = np.where(dead, -np.inf, [row[class_] for row in logits])
            factors = nets.softmax(scores)
        else:
            factors = np.where(dead, 0, [nets.softmax(row)[class_] for row in logits])
        close(map_, bilinear(np.maximum(np.tensordot(factors, channels, 1), 0), nets.SIZE))


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_ablation_cam_against_a_plain_loop(nets, opened, images, tmp_path, score):
    model, net = opened(nets.save_cnn(tmp_path)), nets.Cnn()
    found = explain(AblationCam(AblationCamParams(score=score, batch_size=4)), model, images)
    as_score = nets.softmax if score == "probability" else np.asarray
    assert (found.max(axis=(1, 2)) > 0.1).sum() >= 2
    for map_, image, class_ in zip(found, images, CLASSES, strict=True):
        channels = net.activations(image)
        whole = as_score(net.head(channels))[class_]
        weights = []
        for index in range(len(channels)):
            ablated = channels.copy()
            ablated[index] = 0
            weights.append((whole - as_score(net.head(ablated))[class_]) / abs(whole))
        expected = bilinear(np.maximum(np.tensordot(weights, channels, 1), 0), nets.SIZE)
        # A weight is a difference of float32 scores, of which the last bits are noise.
        rounding = 4 * np.finfo(np.float32).eps * channels.sum(axis=0).max()
        assert rounding < 1e-4
        np.testing.assert_allclose(map_, expected, rtol=1e-5, atol=rounding)


def test_ablation_runs_only_what_is_behind_the_layer(nets, opened, images, tmp_path):
    model = opened(nets.save_cnn(tmp_path))
    explain(AblationCam(AblationCamParams()), model, images)
    assert sum(model.passes) == 3  # the activations of three images


def test_ablation_of_a_layer_that_other_paths_bypass_runs_the_whole_network(nets, opened, images, tmp_path):
    described = nets.card().model_copy(update={"cam_layer": "two"})
    model = opened(nets.save_cnn(tmp_path, skip=True), described)
    found = explain(AblationCam(AblationCamParams()), model, images)
    assert sum(model.passes) == 3 * (1 + 6 + 1)
    net = nets.Cnn()
    for map_, image, class_, logits in zip(found, images, CLASSES, model.predict(images), strict=True):
        channels = net.activations(image)
        # The head is linear: without channel k the logit loses its own term.
        weights = net.weights["head"][class_] * channels.mean(axis=(1, 2)) / abs(logits[class_])
        close(map_, bilinear(np.maximum(np.tensordot(weights, channels, 1), 0), nets.SIZE))


# --- KernelSHAP ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("grid", "samples"), [((2, 2), 1000), ((3, 4), 60), ((1, 1), 5), ((5, 5), 200)])
def test_shapley_values_of_a_linear_model_are_its_terms(nets, opened, images, tmp_path, grid, samples):
    model = opened(nets.save_linear(tmp_path))
    params = KernelShapParams(grid=grid, samples=samples, baseline="zero", batch_size=9)
    found = explain(KernelShap(params), model, images)
    segments = grid_segments(nets.SIZE, grid)
    assert segments.max() + 1 == grid[0] * grid[1]
    for map_, part in zip(found, contributions(nets, images), strict=True):
        sums = np.array([part[segments == number].sum() for number in range(segments.max() + 1)])
        close(map_, sums[segments], 2e-5)


def test_shapley_values_of_any_model_when_all_coalitions_are_run(nets, opened, images, tmp_path):
    """Against the definition: the mean gain of a player over all orders."""
    model, net = opened(nets.save_cnn(tmp_path)), nets.Cnn()
    (found,) = KernelShap(KernelShapParams(grid=(2, 3), samples=62, baseline="zero", score="probability")).explain(
        model, images[:1], CLASSES[:1], [0])
    segments = grid_segments(nets.SIZE, (2, 3))

    def score(members):
        return nets.softmax(net.logits(images[0] * np.isin(segments, list(members))))[CLASSES[0]]

    scores = {members: score(members) for size in range(7) for members in combinations(range(6), size)}
    expected = np.zeros(6)
    for members, value in scores.items():
        for player in set(range(6)) - set(members):
            weight = math.factorial(len(members)) * math.factorial(5 - len(members)) / math.factorial(6)
            expected[player] += weight * (scores[tuple(sorted({*members, player}))] - value)
    close(found, expected[segments], 2e-5)
    assert expected.sum() == pytest.approx(scores[tuple(range(6))] - scores[()])


def test_sampled_shapley_values_come_near_the_exact_ones(nets, opened, images, tmp_path):
    model = opened(nets.save_cnn(tmp_path))
    exact, sampled = (explain(KernelShap(KernelShapParams(grid=(3, 4), samples=samples)), model, images)
                      for samples in (4096, 800))
    assert np.abs(exact - sampled).max() < 0.1 * np.abs(exact).max()
    assert np.abs(exact - sampled).max() > 1e-4 * np.abs(exact).max()  # it did sample


def test_too_few_coalitions_are_refused():
    with pytest.raises(ValueError, match=r"at least 98"):
        KernelShapParams(samples=97)
