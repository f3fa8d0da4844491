"""Compilation of inner loops with numba, kept between processes where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function as machine code, made at its first call (some seconds) and kept in numba's cache.

    The cache lies beside the source file or, where that can not be written, in the user's cache folder
    (NUMBA_CACHE_DIR overrides both). Where neither can be written each process compiles anew.
    """
    return _compiled(function)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """The same for a part of an inner loop, which becomes part of its callers; it must not make arrays.

    Without numba's reference counting, whose atomic operations for every array argument of every call would cost more
    than a small function does.
    """
    return _compiled(function, forceinline=True, _nrt=False)


def _compiled(function: Callable[P, R], **more: bool) -> Callable[P, R]:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", **more}
    try:
        made = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba's "no locator available": there is no folder that it may write to
        made = numba.njit(**options)(function)
    return cast("Callable[P, R]", made)
