"""Cards: the suite over the file, and mistakes answered with the key to set."""

import pytest

from harness.api import InputSpec, ModelCard, ModelFile
from harness.errors import ModelFileError
from harness.onnx.metadata import write_card
from harness.onnx.models import load_card, resolve_io
from harness.onnx.session import open_session

INPUT = {"size": [8, 6]}
CARD = {"task": "classification", "input": INPUT}


def resolve(path, **keys):
    card = load_card(ModelFile(path, {**CARD, **keys}))
    return resolve_io(card, open_session(path), path)


def test_suite_overrides_the_files_own_card(make_model, save):
    model = make_model()
    write_card(model, ModelCard(task="classification", input=InputSpec(size=(8, 6)), labels=["a", "b", "c", "d"]))
    path = save(model)
    card = load_card(ModelFile(path, {"input": {"size": [8, 6], "range": [-1, 1]}, "classes": {"x": 3}}))
    assert (card.task, card.labels, card.input.range, card.class_index("x")) == (
        "classification", ["a", "b", "c", "d"], (-1.0, 1.0), 3)


def test_labels_from_a_file(make_model, save, tmp_path):
    (tmp_path / "labels.txt").write_text("a\nb b\nc\nd\n\n", encoding="utf-8")
    card = load_card(ModelFile(save(make_model()), {**CARD, "labels": str(tmp_path / "labels.txt")}))
    assert card.labels == ["a", "b b", "c", "d"]


@pytest.mark.parametrize(("keys", "message"), [
    ({}, r"says its task; set `task` .* to one of classification, .*inputs: image float32 \(batch, 3, 8, 6\)"),
    ({"task": "classification"}, r"set `input` = \{ size = \[8, 6\], .* layout = \"NCHW\" \}.*outputs: logits"),
    ({**CARD, "task": "clasification"}, r"unknown task 'clasification'; did you mean \"classification\"\?"),
    ({**CARD, "outputs": {"logit": "logits"}}, r"outputs\.logit: .* did you mean \"logits\"\?"),
    ({**CARD, "labels": ["a", "b"], "classes": {"x": 2}}, r"classes\.x = 2, but labels has 2 classes"),
    ({**CARD, "classes": {"x": -1}}, r"classes\.x = -1, but an index counts from 0"),
    ({**CARD, "labels": "/no/such/labels.txt"}, r"labels\.txt: the file of labels can not be read"),
    ({**CARD, "input": {"size": [8]}}, r"its description is invalid: input\.size"),
])
def test_incomplete_or_contradictory_cards(make_model, save, keys, message):
    with pytest.raises(ModelFileError, match=message) as caught:
        load_card(ModelFile(save(make_model()), keys))
    assert "\n" not in str(caught.value)


def test_single_output_needs_no_name(make_model, save):
    interface = resolve(save(make_model(output="scores")))
    assert (interface.input.name, interface.outputs, interface.batch) == ("image", {"logits": "scores"}, None)


def test_fixed_batch_is_seen(make_model, save):
    assert resolve(save(make_model(batch=2))).batch == 2


def test_nhwc(make_model, save):
    path = save(make_model(layout="NHWC"))
    assert resolve(path, input={**INPUT, "layout": "NHWC"}).input.shape == ("batch", 8, 6, 3)
    with pytest.raises(ModelFileError, match=r'takes \(batch, 8, 6, 3\); set layout = "NHWC" of `input`'):
        resolve(path)


@pytest.mark.parametrize(("keys", "message"), [
    ({"input": {"size": [6, 8]}}, r"gives \(batch, 3, 6, 8\), but the graph's input 'image' takes \(batch, 3, 8, 6\)"),
    ({"input": {"size": [8, 6], "color": "GRAY"}}, r"\[8, 6\], NCHW, GRAY\) gives \(batch, 1, 8, 6\)"),
    ({"outputs": {"logits": "logit"}}, r"outputs\.logits = 'logit' is not an output .* did you mean \"logits\"\?; "),
    ({"input_name": "img"}, r"input_name = 'img' is not an input of the graph; .*inputs: image"),
    ({"classes": {"x": 4}}, r"classes\.x = 4, but output 'logits' has 4 classes"),
    ({"labels": ["a", "b", "c"]}, r"3 labels for 4 classes"),
    ({"task": "keypoints", "outputs": {"scores": "logits"}}, None),
])
def test_what_does_not_fit_the_graph(make_model, save, keys, message):
    path = save(make_model())
    if message is None:  # one required output and one in the graph: taken, whatever else is mapped
        assert resolve(path, **keys).outputs == {"keypoints": "logits", "scores": "logits"}
        return
    with pytest.raises(ModelFileError, match=message):
        resolve(path, **keys)


def test_several_outputs_need_a_name(make_model, save):
    from onnx import TensorProto, helper

    model = make_model(output="scores")
    model.graph.node.append(helper.make_node("Relu", ["scores"], ["more"]))
    model.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["batch", 4]))
    path = save(model)
    assert resolve(path, outputs={"logits": "more"}).outputs == {"logits": "more"}
    message = r"needs 'logits' \(N,C\), .* set outputs = \{ logits = \"NAME\" \}; .*outputs: scores .*, more float32"
    with pytest.raises(ModelFileError, match=message):
        resolve(path)


def test_two_inputs_are_refused(make_model, save):
    from onnx import TensorProto, helper

    model = make_model()
    model.graph.input.append(helper.make_tensor_value_info("size", TensorProto.FLOAT, [2]))
    model.graph.node.append(helper.make_node("Relu", ["size"], ["unused"]))
    model.graph.output.append(helper.make_tensor_value_info("unused", TensorProto.FLOAT, [2]))
    with pytest.raises(ModelFileError, match=r"this graph needs 2 inputs.*size float32 \(2\)"):
        resolve(save(model))
