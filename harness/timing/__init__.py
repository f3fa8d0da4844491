"""Latency cells of one bench, measured in turns: each backend in a process of its own, all of them on one machine."""

from harness.timing.rounds import REOPENING, Outcome, measure_cells
from harness.timing.station import synthetic_inputs

__all__ = ["REOPENING", "Outcome", "measure_cells", "synthetic_inputs"]
