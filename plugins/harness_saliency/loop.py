"""The gradient of a score by the image at many points, in a loop inside of the graph.

One point of every sample at a time: memory does not grow with the number of points, and networks that are fixed at one
batch size can be explained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from harness.api import ExplainerDraft, Graph, ModelCard, Rules

Step = Callable[[str, Sequence[str]], Sequence[str]]
"""step(index, states) -> states after it: names of tensors; index is a scalar int64. It calls `at` once."""


class PointLoop:
    """An explainer under construction whose model is run in the body of a loop."""

    def __init__(self, model: onnx.ModelProto, card: ModelCard, rules: Rules) -> None:
        self.draft = ExplainerDraft(model, card, rules)
        (self._gradient,) = self.draft.gradients([self.image])
        self._results: tuple[str, ...] = ()
        self._model = _taken(self.graph)
        self._point = self.graph.unique("point")
        for node in self._model:
            for index, name in enumerate(node.input):
                if name == self.image:
                    node.input[index] = self._point

    @property
    def graph(self) -> Graph:
        return self.draft.graph

    @property
    def image(self) -> str:
        return self.draft.image

    def at(self, point: str) -> str:
        """Run the model at a tensor of the image's shape; returns the name of the gradient there."""
        nodes = self.graph.model.graph.node
        nodes.append(helper.make_node("Identity", [point], [self._point], name=self._point))
        nodes.extend(self._model)
        return self._gradient

    def run(self, steps: int, states: int, step: Step) -> tuple[str, ...]:
        """Append the loop; returns the names of the states at its end, tensors of the image's shape, 0 at first."""
        graph = self.graph
        zero = numpy_helper.from_array(np.zeros(1, graph.dtype(self.image)))
        zeros = graph.add("ConstantOfShape", graph.add("Shape", self.image), value=zero)
        before = _taken(graph)
        body = self._body(states, step)
        graph.model.graph.node.extend(before)
        trips = graph.constant(steps, np.int64)
        self._results = graph.add_all("Loop", [trips, None, *[zeros] * states], states, body=body)
        return self._results

    def finish(self, maps: str) -> onnx.ModelProto:
        """The explainer, see ExplainerDraft.finish.

        Weights are moved into the loop: onnxruntime 1.28 prepares convolutions for their weights only where both are
        in one graph, and a step costs 10 % more otherwise (ResNet-18).
        """
        model = self.draft.finish(maps)
        loop = next(node for node in model.graph.node if node.op_type == "Loop" and node.output[0] in self._results)
        body = next(each.g for each in loop.attribute if each.name == "body")
        outside = {name for node in model.graph.node for name in node.input}
        moving = [each for each in model.graph.initializer if each.name not in outside]
        body.initializer.extend(moving)
        for each in moving:
            model.graph.initializer.remove(each)
        return model

    def _body(self, states: int, step: Step) -> onnx.GraphProto:
        graph = self.graph
        index, going, still = (graph.unique(name) for name in ("step", "going", "still"))
        starts, ends = ([graph.unique(name) for _ in range(states)] for name in ("state", "end"))
        results = [*step(index, starts), going]
        nodes = _taken(graph) + [helper.make_node("Identity", [result], [end], name=end)
                                 for result, end in zip(results, [*ends, still], strict=True)]
        kind = helper.np_dtype_to_tensor_dtype(graph.dtype(self.image))
        maps = [[helper.make_tensor_value_info(name, kind, graph.shape(self.image)) for name in names]
                for names in (starts, ends)]
        flags = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in (going, still)]
        return helper.make_graph(nodes, "point", [helper.make_tensor_value_info(index, TensorProto.INT64, []),
                                                  flags[0], *maps[0]], [flags[1], *maps[1]])


def _taken(graph: Graph) -> list[onnx.NodeProto]:
    """All nodes so far, which are removed from the graph."""
    nodes = []
    for node in graph.model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        nodes.append(copy)
    del graph.model.graph.node[:]
    return nodes
