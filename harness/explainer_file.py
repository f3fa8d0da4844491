"""An explainer written as one ONNX file that runs anywhere, and checked by running it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from harness.errors import CellError, UsageError
from harness.explaining import GraphExplainer
from harness.explanation import Method, Subject
from harness.handle import run_fitted
from harness.host import blame
from harness.onnx.interface import batch_size, shape_text
from harness.onnx.session import open_session
from harness.onnx.sharing import save_sharing
from harness.showing import Explained
from harness.stats import stable_seed

KEY = "harness.explainer"
"""Metadata entry: method, parameters, layer, and how the image is prepared."""
_SAME = 1e-3


def export_explainer(path: Path, subject: Subject, method: Method, explained: Sequence[Explained], *,
                     share_weights: bool = False) -> Iterator[str]:
    """Write the graph, run it on what was explained, or else on noise, and say what it takes and gives, line by line.

    share_weights: refer to the weights in the model's file instead of holding them. Raises CellError when the file
    gives other maps than the explanations, ModelFileError when the model's file is not in its folder or below,
    UsageError when it can not be written.
    """
    generator = method.generator
    if not isinstance(generator, GraphExplainer):
        raise UsageError(f"--export: {method.name} runs on the host and is no graph")
    model = generator.build(subject.handle.graph, subject.card)
    onnx.helper.set_model_props(model, {**{entry.key: entry.value for entry in model.metadata_props},
                                        KEY: json.dumps(_facts(subject, method))})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if share_weights:
            save_sharing(model, path, subject.path)
        else:
            onnx.save_model(model, str(path))
    except OSError as error:
        raise UsageError(f"--export {path}: can not be written: {error.strerror}") from error
    session = open_session(path)
    try:
        for case in [_Case.of(row) for row in explained] or [_on_noise(subject, method)]:
            found = run_fitted(session, _feeds(model, generator, case), batch_size(session.inputs[0]))
            _compare(path, found["saliency"][0], case.expected)
        beside = f", with the weights in {subject.path}" if share_weights else ""
        yield f"explainer: {path} ({path.stat().st_size / 1e6:.2f} MB{beside})"
        for what, infos in (("input", session.inputs), ("output", session.outputs)):
            yield from (f"  {what}: {info.name} {info.dtype} {shape_text(info.shape)}" for info in infos)
    finally:
        session.close()


def _facts(subject: Subject, method: Method) -> dict[str, Any]:
    return {"method": method.name, "provider": str(method.spec.provider), "conventions": list(method.spec.conventions),
            "params": method.params.model_dump(mode="json"), "layer": subject.layer or None, "task": subject.card.task,
            "labels": subject.card.labels, "input": subject.card.input.model_dump(mode="json", exclude_none=True)}


class _Case(NamedTuple):
    """One image (1, ...) float32 with its map (h, w) by the method itself."""

    inputs: NDArray[np.float32]
    class_: int
    seed: int
    expected: NDArray[np.float32]

    @classmethod
    def of(cls, row: Explained) -> _Case:
        return cls(row.photograph.inputs, row.index, stable_seed(0, row.photograph.path.stem), row.maps[0])


def _on_noise(subject: Subject, method: Method) -> _Case:
    spec = subject.card.input
    shape = (spec.channels, *spec.size) if spec.layout == "NCHW" else (*spec.size, spec.channels)
    inputs = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    with blame(method.spec):
        maps = method.generator.explain(subject.handle, inputs, np.array([0], np.int64), [0])
    return _Case(inputs, 0, 0, maps[0])


def _feeds(model: onnx.ModelProto, generator: GraphExplainer, case: _Case) -> dict[str, NDArray[Any]]:
    further = generator.generator.feeds(case.inputs, [case.seed])
    return {model.graph.input[0].name: case.inputs, "class": np.array([case.class_], np.int64), **further}


def _compare(path: Path, found: NDArray[Any], expected: NDArray[Any]) -> None:
    limit = _SAME * max(float(np.abs(expected).max()), 1e-30)
    if found.shape != expected.shape or not np.abs(found - expected).max() <= limit:
        raise CellError(f"{path}: the exported explainer gives other maps than the method; please report this")
