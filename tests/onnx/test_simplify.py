"""Simplified graphs compute the same, say more, and keep the names that others rely on."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from harness.errors import ModelFileError
from harness.onnx.runtime import onnxruntime
from harness.onnx.simplify import simplify

RANDOM = np.random.default_rng(0)


def run(model, **feeds):
    return onnx.reference.ReferenceEvaluator(model).run(None, feeds)


def run_fast(model, **feeds):
    """By onnxruntime: the reference's ConvTranspose is wrong for groups."""
    return onnxruntime().InferenceSession(model.SerializeToString()).run(None, feeds)[0]


def operators(model):
    return [node.op_type for node in model.graph.node]


def shapes(model):
    return {value.name: tuple(dim.dim_value or dim.dim_param or None for dim in value.type.tensor_type.shape.dim)
            for value in (*model.graph.value_info, *model.graph.output)}


FLATTEN = """<ir_version: 9, opset_import: ["": 18]>
flatten (float[batch, 3, 4, 4] image) => (float[rows, 48] scores) {
    relu = Relu(image)
    same = Identity(relu)
    shape = Shape(same)
    zero = Constant<value_ints = [0]>()
    first = Gather(shape, zero)
    count = Constant<value_ints = [48]>()
    target = Concat<axis = 0>(first, count)
    unused = Exp(relu)
    scores = Reshape(same, target)
}"""


def test_shape_arithmetic_identity_and_dead_nodes_go_and_the_batch_stays_symbolic():
    model = parser.parse_model(FLATTEN)
    before = model.SerializeToString()
    simple = simplify(model)
    assert model.SerializeToString() == before
    assert operators(simple) == ["Relu", "Reshape"]
    assert shapes(simple)["relu"] == ("batch", 3, 4, 4)
    assert shapes(simple)["scores"][1] == 48
    assert isinstance(shapes(simple)["scores"][0], str)
    onnx.checker.check_model(simple, full_check=True)
    for batch in (1, 3):
        image = RANDOM.normal(size=(batch, 3, 4, 4)).astype(np.float32)
        np.testing.assert_array_equal(run(simple, image=image)[0], run(model, image=image)[0])


def test_a_kept_tensor_keeps_its_name_and_is_no_output():
    simple = simplify(parser.parse_model(FLATTEN), keep=["same"])
    assert "same" in {name for node in simple.graph.node for name in node.output}
    assert [value.name for value in simple.graph.output] == ["scores"]


def test_keeping_a_tensor_that_is_not_there_names_the_closest():
    with pytest.raises(ModelFileError, match='no tensor \'rely\'; did you mean "relu"'):
        simplify(parser.parse_model(FLATTEN), keep=["rely"])


def test_shapes_declared_for_another_batch_are_not_believed():
    """A Reshape to a computed batch must not become a Reshape to the one that was traced."""
    model = parser.parse_model(FLATTEN)
    for name, shape in (("relu", [1, 3, 4, 4]), ("same", [1, 3, 4, 4])):
        model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    image = RANDOM.normal(size=(3, 3, 4, 4)).astype(np.float32)
    assert run(simplify(model), image=image)[0].shape == (3, 48)


def convolution(*, transposed=False, group=1, bias=True, opset=18, weights_as_inputs=False):
    """image -> Conv or ConvTranspose -> BatchNormalization -> scores, and its weights."""
    shape = (6, 4 // group, 3, 3) if transposed else (4, 6 // group, 3, 3)
    weights = {"w": RANDOM.normal(size=shape), "b": RANDOM.normal(size=4), "scale": RANDOM.normal(size=4),
               "shift": RANDOM.normal(size=4), "mean": RANDOM.normal(size=4), "var": RANDOM.uniform(0.5, 2, size=4)}
    if not bias:
        del weights["b"]
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 6, 5, 5])
    inputs = [image]
    if weights_as_inputs:
        inputs += [helper.make_tensor_value_info(each.name, TensorProto.FLOAT, list(each.dims)) for each in tensors]
    nodes = [helper.make_node("ConvTranspose" if transposed else "Conv", ["image", "w", "b"][: 2 + bias], ["y"],
                              group=group),
             helper.make_node("BatchNormalization", ["y", "scale", "shift", "mean", "var"], ["scores"], epsilon=1e-3)]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)]
    return helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, tensors), ir_version=8,
                             opset_imports=[helper.make_opsetid("", opset)])


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "transposed"])
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("bias", [False, True], ids=["bare", "bias"])
def test_folded_batch_normalization_computes_the_same_under_new_names(transposed, group, bias):
    model = convolution(transposed=transposed, group=group, bias=bias)
    image = RANDOM.normal(size=(2, 6, 5, 5)).astype(np.float32)
    expected = run_fast(model, image=image)
    assert len(operators(simplify(model))) == 2
    folded = simplify(model, fold_batch_norm=True)
    assert operators(folded) == ["ConvTranspose" if transposed else "Conv"]
    np.testing.assert_allclose(run_fast(folded, image=image), expected, atol=1e-5 * np.abs(expected).max())
    originals = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for each in folded.graph.initializer:  # a name of the original file stands for the original's values
        if each.name in originals:
            np.testing.assert_array_equal(numpy_helper.to_array(each), originals[each.name])


def test_a_kept_convolution_before_its_normalization_is_not_folded():
    assert len(operators(simplify(convolution(), fold_batch_norm=True, keep=["y"]))) == 2


def test_weights_that_are_also_inputs_become_constants():
    simple = simplify(convolution(weights_as_inputs=True))
    assert [value.name for value in simple.graph.input] == ["image"]


def test_functions_are_inlined():
    model = parser.parse_model("""<ir_version: 9, opset_import: ["": 18, "local": 1]>
        main (float[n, 4] image) => (float[n, 4] scores) { scores = local.twice(image) }
        <domain: "local", opset_import: ["": 18]>
        twice (x) => (y) { y = Add(x, x) }""")
    simple = simplify(model)
    assert operators(simple) == ["Add"]
    assert not simple.functions


def test_metadata_of_the_model_stays():
    model = parser.parse_model(FLATTEN)
    model.metadata_props.add(key="harness", value="{}")
    assert [(entry.key, entry.value) for entry in simplify(model).metadata_props] == [("harness", "{}")]


def test_initializers_keep_names_and_bytes():
    model = convolution()
    simple = simplify(model)
    assert {each.name: each.raw_data for each in simple.graph.initializer} == {
        each.name: each.raw_data for each in model.graph.initializer}


def test_a_graph_that_is_none_is_refused_with_the_reason():
    model = parser.parse_model("""<ir_version: 9, opset_import: ["": 18]>
        circle (float[n, 4] image) => (float[n, 4] scores) { one = Add(image, scores) scores = Relu(one) }""")
    with pytest.raises(ModelFileError, match=r"can not be simplified: ValueError.*cycle.*check_model"):
        simplify(model)


def test_no_torch():
    code = ("import sys, onnx, harness.onnx.simplify as s; from onnx import parser; "
            f"s.simplify(parser.parse_model('''{FLATTEN}'''), fold_batch_norm=True); print('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(("declared", "expected"), [("batch", "batch"), (1, "unk"), ("other", "unk")])
def test_names_of_input_dimensions_are_taken_from_the_file(declared, expected):
    """Inference does not know what -1 stands for; the file may. A number may be of another batch size, though."""
    model = parser.parse_model("""<ir_version: 9, opset_import: ["": 18]>
        turned (float[batch, 4, 6] image) => (float[batch, 6, 4] scores) <int64[3] target = {-1, 6, 4}> {
            moved = Reshape(image, target)
            scores = Relu(moved)
        }""")
    model.graph.value_info.append(helper.make_tensor_value_info("moved", TensorProto.FLOAT, [declared, 6, 4]))
    first, *others = shapes(simplify(model))["moved"]
    assert first.startswith(expected)
    assert others == [6, 4]
