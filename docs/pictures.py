"""Makes the pictures of the documentation, from generated images and shipped models alone.

Run `python docs/pictures.py [FOLDER]`; by default they go to docs/pictures/, where the pages find them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
CAM_CNN = DOCS.parent / "exports" / "cam-cnn" / "model.fp32.onnx"
METHODS = ("grad-cam", "guided-backprop", "integrated-gradients", "score-cam", "occlusion", "rise")
SCENES = (0, 3, 4, 8)


def scenes(folder: Path, indices: tuple[int, ...] = SCENES) -> Iterator[Path]:
    """Generated scenes as files, named by class and index."""
    from harness.host import Host, create
    from harness.specs import DatasetSpec

    spec = Host.discover().spec(DatasetSpec, "foreground")
    dataset = create(spec, spec.params.model_validate({"count": max(indices) + 1}))
    for batch in dataset.batches(1, indices):
        path = folder / f"{batch.targets[0].label}.png"
        Image.fromarray(batch.images[0]).save(path)
        yield path


def explain(target: Path, masks: int = 2000) -> Path:
    """A contact sheet of several methods."""
    from harness.cli import cli

    path = target / "explain.jpg"
    with tempfile.TemporaryDirectory() as folder:
        methods = [item for method in METHODS for item in ("--method", method)]
        cli.main(["explain", str(CAM_CNN), *map(str, scenes(Path(folder))), *methods, "--param", f"rise.masks={masks}",
                  "--output", str(path)], standalone_mode=False)
    return path


def main(target: Path, masks: int = 2000) -> list[Path]:
    """All pictures."""
    target.mkdir(parents=True, exist_ok=True)
    return [explain(target, masks)]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "pictures")
