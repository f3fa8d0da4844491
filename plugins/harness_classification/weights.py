"""Weights from a file: a standard state dict, as safetensors or as torch saves it, never arbitrary pickles."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.api import ModelFileError

_MOST = 10
"""Names listed for each kind of difference."""


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill all parameters and buffers of a network from a state dict.

    Raises ModelFileError when the file is missing, holds anything but tensors, or tensors with other names or shapes.
    """
    state = read_state_dict(path)
    expected = module.state_dict()
    # A counter that old files lack and that inference does not read.
    missing = [name for name in expected if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in expected]
    reshaped = [f"{name} {_shape(state[name])} instead of {_shape(expected[name])}"
                for name in expected if name in state and state[name].shape != expected[name].shape]
    if missing or unexpected or reshaped:
        listed = "; ".join(filter(None, [_listed("missing", missing), _listed("unexpected", unexpected),
                                         _listed("of another shape", reshaped)]))
        raise ModelFileError(f"{path}: the weights of another network: {listed}; correct depth, width, batch_norm or "
                             "the number of labels, or name another file in `weights`")
    module.load_state_dict({**expected, **state})


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Name -> tensor; raises ModelFileError when the file is missing, damaged or no state dict."""
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file of weights; correct `weights`")
    try:
        state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, AttributeError, pickle.UnpicklingError) as error:
        raise ModelFileError(f"{path}: can not be read as a file of weights (.safetensors, or what torch.save wrote "
                             f"without any code in it): {_first_line(error)}") from error
    if not isinstance(state, dict) or not state:
        raise ModelFileError(f"{path}: holds a {type(state).__name__}, not a state dict; {_WAY_OUT}")
    if wrong := [str(name) for name, value in state.items() if not isinstance(value, Tensor)]:
        raise ModelFileError(f"{path}: {_listed('entries that are no tensors', wrong)}; {_WAY_OUT}")
    return state


_WAY_OUT = "save the network alone: torch.save(module.state_dict(), path)"


def _read_safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _read_torch(path: Path) -> object:
    state: object = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f", ... ({len(names)} in all)" if len(names) > _MOST else ""
    return f"{what}: {', '.join(names[:_MOST])}{more}"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
