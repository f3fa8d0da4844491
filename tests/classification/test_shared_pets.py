"""The reader over real photographs, where they are at hand."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.api import ClassificationTarget, InputSpec
from harness.geometry import prepare
from harness_classification.oxford_pet import OxfordPet
from harness_classification.params import OxfordPetParams

SHARED = Path(os.environ.get("HARNESS_SHARED_DATA") or Path(__file__).parents[3] / "shared/data")
DATA = SHARED / "pets"
NETWORK = SHARED / "models/mobilenet_v1_0.75_192.onnx"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no photographs in {DATA}; set HARNESS_SHARED_DATA")


def test_every_photograph_is_read_with_a_mask_of_its_size() -> None:
    data = OxfordPet(OxfordPetParams(root=DATA))
    breeds: Counter[str] = Counter()
    for batch in data.batches(4):
        assert not batch.unreadable
        for image, target in zip(batch.images, batch.targets, strict=True):
            assert isinstance(target, ClassificationTarget)
            assert target.mask is not None
            assert target.boxes is not None
            assert image.dtype == np.uint8
            assert image.shape == (*target.mask.shape, 3)
            assert target.boxes.shape == (1, 4)
            x0, y0, x1, y1 = target.boxes[0].astype(int)
            assert target.mask[y0:y1, x0:x1].sum() == target.mask.sum() > 0
            breeds[target.label] += 1
    assert len(data) == 39
    assert breeds == {"Abyssinian": 10, "Egyptian_Mau": 9, "chihuahua": 10, "scottish_terrier": 10}


def test_transparent_pngs_named_jpg_are_read_by_their_colors() -> None:
    transparent = []
    for path in sorted((DATA / "images").iterdir()):
        with Image.open(path) as picture:
            if picture.mode == "RGBA":
                transparent.append(path.stem)
                colors = np.asarray(picture)[:, :, :3]
                data = OxfordPet(OxfordPetParams(root=DATA))
                index = [batch.ids[0] for batch in data.batches(1)].index(path.stem)
                (batch,) = data.batches(1, [index])
                np.testing.assert_array_equal(batch.images[0], colors)
    assert transparent


def plain_inputs() -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """The preprocessing as anyone would write it: decode, resize, scale."""
    inputs = []
    for path in sorted((DATA / "images").iterdir(), key=lambda path: path.stem):
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB").resize((192, 192), Image.Resampling.BILINEAR), np.float32)
        inputs.append((pixels / 127.5 - 1).transpose(2, 0, 1))
    return inputs


@pytest.mark.skipif(not NETWORK.is_file(), reason=f"no network {NETWORK}; set HARNESS_SHARED_DATA")
def test_batches_give_the_logits_of_a_plain_script() -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(NETWORK, providers=["CPUExecutionProvider"])
    plain = plain_inputs()
    expected = np.concatenate([session.run(["logits"], {"image": values[None]})[0] for values in plain])
    found, inputs = [], []
    for batch in OxfordPet(OxfordPetParams(root=DATA)).batches(8):
        prepared, _ = prepare(batch.images, InputSpec(size=(192, 192), range=(-1.0, 1.0)))
        inputs.append(prepared)
        found.append(session.run(["logits"], {"image": prepared})[0])
    np.testing.assert_array_equal(np.concatenate(inputs), plain)
    logits = np.concatenate(found)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    np.testing.assert_array_equal(logits.argmax(axis=1), expected.argmax(axis=1))
