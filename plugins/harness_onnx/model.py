"""From the suite's table to the file and what is declared about it."""

from __future__ import annotations

from pathlib import Path

from harness.api import ModelFile, ModelFileError, ModelRequest
from harness_onnx.params import OnnxParams


def locate(params: OnnxParams, request: ModelRequest) -> ModelFile:
    """The file of the requested precision; a path without `{precision}` is the one file there is, taken as fp32.

    Raises ModelFileError when another precision is asked of a path that names only one.
    """
    pattern = str(request.export or params.path)
    if "{precision}" not in pattern and request.precision != "fp32":
        raise ModelFileError(f"models.{request.id}: no {request.precision} file: `path` names the single file "
                             f"{pattern}; write {{precision}} in it where the files differ")
    card = params.model_dump(mode="json", exclude={"path"}, exclude_none=True)
    return ModelFile(Path(pattern.replace("{precision}", request.precision)), card)
