"""The pydantic base of everything a suite can contain, and the value types that need the suite's context."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

BASE = "base"
"""Key of the validation context: the folder that relative paths start from."""


class Params(BaseModel):
    """Base of a plugin's parameters: frozen, unknown keys refused.

    A plugin's params model lives in a module that imports neither torch nor onnxruntime, because it is needed to
    validate and plan. Every field has a description; it appears in `harness plugins info` and in the editor's schema.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), use_attribute_docstrings=True)


def _relative_to_suite(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get(BASE)
    path = path.expanduser()
    return path if base is None or path.is_absolute() else Path(base) / path


SuitePath = Annotated[Path, AfterValidator(_relative_to_suite)]
"""A path in a suite: relative to the suite file, `~` expanded."""
