"""Tables in Markdown: for a pull request, a job summary, or notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.api import CellResult, FinishedRun, Params, markdown_escape, markdown_table, number


class MarkdownReporter:
    """One table of accuracy and explanation, one of latency, then gates and what went wrong."""

    def __init__(self, params: Params) -> None:
        pass

    def render(self, run: FinishedRun) -> Mapping[str, str | bytes]:
        results = run.results
        lines = [f"# {markdown_escape(str(results.suite.get('suite', {}).get('name', 'harness')))}", ""]
        quality = [cell for cell in results.cells if cell.kind != "latency" and cell.status == "ok"]
        timing = [cell for cell in results.cells if cell.latency is not None]
        if quality:
            lines += markdown_table(["cell", "metric", "value", "95 % interval", "n", "invalid"], _quality(quality))
        if timing:
            lines += markdown_table(["cell", "p50 ms", "p90 ms", "p99 ms", "samples/s", "ratio", "valid", "disturbed"],
                            _timing(timing))
        if results.gates:
            rows = ((gate.expression, "passed" if gate.passed else "**failed**", number(gate.value), gate.reason or "")
                    for gate in results.gates)
            lines += markdown_table(["gate", "verdict", "value", "reason"], rows)
        trouble = [(cell.key, cell.status, cell.error.message if cell.error else cell.reason or "")
                   for cell in results.cells if cell.status != "ok" or cell.reason]
        if trouble:
            lines += markdown_table(["cell", "status", "reason"], trouble)
        return {"report.md": "\n".join(lines)}


def _quality(cells: Sequence[CellResult]) -> Iterator[Sequence[str]]:
    for cell in cells:
        for name, metric in cell.metrics.items():
            if metric.detail:
                continue
            interval = f"{number(metric.ci[0])} to {number(metric.ci[1])}" if metric.ci else ""
            unit = "" if metric.unit == "fraction" else f" {metric.unit}"
            yield (cell.key, name, number(metric.value) + unit, interval, str(metric.n), str(metric.n_invalid or ""))


def _timing(cells: Sequence[CellResult]) -> Iterator[Sequence[str]]:
    for cell in cells:
        if (latency := cell.latency) is not None:
            numbers = (latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.throughput)
            yield (cell.key, *map(number, numbers), _with_interval(latency.ratio, latency.ratio_ci),
                   "yes" if latency.valid else f"no: {latency.why}", "yes" if latency.noisy else "")


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    return number(value) + (f" ({number(interval[0])} to {number(interval[1])})" if interval else "")
