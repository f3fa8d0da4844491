"""Which networks have a head of global average pooling and a linear layer, and what is said of the others."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pooled_cnn import SIZE, pooled_cnn

from harness.api import ModelFileError


def refused(explained, card_of, model):
    with pytest.raises(ModelFileError) as error:
        explained("cam", model, card_of(SIZE))
    return str(error.value)


def test_a_hidden_layer_behind_the_pooling_is_named(explained, card_of):
    told = refused(explained, card_of, pooled_cnn("two layers"))
    for word in ("Relu", "'r'", "global average pooling", "grad-cam"):
        assert word in told


def test_max_pooling_is_not_global_average_pooling(explained, card_of):
    model = pooled_cnn()
    model.graph.node[4].op_type = "GlobalMaxPool"
    assert "GlobalMaxPool" in refused(explained, card_of, model)


def test_a_weight_for_each_pixel_is_not_pooled(explained, card_of):
    model = pooled_cnn()
    del model.graph.node[4:]
    model.graph.node.extend([helper.make_node("Flatten", ["two"], ["f"]),
                             helper.make_node("MatMul", ["f", "every"], ["logits"])])
    every = np.random.default_rng(0).normal(size=(72, 4)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(every, "every"))
    onnx.checker.check_model(model, full_check=True)
    assert "(Relu)" in refused(explained, card_of, model)


@pytest.mark.parametrize(("kernel", "pads", "pools"), [([4, 3], [0] * 4, True), ([2, 3], [0] * 4, False),
                                                       ([4, 3], [1, 0, 0, 0], False)])
def test_average_pooling_counts_where_its_window_is_the_whole_layer(explained, card_of, kernel, pads, pools):
    model = pooled_cnn()
    pooling = helper.make_node("AveragePool", ["two"], ["p"], kernel_shape=kernel, pads=pads, strides=[9, 9])
    model.graph.node[4].CopyFrom(pooling)
    if pools:
        images = np.random.default_rng(1).normal(size=(2, 3, *SIZE)).astype(np.float32)
        np.testing.assert_allclose(explained("cam", model, card_of(SIZE)).maps(images, [1, 2]),
                                   explained("cam", pooled_cnn(), card_of(SIZE)).maps(images, [1, 2]), rtol=1e-4)
    else:
        assert "AveragePool" in refused(explained, card_of, model)


def test_scores_that_are_fed_have_no_head(explained, card_of):
    graph = helper.make_graph([helper.make_node("Flatten", ["image"], ["logits"])], "none",
                              [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 2, 2])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    assert "no global average pooling leads to" in refused(explained, card_of, model)
