"""From a checkpoint to an ONNX file with its decoding inside, checked against torch on real inputs, and its record.

Torch is imported when an export begins, so that this module is light.
"""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import checkpoint, evaluate
from harness.card import ModelCard, SsdDecoder
from harness.checkpoint import TrainingRecord
from harness.errors import CellError, ModelFileError, UsageError
from harness.exports import (
    GOLDEN,
    PARITY,
    RECORD,
    SNAPSHOTS,
    WEIGHTS,
    DatasetRecord,
    ExportRecord,
    FileRecord,
    load_export,
    sha256,
)
from harness.flat import by_sample, difference
from harness.host import Host
from harness.specs import ModelSpec
from harness.table import Array, Column, Table
from harness.tasks import TASKS
from harness.train import create_model, load_split, producers, split_params, validated
from harness.trainable import AnySize

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from harness.params import Params
    from harness.trainable import Finish, Recipe, Trainable

OPSET = 18
INPUT = "image"
CAM_LAYER = "cam_layer"
"""Name given to the tensor of an exported classifier that class activation methods explain."""
_BATCHES = (1, 3, 8)
_PARITY_SAMPLES = 24
_GOLDEN_SAMPLES = 4


class ExportError(CellError):
    """The exported graph is not what was trained."""


@dataclass(frozen=True, slots=True)
class Source:
    """What an export is made from. snapshots: as `checkpoint.load_snapshots` gives them, or a file to be copied."""

    training: TrainingRecord
    weights: Path
    snapshots: Mapping[str, Array] | Path | None

    @classmethod
    def of(cls, folder: Path) -> Source:
        """A checkpoint folder, or an export with its weights. Raises ModelFileError for any other."""
        if (folder / checkpoint.RECORD).is_file() or not (folder / RECORD).is_file():
            return cls(checkpoint.load_record(folder), folder / checkpoint.BEST,
                       checkpoint.load_snapshots(folder / checkpoint.LAST))
        record = load_export(folder)
        if record.weights is None:
            raise ModelFileError(f"{folder}: has no {WEIGHTS}, it was exported by an earlier version; export its "
                                 "checkpoint again")
        kept = {name: getattr(record, name) for name in ("model", "provider", "params", "recipe", "history",
                                                         "best_epoch", "producer")}
        return cls(TrainingRecord(id=record.id, **kept), folder / record.weights.file,
                   folder / record.snapshots.file if record.snapshots else None)


def export(host: Host, folder: Path, output: Path, *, id_: str | None = None,
           changes: Mapping[str, Any] | None = None, opset: int = OPSET) -> ExportRecord:
    """Export the best weights of a checkpoint folder, or those of another export, to `output`/id.

    id_: by default that of the source; changes: of the model's params, e.g. {"decoder": "dark"}. The accuracy is that
    of the ONNX file on the recipe's test split. Raises ExportError when the graph differs from torch by more than
    PARITY anywhere, ModelFileError for a source that can not be used, UsageError for params or an opset that do not
    fit.
    """
    source = Source.of(folder)
    check_opset(opset)
    training = source.training
    spec = host.spec(ModelSpec, training.model)
    params = validated(spec, {**training.params, **(changes or {})})
    recipe = spec.recipe.model_validate(training.recipe)
    model = create_model(spec, params)
    module = model.build()
    checkpoint.load_weights(source.weights, module)
    export_id = id_ or training.id
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{export_id}-", dir=output) as scratch:
        draft = _Draft(host, spec, params, recipe, model, module, source, Path(scratch), opset)
        record = draft.write(export_id)
        _move(Path(scratch), output / export_id)
    return record


def check_opset(opset: int) -> None:
    """Raises UsageError for one that torch's exporter does not write or onnx does not know."""
    from onnx.defs import onnx_opset_version

    if not OPSET <= opset <= onnx_opset_version():
        raise UsageError(f"opset {opset} can not be exported: {OPSET} to {onnx_opset_version()} can")


class _Draft:
    """An export in the making: everything is written to a scratch folder and checked before it replaces anything."""

    def __init__(self, host: Host, spec: ModelSpec, params: Params, recipe: Recipe, model: Trainable, module: nn.Module,
                 source: Source, scratch: Path, opset: int) -> None:
        self.host, self.spec, self.params, self.recipe, self.source = host, spec, params, recipe, source
        self.model, self.scratch, self.opset = model, scratch, opset
        self.predictor = model.predictor(module).eval()
        self.weights_sha256 = sha256(source.weights)
        self.data = load_split(host, recipe, model, "test")

    def write(self, id_: str) -> ExportRecord:
        path = self.scratch / "model.fp32.onnx"
        path.write_bytes(to_onnx(self.predictor, self.model, self.card(), opset=self.opset).SerializeToString())
        raw = self._write_raw()
        inputs = self.data.inputs(slice(_PARITY_SAMPLES))
        expected = self._expected(inputs)
        parity = check_parity(path, inputs, expected)
        few = Table(expected).take(np.arange(min(_GOLDEN_SAMPLES, len(inputs))))
        outputs = {f"output.{name}": column for name, column in few.items()}
        Table({f"input.{INPUT}": inputs[:_GOLDEN_SAMPLES], **outputs}).save(self.scratch / GOLDEN)
        weights = self.scratch / WEIGHTS
        weights.write_bytes(self.source.weights.read_bytes())
        snapshots = self._write_snapshots()
        test_params = split_params(self.host, self.recipe, "test")
        record = ExportRecord(
            id=id_, model=self.spec.name, export_id=self.spec.export_id, provider=str(self.spec.provider),
            task=self.card().task, params=self.params.model_dump(mode="json"),
            recipe=self.recipe.model_dump(mode="json"), weights_sha256=self.weights_sha256,
            files={"fp32": FileRecord.of(path)}, raw={"fp32": FileRecord.of(raw)} if raw else {},
            weights=FileRecord.of(weights), golden=FileRecord.of(self.scratch / GOLDEN),
            snapshots=FileRecord.of(snapshots) if snapshots else None, parity=parity, parity_samples=len(inputs),
            dataset=DatasetRecord(use=self.recipe.dataset, params=test_params.model_dump(mode="json")),
            accuracy=evaluate.accuracy(self.host, path, self.data, self.recipe.metrics),
            history=self.source.training.history, best_epoch=self.source.training.best_epoch,
            producer=producers())
        text = record.model_dump_json(indent=2, by_alias=True) + "\n"
        (self.scratch / RECORD).write_text(text, encoding="utf-8")
        return record

    def _write_raw(self) -> Path | None:
        """The file before the model's finish, if it has one."""
        finish = finish_of(self.model)
        if finish is None:
            return None
        path = self.scratch / "model.raw.fp32.onnx"
        card = self.card().model_copy(update={"decoder": SsdDecoder.model_validate(finish.raw_card()["decoder"])})
        proto = to_onnx(self.predictor, self.model, card, raw=True, opset=self.opset)
        path.write_bytes(proto.SerializeToString())
        return path

    def _expected(self, inputs: Array) -> dict[str, Column]:
        """What torch gives, finished in numpy where torch can not, by sample."""
        finish = finish_of(self.model)
        names = self.model.output_names if finish is None else finish.input_names
        outputs = torch_outputs(self.predictor, inputs, names)
        finished = outputs if finish is None else finish.reference(outputs)
        return by_sample(TASKS[self.card().task], finished, len(inputs))

    def card(self) -> ModelCard:
        if self.spec.task is None:
            raise ExportError(f'the model plugin "{self.spec.name}" declares no task')
        return ModelCard(task=self.spec.task, input=self.model.input, input_name=input_name(self.model),
                         recipe=self.recipe.model_dump(mode="json"), weights_sha256=self.weights_sha256,
                         producer=producers(), **self.model.card_fields())

    def _write_snapshots(self) -> Path | None:
        snapshots, path = self.source.snapshots, self.scratch / SNAPSHOTS
        if not snapshots:
            return None
        if isinstance(snapshots, Path):
            path.write_bytes(snapshots.read_bytes())
            return path
        count = snapshots["maps"].shape[1]
        validation = load_split(self.host, self.recipe.model_copy(update={"val_count": count}), self.model, "val")
        with path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, images=validation.pixels, ids=np.array(validation.ids),
                                **snapshots)
        return path


def input_name(model: Trainable) -> str:
    """Of the graph's input; a graph has each name once, and detections have an output `image`."""
    return INPUT if INPUT not in model.output_names else "pixels"


def finish_of(model: Trainable) -> Finish | None:
    """What a model adds to its exported graph; most add nothing."""
    finish: Finish | None = getattr(model, "finish", None)
    return finish


def to_onnx(predictor: nn.Module, model: Trainable, card: ModelCard, *, raw: bool = False,
            opset: int = OPSET) -> onnx.ModelProto:
    """The predictor as a checked ONNX model with a dynamic batch and its card; traces of the source are removed.

    raw: without the model's finish and with nothing but fixed shapes, at batch 1.
    """
    import onnx
    import torch

    from harness.onnx.metadata import write_card

    shape = (model.input.channels, *model.input.size)
    example = torch.zeros(1 if raw else 2, *(shape if model.input.layout == "NCHW" else (*shape[1:], shape[0])))
    finish = finish_of(model)
    with quiet():
        program = torch.onnx.export(
            predictor, (example,), dynamo=True, external_data=False, opset_version=opset, verbose=False,
            input_names=[input_name(model)], output_names=list(finish.input_names if finish else model.output_names),
            dynamic_shapes=None if raw else (dynamic_dims(model),))
    if program is None:
        raise ExportError("torch.onnx.export gave no program")
    proto: onnx.ModelProto = program.model_proto
    _strip(proto)
    if finish is not None and not raw:
        finish.append(proto)
    write_card(proto, card if card.cam_layer or card.task != "classification" else _named_cam_layer(proto, card))
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _named_cam_layer(proto: onnx.ModelProto, card: ModelCard) -> ModelCard:
    """The card of a classifier with the layer to explain, which gets a name that no version of the exporter decides."""
    from harness.onnx.layers import last_spatial_activation, rename

    try:
        found = last_spatial_activation(proto, "logits")
    except ModelFileError:  # a classifier without a spatial activation can not be explained, but used
        return card
    rename(proto, found, CAM_LAYER)
    return card.model_copy(update={"cam_layer": CAM_LAYER})


def dynamic_dims(model: Trainable) -> dict[int, Any]:
    """The batch, and the axes that the model declares free with the lengths that it admits."""
    import torch

    dims: dict[int, Any] = {0: torch.export.Dim("batch")}
    if isinstance(model, AnySize):
        for axis, (step, remainder) in model.dynamic_axes.items():
            steps = torch.export.Dim(f"steps{axis}", min=1)
            dims[axis] = step * steps + remainder if remainder else step * steps
    return dims


def torch_outputs(predictor: nn.Module, inputs: Array, names: Sequence[str]) -> dict[str, Array]:
    """What torch gives for (N, ...) float32 inputs, by output name."""
    import torch

    with torch.inference_mode():
        outputs = predictor(torch.from_numpy(inputs))
    return {name: output.numpy() for name, output in zip(names, outputs, strict=True)}


def check_parity(path: Path, inputs: Array, expected: Mapping[str, Column]) -> dict[str, float]:
    """Largest absolute difference by output, over batches of 1, 3 and 8; raises ExportError above PARITY."""
    worst = dict.fromkeys(expected, 0.0)
    for batch in _BATCHES:
        outputs = evaluate.run_batches(path, inputs, batch)
        for name, values in expected.items():
            worst[name] = max(worst[name], difference(outputs[name], values))
    if bad := {name: value for name, value in worst.items() if not value <= PARITY}:
        listed = ", ".join(f"{name} by {value:.2e}" for name, value in bad.items())
        raise ExportError(f"the exported graph differs from torch: {listed} (at most {PARITY:g}); nothing was exported")
    return worst


@contextmanager
def quiet() -> Iterator[None]:
    """torch's exporter prints its progress and warns about its own internals."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _strip(proto: onnx.ModelProto) -> None:
    """The exporter stores stack traces with the paths of the machine that ran it."""
    graph = proto.graph
    for item in (proto, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""


def _move(source: Path, target: Path) -> None:
    """Replace the files of `target`, its record last: an interrupted move leaves a record that verify refuses.

    Files of other precisions that were made from an earlier graph go.
    """
    target.mkdir(parents=True, exist_ok=True)
    for stale in target.glob("model.*.onnx"):
        if not (source / stale.name).exists():
            stale.unlink()
    for path in sorted(source.iterdir(), key=lambda path: path.name == RECORD):
        path.chmod(0o644)
        path.replace(target / path.name)
