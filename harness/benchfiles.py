"""Files of other precisions for `harness bench`: from an export by its own calibration, of any other graph on noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness import calibration, variants
from harness.contracts import ModelFile
from harness.errors import UsageError
from harness.exports import RECORD, FileRecord, load_export, sha256
from harness.files import write_bytes
from harness.graphinputs import Shapes
from harness.host import Host
from harness.specs import ModelSpec
from harness.suite import Calibration, CalibrationTable

if TYPE_CHECKING:
    import onnx

_NOISE = 8
"""Batches of noise that stand for calibration data."""


def own_precision(path: Path) -> str:
    """What a file is: int8 when it quantizes anything, fp16 with float16 weights, else fp32."""
    import onnx

    from harness.onnx.metadata import graph_interface

    graph_interface(path)  # says what is wrong with a file that is no ONNX
    graph = onnx.load(str(path), load_external_data=False).graph
    if any(node.op_type in ("QuantizeLinear", "QLinearConv", "QLinearMatMul") for node in graph.node):
        return "int8"
    half = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in graph.initializer)
    return "fp16" if half else "fp32"


def variant(host: Host, path: Path, own: str, precision: str, shapes: Shapes, target: Path, notes: list[str]) -> Path:
    """The file of another precision: what the export has, what lies beside any other file under its name, or a new one.

    notes: is told which file beside it was taken, and when the accuracy of a new one means nothing. Raises UsageError.
    """
    if own != "fp32" or precision not in variants.PRECISIONS:
        raise UsageError(f"{path}: is {own}; {precision} can not be made from it")
    if (files := _of_export(path)) is not None:
        if precision in files:
            return path.parent / files[precision].file
        found = _calibration(host, path.parent) if precision == "int8" else None
        return Path(variants.cached(path.parent.name, ModelFile(path), precision, found).path)
    beside = path.parent / path.name.replace("fp32", precision)
    if beside != path and beside.is_file():
        if (problem := _unfit(beside, path, precision)) is None:
            notes.append(f"{path.name}: {beside.name} beside it was taken as its {precision} file")
            return beside
        notes.append(f"{path.name}: {beside.name} beside it {problem}, and was not taken")
    if precision == "int8":
        notes.append(f"{path.name}: int8 was calibrated on noise, which tells its speed and nothing of its accuracy; "
                     "a suite calibrates it on data")
    write_bytes(target, _plain(path, precision, shapes).SerializeToString())
    return target


def _of_export(path: Path) -> Mapping[str, FileRecord] | None:
    """The files of the export that this one is the float32 file of, by precision; None when it is none's."""
    if not (path.parent / RECORD).is_file():
        return None
    record = load_export(path.parent)
    return next((files for files in (record.files, record.raw)
                 if "fp32" in files and files["fp32"].file == path.name), None)


def _unfit(beside: Path, path: Path, precision: str) -> str | None:
    """Why a file can not stand for the float32 one; where it came from is known of files that were made here."""
    from harness.onnx.metadata import read_card

    if (own := own_precision(beside)) != precision:
        return f"is {own}"
    source = ((read_card(beside) or {}).get("precision") or {}).get("source_sha256")
    return "was made from another file" if source not in (None, sha256(path)) else None


def _calibration(host: Host, folder: Path) -> Calibration | None:
    record = load_export(folder)
    spec = host.spec(ModelSpec, record.model)
    return calibration.of_training(host, spec.recipe.model_validate(record.recipe), CalibrationTable())


def _plain(path: Path, precision: str, shapes: Shapes) -> onnx.ModelProto:
    from harness.onnx.precision.half import to_half
    from harness.onnx.precision.int8 import Quantizer
    from harness.onnx.precision.prepare import prepared
    from harness.onnx.precision.settings import Int8Settings
    from harness.timing.feeds import arrays

    model = prepared(path)
    if precision == "fp16":
        return to_half(model)[0]
    specs = shapes.feeds(path, None).specs
    return Quantizer(model, (arrays(specs, seed) for seed in range(_NOISE)), Int8Settings()).quantized()
