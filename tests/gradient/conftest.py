"""A gradient rule is checked by directional derivatives in float64, computed by onnx's own reference evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from reference_ops import evaluate, run_float32

from harness.onnx.gradient import Fed, Rules, build

Array = NDArray[Any]
Forward = Callable[[Mapping[str, Array]], Array]


def _dims(shape: Sequence[int], dims: str) -> list[int | str | None]:
    """A symbolic dimension is named by its size: equal names promise equal sizes."""
    if dims == "batch":
        return [f"n{size}" if axis == 0 else size for axis, size in enumerate(shape)]
    return list(shape) if dims == "known" else [None] * len(shape)


@pytest.fixture(scope="session")
def op_model() -> Callable[..., onnx.ModelProto]:
    """op_model("Gemm", {"a": array, "b": array}, constants={"c": array}, dims="unknown", transA=1) -> one node.

    inputs and constants are the node's inputs in this order, unless `order` names them ("" for one left out); dims:
    "known", "batch" (the first dimension is symbolic) or "unknown". `nodes` replaces the one node, its last output "y".
    """

    def make(op_type: str, inputs: Mapping[str, Array], *, constants: Mapping[str, Array] | None = None,
             order: Sequence[str] | None = None, dims: str = "known", opset: int = 21, outputs: Sequence[str] = ("y",),
             domain: str = "", nodes: Sequence[onnx.NodeProto] | None = None, **attributes: Any) -> onnx.ModelProto:
        fixed = dict(constants or {})
        names = list(order) if order is not None else [*inputs, *fixed]
        kind = next(iter(inputs.values())).dtype
        node = helper.make_node(op_type, names, list(outputs), name="tested", domain=domain, **attributes)
        graph = helper.make_graph(
            list(nodes or [node]), "one",
            [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), _dims(value.shape, dims))
             for name, value in inputs.items()],
            [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(kind), None)
             for name in outputs if name],
            [numpy_helper.from_array(value, name) for name, value in fixed.items()])
        domains = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
        model = helper.make_model(graph, opset_imports=domains, ir_version=10)
        return onnx.shape_inference.infer_shapes(model)

    return make


def gradients_of(model: onnx.ModelProto, feeds: Mapping[str, Array], cotangent: Array, *,
                 wrt: Sequence[str] | None = None, output: str = "y", rules: Rules | None = None,
                 overrides: Rules | None = None, runtime: bool = True) -> dict[str, Array]:
    """Of <output, cotangent> by each of `wrt` (all fed tensors), through a graph made by `build`.

    runtime: onnxruntime has to agree, in float32.
    """
    names = list(wrt or feeds)
    wanted = [f"{name}.gradient" for name in names]

    def gradient_graph(source: onnx.ModelProto) -> onnx.ModelProto:
        return build(source, output=output, wrt=names, cotangent=Fed("cotangent"), rules=rules, overrides=overrides)

    given = {**feeds, "cotangent": cotangent}
    results = evaluate(gradient_graph(model), given, wanted)
    if runtime:
        for ours, theirs in zip(results, run_float32(gradient_graph(float32(model)), given, wanted), strict=True):
            # Of the size of the cotangent: what normalizations subtract from each other is that large.
            scale = max(np.abs(ours).max(initial=0), np.abs(cotangent).max(initial=0))
            np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5 * scale)
    return dict(zip(names, results, strict=True))


def float32(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with float64 inputs, constants and outputs made float32."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    for value in (*copy.graph.input, *copy.graph.output):
        if value.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    for tensor in copy.graph.initializer:
        if tensor.data_type == onnx.TensorProto.DOUBLE:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    return copy


@pytest.fixture(scope="session", name="run_float32")
def _run_float32() -> Callable[..., list[Array]]:
    return run_float32


@pytest.fixture(scope="session")
def run_gradients() -> Callable[..., dict[str, Array]]:
    return gradients_of


@pytest.fixture(scope="session")
def check_vjp() -> Callable[..., dict[str, Array]]:
    """check_vjp(model, feeds, wrt=["x"], output="y") holds the gradients of <y, random> by each of `wrt` against
    central differences along random directions, all in float64; returns the gradients.

    forward: another reference for the forward pass, where onnx's evaluator is wrong: feeds -> output; step: of the
    differences (0 where kinks are near makes no sense: keep inputs away from them).
    """

    def check(model: onnx.ModelProto, feeds: Mapping[str, Array], *, wrt: Sequence[str] | None = None,
              output: str = "y", forward: Forward | None = None, rules: Rules | None = None,
              overrides: Rules | None = None, step: float = 1e-6, tolerance: float = 1e-6,
              directions: int = 3, runtime: bool = True) -> dict[str, Array]:
        names = list(wrt or feeds)
        if forward is None:
            def forward(given: Mapping[str, Array]) -> Array:
                return evaluate(model, given, [output])[0]

        rng = np.random.default_rng([0, 99])
        y = forward(feeds)
        cotangent = rng.normal(size=y.shape)
        gradients = gradients_of(model, feeds, cotangent, wrt=names, output=output, rules=rules, overrides=overrides,
                                 runtime=runtime)
        for name, gradient in gradients.items():
            assert gradient.shape == feeds[name].shape, (name, gradient.shape, feeds[name].shape)
            assert gradient.dtype == feeds[name].dtype
            for _ in range(directions):
                direction = rng.normal(size=gradient.shape)
                ends = [forward({**feeds, name: feeds[name] + sign * step * direction}) for sign in (1, -1)]
                numeric = float(np.sum(cotangent * (ends[0] - ends[1])) / (2 * step))
                analytic = float(np.sum(gradient * direction))
                size = float(np.sum(np.abs(gradient * direction))) + 1e-3
                assert abs(numeric - analytic) <= tolerance * max(size, np.abs(cotangent * y).sum()), (
                    name, numeric, analytic)
        return gradients

    return check
