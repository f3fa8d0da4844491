"""A gradient rule is checked by directional derivatives in float64, computed by onnx's own reference evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from scipy.special import erf

from harness.onnx.gradient import Fed, Rules, build

Array = NDArray[Any]
Forward = Callable[[Mapping[str, Array]], Array]


def _dims(shape: Sequence[int], dims: str) -> list[int | str | None]:
    """A symbolic dimension is named by its size: equal names promise equal sizes."""
    if dims == "batch":
        return [f"n{size}" if axis == 0 else size for axis, size in enumerate(shape)]
    return list(shape) if dims == "known" else [None] * len(shape)


class ConvTranspose(OpRun):
    """By torch: onnx's own evaluator fails on groups."""

    op_domain = ""

    def _run(self, x: Array, w: Array, b: Array | None = None, **attributes: Any) -> tuple[Array]:
        import torch

        rank = x.ndim - 2
        get = {name: value for name, value in attributes.items() if value is not None}
        strides, dilations = get.get("strides", [1] * rank), get.get("dilations", [1] * rank)
        pads, group = get.get("pads", [0] * 2 * rank), get.get("group", 1)
        extra = get.get("output_padding", [0] * rank)
        assert get.get("auto_pad", "NOTSET") == "NOTSET"
        assert "output_shape" not in get
        function = (torch.nn.functional.conv_transpose1d, torch.nn.functional.conv_transpose2d,
                    torch.nn.functional.conv_transpose3d)[rank - 1]
        tensors = [torch.from_numpy(np.array(each)) for each in (x, w, *([] if b is None else [b]))]
        full = function(*tensors, stride=strides, dilation=dilations, groups=group).numpy()
        full = np.pad(full, [(0, 0), (0, 0), *((0, more) for more in extra)])
        if b is not None and any(extra):
            raise NotImplementedError("output_padding beside a bias")
        for axis, (begin, end) in enumerate(zip(pads[:rank], pads[rank:], strict=True), 2):
            full = np.take(full, range(begin, full.shape[axis] - end), axis)
        return (full,)


class Erf(OpRun):
    """onnx's own evaluator computes it in float32."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (erf(x),)


class Gelu(OpRun):
    """By its formulas: onnx's own evaluator computes the exact one in float32."""

    op_domain = ""

    def _run(self, x: Array, approximate: str | None = None) -> tuple[Array]:
        if approximate == "tanh":
            return (x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),)
        return (x / 2 * (1 + erf(x / np.sqrt(2))),)


class Mean(OpRun):
    """onnx's own evaluator adds to the first input in place."""

    op_domain = ""

    def _run(self, *inputs: Array) -> tuple[Array]:
        return (np.asarray(sum(inputs) / len(inputs)),)


def windows(x: Array, fill: float, kernel_shape: Sequence[int], strides: Sequence[int] | None,
            pads: Sequence[int] | None, dilations: Sequence[int] | None, ceil_mode: int | None,
            auto_pad: str | None) -> Array:
    """(N, C, windows..., positions of a window...), `fill` outside of x; with ceil_mode the last window starts inside
    of x or its left padding."""
    rank = len(kernel_shape)
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    reach = [d * (k - 1) for d, k in zip(dilations, kernel_shape, strict=True)]
    sizes = x.shape[2:]
    pads = pads or [0] * 2 * rank
    if auto_pad and auto_pad.startswith("SAME"):
        totals = [max(0, (-(-size // s) - 1) * s + r + 1 - size)
                  for size, s, r in zip(sizes, strides, reach, strict=True)]
        halves = [total // 2 for total in totals], [total - total // 2 for total in totals]
        pads = [*halves[0], *halves[1]] if auto_pad == "SAME_UPPER" else [*halves[1], *halves[0]]
    counts, more = [], []
    for size, s, r, begin, end in zip(sizes, strides, reach, pads[:rank], pads[rank:], strict=True):
        room = size + begin + end - r - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        count -= (count - 1) * s >= size + begin
        counts.append(count)
        more.append(max(0, (count - 1) * s + r + 1 - size - begin))
    padded = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], more, strict=True)], constant_values=fill)
    axes = tuple(range(2, 2 + rank))
    view = np.lib.stride_tricks.sliding_window_view(padded, [r + 1 for r in reach], axes)
    starts = tuple(slice(0, (c - 1) * s + 1, s) for c, s in zip(counts, strides, strict=True))
    return view[(slice(None), slice(None), *starts, *(slice(None, None, d) for d in dilations))]


class MaxPool(OpRun):
    """onnx's own evaluator has wrong indices."""

    op_domain = ""

    def _run(self, x: Array, auto_pad: str | None = None, ceil_mode: int | None = None,
             dilations: Any = None, kernel_shape: Any = None, pads: Any = None, storage_order: int | None = None,
             strides: Any = None) -> tuple[Array, ...]:
        options = (kernel_shape, strides, pads, dilations, ceil_mode, auto_pad)
        rank = x.ndim - 2
        parts = windows(x, -np.inf, *options)
        flat = parts.reshape(*parts.shape[:rank + 2], -1)
        places = np.broadcast_to(np.arange(x.size, dtype=np.float64).reshape(x.shape), x.shape)
        where = windows(places, -1, *options).reshape(flat.shape)
        first = flat.argmax(-1)[..., None]
        y = np.take_along_axis(flat, first, -1)[..., 0]
        return (y, np.take_along_axis(where, first, -1)[..., 0].astype(np.int64))[:len(self.output)]


class AveragePool(OpRun):
    """onnx's own evaluator fails on ceil_mode, uneven padding and dilations."""

    op_domain = ""

    def _run(self, x: Array, auto_pad: str | None = None, ceil_mode: int | None = None,
             count_include_pad: int | None = None, dilations: Any = None, kernel_shape: Any = None, pads: Any = None,
             strides: Any = None) -> tuple[Array]:
        options = (kernel_shape, strides, pads, dilations, ceil_mode, auto_pad)
        rank = x.ndim - 2
        axes = tuple(range(rank + 2, 2 * rank + 2))
        inside = np.ones(x.shape)
        if count_include_pad and pads:
            widths = [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)]
            options = (kernel_shape, strides, None, dilations, ceil_mode, None)
            x, inside = np.pad(x, widths), np.pad(inside, widths, constant_values=1)
        return (windows(x, 0, *options).sum(axes) / windows(inside, 0, *options).sum(axes),)


class LpPool(OpRun):
    """onnx's own evaluator fails on uneven padding."""

    op_domain = ""

    def _run(self, x: Array, auto_pad: str | None = None, ceil_mode: int | None = None, dilations: Any = None,
             kernel_shape: Any = None, p: int | None = None, pads: Any = None, strides: Any = None) -> tuple[Array]:
        rank, power = x.ndim - 2, p or 2
        parts = windows(np.abs(x) ** power, 0, kernel_shape, strides, pads, dilations, ceil_mode, auto_pad)
        return (parts.sum(tuple(range(rank + 2, 2 * rank + 2))) ** (1 / power),)


class GlobalLpPool(OpRun):
    """onnx's own evaluator has none."""

    op_domain = ""

    def _run(self, x: Array, p: int | None = None) -> tuple[Array]:
        power = p or 2
        return ((np.abs(x) ** power).sum(tuple(range(2, x.ndim)), keepdims=True) ** (1 / power),)


class GlobalMaxPool(OpRun):
    """onnx's own evaluator fails on one spatial axis."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (x.max(tuple(range(2, x.ndim)), keepdims=True),)


class ScatterElements(OpRun):
    """onnx's own evaluator loops in Python."""

    op_domain = ""

    def _run(self, data: Array, indices: Array, updates: Array, axis: int | None = None,
             reduction: str | None = None) -> tuple[Array]:
        result, places = data.copy(), list(np.indices(indices.shape))
        places[axis or 0] = indices
        if reduction == "add":
            np.add.at(result, tuple(places), updates)
        else:
            result[tuple(places)] = updates
        return (result,)


REPLACED = [AveragePool, ConvTranspose, Erf, Gelu, GlobalLpPool, GlobalMaxPool, LpPool, MaxPool, Mean, ScatterElements]


def evaluate(model: onnx.ModelProto, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
    """onnx's reference evaluator, with what is wrong in it replaced."""
    return list(ReferenceEvaluator(model, new_ops=REPLACED).run(outputs, dict(feeds)))


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
            np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4 * max(1e-3, np.abs(ours).max(initial=0)))
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


def run_float32(model: onnx.ModelProto, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    narrow = {name: value.astype(np.float32) if value.dtype == np.float64 else value for name, value in feeds.items()}
    return list(session.run(outputs, narrow))


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

        rng = np.random.default_rng(0)
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
