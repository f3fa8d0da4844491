"""Class-wise non-maximum suppression at the end of an ONNX graph, by graph surgery.

torch's exporter has no good route to the operator; onnxruntime's kernel is fast, handles any batch and is stable: by
image, class and falling score, of equal scores the lowest anchor first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from harness.api import SsdDecoder, decode_ssd

RAW_BOXES, LOG_ODDS = "raw_boxes", "log_odds"
OUTPUTS = ("boxes", "scores", "labels", "image", "level")
_PREFIX = "nms."
_COUNT = "detections"


class Suppression:
    """A harness.api.Finish: raw_boxes (N, A, 4) edges and log_odds (N, A, C) -> OUTPUTS, other outputs stay.

    Log-odds rank the anchors, their sigmoids are the scores: probabilities saturate, so that ranks by them would hang
    on the last bit. decoder: thresholds and the number of anchors by level; size: [height, width] of the input.
    """

    def __init__(self, decoder: SsdDecoder, size: tuple[int, int], further: Sequence[str] = ()) -> None:
        self.decoder, self.size = decoder, size
        self.input_names: Sequence[str] = (RAW_BOXES, LOG_ODDS, *further)

    def append(self, model: onnx.ModelProto) -> None:
        """Replace the two raw outputs by OUTPUTS, in place."""
        graph = model.graph
        graph.initializer.extend(numpy_helper.from_array(value, _PREFIX + name)
                                 for name, value in self._constants().items())
        graph.node.extend(_nodes())
        kept = [output for output in graph.output if output.name not in (RAW_BOXES, LOG_ODDS)]
        del graph.output[:]
        graph.output.extend([*_outputs(), *kept])

    def reference(self, outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The same in numpy; raises KeyError when an output is missing."""
        further = {name: outputs[name] for name in self.input_names[2:]}
        return {**decode_ssd(self.decoder, outputs, self.size), **further}

    def raw_card(self) -> Mapping[str, Any]:
        return {"decoder": self.decoder.model_dump(mode="json", exclude_none=True)}

    def _constants(self) -> dict[str, NDArray[Any]]:
        threshold = np.log(self.decoder.score_threshold) - np.log1p(-self.decoder.score_threshold)
        levels = self.decoder.levels or [1]
        return {
            "most": np.array([self.decoder.max_detections], np.int64),
            "iou": np.array([self.decoder.iou_threshold], np.float32),
            "threshold": np.array([threshold], np.float32),
            "0": np.array(0, np.int64), "1": np.array(1, np.int64), "2": np.array(2, np.int64),
            "image-anchor": np.array([0, 2], np.int64),
            "levels": np.repeat(np.arange(len(levels), dtype=np.int64), levels),
        }


def _nodes() -> Iterator[onnx.NodeProto]:
    """The selection is (D, 3) int64: image, class, anchor."""
    def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, list(inputs), [output], name=_PREFIX + output.removeprefix(_PREFIX), **attributes)

    ranks, selection = _PREFIX + "ranks", _PREFIX + "selection"
    constants = [_PREFIX + name for name in ("most", "iou", "threshold")]
    yield node("Transpose", [LOG_ODDS], ranks, perm=[0, 2, 1])
    yield node("NonMaxSuppression", [RAW_BOXES, ranks, *constants], selection)
    yield node("Gather", [selection, _PREFIX + "0"], "image", axis=1)
    yield node("Gather", [selection, _PREFIX + "1"], "labels", axis=1)
    yield node("Gather", [selection, _PREFIX + "2"], _PREFIX + "anchor", axis=1)
    yield node("Gather", [selection, _PREFIX + "image-anchor"], _PREFIX + "where", axis=1)
    yield node("GatherND", [RAW_BOXES, _PREFIX + "where"], "boxes")
    yield node("GatherND", [ranks, selection], _PREFIX + "rank")
    yield node("Sigmoid", [_PREFIX + "rank"], "scores")
    yield node("Gather", [_PREFIX + "levels", _PREFIX + "anchor"], "level", axis=0)


def _outputs() -> Iterator[onnx.ValueInfoProto]:
    kinds = {"boxes": TensorProto.FLOAT, "scores": TensorProto.FLOAT}
    for name in OUTPUTS:
        shape: list[str | int | None] = [_COUNT, 4] if name == "boxes" else [_COUNT]
        yield helper.make_tensor_value_info(name, kinds.get(name, TensorProto.INT64), shape)
