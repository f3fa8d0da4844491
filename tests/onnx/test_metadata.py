"""The card in a file: round trip, and damage found without loading weights."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from harness.api import InputSpec, ModelCard
from harness.errors import ModelFileError
from harness.onnx.metadata import graph_interface, read_card, read_metadata, write_card

CARD = ModelCard(task="classification", input=InputSpec(size=(8, 6), mean=[0.5] * 3, std=[0.25] * 3),
                 outputs={"logits": "logits"}, labels=["a", "ü", "c", "d"], classes={"x": 1}, cam_layer="r",
                 recipe={"epochs": 3}, weights_sha256="0" * 64, producer={"torch": "2.13"})


def test_round_trip_keeps_other_metadata(make_model, save):
    model = make_model()
    model.metadata_props.add(key="author", value="someone")
    write_card(model, CARD)
    write_card(model, CARD)
    path = save(model)
    assert ModelCard.model_validate(read_card(path)) == CARD
    assert read_metadata(path)["author"] == "someone"
    assert sorted(read_metadata(path)) == ["author", "harness"]
    onnx.checker.check_model(onnx.load(str(path)))


def test_a_file_without_card_has_none(make_model, save):
    assert read_card(save(make_model())) is None


@given(entries=st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=5))
def test_metadata_equals_onnx(tmp_path_factory, entries):
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], []))
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)
    path = tmp_path_factory.mktemp("metadata") / "model.onnx"
    onnx.save(model, str(path))
    assert read_metadata(path) == {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props} == entries


@pytest.mark.parametrize("text", ["{", "[1]", "12"])
def test_damaged_card_is_named(make_model, save, text):
    model = make_model()
    model.metadata_props.add(key="harness", value=text)
    with pytest.raises(ModelFileError, match="'harness' is not"):
        read_card(save(model))


@given(cut=st.integers(0, 10_000))
def test_a_truncated_file_is_never_read_as_whole(tmp_path_factory, cut):
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], [],
                              [numpy_helper.from_array(np.zeros(500, np.float32), "w")])
    model = helper.make_model(graph)
    write_card(model, CARD)
    whole = model.SerializeToString()
    path = tmp_path_factory.mktemp("cut") / "model.onnx"
    cut %= len(whole)
    path.write_bytes(whole[:cut])
    without = [onnx.ModelProto(ir_version=model.ir_version, graph=model.graph, opset_import=opsets)
               for opsets in ([], model.opset_import)]
    if cut in [part.ByteSize() for part in without]:  # cut between two fields: a whole model without metadata
        assert read_card(path) is None
        return
    with pytest.raises(ModelFileError, match="truncated"):
        read_card(path)


@pytest.mark.parametrize("content", [b"", b"no network at all", b"\x89PNG\r\n\x1a\n" + bytes(64), bytes(100)])
def test_other_files_are_not_onnx(tmp_path, content):
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="not an ONNX file"):
        read_card(path)


def test_missing_file(tmp_path):
    with pytest.raises(ModelFileError, match="no such model file"):
        read_card(tmp_path / "none.onnx")


def test_graph_interface(make_model, save, tmp_path):
    inputs, outputs = graph_interface(save(make_model(batch=None)))
    assert [(i.name, i.dtype, i.shape) for i in inputs] == [("image", "float32", (None, 3, 8, 6))]
    assert [(o.name, o.dtype, o.shape) for o in outputs] == [("logits", "float32", (None, 4))]
    (tmp_path / "junk.onnx").write_bytes(b"no network at all")
    with pytest.raises(ModelFileError, match="can not be read as ONNX"):
        graph_interface(tmp_path / "junk.onnx")
