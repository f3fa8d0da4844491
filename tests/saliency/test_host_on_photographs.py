"""Methods on the host on a real network and real photographs: where they point, against the animals' outlines."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.contracts import ModelFile
from harness.geometry import prepare
from harness.onnx.models import load_card
from harness.photographs import read_photograph
from harness_saliency.ablation_cam import AblationCam
from harness_saliency.host_params import (
    AblationCamParams,
    CenterGaussianParams,
    KernelShapParams,
    OcclusionParams,
    RandomParams,
)
from harness_saliency.kernel_shap import KernelShap
from harness_saliency.occlusion import Occlusion

DATA = Path(os.environ.get("HARNESS_SHARED_DATA") or Path(__file__).parents[3] / "shared/data")
MODEL = DATA / "models/mobilenet_v1_0.75_192.onnx"
BREEDS = {"Abyssinian": 286, "Egyptian_Mau": 286, "chihuahua": 152, "scottish_terrier": 200}
PHOTOGRAPHS = sorted((DATA / "pets/images").glob("*.jpg"))[::7]
pytestmark = pytest.mark.skipif(not (MODEL.is_file() and PHOTOGRAPHS), reason=f"no shared data in {DATA}")


def share_inside(map_, mask):
    """Of the positive evidence, relative to the mask's share of the image: 1 is what a map without any idea has."""
    positive = np.maximum(map_, 0).astype(np.float64)
    return (positive * mask).sum() / positive.sum() / mask.mean()


@pytest.fixture
def photographs(opened):
    """The network; (N, ...) inputs, the classes of the breeds, and (N, h, w) masks of the animals."""
    card = load_card(ModelFile(MODEL, {"task": "classification", "input": {"size": [192, 192], "range": [-1.0, 1.0]}}))
    inputs, fits = prepare([read_photograph(path) for path in PHOTOGRAPHS], card.input)
    classes = np.array([BREEDS[path.stem.rpartition("_")[0]] for path in PHOTOGRAPHS])
    trimaps = [np.asarray(Image.open(DATA / "pets/trimaps" / f"{path.stem}.png")) for path in PHOTOGRAPHS]
    masks = np.stack([fit.mask_to_input(trimap != 2) for fit, trimap in zip(fits, trimaps, strict=True)])
    return opened(MODEL, card), inputs, classes, masks


def test_evidence_lies_in_the_animal(photographs):
    model, inputs, classes, masks = photographs
    seeds = list(range(len(inputs)))
    shares = {}
    for generator in (AblationCam(AblationCamParams()), Occlusion(OcclusionParams(window=48, stride=24)),
                      KernelShap(KernelShapParams(grid=(5, 5), samples=100))):
        maps = generator.explain(model, inputs, classes, seeds)
        shares[type(generator).__name__] = [share_inside(*pair) for pair in zip(maps, masks, strict=True)]
    medians = {name: float(np.median(values)) for name, values in shares.items()}
    assert min(medians.values()) > 1.15, medians
    assert all(np.mean(np.array(values) > 1) > 0.7 for values in shares.values()), shares


def test_baselines_have_no_idea_but_photographers_do(photographs):
    from harness_saliency.baselines import CenterGaussian, Random

    model, inputs, classes, masks = photographs
    seeds = list(range(len(inputs)))
    noise = Random(RandomParams()).explain(model, inputs, classes, seeds)
    assert [share_inside(*pair) for pair in zip(noise, masks, strict=True)] == pytest.approx([1] * len(masks), abs=0.02)
    bell = CenterGaussian(CenterGaussianParams()).explain(model, inputs, classes, seeds)
    assert np.median([share_inside(*pair) for pair in zip(bell, masks, strict=True)]) > 1.1
