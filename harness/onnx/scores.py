"""What is explained: one score per sample and class, (N, K), for every task, as the output `scores` of a graph.

* classification: the logits; a Softmax, LogSoftmax or Sigmoid at the end is left out.
* keypoints: the peak of each keypoint's heatmap.
* segmentation: the mean of each class's logit over the pixels where this class wins (0 where it wins none); of a single
  logit over the pixels where it is positive.
* detection: each class's best anchor before non-maximum suppression.

The region where a class wins and the best anchor are constants to a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.utils import Extractor

from harness.card import ModelCard
from harness.errors import ModelFileError, did_you_mean, one_of
from harness.onnx.layers import rename
from harness.onnx.opsets import at_least
from harness.onnx.weightless import weightless

SCORES = "scores"
OPSET = 18
"""Derived graphs have at least this version of the standard operators: reductions take their axes as inputs there."""
_PREFIX = "scores."
_FINAL = ("Softmax", "LogSoftmax", "Sigmoid")


class ScoresGraph(NamedTuple):
    """model: one output `scores` (N, K) float32; note: what was left out of the original graph, for people, or "".

    final: the operator that was left out (Softmax, LogSoftmax or Sigmoid), or "".
    """

    model: onnx.ModelProto
    note: str = ""
    final: str = ""


def scores_graph(model: onnx.ModelProto, card: ModelCard, path: Path) -> ScoresGraph:
    """The part of a model that decides about its scores. path: only named in errors.

    Raises ModelFileError when the graph has no tensor that its task could be explained by.
    """
    try:
        graph = at_least(model, OPSET)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: explanations need newer operators: {error}") from error
    source, left_out = _HEADS[card.task](_Head(graph, card, path))
    scores = with_output(graph, source, SCORES, path)
    if left_out is None:
        return ScoresGraph(scores)
    final: str = left_out.op_type
    name = left_out.name or repr(left_out.output[0])
    return ScoresGraph(scores, f"{final} {name} at the end is left out: its input is explained", final)


def with_output(model: onnx.ModelProto, tensor: str, name: str, path: Path) -> onnx.ModelProto:
    """The part of a graph that computes one tensor, as its only output, called `name`; the model is not changed.

    Inner tensors keep their names, except one that is called `name` and is not the output.
    Raises ModelFileError when no node computes the tensor.
    """
    computed = [output for node in model.graph.node for output in node.output if output]
    if tensor not in computed:
        raise ModelFileError(f"{path}: no node of the graph computes {tensor!r}{did_you_mean(tensor, computed)}")
    extractor = Extractor(model)
    extractor.value_infos[tensor] = _declared(extractor, tensor)
    constants = {each.name for each in model.graph.initializer}
    result = extractor.extract_model([each.name for each in model.graph.input if each.name not in constants], [tensor])
    if tensor == name:
        return result
    if any(name in node.output for node in result.graph.node):
        rename(result, name, _PREFIX + name)
    result.graph.node.append(helper.make_node("Identity", [tensor], [name], name=_PREFIX + "output"))
    result.graph.output[0].name = name
    return result


def _declared(extractor: Extractor, tensor: str) -> onnx.ValueInfoProto:
    """The tensor's type as declared, or else as inferred; float32 of unknown shape where neither tells."""
    known = extractor.value_infos.get(tensor)
    if known is None:
        inferred = onnx.shape_inference.infer_shapes(weightless(extractor.model)).graph.value_info
        known = next((value for value in inferred if value.name == tensor), None)
    known = known or helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None)
    declared = onnx.ValueInfoProto()
    declared.CopyFrom(known)
    return declared


_Source = tuple[str, onnx.NodeProto | None]
"""A tensor, and the last node of the original graph where that is left out."""


class _Head:
    """A graph to which nodes are added that make scores of its outputs."""

    def __init__(self, model: onnx.ModelProto, card: ModelCard, path: Path) -> None:
        self.graph, self.card, self.path = model.graph, card, path

    def output(self, name: str) -> str | None:
        """The graph's tensor of a task's output."""
        present = [value.name for value in self.graph.output]
        mapped = self.card.outputs.get(name, name)
        return mapped if mapped in present else None

    def require(self, name: str) -> str:
        found = self.output(name)
        present: list[str] = [value.name for value in self.graph.output]
        if found is None and len(present) == 1:
            return present[0]
        if found is None:
            raise ModelFileError(f"{self.path}: to explain it, name the graph's output for {name!r} in `outputs`; it "
                                 f"has {one_of(present)}")
        return found

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        return next((node for node in self.graph.node if tensor in node.output), None)

    def constant(self, name: str, value: Any, dtype: type = np.int64) -> str:
        array: NDArray[Any] = np.array(value, dtype)
        self.graph.initializer.append(numpy_helper.from_array(array, _PREFIX + name))
        return _PREFIX + name

    def node(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        output = _PREFIX + name
        self.graph.node.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output


def _classification(head: _Head) -> _Source:
    logits = head.require("logits")
    node = head.producer(logits)
    while node is not None and node.op_type == "Identity":
        logits = node.input[0]
        node = head.producer(logits)
    if node is not None and node.op_type in _FINAL:
        return node.input[0], node
    return logits, None


def _keypoints(head: _Head) -> _Source:
    heatmaps = head.output("heatmaps")
    if heatmaps is None:
        raise ModelFileError(f"{head.path}: a keypoints model is explained by its output `heatmaps`, and it has none; "
                             "name it in `outputs`, or explain another model")
    return head.node("ReduceMax", [heatmaps, head.constant("space", [2, 3])], "peaks", keepdims=0), None


def _segmentation(head: _Head) -> _Source:
    logits, space = head.require("logits"), head.constant("space", [2, 3])
    one, zero = head.constant("one", 1, np.float32), head.constant("zero", 0, np.float32)
    best = head.node("ReduceMax", [logits, head.constant("classes", [1])], "best", keepdims=1)
    shape = head.node("Shape", [logits], "count", start=1, end=2)
    single = head.node("Equal", [shape, head.constant("1", [1])], "single")
    rival = head.node("Where", [single, zero, best], "rival")  # a single logit is held against 0
    region = head.node("Cast", [head.node("GreaterOrEqual", [logits, rival], "wins")], "region", to=TensorProto.FLOAT)
    total = head.node("ReduceSum", [head.node("Mul", [logits, region], "inside"), space], "total", keepdims=0)
    size = head.node("Max", [head.node("ReduceSum", [region, space], "size", keepdims=0), one], "area")
    return head.node("Div", [total, size], "mean"), None


def _detection(head: _Head) -> _Source:
    if head.card.decoder is not None:
        scores = head.card.decoder.scores
        return head.node("ReduceMax", [scores, head.constant("anchors", [1])], "best", keepdims=0), None
    suppression = [node for node in head.graph.node if node.op_type == "NonMaxSuppression"]
    if len(suppression) != 1:
        raise ModelFileError(f"{head.path}: a detector is explained by the scores that its NonMaxSuppression node "
                             f"takes, and the graph has {len(suppression)} of them; describe its raw outputs in "
                             "`decoder`")
    return head.node("ReduceMax", [suppression[0].input[1], head.constant("anchors", [2])], "best", keepdims=0), None


_HEADS = {"classification": _classification, "keypoints": _keypoints, "segmentation": _segmentation,
          "detection": _detection}
