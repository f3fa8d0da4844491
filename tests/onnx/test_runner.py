"""Task outputs from graphs of any batch size, layout and precision."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.api import InputSpec, ModelCard
from harness.errors import ModelFileError
from harness.onnx.runner import ModelRunner, first_nonfinite
from harness.onnx.session import open_session


def runner(path, task="classification", **keys):
    card = ModelCard(task=task, input=keys.pop("input", InputSpec(size=(8, 6))), **keys)
    return ModelRunner(open_session(path), card, path)


def images(count):
    return np.random.default_rng(7).normal(size=(count, 3, 8, 6)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_fixed_batch_equals_dynamic(make_model, save, batch, count):
    fixed = runner(save(make_model(batch=batch), "fixed.onnx")).predict(images(count))["logits"]
    free = runner(save(make_model(), "free.onnx")).predict(images(count))["logits"]
    assert fixed.shape == (count, 4)
    np.testing.assert_allclose(fixed, free, atol=1e-6)


def test_nhwc_equals_nchw(make_model, save):
    nhwc = runner(save(make_model(layout="NHWC"), "nhwc.onnx"), input=InputSpec(size=(8, 6), layout="NHWC"))
    nchw = runner(save(make_model(), "nchw.onnx"))
    np.testing.assert_allclose(nhwc.predict(images(3).transpose(0, 2, 3, 1))["logits"],
                               nchw.predict(images(3))["logits"], atol=1e-6)


def test_half_precision_graph_is_fed_and_read_as_float32(make_model, save):
    half = runner(save(make_model(dtype=TensorProto.FLOAT16), "half.onnx")).predict(images(2))["logits"]
    full = runner(save(make_model(), "full.onnx")).predict(images(2))["logits"]
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, full, atol=2e-2)


def test_integer_input_is_refused(make_model, save):
    model = make_model()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    model.graph.node[0].CopyFrom(helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT))
    with pytest.raises(ModelFileError, match="takes uint8; images are fed as float32"):
        runner(save(model))


def test_timing_a_fixed_batch_at_another_size_is_refused(make_model, save):
    fixed = runner(save(make_model(batch=1)))
    fixed.bind(images(1))()
    with pytest.raises(ModelFileError, match="fixed at batch 1 and can not be timed at batch 8"):
        fixed.bind(images(8))


def test_output_of_another_rank_is_refused(make_model, save):
    model = make_model()
    model.graph.node[-1].attribute[0].i = 1  # keepdims
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4, 1, 1]))
    with pytest.raises(ModelFileError, match=r"'logits' has shape \(2, 4, 1, 1\), but .* logits is \(N,C\)"):
        runner(save(model)).predict(images(2))


def test_rows_that_are_not_the_batch_are_refused(make_model, save):
    model = make_model()
    model.graph.node[-1].input[1] = "first"
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 2]), "first"))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, [4, 6]))
    with pytest.raises(ModelFileError, match="has 4 rows for a batch of 2; its first dimension must be the batch"):
        runner(save(model)).predict(images(2))


def test_first_nonfinite():
    array = np.zeros((2, 3), np.float32)
    assert first_nonfinite(array) is None
    assert first_nonfinite(np.zeros(3, np.int64)) is None
    array[1, 1], array[1, 2] = np.inf, np.nan
    assert first_nonfinite(array) == (1, 1)


def test_bind_runs_the_same_graph(make_model, save):
    opened = runner(save(make_model()))
    query = opened.bind(images(2))
    query()
    np.testing.assert_array_equal(query.args[0].copy_outputs_to_cpu()[0], opened.predict(images(2))["logits"])


def test_the_checker_accepts_the_test_networks(make_model):
    for model in (make_model(), make_model(layout="NHWC")):
        onnx.checker.check_model(model, full_check=True)
