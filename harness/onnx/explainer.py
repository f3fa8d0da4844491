"""From a model to an explainer: what every generator that works inside of a graph needs.

    draft = ExplainerDraft(model, card)
    (gradient,) = draft.gradients([draft.image])
    return draft.finish(draft.graph.add("ReduceMax", draft.graph.add("Abs", gradient), ...))
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from harness.card import ModelCard
from harness.errors import ModelFileError
from harness.onnx.compose import compose, inputs_of
from harness.onnx.gradient import Graph, Modifier, Rules, append_gradients, modifier_rules, prepare, standard_rules
from harness.onnx.gradient.build import METADATA, modified_operators
from harness.onnx.gradient.cotangents import one_hot
from harness.onnx.interface import shape_text
from harness.onnx.layers import last_spatial_activation
from harness.onnx.reads import reads
from harness.onnx.scores import SCORES

CLASS = "class"
SALIENCY = "saliency"


class ExplainerDraft:
    """A copy of a model, with one output `scores` (N, K), to which an explanation is appended.

    rules: how gradients pass operators, by default those of harness.onnx.gradient alone.
    fold_batch_norm: merge BatchNormalization into convolutions first; those weights are not the file's then.
    graph: appends nodes; image: name of the image input; layer: the resolved target layer, None unless asked for.
    Raises ModelFileError when the layer is none of the graph or is no (N, C, h, w), or the image input has no four
    dimensions.
    """

    def __init__(self, model: onnx.ModelProto, card: ModelCard, rules: Rules | None = None, *,
                 needs_layer: bool = False, fold_batch_norm: bool = False) -> None:
        self.card, self._rules = card, rules or standard_rules()
        wanted = (card.cam_layer or last_spatial_activation(model, SCORES)) if needs_layer else None
        prepared = prepare(model, keep=[wanted] if wanted else [], fold_batch_norm=fold_batch_norm)
        self.graph = Graph(prepared, prefix=SALIENCY)
        self.image = self.graph.inputs[0]
        self._require_maps(self.image, "the image input")
        self._layer = wanted
        self._wrt: list[str] = []
        self._modified: dict[str, int] = {}
        if wanted:
            self._require_maps(wanted, "layer")

    @property
    def batch(self) -> int | str | None:
        """The first dimension of the image: a number, the name of a dynamic one, or None."""
        return (self.graph.shape(self.image) or (None,))[0]

    @property
    def scores(self) -> str:
        """Name of the scores (N, K)."""
        return SCORES

    @property
    def layer(self) -> str:
        """Of the type that the network computes in; see Graph.float32."""
        if self._layer is None:
            raise ValueError("a draft without needs_layer has no layer")
        return self._layer

    @property
    def channel_axis(self) -> int:
        """Of the image."""
        return 1 if self.card.input.layout == "NCHW" else 3

    @cached_property
    def size(self) -> str:
        """Name of a tensor (2,) int64: height and width of the image."""
        first = 2 if self.channel_axis == 1 else 1
        known = (self.graph.shape(self.image) or ())[first : first + 2]
        if len(known) == 2 and all(isinstance(dim, int) for dim in known):
            return self.graph.constant(np.array(known, np.int64))
        return self.graph.add("Shape", self.image, start=first, end=first + 2)

    @cached_property
    def class_index(self) -> str:
        """Name of the input (N,) int64."""
        return self.graph.add_input(CLASS, np.int64, (self.batch,))

    def gradients(self, wrt: Sequence[str], *, modifier: Modifier = "gradient",
                  rules: Rules | None = None) -> list[str]:
        """Names of the gradients of scores[n, class[n]] by some tensors, each of its tensor's shape.

        modifier: how activations are passed (harness.onnx.gradient.modifiers); rules: over those of the operators.
        What is differentiated, and how many nodes of which operator pass it by other rules than their own, is recorded
        in the explainer's metadata. Raises GradientError, or UnsupportedOp for an operator without a rule.
        """
        overrides = modifier_rules(modifier, self._rules)
        overrides = rules.over(overrides) if rules else overrides
        self._wrt += wrt
        self._modified |= modified_operators(self.graph, SCORES, wrt, overrides)
        found = append_gradients(self.graph, {SCORES: self._one_hot}, wrt, overrides.over(self._rules))
        return [found[name] for name in wrt]

    def finish(self, maps: str) -> onnx.ModelProto:
        """The explainer: a tensor (N, H, W) as the only output `saliency`, float32, without nodes it does not need."""
        _ = self.class_index  # an input of every explainer, also of one that does not look at it
        model = self.graph.model
        del model.graph.output[:]
        self.graph.add_output(self.graph.float32(maps), SALIENCY, np.float32, (self.batch, None, None))
        prune(model)
        if self._wrt:
            facts = {"output": SCORES, "wrt": self._wrt, "modified": self._modified}
            model.metadata_props.add(key=METADATA, value=json.dumps(facts))
        return model

    @cached_property
    def _one_hot(self) -> str:
        return one_hot(self.graph, SCORES, self.class_index)

    def _require_maps(self, name: str, what: str) -> None:
        rank = self.graph.rank(name)
        if rank != 4:
            shape = self.graph.shape(name)
            raise ModelFileError(f"{what} {name!r} has shape {'unknown' if shape is None else shape_text(shape)}, and "
                                 "explanations need four dimensions, batch, channels, height and width")


def of_predicted_class(explainer: onnx.ModelProto, model: onnx.ModelProto) -> onnx.ModelProto:
    """The explainer of the highest score instead of a given class: its input `class` is gone.

    model: what was explained, with the output `scores`; its forward pass is that of the explainer, where they agree.
    Of equal scores the first class counts.
    """
    scores = next(value for value in model.graph.output if value.name == SCORES)
    winner = helper.make_node("ArgMax", [SCORES], [CLASS], name=CLASS, axis=1, keepdims=0)
    index = helper.make_tensor_value_info(CLASS, TensorProto.INT64, [None])
    argmax = helper.make_model(helper.make_graph([winner], CLASS, [scores], [index]),
                               opset_imports=model.opset_import, ir_version=model.ir_version)
    classifier = compose(prepare(model), argmax, {SCORES: SCORES})
    image = next(iter(inputs_of(classifier)))
    return compose(classifier, explainer, {CLASS: CLASS, image: image})


def prune(model: onnx.ModelProto) -> None:
    """Remove nodes and initializers that no output needs: onnxruntime would compute them all."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if any(name in needed for name in node.output):
            kept.append(node)
            needed.update(reads(node))
    _replace(graph.node, kept[::-1])
    _replace(graph.initializer, [each for each in graph.initializer if each.name in needed])
    made = {name for node in graph.node for name in node.output}
    _replace(graph.value_info, [each for each in graph.value_info if each.name in made])


def _replace(field: Any, values: Iterable[Any]) -> None:
    """New content of a repeated protobuf field."""
    copies = []
    for value in values:
        copy = type(value)()
        copy.CopyFrom(value)
        copies.append(copy)
    del field[:]
    field.extend(copies)
