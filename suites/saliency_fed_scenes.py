"""Writes the scenes of suites/saliency-fed.toml: pictures, masks, and maps of where a classifier looked.

    python suites/saliency_fed_scenes.py [--method guided-backprop] [--count 400] [FOLDER]

Scenes come from the dataset `foreground`, maps from the shipped classifier `cam-cnn`, of its highest score: negative
values are 0, the maximum of each map is 255.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from harness.api import ModelFile, load_card, of_predicted_class, open_session, prepare, scores_graph, standard_rules
from harness.host import Host
from harness.specs import DatasetSpec, SaliencySpec

CLASSIFIER = Path(__file__).parents[1] / "exports/cam-cnn/model.fp32.onnx"


def explainer(host: Host, method: str, folder: Path) -> Path:
    """An ONNX file: image -> map of the highest score."""
    import onnx

    from harness.host import create

    card = load_card(ModelFile(CLASSIFIER))
    scores = scores_graph(onnx.load(CLASSIFIER), card, CLASSIFIER).model
    spec = host.spec(SaliencySpec, method)
    graph = of_predicted_class(create(spec, spec.params()).build(scores, card, standard_rules()), scores)
    onnx.save(graph, str(folder / "explainer.onnx"))
    return folder / "explainer.onnx"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "saliency-fed-scenes")
    parser.add_argument("--method", default="guided-backprop")
    parser.add_argument("--count", type=int, default=400)
    options = parser.parse_args()
    from harness.host import create

    host = Host.discover()
    for name in ("images", "masks", "maps"):
        (options.folder / name).mkdir(parents=True, exist_ok=True)
    session = open_session(explainer(host, options.method, options.folder))
    spec, card = host.spec(DatasetSpec, "foreground"), load_card(ModelFile(CLASSIFIER))
    dataset = create(spec, spec.params(split="test", count=options.count))
    for batch in dataset.batches(16):
        maps = np.maximum(session.run({"image": prepare(batch.images, card.input)[0]})["saliency"], 0)
        for image, target, id_, map_ in zip(batch.images, batch.targets, batch.ids, maps, strict=True):
            gray = np.round(255 * map_ / max(float(map_.max()), 1e-30)).astype(np.uint8)
            mask = target.mask.astype(np.uint8) * 255
            for name, pixels in (("images", image), ("masks", mask), ("maps", gray)):
                Image.fromarray(pixels).save(options.folder / name / f"{id_}.png")


if __name__ == "__main__":
    main()
