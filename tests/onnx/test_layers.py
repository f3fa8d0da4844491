"""The layer to explain: found by a rule that also says when there is none."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.errors import ModelFileError
from harness.onnx.layers import last_spatial_activation, rename, spatial_layers


def graph(*nodes, extra=()):
    """Nodes as (op, inputs, output, attributes); image (N, 3, 8, 8) -> logits (N, 4)."""
    weights = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in
               (("w", (4, 3, 3, 3)), ("v", (4, 4, 3, 3)), ("m", (4, 4)))]
    weights += [numpy_helper.from_array(np.array([2, 3]), "hw"), numpy_helper.from_array(np.array([1]), "one"), *extra]
    made = [helper.make_node(op, inputs, [output], **(attributes[0] if attributes else {}))
            for op, inputs, output, *attributes in nodes]
    model = helper.make_model(helper.make_graph(
        made, "g", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])], weights),
        opset_imports=[helper.make_opsetid("", 18)])
    onnx.checker.check_model(model, full_check=True)
    return model


PAD = {"pads": [1, 1, 1, 1]}
HEAD = (("ReduceMean", ["x", "hw"], "p", {"keepdims": 0}), ("Gemm", ["p", "m"], "logits"))
FIRST = (("Conv", ["image", "w"], "c", PAD), ("Relu", ["c"], "r"))


def test_the_last_activation_before_the_pooling():
    model = graph(*FIRST, ("Conv", ["r", "v"], "d", PAD), ("Relu", ["d"], "x"), *HEAD)
    assert last_spatial_activation(model, "logits") == "x"


def test_an_activation_after_the_pooling_is_not_spatial():
    model = graph(*FIRST, ("ReduceMean", ["r", "hw"], "p"), ("Relu", ["p"], "q"), ("Flatten", ["q"], "f"),
                  ("Gemm", ["f", "m"], "g"), ("Relu", ["g"], "logits"))
    assert last_spatial_activation(model, "logits") == "r"


def test_behind_max_pooling_the_activation_itself_is_taken():
    pool = ("MaxPool", ["r"], "x", {"kernel_shape": [2, 2], "strides": [2, 2]})
    assert last_spatial_activation(graph(*FIRST, pool, *HEAD), "logits") == "r"


def test_a_branch_that_a_shortcut_passes_by_is_not_taken():
    """x = r + relu(conv(r)): the inner activation is nearer, but r reaches the logits without it."""
    model = graph(*FIRST, ("Conv", ["r", "v"], "d", PAD), ("Relu", ["d"], "e"), ("Add", ["r", "e"], "x"), *HEAD)
    assert last_spatial_activation(model, "logits") == "r"


def test_the_activation_after_a_shortcut_is_taken():
    model = graph(*FIRST, ("Conv", ["r", "v"], "d", PAD), ("Add", ["r", "d"], "s"), ("Relu", ["s"], "x"), *HEAD)
    assert last_spatial_activation(model, "logits") == "x"


def test_an_activation_of_a_constant_is_none_of_the_image():
    constant = numpy_helper.from_array(np.ones((1, 4, 8, 8), np.float32), "k")
    model = graph(*FIRST, ("Relu", ["k"], "e"), ("Add", ["r", "e"], "x"), *HEAD, extra=[constant])
    assert last_spatial_activation(model, "logits") == "r"


def test_none_is_an_error_that_says_what_to_set():
    with pytest.raises(ModelFileError, match="name the layer to explain in `cam_layer`"):
        last_spatial_activation(graph(("Conv", ["image", "w"], "x", PAD), *HEAD), "logits")


SIGMOID = (("Sigmoid", ["d"], "s"), ("Mul", ["d", "s"], "x"))
GELU = (("Div", ["d", "root"], "e"), ("Erf", ["e"], "f"), ("Add", ["f", "1"], "g"), ("Mul", ["d", "g"], "h"),
        ("Mul", ["h", "half"], "x"))
SCALARS = [numpy_helper.from_array(np.array(value, np.float32), name)
           for name, value in (("root", 1.41421356), ("1", 1), ("half", 0.5))]


@pytest.mark.parametrize("written_out", [SIGMOID, GELU])
def test_an_activation_that_is_written_out_is_one(written_out):
    model = graph(*FIRST, ("Conv", ["r", "v"], "d", PAD), *written_out, *HEAD, extra=SCALARS)
    assert last_spatial_activation(model, "logits") == "x"
    assert [layer.name for layer in spatial_layers(model, "logits")] == ["x", "r"]  # none of its parts


def test_a_gate_from_elsewhere_makes_no_activation():
    """Squeeze and excitation: r * Sigmoid(conv(mean(r))) is no function of r alone, pixel by pixel."""
    model = graph(*FIRST, ("ReduceMean", ["r", "hw"], "q"), ("Conv", ["q", "v1"], "g"), ("Sigmoid", ["g"], "s"),
                  ("Mul", ["r", "s"], "x"), *HEAD,
                  extra=[numpy_helper.from_array(np.ones((4, 4, 1, 1), np.float32), "v1")])
    assert last_spatial_activation(model, "logits") == "r"
    assert [(layer.name, layer.operator, layer.activation) for layer in spatial_layers(model, "logits")] == [
        ("x", "Mul", False), ("r", "Relu", True)]


def test_layers_to_choose_from_are_finished_tensors_nearest_to_the_output_first():
    norm = [numpy_helper.from_array(np.ones(4, np.float32), name) for name in ("a", "b", "c0", "d0")]
    model = graph(*FIRST, ("Conv", ["r", "v"], "d", PAD), ("BatchNormalization", ["d", "a", "b", "c0", "d0"], "n"),
                  ("Add", ["r", "n"], "s"), ("Relu", ["s"], "t"),
                  ("MaxPool", ["t"], "x", {"kernel_shape": [2, 2], "strides": [2, 2]}), *HEAD, extra=norm)
    layers = spatial_layers(model, "logits")
    assert [layer.name for layer in layers] == ["x", "t", "r"]
    assert [layer.shape for layer in layers] == [(None, 4, 4, 4), (None, 4, 8, 8), (None, 4, 8, 8)]


def test_where_shortcuts_bypass_all_activations_none_is_guessed_and_some_are_named():
    model = graph(("Conv", ["image", "w"], "c", PAD), ("Conv", ["c", "v"], "d", PAD), ("Relu", ["d"], "e"),
                  ("Add", ["c", "e"], "x"), *HEAD)
    with pytest.raises(ModelFileError, match=r"e.g. 'x' \(Add, \(\?, 4, 8, 8\)\), 'c' \(Conv"):
        last_spatial_activation(model, "logits")


def test_renaming_leaves_a_valid_graph_and_refuses_a_taken_name():
    model = graph(*FIRST, ("MaxPool", ["r"], "x", {"kernel_shape": [2, 2]}), *HEAD)
    rename(model, "r", "cam_layer")
    onnx.checker.check_model(model, full_check=True)
    assert last_spatial_activation(model, "logits") == "cam_layer"
    with pytest.raises(ModelFileError, match="'w' already"):
        rename(model, "cam_layer", "w")
