"""Loops that numpy cannot express, compiled by numba and cached on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function as machine code: strict IEEE arithmetic, no Python objects; compiled at its first call."""
    dispatcher: Function = numba.njit(cache=True)(function)
    return dispatcher
