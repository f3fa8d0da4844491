"""The part of a graph behind one of its tensors."""

from __future__ import annotations

import onnx
from onnx.utils import Extractor

from harness.onnx.layers import cuts


def graph_tail(model: onnx.ModelProto, tensor: str, output: str, name: str) -> onnx.ModelProto | None:
    """The graph from an inner tensor, as its input `name`, to one output; None when other paths bypass the tensor.

    The model is not changed.
    """
    if not cuts(model, tensor, output):
        return None
    extractor = Extractor(onnx.shape_inference.infer_shapes(model))
    if tensor not in extractor.value_infos:  # its shape can not be inferred
        extractor.value_infos[tensor] = onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None)
    result = extractor.extract_model([tensor], [output])
    for node in result.graph.node:
        node.input[:] = [name if each == tensor else each for each in node.input]
    result.graph.input[0].name = name
    return result
