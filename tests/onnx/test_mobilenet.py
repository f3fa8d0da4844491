"""A real network over real photographs against a plain script with onnxruntime and Pillow alone."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.api import ModelFile
from harness.geometry import prepare
from harness.onnx.models import load_card
from harness.onnx.runner import ModelRunner
from harness.onnx.session import open_session

DATA = Path(os.environ.get("HARNESS_SHARED_DATA") or Path(__file__).parents[3] / "shared/data")
MODEL = DATA / "models/mobilenet_v1_0.75_192.onnx"
PHOTOGRAPHS = sorted((DATA / "pets/images").glob("*.jpg"))
pytestmark = pytest.mark.skipif(not (MODEL.is_file() and PHOTOGRAPHS), reason=f"no shared data in {DATA}")


@pytest.fixture(scope="module")
def plain():
    """(N, 1001) logits, one photograph at a time, written without anything of the harness."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
    rows = []
    for path in PHOTOGRAPHS:
        picture = Image.open(path).convert("RGB").resize((192, 192), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture, np.float32) / 127.5 - 1
        rows.append(session.run(["logits"], {"image": pixels.transpose(2, 0, 1)[None]})[0][0])
    return np.stack(rows)


@pytest.mark.parametrize("batch", [1, 8])
def test_logits_equal_a_plain_script(plain, batch):
    card = load_card(ModelFile(MODEL, {
        "task": "classification", "input": {"size": [192, 192], "range": [-1.0, 1.0]},
        "labels": str(DATA / "models/imagenet_labels.txt"), "classes": {"chihuahua": 152}}))
    runner = ModelRunner(open_session(MODEL), card, MODEL)
    images = [np.asarray(Image.open(path).convert("RGB")) for path in PHOTOGRAPHS]
    rows = [runner.predict(prepare(images[start:start + batch], card.input)[0])["logits"]
            for start in range(0, len(images), batch)]
    logits = np.concatenate(rows)
    assert logits.shape == (len(images), 1001)
    np.testing.assert_allclose(logits, plain, atol=1e-5, rtol=0)
    np.testing.assert_array_equal(logits.argmax(axis=1), plain.argmax(axis=1))
