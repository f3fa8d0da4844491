"""A model file described by KEY=VALUE settings: what a suite's table says of a model, without a suite."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.card import InputSpec, ModelCard
from harness.contracts import ModelFile, TensorInfo
from harness.errors import ModelFileError, UsageError, did_you_mean, one_of

_OWN = ("task", "input_name", "outputs", "labels", "classes", "cam_layer", "decoder")
_SCALE = ("range", "mean", "std")


def parse_settings(items: Iterable[str], option: str) -> dict[str, Any]:
    """["size=[192, 192]", "outputs.logits=prob"] -> nested values; a value is TOML, or text where it is not.

    192,192 is a list as well. Raises UsageError for an item without "=".
    """
    settings: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{option} {item}: write KEY=VALUE")
        target, parts = settings, key.strip().split(".")
        for part in parts[:-1]:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise UsageError(f"{option} {item}: {part!r} has a value of its own")
        target[parts[-1]] = _value(text.strip())
    return settings


def described_card(path: Path, settings: Mapping[str, Any]) -> ModelCard:
    """The file's own card, with the settings over it; what the graph itself says need not be given.

    settings: keys of InputSpec (size, range, ...) and of ModelCard (task, labels, outputs, ...). The task is
    classification unless something says otherwise. Raises UsageError for an unknown key, ModelFileError where size or
    scale of the input are not known: they are never guessed.
    """
    from harness.onnx.metadata import graph_interface, read_card
    from harness.onnx.models import load_card

    given = {**settings, **settings.get("input", {})}
    given.pop("input", None)
    known = [*InputSpec.model_fields, *_OWN]
    for key in given:
        if key not in known:
            raise UsageError(f"--input {key}=...: there is no such key{did_you_mean(key, known)} (known: "
                             f"{one_of(known, len(known))})")
    facts = {"task": "classification", **(read_card(path) or {})}
    own = {key: given.pop(key) for key in _OWN if key in given}
    spec = {**(facts.get("input") or {}), **_size_as_list(given)}
    if any(key in given for key in _SCALE):
        spec = {key: value for key, value in spec.items() if key not in _SCALE or key in given}
    inputs, _ = graph_interface(path)
    _complete(path, spec, inputs)
    if not facts.get("input") and not any(key in given for key in _SCALE):
        raise ModelFileError(
            f"{path}: neither the file nor an option says how pixels are scaled; give what the model was trained with: "
            "--input range=[0,1] or --input range=[-1,1] or --input mean=[0.485,0.456,0.406] with --input "
            "std=[0.229,0.224,0.225]")
    return load_card(ModelFile(path, {**facts, **own, "input": spec}))


def _value(text: str) -> Any:
    for attempt in (text, f"[{text}]" if "," in text else text):
        try:
            return tomllib.loads(f"value = {attempt}")["value"]
        except tomllib.TOMLDecodeError:
            continue
    return text


def _size_as_list(given: Mapping[str, Any]) -> dict[str, Any]:
    """size=224 is a square."""
    size = given.get("size")
    return {**given, "size": [size, size]} if isinstance(size, int) else dict(given)


def _complete(path: Path, spec: dict[str, Any], inputs: list[TensorInfo]) -> None:
    """Add layout, size and color as far as the graph says them. Raises ModelFileError for what is still missing."""
    shape = inputs[0].shape if len(inputs) == 1 else ()
    if len(shape) == 4:
        last = shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4)
        layout = spec.setdefault("layout", "NHWC" if last else "NCHW")
        size, channels = (shape[1:3], shape[3]) if layout == "NHWC" else (shape[2:], shape[1])
        if all(isinstance(side, int) and side > 0 for side in size):
            spec.setdefault("size", list(size))
        if channels in (1, 4):
            spec.setdefault("color", "GRAY" if channels == 1 else "RGBA")
    if "size" not in spec:
        raise ModelFileError(f"{path}: nothing says at which size its input is fed, and the graph leaves it open; give "
                             "--input size=[HEIGHT,WIDTH], e.g. --input size=[224,224]")
