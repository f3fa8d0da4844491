"""Perturbations against their statistics and closed forms; derived datasets against their base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from harness.contracts import Batch, Unreadable
from harness.perturb import blur, contrast, noise, occlude, occluder_size
from harness.tasks import ClassificationTarget
from harness.transforms import Blur, Contrast, Noise, Occlusion, Transform, TransformedDataset

sides = st.integers(1, 40)


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


class Photos:
    """Images of different sizes; the third can not be read."""

    def __len__(self) -> int:
        return 6

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[Batch]:
        wanted = range(6) if indices is None else indices
        for start in range(0, len(wanted), size):
            chosen = wanted[start : start + size]
            readable = [i for i in chosen if i != 2]
            yield Batch(
                [picture(20 + i, 30, 1 + 2 * (i % 2), seed=i) for i in readable],
                [ClassificationTarget(label=str(i), mask=np.ones((20 + i, 30), np.bool_)) for i in readable],
                [f"photo-{i}" for i in readable],
                [Unreadable("photo-2", "torn")] if 2 in chosen else [],
            )

    def fingerprint(self) -> str:
        return "photos"


ALL = (Noise(kind="noise", sigma=0.1), Blur(kind="blur", sigma=1.5), Contrast(kind="contrast", factor=0.5),
       Occlusion(kind="occlusion", fraction=0.2))


def images(transforms: Sequence[Noise | Blur | Contrast | Occlusion], size: int = 2, seed: int = 0,
           indices: Sequence[int] | None = None) -> dict[str, NDArray[np.uint8]]:
    derived = TransformedDataset(Photos(), transforms, seed)
    return {id_: image for batch in derived.batches(size, indices)
            for id_, image in zip(batch.ids, batch.images, strict=True)}


def equal(first: dict[str, NDArray[np.uint8]], second: dict[str, NDArray[np.uint8]]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[id_], second[id_]) for id_ in first)


def test_noise_has_the_stated_deviation() -> None:
    gray = np.full((400, 400, 3), 128, np.uint8)
    difference = noise(gray, 0.05, rng()).astype(float) - 128
    n = difference.size
    assert abs(difference.mean()) < 5 * 12.75 / n**0.5
    # Rounding adds a variance of 1/12.
    assert difference.std() == pytest.approx((12.75**2 + 1 / 12) ** 0.5, rel=5 / (2 * n) ** 0.5)
    assert abs(np.corrcoef(difference[:, :, 0].ravel(), difference[:, :, 1].ravel())[0, 1]) < 0.015  # per channel
    assert abs((np.abs(difference) > 12.75).mean() - 0.3173) < 0.02  # Gaussian: beyond one sigma


def test_noise_is_clipped_not_wrapped() -> None:
    noisy = noise(np.zeros((100, 100, 1), np.uint8), 0.1, rng())
    assert (noisy == 0).mean() == pytest.approx(0.5, abs=0.03)
    assert noisy.max() < 200


@settings(deadline=None)
@given(st.floats(0.3, 4.0))
def test_blur_spreads_a_point_as_a_gaussian(sigma: float) -> None:
    point = np.zeros((41, 41, 1), np.uint8)
    point[20, 20] = 255
    kernel = np.array([exp(-(x**2) / (2 * sigma**2)) if abs(x) <= int(4 * sigma + 0.5) else 0 for x in range(-20, 21)])
    kernel /= kernel.sum()
    expected = 255 * kernel[:, None] * kernel[None]
    assert np.abs(blur(point, sigma)[:, :, 0] - expected).max() <= 0.5 + 1e-9


def test_blur_keeps_channels_apart_and_constants_alone() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, :, 1] = 200
    np.testing.assert_array_equal(blur(image, 3.0), image)


@settings(deadline=None)
@given(sides, sides, st.floats(0, 3))
def test_contrast_scales_about_the_mean(height: int, width: int, factor: float) -> None:
    image = picture(height, width)
    changed = contrast(image, factor)
    mean = image.astype(float).mean()
    for before, after in zip(image.ravel()[:50].tolist(), changed.ravel()[:50].tolist(), strict=True):
        assert abs(after - min(255, max(0, mean + factor * (before - mean)))) <= 0.5 + 1e-6


@settings(deadline=None)
@given(sides, sides, st.floats(0, 1), st.integers(0, 2**32))
def test_occlusion_covers_one_rectangle_of_the_stated_area(height: int, width: int, fraction: float,
                                                           seed: int) -> None:
    image = np.full((height, width, 3), 9, np.uint8)
    covered = occlude(image, fraction, 127, np.random.default_rng(seed))
    changed = (covered == 127).all(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    size = occluder_size(height, width, fraction)
    assert changed.sum() == size[0] * size[1] == len(rows) * len(columns)
    assert abs(size[0] * size[1] - fraction * height * width) <= max(size[0] / 2, 0.5) + 1e-6
    assert (covered[~changed] == 9).all()


def test_occlusion_of_a_quarter_and_of_everything() -> None:
    assert occluder_size(40, 60, 0.25) == (20, 30)  # the image's aspect ratio
    assert occluder_size(7, 13, 1.0) == (7, 13)
    assert occluder_size(7, 13, 0.0) == (0, 0)


def test_occluders_lie_everywhere() -> None:
    generator = rng()
    counts = sum((occlude(np.zeros((4, 4, 1), np.uint8), 0.25, 1, generator)[:, :, 0].astype(int)
                  for _ in range(900)), np.zeros((4, 4), int))
    assert abs(counts[0, 0] - 100) < 50    # one of nine places covers a corner
    assert abs(counts[1, 1] - 400) < 80    # four of nine cover a pixel of the middle


@pytest.mark.parametrize("transform", [
    Noise(kind="noise", sigma=0), Blur(kind="blur", sigma=0), Contrast(kind="contrast", factor=1),
    Occlusion(kind="occlusion", fraction=0),
])
def test_no_strength_is_no_change(transform: Noise | Blur | Contrast | Occlusion) -> None:
    assert equal(images([transform]), images([]))


@pytest.mark.parametrize("transform", ALL, ids=lambda transform: transform.kind)
def test_every_kind_keeps_shape_and_type_and_leaves_its_input_alone(transform: Noise | Blur) -> None:
    for channels in (1, 3):
        image = picture(17, 23, channels)
        before = image.copy()
        changed = transform.apply(image, rng())
        assert (changed.shape, changed.dtype) == (image.shape, image.dtype)
        assert not np.array_equal(changed, before)
        np.testing.assert_array_equal(image, before)


def test_same_seed_same_images_whatever_the_batches() -> None:
    reference = images(ALL, size=6)
    assert equal(reference, images(ALL, size=1))
    assert equal(reference, images(ALL, size=4))
    some = images(ALL, indices=[5, 0])
    assert list(some) == ["photo-5", "photo-0"]
    assert all(np.array_equal(reference[id_], image) for id_, image in some.items())
    assert not equal(reference, images(ALL, seed=1))


def test_samples_and_positions_draw_differently() -> None:
    first = Noise(kind="noise", sigma=0.1)
    flat = TransformedDataset(Photos(), [first])
    a, b = (flat._apply(np.full((9, 9, 1), 128, np.uint8), id_) for id_ in ("a", "b"))
    assert not np.array_equal(a, b)
    draws = {tuple(flat._rng("a", position).integers(0, 100, 5).tolist()) for position in range(3)}
    assert len(draws) == 3


def test_everything_but_the_images_is_the_base() -> None:
    derived = TransformedDataset(Photos(), ALL)
    base, changed = list(Photos().batches(4)), list(derived.batches(4))
    assert len(derived) == 6
    assert derived.fingerprint() == "photos"
    for before, after in zip(base, changed, strict=True):
        assert after.ids == before.ids
        assert after.unreadable == before.unreadable
        assert [target.label for target in after.targets] == [target.label for target in before.targets]  # type: ignore[union-attr]


def test_the_kind_decides() -> None:
    entries = [{"kind": "blur", "sigma": 2}, {"kind": "noise", "sigma": 0.1}]
    parsed = TypeAdapter(list[Transform]).validate_python(entries)
    assert parsed == [Blur(kind="blur", sigma=2), Noise(kind="noise", sigma=0.1)]


@pytest.mark.parametrize("entry", [
    {"kind": "melt"}, {"sigma": 1}, {"kind": "noise"}, {"kind": "noise", "sigma": -0.1}, {"kind": "noise", "sigma": 25},
    {"kind": "occlusion", "fraction": 1.1}, {"kind": "blur", "sigma": 1, "factor": 1},
    {"kind": "contrast", "factor": float("nan")},
])
def test_wrong_entries_are_refused(entry: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Transform).validate_python(entry)
