"""Layer-wise relevance propagation (Bach et al. 2015): other rules for the same backward pass.

What passes a node on its way back is the relevance of its output instead of the gradient by it. With z = sum_j w_j x_j,

- epsilon: R_j = w_j x_j R / (z + epsilon sign(z)), for everything linear, products with a constant included;
- z+ (alpha 1, beta 0): R_j = (w_j x_j)+ R / (sum_i (w_i x_i)+ + epsilon), biases left out, for convolutions;
- activations pass relevance as it is, maximum pooling passes it to the maximum.

Bach et al. 2015, section "Layer-wise relevance propagation"; Montavon et al. 2019, section 10.2; both together:
Kohlbrenner et al. 2020 (EpsilonPlus).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import onnx

from harness.api import Context, ExplainerDraft, Graph, ModelCard, ModelFileError, Rules, UnsupportedOp
from harness_saliency.graph_generator import NoFeeds
from harness_saliency.graph_params import LrpParams
from harness_saliency.maps import image_map

LINEAR = ("Add", "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "Gemm", "GlobalAveragePool", "MatMul",
          "ReduceMean", "ReduceSum", "Sub", "Sum")
MOVING = ("Cast", "Concat", "DepthToSpace", "Dropout", "Flatten", "Gather", "GlobalMaxPool", "Identity", "MaxPool",
          "Pad", "ReduceMax", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze")
"""Every output value is one input value: relevance goes where the gradient goes."""
ACTIVATIONS = ("Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu",
               "Sigmoid", "Softplus", "Swish", "Tanh", "ThresholdedRelu")
_NONNEGATIVE = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Softplus"})
_KEEPS_SIGN = frozenset({"AveragePool", "Concat", "Flatten", "GlobalAveragePool", "Identity", "MaxPool", "Reshape",
                         "Add"})

Results = Sequence[str | None]


class Lrp(NoFeeds):
    """The relevance of each input value for the score; summed over an image, about the score where biases are 0."""

    def __init__(self, params: LrpParams) -> None:
        self.params = params

    def build(self, graph: onnx.ModelProto, card: ModelCard, rules: Rules) -> onnx.ModelProto:
        draft = ExplainerDraft(graph, card, Relevance(self.params, rules).rules(), fold_batch_norm=True)
        try:
            (share,) = draft.gradients([draft.image])
        except UnsupportedOp as error:
            raise ModelFileError(
                f"layer-wise relevance propagation has no rule for operator {error.op_type!r}, needed at {error.node}: "
                "it is defined for convolutions, linear layers, activations, pooling and sums, not for products of "
                "activations; use another method") from error
        nodes = draft.graph
        column = nodes.constant(np.array([1], np.int64))
        index = nodes.add("Unsqueeze", draft.class_index, column)
        score = nodes.add("GatherElements", nodes.float32(draft.scores), index, axis=1)
        score = nodes.add("Unsqueeze", score, nodes.constant(np.array([2, 3], np.int64)))
        relevance = nodes.add("Mul", nodes.float32(share), score)
        return draft.finish(image_map(draft, relevance, self.params.channels, self.params.sign))


@dataclass(frozen=True, slots=True)
class Relevance:
    """How relevance passes operators. gradients: the rules that it is built from."""

    params: LrpParams
    gradients: Rules

    def rules(self) -> Rules:
        """Rules of relevance alone: an operator that has none must not fall back to its gradient."""
        table = {("", op): self.gradients.table["", op] for op in MOVING}
        table.update({("", op): self._epsilon for op in LINEAR})
        table.update({("", op): _pass for op in ACTIVATIONS})
        table.update({("", op): self._scaled for op in ("Mul", "Div")})
        if self.params.rule == "epsilon-plus":
            table["", "Conv"] = self._plus
        return Rules(MappingProxyType(table))

    def _epsilon(self, ctx: Context) -> Results:
        share = ctx.op("Div", ctx.dy, self._stabilized(ctx, ctx.y))
        gradients = self.gradients.table["", ctx.node.op_type](ctx.with_cotangent(share))
        return [None if each is None else ctx.op("Mul", name, each)
                for name, each in zip(ctx.node.input, gradients, strict=False)]

    def _scaled(self, ctx: Context) -> Results:
        """Of products and quotients only those by a constant are linear."""
        factors = ctx.node.input[1:] if ctx.node.op_type == "Div" else ctx.node.input
        if not any(ctx.graph.is_constant(each) for each in factors):
            raise UnsupportedOp(ctx.node)
        return self._epsilon(ctx)

    def _plus(self, ctx: Context) -> Results:
        zero = ctx.number(0)
        signs = ["Max"] if _is_nonnegative(ctx.graph, ctx.x) else ["Max", "Min"]
        parts = [(ctx.op(sign, ctx.x, zero), _like(ctx, ctx.op(sign, ctx.node.input[1], zero), ctx.node.input[1]))
                 for sign in signs]
        sums = [_like(ctx, ctx.op("Conv", values, weights, **ctx.attributes), ctx.y) for values, weights in parts]
        total = sums[0] if len(sums) == 1 else ctx.op("Add", *sums)
        share = ctx.op("Div", ctx.dy, ctx.op("Add", total, ctx.number(self.params.epsilon)))
        relevances = [ctx.op("Mul", values, self._by_input(ctx, name, share))
                      for (values, _), name in zip(parts, sums, strict=True)]
        return [relevances[0] if len(relevances) == 1 else ctx.op("Add", *relevances)]

    def _by_input(self, ctx: Context, output: str, cotangent: str) -> str:
        """The gradient of one of the convolutions that were appended."""
        node = ctx.graph.producer(output)
        if node is None:
            raise ValueError(f"{output} was not appended")
        _like(ctx, node.input[0], ctx.x)
        inner = replace(ctx, node=node, cotangents=(cotangent,), needed=(True, False))
        (gradient, *_) = self.gradients.table["", "Conv"](inner)
        return str(gradient)

    def _stabilized(self, ctx: Context, z: str) -> str:
        epsilon = ctx.number(self.params.epsilon)
        positive = ctx.op("GreaterOrEqual", z, ctx.number(0))
        return ctx.op("Add", z, ctx.op("Where", positive, epsilon, ctx.op("Neg", epsilon)))


def _pass(ctx: Context) -> Results:
    return [ctx.dy]


def _like(ctx: Context, name: str, other: str) -> str:
    """Say that a new tensor has the type and shape of another."""
    ctx.graph.declare(name, ctx.dtype(other), ctx.shape(other))
    return name


def _is_nonnegative(graph: Graph, name: str) -> bool:
    """Whether a tensor is known to have no negative values."""
    node = graph.producer(name)
    if node is None:
        return False
    if node.op_type == "Clip":
        low = graph.value(node.input[1]) if len(node.input) > 1 and node.input[1] else None
        return low is not None and float(low) >= 0
    inputs = [each for each in node.input if each and not graph.is_constant(each)]
    alike = node.op_type in _KEEPS_SIGN and (node.op_type != "Add" or len(inputs) == len(node.input))
    return node.op_type in _NONNEGATIVE or (alike and all(_is_nonnegative(graph, each) for each in inputs))
