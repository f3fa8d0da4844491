"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.api import CellResult, MetricResult


class Shown(NamedTuple):
    """A number in a table. sort: its plain value, None sorts last; note: its interval or why; interval: of a share."""

    text: str
    sort: float | None = None
    note: str = ""
    interval: tuple[float, float] | None = None


NOTHING = Shown("")


def metric(found: MetricResult | None) -> Shown:
    """A share in percent, anything else as it is, with its interval."""
    if found is None:
        return NOTHING
    invalid = f", {found.n_invalid} invalid" if found.n_invalid else ""
    if found.value is None:
        return Shown("n/a", None, f"0 evaluable{invalid}")
    share = found.unit == "fraction"
    scale, digits = (100.0, 1) if share else (1.0, 3)
    sign = " %" if share else ""
    bounds = ""
    if found.ci is not None:
        bounds = f"{found.ci[0] * scale:.{digits}f} to {found.ci[1] * scale:.{digits}f}"
    within = found.ci if share and found.ci is not None and 0 <= found.ci[0] <= found.ci[1] <= 1 else None
    note = f"{bounds}{invalid}".removeprefix(", ")
    return Shown(f"{found.value * scale:.{digits}f}{sign}", found.value, note, within)


def main_metrics(cell: CellResult) -> dict[str, MetricResult]:
    """What tables show: all but the parts of a whole."""
    return {name: found for name, found in cell.metrics.items() if not found.detail}


def why(cell: CellResult) -> str:
    """What a reader must know of a cell, in one line."""
    parts = [cell.reason or ""]
    if cell.error is not None:
        where = f" ({cell.error.where})" if cell.error.where else ""
        parts.append(f"{cell.error.type}: {cell.error.message}{where}")
    if cell.latency is not None and cell.latency.why:
        parts.append(cell.latency.why)
    return " ".join("; ".join(filter(None, parts)).split())


def label(cell: CellResult, among: Sequence[CellResult]) -> str:
    """What tells a cell from others; its model alone where nothing differs."""
    fields = ("model", "dataset", "precision", "backend", "saliency", "target")
    parts = [str(getattr(cell, field)) for field in fields
             if getattr(cell, field) and len({getattr(each, field) for each in among}) > 1]
    if cell.latency is not None and several_settings(among):
        parts.append(setting(cell))
    return " · ".join(parts) or cell.model


def several_settings(cells: Sequence[CellResult]) -> bool:
    """Whether latencies of several scenarios, batch sizes or numbers of threads are among the cells."""
    latencies = [cell.latency for cell in cells if cell.latency is not None]
    return len({(each.scenario, each.batch, each.threads) for each in latencies}) > 1


def setting(cell: CellResult) -> str:
    """"single-stream, batch 1, 1 thread" of a latency cell."""
    latency = cell.latency
    if latency is None:
        return ""
    return f"{latency.scenario}, batch {latency.batch}, {latency.threads} thread{'s' if latency.threads > 1 else ''}"
