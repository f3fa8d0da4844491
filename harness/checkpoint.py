"""What training leaves behind: weights and optimizer state as safetensors, the record of the run as JSON.

A checkpoint folder holds `last.safetensors` (everything needed to go on to the same result), `best.safetensors` (the
weights with the lowest validation loss) and `training.json`. Each file is replaced atomically.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from harness.errors import ModelFileError
from harness.files import write_bytes, write_text
from harness.results import Record

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

LAST, BEST, RECORD = "last.safetensors", "best.safetensors", "training.json"
_STATE = "harness"
_MODEL, _OPTIMIZER, _RNG, _SNAPSHOTS = "model.", "optimizer.", "rng.torch", "snapshots."


class Epoch(Record):
    """One epoch of training; losses are means over samples."""

    epoch: int
    """From 1."""
    train_loss: float
    val_loss: float
    seconds: float
    """Wall time, validation included."""


class TrainingRecord(Record):
    """`training.json`: what was trained, how, and how it went."""

    model_config = ConfigDict(populate_by_name=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    id: str
    model: str
    """The model plugin's name."""
    provider: str
    """The plugin and its version."""
    params: dict[str, Any]
    """Of the model."""
    recipe: dict[str, Any]
    history: list[Epoch] = []
    best_epoch: int | None = None
    producer: dict[str, str] = {}

    def same_run(self, other: TrainingRecord) -> list[str]:
        """What differs between two runs apart from progress and length; empty when one can continue the other."""
        mine, theirs = (_flat(record) for record in (self, other))
        return [f"{key} = {mine.get(key)!r} in the checkpoint, {theirs.get(key)!r} now"
                for key in sorted(mine.keys() | theirs.keys()) if mine.get(key) != theirs.get(key)]


def _flat(record: TrainingRecord) -> dict[str, Any]:
    ignored = {"test_count", "metrics"}
    if record.recipe.get("schedule", "constant") == "constant":  # other schedules depend on the length
        ignored.add("epochs")
    recipe = {f"train.{key}": value for key, value in record.recipe.items() if key not in ignored}
    return {"model": record.model, **record.params, **recipe}


def save_record(folder: Path, record: TrainingRecord) -> None:
    write_text(folder / RECORD, record.model_dump_json(indent=2, by_alias=True) + "\n")


def load_record(folder: Path) -> TrainingRecord:
    """Raises ModelFileError when the folder is no checkpoint of this version."""
    path = folder / RECORD
    try:
        return TrainingRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ModelFileError(f"{folder}: not a checkpoint folder, it has no {RECORD}; "
                             "`harness train SUITE` makes one") from None
    except (OSError, ValidationError) as error:
        raise ModelFileError(f"{path}: can not be used: {error}; train again") from error


def save_weights(path: Path, module: nn.Module) -> None:
    """The network's parameters and buffers alone."""
    from safetensors.torch import save

    write_bytes(path, save({name: tensor.contiguous() for name, tensor in module.state_dict().items()}))


def load_weights(path: Path, module: nn.Module) -> None:
    """Raises ModelFileError when the file is missing, damaged or of another network."""
    try:
        module.load_state_dict(_load(path)[0])
    except RuntimeError as error:
        raise ModelFileError(f"{path}: holds the weights of another network: {error}") from error


def save_state(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, snapshots: Mapping[str, Tensor],
               record: TrainingRecord) -> None:
    """Everything needed to continue: weights, optimizer, generator, snapshots so far, and the record, in one file."""
    import torch
    from safetensors.torch import save

    state = optimizer.state_dict()
    tensors = {_MODEL + name: tensor for name, tensor in module.state_dict().items()}
    tensors |= {f"{_OPTIMIZER}{index}.{key}": value for index, slots in state["state"].items()
                for key, value in slots.items()}
    tensors |= {_SNAPSHOTS + name: tensor for name, tensor in snapshots.items()}
    tensors[_RNG] = torch.get_rng_state()
    header = {"groups": state["param_groups"], "record": record.model_dump(mode="json", by_alias=True)}
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()}, {_STATE: json.dumps(header)})
    write_bytes(path, content)


def load_state(path: Path, module: nn.Module,
               optimizer: torch.optim.Optimizer) -> tuple[TrainingRecord, dict[str, Tensor]]:
    """Restore what `save_state` wrote; returns the record and the snapshots.

    Raises ModelFileError when the file is missing, damaged or of another network.
    """
    import torch

    tensors, metadata = _load(path)
    try:
        header = json.loads(metadata[_STATE])
        record = TrainingRecord.model_validate(header["record"])
        module.load_state_dict(_part(tensors, _MODEL))
        slots = _slots(_part(tensors, _OPTIMIZER), optimizer)
        optimizer.load_state_dict({"state": slots, "param_groups": header["groups"]})
        torch.set_rng_state(tensors[_RNG])
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"{path}: is no training state of this model: {error}; train without --resume") from error
    return record, _part(tensors, _SNAPSHOTS)


def load_snapshots(path: Path) -> dict[str, NDArray[Any]]:
    """Those of a training state: maps (epochs, samples, ...) uint8 from range[0] to range[1], epoch (epochs,)."""
    return {name: tensor.numpy() for name, tensor in _part(_load(path)[0], _SNAPSHOTS).items()}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _slots(tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    """Optimizer state by parameter, in each parameter's own memory layout: another one rounds differently."""
    import torch

    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        parameter = parameters[int(index)]
        same = value.shape == parameter.shape
        slots.setdefault(int(index), {})[key] = torch.empty_like(parameter).copy_(value) if same else value
    return slots


def _load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such checkpoint; `harness train SUITE` makes one") from None
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path}: can not be read ({error}); train again") from error
