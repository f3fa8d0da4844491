"""An explainer written as one ONNX file that runs anywhere, and checked by running it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from harness.errors import CellError, UsageError
from harness.explaining import GraphExplainer
from harness.explanation import Method, Subject
from harness.onnx.interface import shape_text
from harness.onnx.session import open_session
from harness.onnx.sharing import save_sharing
from harness.showing import Explained

KEY = "harness.explainer"
"""Metadata entry: method, parameters, layer, and how the image is prepared."""
_SAME = 1e-3


def export_explainer(path: Path, subject: Subject, method: Method, explained: Sequence[Explained], *,
                     share_weights: bool = False) -> Iterator[str]:
    """Write the graph, run it on what was explained, and say what it takes and gives, line by line.

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
        for row in explained:
            _compare(path, session.run(_feeds(model, generator, row))["saliency"][0], row.maps[0])
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


def _feeds(model: onnx.ModelProto, generator: GraphExplainer, row: Explained) -> dict[str, NDArray[Any]]:
    from harness.stats import stable_seed

    inputs, seeds = row.photograph.inputs, [stable_seed(0, row.photograph.path.stem)]
    further = generator.generator.feeds(inputs, seeds)
    return {model.graph.input[0].name: inputs, "class": np.array([row.index]), **further}


def _compare(path: Path, found: NDArray[Any], expected: NDArray[Any]) -> None:
    limit = _SAME * max(float(np.abs(expected).max()), 1e-30)
    if found.shape != expected.shape or not np.abs(found - expected).max() <= limit:
        raise CellError(f"{path}: the exported explainer gives other maps than the method; please report this")
