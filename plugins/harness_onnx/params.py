"""Parameters of the `onnx` model."""

from __future__ import annotations

from pydantic import field_validator

from harness.api import TASKS, InputSpec, Params, SsdDecoder, SuitePath, TileSpec, did_you_mean, one_of


class OnnxParams(Params):
    """Any ONNX file; what its own metadata says need not be repeated here."""

    path: SuitePath
    """The file; `{precision}` in it stands for fp32, fp16 or int8."""
    task: str | None = None
    """What it predicts; by default the file's metadata says it."""
    input: InputSpec | None = None
    """Preprocessing; by default the file's metadata says it."""
    input_name: str | None = None
    """Name of the graph's image input; by default its only input."""
    outputs: dict[str, str] | None = None
    """Task output -> graph output, where the names differ."""
    labels: list[str] | SuitePath | None = None
    """Name of each class index, or a text file with one name per line."""
    classes: dict[str, int] | None = None
    """Dataset label name -> class index, where the names differ from `labels`."""
    decoder: SsdDecoder | None = None
    """Thresholds and suppression on the host, for a detector whose graph ends with raw boxes and scores."""
    tile: TileSpec | None = None
    """With fit = "tile" of `input`, for a fully convolutional segmentation graph of free height and width: images of
    any size, in overlapping pieces."""
    cam_layer: str | None = None
    """Tensor that class activation methods explain by default."""

    @field_validator("task")
    @classmethod
    def _known(cls, task: str | None) -> str | None:
        if task is not None and task not in TASKS:
            raise ValueError(f"unknown task {task!r}{did_you_mean(task, TASKS)}; one of {one_of(TASKS)}")
        return task
