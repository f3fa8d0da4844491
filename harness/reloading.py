"""A trained network from its export: what torch runs, and what another export is made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness import checkpoint
from harness.errors import ModelFileError
from harness.exports import WEIGHTS, load_export
from harness.host import Host
from harness.specs import ModelSpec
from harness.train import create_model, validated

if TYPE_CHECKING:
    from torch import nn

    from harness.trainable import Trainable


class Reloaded(NamedTuple):
    """model: the plugin's trainable; module: its network with the export's weights; input_name: of its ONNX graph."""

    model: Trainable
    module: nn.Module
    input_name: str


def reload(folder: Path, host: Host | None = None) -> Reloaded:
    """The network of an export folder; host: by default all installed plugins.

    Raises ModelFileError when the folder is no export or has no weights, MissingDependency without torch, PluginError
    when the model's plugin is not there.
    """
    record = load_export(folder)
    if record.weights is None:
        raise ModelFileError(f"{folder}: has no {WEIGHTS}, it was exported by an earlier version; export its "
                             "checkpoint again")
    spec = (host or Host.discover()).spec(ModelSpec, record.model)
    model = create_model(spec, validated(spec, record.params))
    module = model.build()
    checkpoint.load_weights(folder / record.weights.file, module)
    from harness.export import input_name

    return Reloaded(model, module, input_name(model))
