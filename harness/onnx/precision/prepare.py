"""A graph made ready for another precision: constants folded, normalization fused, every node named."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.errors import ModelFileError
from harness.onnx.external import copy_external
from harness.onnx.problems import open_problem
from harness.onnx.providers import CPU, session_options
from harness.onnx.runtime import onnxruntime, runtime_errors

if TYPE_CHECKING:
    import onnx

OPSET = 13
"""The first opset with QuantizeLinear per channel; older graphs are converted."""


def prepared(path: Path) -> onnx.ModelProto:
    """The graph with onnxruntime's basic optimizations, inferred shapes and unique node names; the metadata stays.

    Basic ones keep to standard operators: constants are folded, batch normalization goes into convolutions.
    Raises ModelFileError for a file that can not be used.
    """
    import onnx

    original = onnx.load(str(path))
    opset = next((entry.version for entry in original.opset_import if entry.domain in ("", "ai.onnx")), 0)
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        source = path
        if opset < OPSET:
            source = Path(folder) / "converted.onnx"
            onnx.save(converted(original, OPSET, path), str(source))
        model = onnx.load(str(optimized(source, Path(folder) / "basic.onnx", "basic")))
    del model.metadata_props[:]
    model.metadata_props.extend(original.metadata_props)
    taken: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}.{index}"
        taken.add(node.name)
    return onnx.shape_inference.infer_shapes(model)


def optimized(source: Path, target: Path, level: Literal["basic", "extended", "all"]) -> Path:
    """Write a file as onnxruntime optimizes it; "all" is for this kind of CPU only. Raises ModelFileError."""
    options = session_options(threads=1, optimization=level)
    options.optimized_model_filepath = str(target)
    try:
        onnxruntime().InferenceSession(str(source), options, providers=[CPU])
    except runtime_errors() as error:
        raise open_problem(source, error) from error
    copy_external(source, target)
    return target


def converted(model: onnx.ModelProto, opset: int, path: Path) -> onnx.ModelProto:
    """The same graph at another opset; raises ModelFileError where ONNX has no way there. path: for the message."""
    import onnx
    from onnx import version_converter

    try:
        result = version_converter.convert_version(model, opset)
        onnx.checker.check_model(result, full_check=True)
    except Exception as error:  # the converter raises RuntimeError, its adapters and the checker their own
        raise ModelFileError(f"{path}: can not be converted to opset {opset}: "
                             f"{' '.join(str(error).split())[:200]}; export it from its checkpoint") from error
    del result.metadata_props[:]
    result.metadata_props.extend(model.metadata_props)
    return result
