"""Maps from inside of a network that are looked at and not judged: heatmaps, activations of feature levels.

They are outputs of a task that are not stored with the predictions (`Output.stored`): only those of the samples that
may be shown are kept, as float16.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.resample import resize_maps
from harness.table import Array, Table
from harness.tasks import Task

ROW = "row"
"""The column of a kept table that gives each entry's row of the predictions."""


@dataclass(slots=True)
class Keeper:
    """Keeps the maps of some rows as batches pass. rows: of the predictions; seen: rows that have passed."""

    task: Task
    rows: Collection[int]
    seen: int = 0
    kept: list[tuple[int, dict[str, NDArray[np.float16]]]] = field(default_factory=list)

    def see(self, outputs: Mapping[str, Array], count: int) -> None:
        """outputs: of one batch of `count` samples, in model input pixels."""
        names = [output.name for output in self.task.outputs if not output.stored and output.name in outputs]
        for index in range(count if names else 0):
            if self.seen + index in self.rows:
                self.kept.append((self.seen + index,
                                  {name: outputs[name][index].astype(np.float16) for name in names}))
        self.seen += count

    def table(self) -> Table | None:
        """The columns ROW and one for each output, (n, C, h, w) float16; None where nothing was kept."""
        if not self.kept:
            return None
        names = self.kept[0][1]
        return Table({ROW: np.array([row for row, _ in self.kept], np.int64),
                      **{name: np.stack([maps[name] for _, maps in self.kept]) for name in names}})


def maps_of(table: Table | None, row: int, task: Task, size: tuple[int, int]) -> dict[str, NDArray[np.float32]]:
    """By title, the (H, W) maps of one row at the model's input size [height, width], as its task wants them shown."""
    if table is None or row not in table.dense(ROW):
        return {}
    place = int(np.flatnonzero(table.dense(ROW) == row)[0])
    result: dict[str, NDArray[np.float32]] = {}
    for output in task.outputs:
        if output.name not in table:
            continue
        maps = resize_maps(table.dense(output.name)[place], size)
        if output.shown == "maximum":
            result[output.name] = maps.max(axis=0)
        else:
            result.update((f"{output.name} {channel}", map_) for channel, map_ in enumerate(maps))
    return result
