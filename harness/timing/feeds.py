"""A graph of which nothing is known but its inputs: any number of them, of any shape and type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.contracts import InferenceSession, ModelFile
from harness.errors import DataError, UsageError
from harness.opened import backend_of, opened_path
from harness.plan import Cell, FeedSpec, LatencySetting
from harness.stats import stable_seed

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class BareModel:
    """A session with what it is fed."""

    session: InferenceSession
    feeds: Mapping[str, Array]

    def run_once(self) -> None:
        """One inference whose outputs nobody wants."""
        self.session.run(self.feeds)


@contextmanager
def open_bare(cell: Cell, file: ModelFile, setting: LatencySetting) -> Iterator[BareModel]:
    """The cell's graph on its backend; closed at the end. Raises as the backend does, DataError for a bad file."""
    session = backend_of(cell).open(opened_path(cell, file), threads=setting.threads)
    try:
        yield BareModel(session, arrays(setting.feeds or (), cell.seed))
    finally:
        session.close()


def arrays(specs: Sequence[FeedSpec], seed: int) -> dict[str, Array]:
    """What each input is fed, the same for the same seed: its file, or noise."""
    return {spec.name: _load(spec) if spec.file else synthetic(spec, seed) for spec in specs}


def synthetic(spec: FeedSpec, seed: int) -> Array:
    """Floats from 0 to 1, integers and booleans 0 or 1, which are valid indices and masks nearly everywhere."""
    rng = np.random.default_rng(stable_seed("feed", spec.name, seed))
    kind = np.dtype(spec.dtype)
    if kind.kind == "f":
        return rng.random(spec.shape, np.float32).astype(kind)
    if kind.kind in "iub":
        return rng.integers(0, 2, spec.shape).astype(kind)
    raise UsageError(f"input {spec.name!r} takes {spec.dtype}, of which no values can be made up; give them: "
                     f"--input {spec.name}=FILE.npy")


def _load(spec: FeedSpec) -> Array:
    try:
        array: Array = np.load(str(spec.file), allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{spec.file}: can not be read as a .npy file: {error}") from error
    return array.astype(spec.dtype, copy=False)
