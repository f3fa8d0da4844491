"""What onnxruntime really computes a graph's layers in, read from the graph as it optimized it."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.onnx.runtime import onnxruntime, runtime_errors

if TYPE_CHECKING:
    import onnx

_INTEGER = frozenset({"ConvInteger", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QGemm",
                      "QLinearConv", "QLinearMatMul"})
_FLOAT = frozenset({"Conv", "ConvTranspose", "FusedConv", "FusedGemm", "FusedMatMul", "Gemm", "MatMul",
                    "NhwcFusedConv"})


def executed_types(path: Path, options: Any, provider: str, settings: dict[str, str]) -> dict[str, int]:
    """Layers with weights by the type that they are computed in, e.g. {"int8": 18, "float32": 2}.

    A second session is opened with the same options, which writes down what it made of the graph: integer kernels where
    they could be fused, float32 where a CPU has no float16 kernel. {} when it can not be written.
    """
    import onnx
    from google.protobuf.message import DecodeError

    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        target = Path(folder) / "executed.onnx"
        options.optimized_model_filepath = str(target)
        try:
            onnxruntime().InferenceSession(str(path), options, providers=[provider], provider_options=[settings])
            model = onnx.load(str(target))
        except (OSError, DecodeError, *runtime_errors()):
            return {}
    return count_types(model)


def count_types(model: onnx.ModelProto) -> dict[str, int]:
    """Layers with constant weights of a graph by type, most frequent first."""
    from onnx import helper

    kinds = {tensor.name: helper.tensor_dtype_to_np_dtype(tensor.data_type).name for tensor in model.graph.initializer}
    # Around a layer without an integer kernel onnxruntime stores the weights as integers and computes in float.
    kinds |= {node.output[0]: "float32" for node in model.graph.node
              if node.op_type == "DequantizeLinear" and node.input[0] in kinds}
    found: Counter[str] = Counter()
    for node in model.graph.node:
        if node.op_type in _INTEGER:
            found["int8"] += 1
        elif node.op_type in _FLOAT and len(node.input) > 1 and node.input[1] in kinds:
            found[kinds[node.input[1]]] += 1
    return dict(found.most_common())
