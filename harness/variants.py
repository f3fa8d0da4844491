"""A model's files of other precisions: made from its float32 file, once, and kept in the cache.

int8 needs samples: a trained model has its own training data and a metric, for any other a suite says which.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cache import default_folder
from harness.card import ModelCard, PrecisionFacts
from harness.contracts import Dataset, ModelFile
from harness.datasets import evenly
from harness.errors import ModelFileError
from harness.exports import sha256
from harness.files import write_bytes
from harness.suite import Calibration, DatasetEntry

if TYPE_CHECKING:
    import onnx

    from harness.prepared import Prepared

PRECISIONS = ("fp16", "int8")
"""Precisions that can be made from a float32 file."""
_CHECKED = 200
"""Samples that a search measures its metric on; a dataset with fewer is used whole."""
_RANKED = 16
"""Samples that rank the layers by their sensitivity."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Variant:
    """A file of another precision. facts: as its card has them."""

    model: onnx.ModelProto
    facts: PrecisionFacts


def cached(name: str, file: ModelFile, precision: str, calibration: Calibration | None,
           tell: Tell | None = None) -> ModelFile:
    """The variant of a float32 file, made now if the cache has none. name: the suite's name of the model.

    Raises ModelFileError when the precision can not be made, or int8 has no samples to be calibrated on.
    """
    from filelock import FileLock

    if precision not in PRECISIONS:
        raise ModelFileError(f'model "{name}": {precision} can not be made from a float32 file; '
                             f"{' and '.join(PRECISIONS)} can")
    if precision == "int8" and calibration is None:
        raise ModelFileError(f'model "{name}": int8 needs samples that the ranges of its activations are found on; set '
                             f'models.{name}.calibration = {{ dataset = "NAME", count = 100 }}')
    folder = default_folder(os.environ) / "variants" / _key(file, precision, calibration)
    path = folder / f"model.{precision}.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        if not path.is_file():
            if tell is not None:
                tell(f"making the {precision} file of {name}")
            write_bytes(path, make(file, precision, calibration).model.SerializeToString())
    return ModelFile(path, file.card)


def make(file: ModelFile, precision: str, calibration: Calibration | None, tell: Tell | None = None) -> Variant:
    """A file of another precision with its card. tell: is told what is done, step by step.

    Raises ModelFileError as `cached` does, DataError when the samples can not be read.
    """
    from harness.onnx.metadata import write_card
    from harness.onnx.models import load_card
    from harness.onnx.precision.prepare import prepared

    card = load_card(file)
    model = prepared(Path(file.path))
    if precision == "fp16":
        variant = _half(model, file)
    elif calibration is None:
        raise ModelFileError(f"{file.path}: int8 needs samples that the ranges of its activations are found on")
    else:
        variant = _int8(model, card, file, calibration, tell or (lambda _: None))
    write_card(variant.model, card.model_copy(update={"precision": variant.facts}))
    return variant


def _half(model: onnx.ModelProto, file: ModelFile) -> Variant:
    from harness.onnx.precision.body import find_body
    from harness.onnx.precision.half import to_half

    layers = len(find_body(model).weighted)
    half, kept = to_half(model)
    return Variant(half, PrecisionFacts(precision="fp16", source_sha256=sha256(Path(file.path)), float_nodes=kept,
                                        layers=layers, producer=_producer()))


def _int8(model: onnx.ModelProto, card: ModelCard, file: ModelFile, calibration: Calibration, tell: Tell) -> Variant:
    from harness.onnx.precision.body import ends, find_body
    from harness.onnx.precision.int8 import Quantizer
    from harness.onnx.precision.search import search, sensitivity

    name, layers = _image_input(model), find_body(model).weighted
    data = load_samples(calibration.dataset, card, calibration.count)
    feeds = [{name: data.inputs(slice(i, i + 1))} for i in range(len(data))]
    tell(f"ranges of the activations on {len(data)} samples of {calibration.dataset.id}")
    quantizer = Quantizer(model, iter(feeds), calibration.settings)
    skipped = [layer for layer in layers if layer not in quantizer.body.weighted]
    facts = PrecisionFacts(
        precision="int8", source_sha256=sha256(Path(file.path)), float_nodes=skipped, layers=len(layers),
        settings=calibration.settings.model_dump(mode="json"), producer=_producer(),
        calibration={"dataset": calibration.dataset.id, "count": len(data),
                     "params": calibration.dataset.params.model_dump(mode="json")})
    if calibration.metric is None or calibration.check is None:
        return Variant(quantizer.quantized(), facts)
    metric = _Loss(card, calibration, file)
    tell(f"{metric.name} of float32: {metric.reference:.4f}")
    found = search(quantizer.quantized, metric, calibration.max_loss,
                   lambda: list(sensitivity(quantizer, ends(model, quantizer.body), feeds[:_RANKED])))
    for step in found.steps:
        tell(f"{metric.name} loses {step.loss:.4f} with {len(step.float_layers)} further layers in float")
    if not found.within:
        raise ModelFileError(
            f"{file.path}: int8 loses {found.steps[-1].loss:.4f} of {metric.name} even with half of its layers in "
            f"float, at most {calibration.max_loss:g} is allowed; allow more in `max_loss`, or calibrate on more or "
            "other samples")
    chosen = found.steps[-1]
    return Variant(found.model, facts.model_copy(update={
        "float_nodes": [*skipped, *chosen.float_layers], "metric": metric.name, "loss": chosen.loss,
        "max_loss": calibration.max_loss, "steps": [(list(step.float_layers), step.loss) for step in found.steps]}))


class _Loss:
    """What a file loses of the metric's first number against float32; of fractions absolute, otherwise relative."""

    def __init__(self, card: ModelCard, calibration: Calibration, file: ModelFile) -> None:
        if calibration.check is None or calibration.metric is None:
            raise ValueError("nothing to measure a loss with")
        self.card, self.metric = card, calibration.metric
        self.data = load_samples(calibration.check, card, _CHECKED)
        import onnx

        self.name = ""
        self.reference = self._value(onnx.load(str(file.path)))

    def __call__(self, model: onnx.ModelProto) -> float:
        found = self._value(model)
        lost = self.reference - found if self.higher_is_better else found - self.reference
        return lost if self.unit == "fraction" else lost / max(abs(self.reference), 1e-12)

    def _value(self, model: onnx.ModelProto) -> float:
        import onnx

        from harness.evaluate import measured
        from harness.onnx.metadata import write_card

        write_card(model, self.card)
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            path = Path(folder) / "model.onnx"
            onnx.save(model, str(path))
            results = measured(path, self.data, [self.metric], intervals=False)
        self.name, first = next(iter(results.items()))
        self.higher_is_better, self.unit = first.higher_is_better, first.unit
        if first.value is None:
            raise ModelFileError(f"{self.name} can not be evaluated on the samples of the search; name another metric "
                                 "in `calibration`")
        return first.value


def load_samples(entry: DatasetEntry, card: ModelCard, most: int) -> Prepared:
    """At most so many samples, evenly spread, at the model's input size."""
    from harness.opened import open_dataset
    from harness.prepared import Prepared

    dataset: Dataset = open_dataset(entry, 0)
    return Prepared.load(dataset, card.input, evenly(range(len(dataset)), most))


def _image_input(model: onnx.ModelProto) -> str:
    constants = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in constants]
    if len(names) != 1:
        raise ModelFileError(f"a model takes one image input, this graph needs {len(names)}: {', '.join(names)}")
    return str(names[0])


def _key(file: ModelFile, precision: str, calibration: Calibration | None) -> str:
    from harness import identity

    facts: dict[str, Any] = {"model": identity.of_model(file), "precision": precision, "producer": _producer(),
                             "sources": identity.package_sources("harness")}
    if precision == "int8" and calibration is not None:
        facts |= {"settings": calibration.settings, "count": calibration.count, "max_loss": calibration.max_loss,
                  "data": [_data(entry) for entry in (calibration.dataset, calibration.check)],
                  "metric": identity.of_metric(calibration.metric) if calibration.metric else None}
    return identity.digest(facts)


def _data(entry: DatasetEntry | None) -> Mapping[str, Any] | None:
    from harness import identity
    from harness.opened import open_dataset

    return None if entry is None else identity.of_dataset(entry, open_dataset(entry, 0), 0)


def _producer() -> dict[str, str]:
    from harness.onnx.providers import CPU, provider_versions

    return {"vision-harness": version("vision-harness"), "onnx": version("onnx"), **provider_versions(CPU)}


