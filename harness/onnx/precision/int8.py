"""Static quantization to int8 (Jacob 2018, section 2): activations u8 with a zero point, weights s8 by channel.

The file is plain ONNX: QuantizeLinear and DequantizeLinear around float operators, which runtimes fuse into integer
kernels. Ranges come from calibration samples.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from harness.onnx.precision.body import Body, find_body, nodes_of, weights_of
from harness.onnx.precision.settings import Int8Settings
from harness.onnx.runtime import onnxruntime

if TYPE_CHECKING:
    import onnx

Feeds = Mapping[str, NDArray[Any]]

CARRIED = frozenset({"Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "LeakyRelu", "MaxPool",
                     "Mul", "Pad", "Relu", "Reshape", "Resize", "Sigmoid", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators between layers that runtimes have integer kernels for, or that only move values."""
_FLOAT_LAYERS = frozenset({"ConvTranspose"})
"""Layers that onnxruntime has no integer kernel for."""


def quantizable(model: onnx.ModelProto, settings: Int8Settings) -> Body:
    """The nodes that int8 may compute; layers without a reason to stay in float. Raises ModelFileError for none."""
    body = find_body(model)
    weights = weights_of(model)
    layers = [node.name for node in nodes_of(model, body.weighted)
              if node.op_type not in _FLOAT_LAYERS and not _few_channels(node, weights, settings.min_channels)]
    carried = [node.name for node in nodes_of(model, body.carried) if node.op_type in CARRIED]
    return Body(tuple(layers), tuple(carried))


class Quantizer:
    """One graph, calibrated once; quantized as often as needed with other layers left in float."""

    def __init__(self, model: onnx.ModelProto, feeds: Iterable[Feeds], settings: Int8Settings) -> None:
        """model: as `prepare.prepared` gives it; feeds: calibration samples by input name."""
        self.model, self.settings = model, settings
        self.body = quantizable(model, settings)
        self._kinds = sorted({node.op_type for node in nodes_of(model, (*self.body.weighted, *self.body.carried))})
        with _quiet():
            self._ranges = _calibrate(model, feeds, self._kinds, settings.method)

    def quantized(self, float_layers: Collection[str] = ()) -> onnx.ModelProto:
        """The graph with all quantizable nodes in int8 but the named ones; the metadata stays."""
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        chosen = [name for name in (*self.body.weighted, *self.body.carried) if name not in float_layers]
        with _quiet():
            quantizer = QDQQuantizer(
                deepcopy(self.model), per_channel=self.settings.per_channel, reduce_range=self.settings.reduce_range,
                weight_qType=QuantType.QInt8, activation_qType=QuantType.QUInt8, tensors_range=self._ranges,
                nodes_to_quantize=chosen, nodes_to_exclude=[], op_types_to_quantize=self._kinds, extra_options={})
            quantizer.quantize_model()
            quantizer.model.topological_sort()
        result: onnx.ModelProto = quantizer.model.model
        del result.metadata_props[:]
        result.metadata_props.extend(self.model.metadata_props)
        return result


def _few_channels(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto], least: int) -> bool:
    """Depthwise convolutions have one input channel for each group, and integer kernels of their own."""
    group = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return node.op_type == "Conv" and group == 1 and weights[node.input[1]].dims[1] < least


def _calibrate(model: onnx.ModelProto, feeds: Iterable[Feeds], kinds: list[str], method: str) -> Any:
    import onnx
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator

    methods = {"minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile,
               "entropy": CalibrationMethod.Entropy}
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, str(path))
        calibrator = create_calibrator(path, kinds, augmented_model_path=str(Path(folder) / "augmented.onnx"),
                                       calibrate_method=methods[method])
        calibrator.collect_data(_Reader(iter(feeds)))
        ranges = calibrator.compute_data()
        calibrator.infer_session = None  # it holds the file, which Windows could not delete
    return ranges


class _Reader:
    """onnxruntime's CalibrationDataReader: samples one by one, None at the end."""

    def __init__(self, feeds: Iterator[Feeds]) -> None:
        self._feeds = feeds

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        found = next(self._feeds, None)
        return None if found is None else dict(found)

    def __iter__(self) -> _Reader:
        return self

    def __next__(self) -> dict[str, NDArray[Any]]:
        found = self.get_next()
        if found is None:
            raise StopIteration
        return found


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer advises its own preprocessing in warnings; this is it."""
    onnxruntime()
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
