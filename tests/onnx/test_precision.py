"""int8 and float16 files: which nodes they touch, what they compute, and what stays in float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.errors import ModelFileError
from harness.onnx.executed import count_types
from harness.onnx.precision.body import ends, find_body
from harness.onnx.precision.half import to_half
from harness.onnx.precision.int8 import Quantizer
from harness.onnx.precision.prepare import converted, prepared
from harness.onnx.precision.search import search, sensitivity
from harness.onnx.precision.settings import Int8Settings
from harness.onnx.session import open_session

CHANNELS = 8
RNG = np.random.default_rng(0)
IMAGES = [{"image": RNG.uniform(-1, 1, (1, CHANNELS, 6, 6)).astype(np.float32)} for _ in range(6)]


def network(weights, decode=True, channels=CHANNELS, opset=18):
    """1x1 convolutions with ReLU between them, then a decoder: values relative to their maximum, times 200."""
    nodes, name, constants = [], "image", []
    for index, each in enumerate(weights):
        constants.append(numpy_helper.from_array(each.reshape(*each.shape, 1, 1).astype(np.float32), f"w{index}"))
        nodes.append(helper.make_node("Conv", [name, f"w{index}"], [f"c{index}"], name=f"conv{index}"))
        name = f"c{index}"
        if index + 1 < len(weights):
            nodes.append(helper.make_node("Relu", [name], [f"r{index}"], name=f"relu{index}"))
            name = f"r{index}"
    if decode:
        constants.append(numpy_helper.from_array(np.float32(200), "scale"))
        nodes += [helper.make_node("ReduceMax", [name], ["top"], name="top", keepdims=1),
                  helper.make_node("Div", [name, "top"], ["share"], name="share"),
                  helper.make_node("Mul", ["share", "scale"], ["out"], name="out")]
    else:
        nodes[-1].output[0] = "out"
    shape = ["batch", channels, 6, 6]
    graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def random_weights(count, rng=RNG):
    return [rng.normal(size=(CHANNELS, CHANNELS)) for _ in range(count)]


@pytest.fixture
def make(tmp_path):
    def write(model, name="net.onnx") -> Path:
        path = tmp_path / name
        onnx.save(model, str(path))
        return path

    return write


def run(model, feeds, tmp_path):
    path = tmp_path / "run.onnx"
    onnx.save(model, str(path))
    session = open_session(path, optimization="none")
    try:
        return session.run(feeds)["out"]
    finally:
        session.close()


def test_the_body_ends_with_the_last_layer(make):
    model = prepared(make(network(random_weights(3))))
    body = find_body(model)
    assert body.weighted == ("conv0", "conv1", "conv2")
    assert body.carried == ("relu0", "relu1")
    assert ends(model, body) == ["c2"]


def test_a_graph_without_layers_has_no_body(make):
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["out"])], "net",
                              [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 2])],
                              [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with pytest.raises(ModelFileError, match="no layer with weights"):
        find_body(prepared(make(model)))


def test_int8_equals_its_definition(make, tmp_path):
    """Jacob 2018: real = scale * (integer - zero point), emulated in float64."""
    weights = random_weights(1)
    quantizer = Quantizer(prepared(make(network(weights, decode=False))), iter(IMAGES), Int8Settings())
    image = IMAGES[0]["image"].astype(np.float64)
    low, high = (function([feed["image"] for feed in IMAGES]) for function in (np.min, np.max))
    seen = affine(image, low, high)
    scales = np.abs(weights[0].astype(np.float32)).max(axis=1, keepdims=True) / 127
    rounded = np.round(weights[0] / scales).clip(-127, 127) * scales
    outputs = [np.einsum("oi,nihw->nohw", weights[0], feed["image"]) for feed in IMAGES]
    expected = affine(np.einsum("oi,nihw->nohw", rounded, seen), np.min(outputs), np.max(outputs))
    found = run(quantizer.quantized(), IMAGES[0], tmp_path)
    step = (np.max(outputs) - np.min(outputs)) / 255
    assert np.abs(found - expected).max() <= 1.01 * step  # a value between two integers may round either way
    assert np.mean(np.abs(found - expected) > 0.01 * step) < 0.02


def affine(values, low, high):
    """u8 and back, zero exactly represented."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero = np.round(-low / scale)
    return (np.round(values / scale + zero).clip(0, 255) - zero) * scale


def test_types_are_u8_and_s8_by_channel_and_the_decoder_stays_float(make):
    model = Quantizer(prepared(make(network(random_weights(3)))), iter(IMAGES), Int8Settings()).quantized()
    onnx.checker.check_model(model, full_check=True)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    points = {node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert {constants[name].dtype for name in points} == {np.dtype(np.uint8)}
    weights = [value for name, value in constants.items() if name.startswith("w") and value.ndim == 4]
    assert {value.dtype for value in weights} == {np.dtype(np.int8)}
    scales = [value for name, value in constants.items() if name.startswith("w") and name.endswith("_scale")]
    assert [len(scale) for scale in scales] == [CHANNELS] * 3
    after = [node for node in model.graph.node if node.name in ("top", "share", "out")]
    assert len(after) == 3
    assert not [node for node in model.graph.node if node.op_type == "QuantizeLinear" and node.input[0] in
                ("top", "share", "out")]


def test_layers_over_few_channels_and_named_ones_stay_float(make, tmp_path):
    model = network([RNG.normal(size=(CHANNELS, 3)), *random_weights(2)], channels=3)
    feeds = [{"image": RNG.uniform(-1, 1, (1, 3, 6, 6)).astype(np.float32)} for _ in range(3)]
    quantizer = Quantizer(prepared(make(model)), iter(feeds), Int8Settings())
    assert quantizer.body.weighted == ("conv1", "conv2")
    path = make(quantizer.quantized(), "quantized.onnx")
    assert open_session(path).executed() == {"int8": 2, "float32": 1}
    path = make(quantizer.quantized(["conv2"]), "less.onnx")
    assert open_session(path).executed() == {"float32": 2, "int8": 1}
    everything = Quantizer(prepared(make(model)), iter(feeds), Int8Settings(min_channels=1))
    assert everything.body.weighted == ("conv0", "conv1", "conv2")


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_every_calibration_keeps_the_network_recognizable(make, tmp_path, method):
    model = network(random_weights(2), decode=False)
    exact = run(model, IMAGES[1], tmp_path)
    settings = Int8Settings(method=method)
    found = run(Quantizer(prepared(make(model)), iter(IMAGES), settings).quantized(), IMAGES[1], tmp_path)
    assert np.linalg.norm(found - exact) < 0.1 * np.linalg.norm(exact)


def test_half_casts_only_where_the_body_begins_and_ends(make, tmp_path):
    source = prepared(make(network(random_weights(3))))
    model, kept = to_half(source)
    onnx.checker.check_model(model, full_check=True)
    assert kept == ["top", "share", "out"]
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    assert len(casts) == 2  # the image, and what the last layer gives
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert [kinds[f"w{index}.half"] for index in range(3)] == [TensorProto.FLOAT16] * 3
    assert kinds["scale"] == TensorProto.FLOAT
    exact = run(source, IMAGES[0], tmp_path)
    found = run(model, IMAGES[0], tmp_path)
    assert found.dtype == np.float32
    assert 0 < np.abs(found - exact).max() < 200 * 5e-3


def pyramid(scale=None):
    """Two levels of free size, the coarse one resized to the fine one's (or by `scale`) and added: as torch exports it.

    Outputs: the image, and the integers that shape and pooling give.
    """
    def constant(name, values, kind=np.int64):
        return numpy_helper.from_array(np.asarray(values, kind), name)

    weights = [numpy_helper.from_array(each.reshape(*each.shape, 1, 1).astype(np.float32), f"w{index}")
               for index, each in enumerate(random_weights(3))]
    constants = [*weights, constant("i0", [0]), constant("i2", [2]), constant("i4", [4]),
                 constant("scale", scale or 1, np.float32)]
    node = helper.make_node
    length = [node("Slice", ["fine shape", "i2", "i4"], ["fine size"])] if scale is None else [
        node("Slice", ["shape", "i2", "i4"], ["size"]), node("Cast", ["size"], ["float size"], to=TensorProto.FLOAT),
        node("Mul", ["float size", "scale"], ["scaled"]), node("Floor", ["scaled"], ["floored"]),
        node("Cast", ["floored"], ["fine size"], to=TensorProto.INT64)]
    nodes = [
        node("Conv", ["image", "w0"], ["fine"], name="conv0"), node("Shape", ["fine"], ["fine shape"]),
        node("MaxPool", ["fine"], ["pooled", "indices"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["pooled", "w1"], ["coarse"], name="conv1"), node("Shape", ["coarse"], ["shape"]), *length,
        node("Slice", ["shape", "i0", "i2"], ["front"]), node("Concat", ["front", "fine size"], ["sizes"], axis=0),
        node("Resize", ["coarse", "", "", "sizes"], ["resized"], mode="nearest"),
        node("Add", ["fine", "resized"], ["sum"]), node("Conv", ["sum", "w2"], ["out"], name="conv2")]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "pyramid", [value("image", TensorProto.FLOAT, ["batch", CHANNELS, "h", "w"])],
        [value("out", TensorProto.FLOAT, None), value("sizes", TensorProto.INT64, [4]),
         value("indices", TensorProto.INT64, None)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("scale", [None, 2.0])
def test_half_leaves_integers_and_the_arithmetic_on_shapes_as_they_are(make, tmp_path, scale):
    source = prepared(make(pyramid(scale)))
    model = to_half(source)[0]
    onnx.checker.check_model(model, full_check=True)
    kinds = {value.name: value.type.tensor_type.elem_type
             for value in onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.value_info}
    halves = {name for name, kind in kinds.items() if kind == TensorProto.FLOAT16}
    assert {"fine", "pooled", "coarse", "sum"} <= halves
    assert not {"scaled", "float size", "floored"} & halves
    path = make(model, "half.onnx")
    session, exact = open_session(path, optimization="none"), open_session(make(source), optimization="none")
    found, expected = session.run(IMAGES[0]), exact.run(IMAGES[0])
    assert [found[name].dtype for name in expected] == [array.dtype for array in expected.values()]
    np.testing.assert_array_equal(found["sizes"], expected["sizes"])
    np.testing.assert_array_equal(found["indices"], expected["indices"])
    np.testing.assert_allclose(found["out"], expected["out"], atol=5e-3 * np.abs(expected["out"]).max())


def test_half_keeps_the_graphs_outputs_and_clips_weights(make, tmp_path):
    weights = random_weights(2)
    weights[1][0, 0] = 1e6
    source = prepared(make(network(weights, decode=False)))
    model = to_half(source)[0]
    onnx.checker.check_model(model, full_check=True)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert constants["w1.half"].max() == np.finfo(np.float16).max
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert run(model, IMAGES[0], tmp_path).dtype == np.float32


def test_what_a_cpu_really_computes_of_a_half_file(make):
    path = make(to_half(prepared(make(network(random_weights(3)))))[0], "half.onnx")
    assert count_types(onnx.load(path)) == {"float16": 3}
    assert open_session(path).executed() == {"float32": 3}  # onnxruntime has no such kernels on x86 CPUs


def test_prepared_graphs_have_names_folded_constants_and_their_metadata(make):
    model = network(random_weights(2), opset=11)
    for node in model.graph.node:
        node.name = ""
    scale = numpy_helper.from_array(np.full(CHANNELS, 2, np.float32), "two")
    zero = numpy_helper.from_array(np.zeros(CHANNELS, np.float32), "zero")
    one = numpy_helper.from_array(np.ones(CHANNELS, np.float32), "one")
    model.graph.initializer.extend([scale, zero, one])
    model.graph.node[0].output[0] = "before"
    model.graph.node.insert(1, helper.make_node("BatchNormalization", ["before", "two", "zero", "zero", "one"], ["c0"]))
    model.metadata_props.add(key="harness", value="{}")
    result = prepared(make(model))
    assert "BatchNormalization" not in {node.op_type for node in result.graph.node}
    names = [node.name for node in result.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    assert [entry.key for entry in result.metadata_props] == ["harness"]
    assert next(entry.version for entry in result.opset_import if entry.domain == "") >= 13


def test_a_graph_that_can_not_be_converted(make):
    model = network(random_weights(1))
    with pytest.raises(ModelFileError, match=r"net\.onnx: can not be converted to opset 6"):
        converted(model, 6, Path("net.onnx"))


def test_the_search_leaves_the_most_sensitive_layers_in_float_until_it_suffices():
    losses = {(): 0.3, ("b",): 0.1, ("b", "a"): 0.01}
    found = search(tuple, lambda model: losses[tuple(model)], 0.05, lambda: ["b", "a", "c", "d"])
    assert found.within
    assert found.model == ("b", "a")
    assert [(step.float_layers, step.loss) for step in found.steps] == [((), 0.3), (("b",), 0.1), (("b", "a"), 0.01)]


def test_the_search_asks_for_an_order_only_when_it_needs_one_and_ends_at_half():
    def never():
        raise AssertionError("not needed")

    assert search(tuple, lambda _: 0.0, 0.0, never).steps[0].loss == 0
    found = search(tuple, lambda _: 1.0, 0.5, lambda: list("abcd"))
    assert not found.within
    assert found.steps[-1].float_layers == ("a", "b")


def test_a_layer_is_ranked_by_its_own_error_alone(make):
    """Between the layers lies what eight bits destroy: a value is added and taken away again."""
    weights = random_weights(2, np.random.default_rng(5))
    model = network(weights, decode=False)
    model.graph.initializer.extend([numpy_helper.from_array(np.float32(shift), name)
                                    for name, shift in (("up", 1e3), ("down", -1e3))])
    conv = model.graph.node[-1]
    del model.graph.node[-1]
    model.graph.node.extend([helper.make_node("Add", ["r0", "up"], ["high"]),
                             helper.make_node("Add", ["high", "down"], ["back"])])
    conv.input[0] = "back"
    model.graph.node.append(conv)
    quantizer = Quantizer(prepared(make(model)), iter(IMAGES), Int8Settings())
    assert len(quantizer.body.carried) == 3
    errors = sensitivity(quantizer, ["out"], IMAGES[:2])
    assert max(errors.values()) < 1e-3  # 1e3 in 8 bits is a step of 4: nothing would be left


def test_the_layer_that_int8_hurts_most_comes_first(make):
    rng = np.random.default_rng(4)
    weights = random_weights(3, rng)
    weights[1][:, 0] = 0
    weights[1][0, 0] = 400.0  # one weight decides the scale of all others
    model = prepared(make(network(weights)))
    feeds = [{"image": np.concatenate([np.zeros((1, 1, 6, 6)), feed["image"][:, 1:]], 1).astype(np.float32)}
             for feed in IMAGES]
    for constant in model.graph.initializer:
        if constant.name == "w0":  # nothing passes the channel of the large weight
            first = numpy_helper.to_array(constant).copy()
            first[0] = 0
            constant.CopyFrom(numpy_helper.from_array(first, "w0"))
    quantizer = Quantizer(model, iter(feeds), Int8Settings(per_channel=False))
    errors = sensitivity(quantizer, ends(model, quantizer.body), feeds[:2])
    assert next(iter(errors)) == "conv1"
    assert set(errors) == {"conv0", "conv1", "conv2"}
    assert list(errors.values()) == sorted(errors.values(), reverse=True)
