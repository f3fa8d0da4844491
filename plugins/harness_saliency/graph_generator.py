"""What all generators that work inside of a graph share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class NoFeeds:
    """A GraphGenerator whose graph takes images and classes only."""

    def feeds(self, inputs: NDArray[np.float32], seeds: Sequence[int]) -> Mapping[str, NDArray[Any]]:
        del inputs, seeds
        return {}
