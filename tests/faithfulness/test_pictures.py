"""The pictures of the documentation are what their script draws."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("faithfulness_pictures", DOCS / "faithfulness_pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("pictures")
    module.main(folder)
    return folder


@pytest.mark.parametrize("name", ["faithfulness.png", "warping-error.png"])
def test_the_committed_picture_is_current(drawn, name):
    committed, now = (np.asarray(Image.open(folder / name).convert("RGB"), float)
                      for folder in (DOCS / "pictures", drawn))
    assert committed.shape == now.shape
    assert np.abs(committed - now).mean() < 3, "run: python docs/faithfulness_pictures.py"
    assert (DOCS / "pictures" / name).stat().st_size < 40_000
