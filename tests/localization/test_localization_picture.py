"""The picture of the documentation is what its script draws."""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"


def test_the_committed_picture_is_current(tmp_path):
    spec = importlib.util.spec_from_file_location("localization_picture", DOCS / "localization_picture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path)
    committed, now = (np.asarray(Image.open(folder / "localization.png").convert("RGB"), float)
                      for folder in (DOCS / "pictures", tmp_path))
    assert committed.shape == now.shape
    assert np.abs(committed - now).mean() < 3, "run: python docs/localization_picture.py"
    assert (DOCS / "pictures" / "localization.png").stat().st_size < 20_000
