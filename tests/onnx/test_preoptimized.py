"""Graphs kept as onnxruntime optimized them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from harness.errors import ModelFileError
from harness.onnx.preoptimized import preoptimized
from harness.onnx.session import open_session
from harness_runtime.backends import CpuBackend
from harness_runtime.params import CpuParams


def test_the_file_is_made_once_and_gives_the_same(make_model, save):
    path = save(make_model())
    kept = preoptimized(path, "all")
    before = kept.stat().st_mtime_ns
    assert preoptimized(path, "all") == kept != path
    assert kept.stat().st_mtime_ns == before
    assert preoptimized(path, "basic") != kept
    assert preoptimized(path, "none") == path
    image = np.random.default_rng(0).random((2, 3, 8, 6), np.float32)
    session = CpuBackend(CpuParams(preoptimize=True)).open(path, threads=1)
    found, expected = (each.run({"image": image})["logits"] for each in (session, open_session(path)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert session.path == kept


def test_another_graph_is_another_file(make_model, save):
    one, other = save(make_model()), save(make_model(batch=2), "other.onnx")
    assert preoptimized(one, "all").parent != preoptimized(other, "all").parent


def test_other_weights_beside_the_same_graph_are_another_file(make_model, tmp_path):
    path = tmp_path / "tiny.onnx"
    image = np.random.default_rng(0).random((2, 3, 8, 6), np.float32)
    kept = []
    for sign in (1, -1):
        model = make_model()
        weights = numpy_helper.to_array(model.graph.initializer[0])
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(sign * weights, "weights"))
        (tmp_path / "tiny.data").unlink(missing_ok=True)
        onnx.save(model, str(path), save_as_external_data=True, location="tiny.data", size_threshold=64)
        kept.append(preoptimized(path, "basic"))
        found, expected = (open_session(each).run({"image": image})["logits"] for each in (kept[-1], path))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert kept[0] != kept[1]


def test_what_can_not_be_optimized(tmp_path):
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelFileError, match=r"text\.onnx"):
        preoptimized(tmp_path / "text.onnx", "all")
    with pytest.raises(ModelFileError, match=r"absent\.onnx"):
        preoptimized(tmp_path / "absent.onnx", "all")
