"""Stick figures: reproducible, independent of order, drawn where the keypoints say."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness_keypoints.figures import StickFigures, coverage, sample_pose
from harness_keypoints.params import StickFiguresParams


def figures(**params):
    return StickFigures(StickFiguresParams(**params))


def test_shapes_types_and_ids():
    batches = list(figures(count=5).batches(2))
    assert [len(batch.ids) for batch in batches] == [2, 2, 1]
    ids = [id_ for batch in batches for id_ in batch.ids]
    assert ids == [f"test-{i:05d}" for i in range(5)]
    for batch in batches:
        for image, target in zip(batch.images, batch.targets, strict=True):
            assert image.shape == (128, 128, 1)
            assert image.dtype == np.uint8
            assert target.points.shape == (5, 2)
            assert target.points.dtype == np.float32
            assert target.visible.all()


def test_a_figure_depends_on_its_index_alone():
    few, many = figures(count=3), figures(count=1000)
    (batch,) = many.batches(8, [2, 0])
    for position, index in enumerate((2, 0)):
        image, target = few.sample(index)
        np.testing.assert_array_equal(batch.images[position], image)
        np.testing.assert_array_equal(batch.targets[position].points, target.points)


def test_seeds_and_splits_share_no_figure():
    images = [figures(seed=seed, split=split, count=4).sample(i)[0].tobytes()
              for seed in (0, 1) for split in ("train", "val", "test") for i in range(4)]
    assert len(set(images)) == len(images)


def test_the_default_figures_are_the_ones_that_shipped_exports_were_measured_on():
    """A change here invalidates every committed accuracy: raise the version, train and export again."""
    digest = hashlib.sha256()
    for index in range(8):
        points = figures().sample(index)[1].points
        digest.update(np.round(points.astype(np.float64), 2).tobytes())
    assert digest.hexdigest()[:16] == "d830465f4606d33e"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 1.0), st.floats(0, 45))
def test_keypoints_and_outline_are_inside_the_image(seed, scale, tilt):
    dataset = figures(seed=seed, scale=(scale, scale), tilt=tilt, count=1, noise=(0, 0))
    image, target = dataset.sample(0)
    assert (target.points >= dataset.params.margin).all()
    assert (target.points <= 127 - dataset.params.margin).all()
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert np.ptp(border) == 0


def test_scale_decides_the_size():
    def mean_diagonal(low, high):
        dataset = figures(scale=(low, high), count=40)
        points = np.stack([dataset.sample(i)[1].points for i in range(40)])
        return np.linalg.norm(np.ptp(points, axis=1), axis=-1).mean()

    small, large = mean_diagonal(0.3, 0.3), mean_diagonal(0.6, 0.6)
    assert large / small == pytest.approx(2, rel=0.1)


def test_the_drawing_is_brightest_along_the_figure_and_flat_elsewhere():
    dataset = figures(noise=(0, 0), background=(20, 20), contrast=(100, 100), count=20)
    for index in range(20):
        image, target = dataset.sample(index)
        columns, rows = np.rint(target.points).astype(int).T
        assert (image[rows, columns, 0] > 60).all(), "a limb or a disc covers every keypoint"
        assert image.max() == 120
        assert np.median(image) == 20
        assert 0.02 < (image > 20).mean() < 0.3


def test_coverage_of_the_head_is_the_area_of_its_disc():
    pose = sample_pose(np.random.default_rng(3), tilt=0)
    head_only = pose._replace(segments=np.zeros((0, 2, 2)), keypoints=np.array([[60.3, 50.7], *[[-99.0, -99.0]] * 4]))
    picture = coverage(head_only, height=100, width=1e-3, size=128)
    assert picture.sum() == pytest.approx(np.pi * 9**2, rel=0.005)
    ys, xs = np.mgrid[:128, :128]
    assert (picture * xs).sum() / picture.sum() == pytest.approx(60.3, abs=0.01)
    assert (picture * ys).sum() / picture.sum() == pytest.approx(50.7, abs=0.01)


def test_coverage_of_a_limb_is_length_times_width():
    pose = sample_pose(np.random.default_rng(3), tilt=0)
    limb = pose._replace(segments=np.array([[[30.0, 40.0], [90.0, 70.0]]]), keypoints=np.full((5, 2), -999.0))
    picture = coverage(limb, height=1e-6, width=4, size=128)
    length = np.hypot(60, 30)
    assert picture.sum() == pytest.approx(4 * length + np.pi * 2**2, rel=0.01)


@given(st.integers(0, 10**6))
def test_left_limbs_are_on_the_right_of_the_image(seed):
    """The figure faces the viewer; without tilt every limb stays on its own side of the trunk."""
    _, left_hand, right_hand, left_foot, right_foot = sample_pose(np.random.default_rng(seed), tilt=0).keypoints
    assert left_hand[0] > 0 > right_hand[0]
    assert left_foot[0] > 0 > right_foot[0]


def test_left_limbs_end_in_a_disc():
    dataset = figures(noise=(0, 0), background=(0, 0), contrast=(100, 100), limb_width=(3, 3), count=30)

    def mass(image, point):
        column, row = np.rint(point).astype(int)
        return image[row - 3 : row + 4, column - 3 : column + 4].astype(float).sum()

    pairs = [(mass(image, target.points[1]), mass(image, target.points[2]))
             for image, target in (dataset.sample(i) for i in range(30))]
    assert all(left > right for left, right in pairs)


@pytest.mark.parametrize("params", [{"scale": (0.6, 0.4)}, {"noise": (9, 1)}, {"count": 0}, {"split": "testing"}])
def test_impossible_params_are_refused(params):
    with pytest.raises(ValidationError):
        StickFiguresParams(**params)


def test_an_index_outside_the_dataset_is_an_error():
    with pytest.raises(IndexError):
        figures(count=3).sample(3)
