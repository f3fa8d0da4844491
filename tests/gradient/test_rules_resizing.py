"""Resize is linear: its gradient is the transpose of what onnxruntime does to unit vectors, number by number.

onnx's reference evaluator interpolates otherwise at aligned corners and between equally near neighbors, and the
gradient has to follow the runtime.
"""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from harness.onnx.gradient import Fed, GradientError, build
from harness.onnx.runtime import onnxruntime

COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def run(model, feeds):
    return onnxruntime().InferenceSession(model.SerializeToString()).run(None, feeds)


def resize_model(shape, dims, *, scales=None, sizes=None, opset=18, **attributes):
    """image -> Resize -> y; dims: known, batch or unknown."""
    declared = {"known": list(shape), "batch": ["n", *shape[1:]], "unknown": ["n", "c", "h", "w"][: len(shape)]}[dims]
    if scales is not None:
        names, constants = ["image", "", "scales"], [numpy_helper.from_array(np.array(scales, np.float32), "scales")]
    else:
        names, constants = ["image", "", "", "sizes"], [numpy_helper.from_array(np.array(sizes, np.int64), "sizes")]
    graph = helper.make_graph(
        [helper.make_node("Resize", names, ["y"], **attributes)], "resize",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, declared)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], constants)
    return onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9))


def check(shape, dims, **how):
    """<resize(u), c> = <u, gradient(c)> for all unit vectors u and a random c."""
    count = int(np.prod(shape[1:]))
    units = np.eye(count, dtype=np.float32).reshape(count, *shape[1:])
    forward, = run(resize_model((count, *shape[1:]), "known", **how), {"image": units})
    cotangent = np.random.default_rng(0).normal(size=forward[:1].shape).astype(np.float32)
    graph = build(resize_model(shape, dims, **how), output="y", wrt="image", cotangent=Fed())
    repeated = np.repeat(cotangent, shape[0], axis=0)
    gradient = run(graph, {"image": np.zeros(shape, np.float32), "cotangent": repeated})[1]
    expected = (forward.astype(np.float64) * cotangent).reshape(count, -1).sum(axis=1).reshape(shape[1:])
    assert gradient.shape == tuple(shape)
    np.testing.assert_allclose(gradient[0], expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(gradient, np.repeat(gradient[:1], shape[0], axis=0))
    return [node.op_type for node in graph.graph.node]


@settings(deadline=None, max_examples=80)
@given(mode=st.sampled_from(["nearest", "linear", "cubic"]), coordinates=st.sampled_from(COORDINATES),
       rounding=st.sampled_from(ROUNDINGS), dims=st.sampled_from(["known", "batch", "unknown"]),
       height=st.integers(2, 5), width=st.integers(2, 5),
       scales=st.lists(st.sampled_from([0.6, 1.0, 1.7, 2.0, 3.0]), min_size=2, max_size=2))
def test_scales(mode, coordinates, rounding, dims, height, width, scales):
    nearest = {"nearest_mode": rounding} if mode == "nearest" else {}
    check((2, 3, height, width), dims, scales=[1, 1, *scales], mode=mode,
          coordinate_transformation_mode=coordinates, **nearest)


@settings(deadline=None, max_examples=40)
@given(mode=st.sampled_from(["nearest", "linear", "cubic"]), coordinates=st.sampled_from(COORDINATES),
       dims=st.sampled_from(["known", "batch", "unknown"]), new=st.lists(st.integers(1, 9), min_size=2, max_size=2),
       antialias=st.booleans(), axes=st.sampled_from([[2, 3], [3, 2], [-1, -2]]))
def test_sizes_of_some_axes(mode, coordinates, dims, new, antialias, axes):
    smooth = {"antialias": 1} if antialias and mode != "nearest" and coordinates == "half_pixel" else {}
    check((2, 3, 4, 3), dims, sizes=new, axes=axes, mode=mode, coordinate_transformation_mode=coordinates, **smooth)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("space", [(5,), (3, 4, 2)], ids=["1d", "3d"])
def test_other_ranks(mode, space):
    check((2, 3, *space), "batch", scales=[1, 1, *[2.0] * len(space)], mode=mode)


@pytest.mark.parametrize("dims", ["known", "unknown"])
@pytest.mark.parametrize("convention", [("asymmetric", "floor"), ("half_pixel", "round_prefer_floor")])
def test_nearest_neighbors_at_whole_factors_are_sums_over_blocks(dims, convention):
    coordinates, rounding = convention
    used = check((2, 3, 4, 5), dims, scales=[1, 1, 3, 2], mode="nearest", nearest_mode=rounding,
                 coordinate_transformation_mode=coordinates)
    assert "AveragePool" in used
    assert "MatMul" not in used


@pytest.mark.parametrize(("attributes", "message"), [
    ({"keep_aspect_ratio_policy": "not_larger"}, "aspect ratio"),
    ({"coordinate_transformation_mode": "tf_crop_and_resize"}, "tf_crop_and_resize")])
def test_what_is_not_covered_is_refused(attributes, message):
    model = resize_model((1, 1, 4, 4), "known", sizes=[1, 1, 6, 6], **attributes)
    with pytest.raises(GradientError, match=message):
        build(model, output="y", wrt="image", cotangent=Fed())


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize(("op", "opset", "factor"), [("Upsample", 9, 2), ("Upsample", 9, 1.5), ("Resize", 10, 1.5),
                                                     ("Resize", 10, 0.5)])
def test_old_files(mode, op, opset, factor):
    """Before opset 11 there was one convention of coordinates, which is not the default since."""
    graph = helper.make_graph(
        [helper.make_node(op, ["image", "scales"], ["y"], mode=mode)], "old",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([1, 1, factor, factor], np.float32), "scales")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)
    image = np.random.default_rng(0).normal(size=(1, 2, 4, 4)).astype(np.float32)
    expected, = run(model, {"image": image})
    cotangent = np.random.default_rng(1).normal(size=expected.shape).astype(np.float32)
    if factor < 1 and mode == "nearest":
        with pytest.raises(GradientError, match="shrink by nearest"):
            build(model, output="y", wrt="image", cotangent=Fed())
        return
    y, gradient = run(build(model, output="y", wrt="image", cotangent=Fed()), {"image": image, "cotangent": cotangent})
    np.testing.assert_allclose(y, expected, atol=1e-6)
    np.testing.assert_allclose((y * cotangent).sum(), (image * gradient).sum(), rtol=1e-4)
