"""Decoders against closed forms and an independent float64 implementation."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from harness.export import quiet  # noqa: E402
from harness.onnx.session import open_session  # noqa: E402
from harness_keypoints import decoding  # noqa: E402
from harness_keypoints.models import gaussians  # noqa: E402

NAMES = ("argmax", "quarter-offset", "log-quadratic", "dark")
SIGMA = 2.0


def decode(name, heatmaps, sigma=SIGMA):
    points, scores = decoding.create(name, sigma)(torch.as_tensor(heatmaps, dtype=torch.float32))
    return points.numpy(), scores.numpy()


def random_centers(count=200, low=8.0, high=55.0):
    return torch.from_numpy(np.random.default_rng(0).uniform(low, high, (count, 1, 2)).astype(np.float32))


def reference(name, heatmap, sigma):
    """One (h, w) map in float64 with numpy and scipy; x, y in heatmap pixels."""
    from scipy.ndimage import correlate1d

    height, width = heatmap.shape
    y, x = np.unravel_index(np.argmax(heatmap), heatmap.shape)
    offset = np.zeros(2)
    heatmap = heatmap.astype(np.float64)
    if name == "quarter-offset":
        if 0 < x < width - 1:
            offset[0] = 0.25 * np.sign(heatmap[y, x + 1] - heatmap[y, x - 1])
        if 0 < y < height - 1:
            offset[1] = 0.25 * np.sign(heatmap[y + 1, x] - heatmap[y - 1, x])
    if name == "log-quadratic":
        logs = np.log(np.maximum(heatmap, 1e-10))
        for axis, (size, line, at) in enumerate(((width, logs[y], x), (height, logs[:, x], y))):
            if 0 < at < size - 1:
                a, b, _ = np.polyfit([-1, 0, 1], line[at - 1 : at + 2], 2)
                offset[axis] = np.clip(-b / (2 * a), -0.5, 0.5)
    if name == "dark":
        radius = round(2.5 * sigma)
        kernel = np.exp(-np.arange(-radius, radius + 1) ** 2 / (2 * sigma**2))
        for axis in (0, 1):
            heatmap = correlate1d(heatmap, kernel / kernel.sum(), axis=axis, mode="constant")
        logs = np.log(np.maximum(heatmap, 1e-10))
        if 2 <= x < width - 2 and 2 <= y < height - 2:
            slope = [(logs[y, x + 1] - logs[y, x - 1]) / 2, (logs[y + 1, x] - logs[y - 1, x]) / 2]
            mixed = (logs[y + 1, x + 1] - logs[y + 1, x - 1] - logs[y - 1, x + 1] + logs[y - 1, x - 1]) / 4
            hessian = [[(logs[y, x + 2] - 2 * logs[y, x] + logs[y, x - 2]) / 4, mixed],
                       [mixed, (logs[y + 2, x] - 2 * logs[y, x] + logs[y - 2, x]) / 4]]
            if hessian[0][0] < 0 and np.linalg.det(hessian) > 1e-4:
                offset = np.clip(-np.linalg.solve(hessian, slope), -1, 1)
    return np.array([x, y]) + offset


@pytest.mark.parametrize(("name", "worst"), [("log-quadratic", 0.02), ("dark", 0.02)])
def test_a_gaussian_is_decoded_exactly(name, worst):
    centers = random_centers()
    points, scores = decode(name, gaussians(centers, SIGMA))
    np.testing.assert_allclose(points, (centers.numpy() + 0.5) * 2 - 0.5, atol=worst)
    assert ((scores > 0.9) & (scores <= 1)).all()


def test_argmax_is_the_nearest_pixel_and_a_quarter_is_closer():
    """Uniform centers: the error per axis is uniform on +-1/2 px for argmax, on +-1/4 px with the quarter offset."""
    centers = random_centers(4000)
    errors = {name: decode(name, gaussians(centers, SIGMA))[0] - ((centers.numpy() + 0.5) * 2 - 0.5)
              for name in ("argmax", "quarter-offset")}
    assert np.abs(errors["argmax"]).max() <= 1 + 1e-3
    assert np.abs(errors["argmax"]).mean() == pytest.approx(0.5, abs=0.02)
    assert np.abs(errors["quarter-offset"]).max() <= 0.5 + 1e-3
    assert np.abs(errors["quarter-offset"]).mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_against_float64_on_noisy_maps(name):
    rng = np.random.default_rng(1)
    centers = random_centers(60, 2.0, 61.0)
    clean = gaussians(centers, SIGMA).numpy()
    maps = (clean * rng.uniform(0.3, 1, (60, 1, 1, 1)) + 0.01 * rng.standard_normal(clean.shape)).astype(np.float32)
    points, scores = decode(name, maps)
    expected = np.array([(reference(name, each[0], SIGMA) + 0.5) * 2 - 0.5 for each in maps])
    np.testing.assert_allclose(points[:, 0], expected, atol=1e-3)
    np.testing.assert_array_equal(scores[:, 0], maps.max(axis=(1, 2, 3)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("x", "y"), [(0, 0), (63, 63), (0, 30), (30, 63), (1, 1)])
def test_at_the_border_the_result_is_finite_and_near_the_peak(name, x, y):
    maps = np.full((1, 1, 64, 64), -0.01, np.float32)
    maps[0, 0, y, x] = 0.8
    points, scores = decode(name, maps)
    assert scores[0, 0] == np.float32(0.8)
    assert np.abs(points[0, 0] - ((np.array([x, y]) + 0.5) * 2 - 0.5)).max() <= 2


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_map_gives_its_first_pixel(name):
    points, _ = decode(name, np.zeros((2, 3, 64, 64)))
    np.testing.assert_array_equal(points, np.full((2, 3, 2), 0.5))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_decoded_like_its_parts(name):
    maps = gaussians(random_centers(6), SIGMA).reshape(3, 2, 64, 64)
    together = decode(name, maps)[0]
    apart = np.concatenate([decode(name, each[None])[0] for each in maps])
    np.testing.assert_array_equal(together, apart)


def test_the_label_convention():
    """The center between input pixels 0 and 1 lies in the center of heatmap pixel 0."""
    maps = gaussians(torch.tensor([[[0.0, 0.0]]]), SIGMA)
    assert maps[0, 0].argmax() == 0
    np.testing.assert_array_equal(decode("argmax", maps)[0][0, 0], [0.5, 0.5])


class AllDecoders(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.decoders = torch.nn.ModuleList(decoding.create(name, SIGMA) for name in NAMES)

    def forward(self, heatmaps):
        return tuple(decoder(heatmaps)[0] for decoder in self.decoders)


def test_every_decoder_exports_with_a_dynamic_batch(tmp_path):
    path = tmp_path / "decoders.onnx"
    with quiet():
        program = torch.onnx.export(
            AllDecoders(), (torch.rand(2, 5, 64, 64),), dynamo=True, external_data=False, opset_version=18,
            input_names=["heatmaps"], output_names=[f"by {name}" for name in NAMES],
            dynamic_shapes=({0: torch.export.Dim("batch")},))
    program.save(path)
    maps = gaussians(random_centers(40, 0.0, 63.0), SIGMA).reshape(8, 5, 64, 64)
    session = open_session(path)
    for batch in (1, 3, 8):
        outputs = session.run({"heatmaps": maps[:batch].numpy()})
        for name in NAMES:
            np.testing.assert_allclose(outputs[f"by {name}"], decode(name, maps[:batch])[0], atol=1e-4, err_msg=name)
