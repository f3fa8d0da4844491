"""What all checks share: one kind of failure, and equality of columns and tables."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from harness.table import Column, Ragged, Table


class ConformanceError(AssertionError):
    """A plugin breaks its contract; the message says which rule."""


def expect(condition: object, message: str) -> None:
    """Raises ConformanceError with the message unless the condition holds."""
    if not condition:
        raise ConformanceError(message)


def same(one: Any, other: Any) -> bool:
    """Deep equality of what plugins return; arrays by dtype, shape and value, NaN equal to NaN."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and _same_values(one, other)
    if is_dataclass(one) and not isinstance(one, type):
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def expect_close(one: Table, other: Table, message: str, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Two tables hold the same rows; floating point columns up to the tolerances."""
    expect(set(one) == set(other), f"{message}: columns {sorted(one)} and {sorted(other)}")
    for name in one:
        expect(_close(one[name], other[name], rtol, atol), f'{message}: column "{name}" differs')


def _close(one: Column, other: Column, rtol: float, atol: float) -> bool:
    if isinstance(one, Ragged) or isinstance(other, Ragged):
        return (isinstance(one, Ragged) and isinstance(other, Ragged) and np.array_equal(one.offsets, other.offsets)
                and _close(one.values, other.values, rtol, atol))
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind in "fc":
        return bool(np.allclose(one, other, rtol, atol, equal_nan=True))
    return np.array_equal(one, other)


def _same_values(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
