"""A 31-million-parameter UNet on onnxruntime against torch, one thread, alternated."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.card import ModelCard
from harness.onnx.session import open_session
from harness_segmentation.params import UNetParams

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.perf

ROUNDS = 5


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def test_onnxruntime_is_no_slower_than_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from harness.export import to_onnx
    from harness_segmentation.unet import UNet

    model = UNet(UNetParams(size=(256, 256), widths=[64, 128, 256, 512, 1024], norm="none"))
    module = model.build().eval()
    assert sum(p.numel() for p in module.parameters()) == 31_030_658
    card = ModelCard(task="segmentation", input=model.input, input_name="image", **model.card_fields())
    path = tmp_path / "model.fp32.onnx"
    path.write_bytes(to_onnx(model.predictor(module), model, card).SerializeToString())
    image = np.random.default_rng(0).random((1, 1, 256, 256), np.float32)
    session = open_session(path, threads=1)
    query = session.bind({"image": image})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        fast = module.to(memory_format=torch.channels_last)
        tensor = torch.from_numpy(image).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            fast(tensor)
            pairs = [(seconds(query), seconds(lambda: fast(tensor))) for _ in range(ROUNDS)]
    finally:
        torch.set_num_threads(threads)
        session.close()
    ratio = statistics.median(eager / exported for exported, eager in pairs)
    with capsys.disabled():
        print(f"\nUNet 31 M, 256 x 256: torch / onnxruntime {ratio:.2f}, onnxruntime "  # noqa: T201
              f"{1e3 * statistics.median(exported for exported, _ in pairs):.0f} ms")
    assert ratio >= 1.0
