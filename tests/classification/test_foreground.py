"""Foreground scenes: reproducible, balanced, drawn where mask and box say."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness_classification.foreground import Foreground
from harness_classification.params import SHAPES, ForegroundParams
from harness_classification.shapes import coverage, inside

AREAS = {  # of each shape in its unit circle, in closed form
    "disc": np.pi,
    "ring": np.pi * (1 - 0.55**2),
    "square": 2.0,
    "triangle": 3 * np.sqrt(3) / 4,
    "star": 10 * 0.5 * 0.45 * np.sin(np.pi / 5),
    "cross": 2 * (2 * 0.3) * (2 * np.sqrt(1 - 0.3**2)) - (2 * 0.3) ** 2,
}


def scenes(**params):
    return Foreground(ForegroundParams(**params))


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_have_their_area_and_lie_in_their_circle(shape):
    u, v = np.meshgrid(*2 * [np.linspace(-1.2, 1.2, 1201)])
    points = inside(shape, u, v)
    assert points.mean() * 2.4**2 == pytest.approx(AREAS[shape], rel=0.01)
    assert np.hypot(u, v)[points].max() == pytest.approx(1, abs=0.005)
    assert points[0].sum() == points[:, 0].sum() == 0


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SHAPES), st.floats(10, 25), st.floats(0, 7), st.floats(26, 70), st.floats(26, 70))
def test_coverage_is_the_area_at_any_place_and_turn(shape, radius, turn, x, y):
    covered = coverage(shape, 96, (x, y), radius, turn)
    assert covered.min() == 0
    assert covered.max() == 1
    assert covered.sum() == pytest.approx(AREAS[shape] * radius**2, rel=0.03)
    weights = covered / covered.sum()
    assert (weights * np.arange(96)).sum() == pytest.approx(x, abs=0.15)
    assert (weights * np.arange(96)[:, None]).sum() == pytest.approx(y, abs=0.15)


def test_types_ids_and_balance():
    batches = list(scenes(count=13).batches(5))
    assert [len(batch.ids) for batch in batches] == [5, 5, 3]
    assert [id_ for batch in batches for id_ in batch.ids] == [f"test-{i:05d}" for i in range(13)]
    assert [target.label for batch in batches for target in batch.targets] == [SHAPES[i % 6] for i in range(13)]
    image, target = batches[0].images[0], batches[0].targets[0]
    assert (image.shape, image.dtype) == ((96, 96, 3), np.uint8)
    assert (target.mask.shape, target.mask.dtype) == ((96, 96), np.bool_)
    assert (target.boxes.shape, target.boxes.dtype) == ((1, 4), np.float32)


@pytest.mark.parametrize("index", range(24))
def test_mask_and_box_are_where_the_shape_is_painted(index):
    """The same scene without texture, noise and clutter on a second background: what did not change is the shape."""
    image, target = scenes(noise=(0, 0), clutter=(0, 0), contrast=60).sample(index)
    rows, columns = np.nonzero(target.mask)
    assert target.boxes[0].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    colors = [image[region].reshape(-1, 3).mean(0) for region in (target.mask, ~target.mask)]
    assert np.linalg.norm(colors[0] - colors[1]) > 40


def test_a_scene_depends_on_its_index_alone():
    few, many = scenes(count=3), scenes(count=1000)
    (batch,) = many.batches(8, [2, 0])
    for position, index in enumerate((2, 0)):
        np.testing.assert_array_equal(batch.images[position], few.sample(index)[0])


def test_seeds_and_splits_share_no_scene():
    images = [scenes(seed=seed, split=split, count=4).sample(i)[0].tobytes()
              for seed in (0, 1) for split in ("train", "val", "test") for i in range(4)]
    assert len(set(images)) == len(images)


def test_the_default_scenes_are_the_ones_that_shipped_exports_were_measured_on():
    """A change here invalidates every committed accuracy: train and export again."""
    digest = hashlib.sha256()
    for index in range(6):
        digest.update(scenes().sample(index)[1].boxes.tobytes())
    assert digest.hexdigest()[:16] == "190b59b8004ddecb"


@pytest.mark.parametrize("params", [{"scale": (0.6, 0.4)}, {"clutter": (9, 1)}, {"count": 0}, {"contrast": 100},
                                    {"split": "all"}])
def test_impossible_params_are_refused(params):
    with pytest.raises(ValidationError):
        ForegroundParams(**params)


def test_an_index_outside_the_dataset_is_an_error():
    with pytest.raises(IndexError):
        scenes(count=3).sample(3)
