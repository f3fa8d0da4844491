"""Score-CAM and RISE through onnxruntime against the same algorithm in torch eager: one thread, alternated.

Two ratios are printed. `total` is all CPU time, with torch as it is installed: that is what is held against the bar.
Much of torch's is page faults of glibc's allocator, and varies with its state from process to process; `user` leaves
the system's time out, and is about 2 or below: the bar is not met in arithmetic alone.
"""

from __future__ import annotations

import os
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from harness.api import ModelCard, open_session
from harness.handle import open_handle
from harness.specs import SaliencySpec
from harness.testing.conformance import create
from harness_saliency.host_params import RiseParams
from harness_saliency.host_specs import specs
from harness_saliency.rise import Masks

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.perf

SIZE, BATCH, MASKS, ROUNDS, CLASS = 128, 16, 256, 5, 3
SPECS: dict[str, SaliencySpec] = {spec.name: spec for spec in specs()}


def mobilenet(classes=10, width=0.5):
    """MobileNet (Howard 2017) with ReLU6 after every convolution, as wide as `width` says."""
    nn = torch.nn

    def unit(inputs, outputs, stride=1, groups=1, kernel=3):
        return [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
                nn.BatchNorm2d(outputs), nn.ReLU6()]

    torch.manual_seed(0)
    channels = round(32 * width)
    layers = unit(3, channels, 2)
    for outputs, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2),
                            (1024, 1)):
        wide = round(outputs * width)
        layers += [*unit(channels, channels, stride, channels), *unit(channels, wide, kernel=1)]
        channels = wide
    net = nn.Sequential(nn.Sequential(*layers), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 1.5)  # so that activations do not die out over depth
    return net.eval()


def score_cam(net, image):
    """Wang et al. 2020, algorithm 1, in batches."""
    functional = torch.nn.functional
    activations = net[0](image)[0]
    alive = activations[activations.amax((1, 2)) > activations.amin((1, 2))]
    scores = []
    for piece in alive.split(BATCH):
        masks = functional.interpolate(piece[None], image.shape[2:], mode="bilinear", align_corners=False)[0]
        low, high = masks.amin((1, 2), keepdim=True), masks.amax((1, 2), keepdim=True)
        scores.append(net(image * ((masks - low) / (high - low))[:, None])[:, CLASS])
    weights = torch.cat(scores).softmax(0)
    map_ = torch.relu((weights[:, None, None] * alive).sum(0))
    return functional.interpolate(map_[None, None], image.shape[2:], mode="bilinear", align_corners=False)[0, 0]


def rise(net, image):
    """Petsiuk 2018: masks are enlarged when they are needed, as in the harness."""
    drawn = Masks(RiseParams(masks=MASKS), (SIZE, SIZE), seed=7)
    grids = torch.from_numpy(drawn.grids)
    cell = -(-SIZE // 7)
    total = torch.zeros(SIZE, SIZE)
    for start in range(0, MASKS, BATCH):
        large = torch.nn.functional.interpolate(grids[start : start + BATCH, None], (8 * cell, 8 * cell),
                                                mode="bilinear", align_corners=False)[:, 0]
        masks = torch.stack([mask[top : top + SIZE, left : left + SIZE]
                             for mask, (top, left) in zip(large, drawn.offsets[start : start + BATCH].tolist(),
                                                          strict=True)])
        scores = net(image * masks[:, None]).softmax(1)[:, CLASS]
        total += (scores[:, None, None] * masks).sum(0)
    return total / (MASKS * 0.5)


class Cost(NamedTuple):
    """CPU seconds in the program itself, and in the system on its behalf."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system


def cost(call: Callable[[], object]) -> Cost:
    before = os.times()
    call()
    after = os.times()
    return Cost(after.user - before.user, after.system - before.system)


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory):
    """The network in torch, and as a handle on its export."""
    net = mobilenet()
    path: Path = tmp_path_factory.mktemp("perf") / "mobilenet.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        torch.onnx.export(net, (torch.zeros(1, 3, SIZE, SIZE),), str(path), dynamo=True, external_data=False,
                          opset_version=18, input_names=["image"], verbose=False,
                          dynamic_shapes=({0: torch.export.Dim("batch")},))
    card = ModelCard.model_validate({"task": "classification", "input": {"size": [SIZE, SIZE]}})
    handle, _ = open_handle(card, path, open_session, lambda _: None)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield net, handle
    torch.set_num_threads(before)
    handle.close()


@pytest.mark.parametrize(("name", "theirs", "params"), [
    ("score-cam", score_cam, {}), ("rise", rise, {"masks": MASKS})])
def test_twice_as_fast_as_torch_eager(networks, capsys, name, theirs, params) -> None:
    net, handle = networks
    image = np.random.default_rng(0).normal(size=(1, 3, SIZE, SIZE)).astype(np.float32)
    generator = create(SPECS[name], batch_size=BATCH, **params)

    def ours():
        return generator.explain(handle, image, np.array([CLASS]), [7])[0]

    with torch.inference_mode():
        tensor = torch.from_numpy(image)
        expected = theirs(net, tensor).numpy()
        assert np.ptp(expected) > 0
        assert np.linalg.norm(ours() - expected) <= 1e-3 * np.linalg.norm(expected)
        pairs = []
        for index in range(ROUNDS):
            order = (ours, lambda: theirs(net, tensor)) if index % 2 else (lambda: theirs(net, tensor), ours)
            times = [cost(call) for call in order]
            pairs.append(times if index % 2 else times[::-1])
    total, user = ([getattr(eager, kind) / getattr(mine, kind) for mine, eager in pairs]
                   for kind in ("total", "user"))
    with capsys.disabled():
        print(f"\n{name}: torch eager / harness total {spread(total)}, user {spread(user)}, harness "  # noqa: T201
              f"{1e3 * statistics.median(mine.total for mine, _ in pairs):.0f} ms")
    assert statistics.median(total) >= 2
