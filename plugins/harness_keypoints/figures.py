"""Generated stick figures: random poses, drawn with anti-aliasing from distances to line segments.

A figure is a pure function of (seed, split, index): it depends neither on the number of figures nor on their order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.api import GeneratedDataset, KeypointsTarget
from harness_keypoints.params import StickFiguresParams

Floats = NDArray[np.float64]

_HEAD_RADIUS = 0.09
"""All lengths are fractions of the upright figure's height: 0.18 head, 0.34 trunk, 0.48 legs."""
_TRUNK = 0.34
_SHOULDER = 0.04
_ARM = 0.19
_LEG = 0.24
_MARK = 1.2
"""Radius of the disc at the end of a left limb, in limb widths."""


class Pose(NamedTuple):
    """Joints, y down: in units of the figure's height with the neck at the origin, or placed, in pixels.

    segments: (S, 2, 2) end points of the drawn lines; keypoints: (5, 2) in the order of KEYPOINTS.
    """

    segments: Floats
    keypoints: Floats


class StickFigures(GeneratedDataset[StickFiguresParams]):
    """Dataset of stick figures; images (size, size, 1) uint8, all five keypoints visible and inside the image."""

    def sample(self, index: int) -> tuple[NDArray[np.uint8], KeypointsTarget]:
        """(size, size, 1) uint8 image and its (5, 2) keypoints in pixels; raises IndexError outside the dataset."""
        params, rng = self.params, self.generator(index)
        width = rng.uniform(*params.limb_width)
        pose, height = _place(sample_pose(rng, params.tilt), width, params, rng)
        background, contrast, noise = (rng.uniform(*r) for r in (params.background, params.contrast, params.noise))
        picture = background + contrast * coverage(pose, height, width, params.size)
        picture += noise * rng.standard_normal(picture.shape)
        image = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        points = pose.keypoints.astype(np.float32)
        return image[:, :, None], KeypointsTarget(points=points, visible=np.ones(len(points), np.bool_))


def sample_pose(rng: np.random.Generator, tilt: float) -> Pose:
    """A random pose, rotated by at most `tilt` degrees.

    Angles are measured from straight down, outward. Every limb stays on its own side of the trunk, so that left and
    right can be told from the pose; the discs at the ends of the left limbs tell them locally.
    """
    neck, hip = np.zeros(2), np.array([0.0, _TRUNK])
    head = np.array([0.0, -_HEAD_RADIUS])
    segments, ends = [np.stack([neck, hip])], [head]
    for start, length, first, second in (
        (np.array([0.0, _SHOULDER]), _ARM, (25.0, 135.0), (15.0, 160.0)),
        (hip, _LEG, (10.0, 55.0), (6.0, 50.0)),
    ):
        for side in (1.0, -1.0):  # the figure faces the viewer: its left is at the right of the image
            joint = start + length * _direction(rng.uniform(*first), side)
            end = joint + length * _direction(rng.uniform(*second), side)
            segments += [np.stack([start, joint]), np.stack([joint, end])]
            ends.append(end)
    turn = np.radians(rng.uniform(-tilt, tilt))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return Pose(np.stack(segments) @ rotation.T, np.stack(ends) @ rotation.T)


def _direction(degrees: float, side: float) -> Floats:
    angle = np.radians(degrees)
    return np.array([side * np.sin(angle), np.cos(angle)])


def _place(pose: Pose, width: float, params: StickFiguresParams, rng: np.random.Generator) -> tuple[Pose, float]:
    """The pose in pixels at a random position inside the margins, and the figure's height in pixels."""
    head = pose.keypoints[:1]
    outline = np.concatenate([pose.segments.reshape(-1, 2), head - _HEAD_RADIUS, head + _HEAD_RADIUS])
    low, high = outline.min(axis=0), outline.max(axis=0)
    border = params.margin + _MARK * width
    room = params.size - 1 - 2 * border
    height = min(rng.uniform(*params.scale) * params.size, room / float((high - low).max()))
    origin = border - low * height + rng.uniform(size=2) * (room - (high - low) * height)
    return Pose(pose.segments * height + origin, pose.keypoints * height + origin), height


def coverage(pose: Pose, height: float, width: float, size: int) -> Floats:
    """(size, size) share of each pixel that the figure covers: capsules along the limbs, discs at head and left ends.

    pose, height, width: in pixels. The share is that of a straight edge at the pixel's signed distance.
    """
    x, y = np.arange(size)[None, :], np.arange(size)[:, None]
    distance = np.full((size, size), np.inf)
    for start, end in pose.segments:
        np.minimum(distance, _segment_distance(x, y, start, end) - width / 2, out=distance)
    discs = ((0, _HEAD_RADIUS * height), (1, _MARK * width), (3, _MARK * width))
    for keypoint, radius in discs:
        center_x, center_y = pose.keypoints[keypoint]
        np.minimum(distance, np.hypot(x - center_x, y - center_y) - radius, out=distance)
    return np.clip(0.5 - distance, 0, 1)


def _segment_distance(x: NDArray[np.int64], y: NDArray[np.int64], start: Floats, end: Floats) -> Floats:
    along = end - start
    share = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(float(along @ along), 1e-12)
    share = np.clip(share, 0, 1)
    gap: Floats = np.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1])
    return gap
