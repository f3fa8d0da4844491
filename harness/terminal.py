"""What a person sees: tables on standard output, progress on standard error; the only module that knows rich."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from harness.compare.records import Comparison
from harness.compare.wording import COLUMNS, notes, row_texts, summary
from harness.markdown import number
from harness.plan import Plan
from harness.results import CellResult, GateResult, LatencyResult, MetricResult, Results

_STATUS = {"ok": "green", "failed": "red", "skipped": "yellow"}
_VERDICTS = {"regression": "red", "improvement": "green"}
_MOST_COLUMNS = 3
"""Numbers with intervals that fit beside each other into 100 columns."""
_DISTURBED = "~ something else disturbed the machine meanwhile; ratios hold better than times"
_SETTING = re.compile(r"-(?=b\d+-t\d+$)|(?<=\d)-(?=t\d+$)")
_WIDTH = 100
"""Of tables that go to a file or a pipe, where there is no terminal to ask."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """rich would exit with 1, as if a gate had failed."""
        if self.file is not sys.stderr:
            raise BrokenPipeError
        self.quiet = True  # nobody watches, the run goes on


def console(stream: TextIO | None = None) -> Console:
    """NO_COLOR and the terminal's width are honored; into a pipe no color and a fixed width."""
    file = stream or sys.stdout
    return _Console(file=file, width=None if file.isatty() else _WIDTH, highlight=False, soft_wrap=False)


class _Rate(ProgressColumn):
    """Samples per second of a cell."""

    def render(self, task: Task) -> Text:
        known = task.fields.get("samples") and task.speed
        return Text(f"{task.speed:,.0f}/s" if known and task.speed else "", style="cyan")


class RunDisplay:
    """A harness.run.Observer on standard error: progress bars on a terminal, one line per cell otherwise."""

    def __init__(self) -> None:
        self._console = console(sys.stderr)
        self._live = sys.stderr.isatty()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(),
                   TimeElapsedColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._tasks: dict[str, Any] = {}
        self._total = 0
        self._done = 0

    def __enter__(self) -> Self:
        if self._live:
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._live:  # otherwise it prints an empty line
            self._progress.stop()

    def started(self, plan: Plan, directory: Path, resumed: int) -> None:
        self._total, self._done = len(plan.cells), resumed
        kept = f", {resumed} already measured there" if resumed else ""
        self._print(f"{escape(plan.suite.name)}: {_count(len(plan.cells), 'cell')}{kept} -> {escape(str(directory))}")
        self._overall = self._progress.add_task("cells", total=self._total, completed=resumed)

    def progress(self, key: str, done: int, total: int) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(escape(key), total=total or None, samples=total > 0)
        self._progress.update(self._tasks[key], completed=done, total=total or None)

    def finished(self, result: CellResult) -> None:
        self._done += 1
        if result.key in self._tasks:
            self._progress.remove_task(self._tasks.pop(result.key))
        self._progress.update(self._overall, completed=self._done)
        seconds = f" ({result.cost.seconds:.1f} s{', cached' if result.cached else ''})" if result.cost.seconds else ""
        style = _STATUS[result.status]
        self._print(f"[{self._done}/{self._total}]".replace("[", r"\[")
                    + f" [{style}]{result.status}[/{style}] {escape(result.key)}{seconds}{escape(_why(result))}")

    def warn(self, message: str) -> None:
        self._print(f"[yellow]warning:[/yellow] {escape(message)}")

    def tell(self, message: str) -> None:
        self._print(escape(message))

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


class PassCounter:
    """Forward passes of the explanation that is being made, on standard error; only on a terminal."""

    def __init__(self) -> None:
        self._progress = Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                                  TextColumn("forward passes"), console=console(sys.stderr), transient=True)
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def start(self, label: str, passes: float | None) -> None:
        """A new explanation; passes: how many it will take, None when that is not known."""
        self.stop()
        if sys.stderr.isatty():
            self._task = self._progress.add_task(escape(label), total=passes or None)
            self._progress.start()

    def add(self, passes: int) -> None:
        if self._task is not None:
            self._progress.advance(self._task, passes)

    def stop(self) -> None:
        if self._task is not None:
            self._progress.stop()
            self._progress.remove_task(self._task)
            self._task = None


def print_results(results: Results, directory: Path) -> None:
    """The tables at the end of a run, on standard output."""
    out = console()
    quality = [cell for cell in results.cells if cell.kind != "latency"]
    timing = [cell for cell in results.cells if cell.kind == "latency"]
    for dataset in dict.fromkeys(cell.dataset for cell in quality):
        out.print(_quality_table(str(dataset), [cell for cell in quality if cell.dataset == dataset]))
    if timing:
        out.print(_latency_table(timing))
    if any(cell.latency is not None and cell.latency.noisy for cell in timing):
        out.print(_DISTURBED, style="yellow")
    for gate in results.gates:
        out.print(_gate_line(gate), soft_wrap=True)
    _print_notes(out, results.cells)
    out.print(f"results: {escape(str(directory / 'results.json'))}", soft_wrap=True)


def print_latencies(cells: Sequence[CellResult]) -> None:
    """Latency cells alone, on standard output: the table, what each ran on, and what must be known of it."""
    out = console()
    out.print(_latency_table(cells))
    if any(cell.latency is not None and cell.latency.noisy for cell in cells):
        out.print(_DISTURBED, style="yellow")
    seen = {f"{cell.model}/{cell.precision}/{cell.backend}": cell for cell in reversed(cells) if cell.status == "ok"}
    for name, cell in reversed(seen.items()):
        layers = ", ".join(f"{_count(count, 'layer')} in {kind}" for kind, count in cell.executed.items())
        out.print(f"{escape(name)}: {escape(str(cell.runs_on))}{', ' if layers else ''}{layers}, "
                  f"{number(cell.cost.model_mb)} MB{_chosen(cell)}", soft_wrap=True)
    _print_notes(out, cells)


def _chosen(cell: CellResult) -> str:
    if not cell.settings.get("tuned"):
        return ""
    names = ("threads", "allow_spinning", "optimization")
    return escape("; tuned: " + ", ".join(f"{name} = {cell.settings[name]}" for name in names))


def print_comparison(comparison: Comparison) -> None:
    """Two runs beside each other, on standard output: a table for each cell, then what must be known beside it."""
    out = console()
    for key in dict.fromkeys(row.cell for row in comparison.rows):
        table = _table(key, COLUMNS[1], *_right(*COLUMNS[2:-1]), COLUMNS[-1])
        for row in comparison.rows:
            if row.cell == key:
                texts = row_texts(row)[1:]
                table.add_row(*map(escape, texts[:-1]), Text(texts[-1], style=_VERDICTS.get(row.verdict, "")))
        out.print(table)
    for note in notes(comparison):
        out.print(Text(note, style="yellow"), soft_wrap=True)
    style = "red" if comparison.regressions or comparison.lost else "green"
    out.print(Text(summary(comparison), style=style), soft_wrap=True)


def print_plan(plan: Plan) -> None:
    """The cells of a suite with estimated forward passes, on standard output."""
    table = _table(plan.suite.name, "cell", "metrics", *_right("samples", "forward passes"))
    total = 0.0
    for cell in plan.cells:
        passes = cell.forward_passes
        total += passes or 0
        counts = ("", "") if cell.kind == "latency" else (_int(cell.samples), _int(passes))
        table.add_row(escape(cell.key), escape(", ".join(metric.id for metric in cell.metrics)), *counts)
    out = console()
    out.print(table)
    out.print(f"{_count(len(plan.cells), 'cell')} in {_count(len(plan.groups), 'group')}, "
              f"about {_int(total)} forward passes without cache")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table on standard output; columns that start with ">" are right-aligned."""
    table = _table("", *(column for name in columns for column in (_right(name[1:]) if name[0] == ">" else [name])))
    for row in rows:
        table.add_row(*map(escape, row))
    console().print(table)


def _table(title: str, *columns: Any) -> Table:
    return Table(*columns, title=escape(title) or None, title_justify="left", box=SIMPLE_HEAD)


def _quality_table(title: str, cells: Sequence[CellResult]) -> Table:
    metrics = {name: _with_unit(name, metric) for cell in cells for name, metric in cell.metrics.items()
               if not metric.detail}
    names = _short_names(cells)
    if not metrics:  # none of the cells is ok
        table = _table(title, "", "status")
        for cell, name in zip(cells, names, strict=True):
            table.add_row(escape(name), _status(cell))
        return table
    if len(metrics) <= _MOST_COLUMNS:
        table = _table(title, "", *_right(*metrics.values()))
        for cell, name in zip(cells, names, strict=True):
            table.add_row(escape(name), *(_metric(cell, metric) for metric in metrics))
        return table
    # Many metrics read better downward; many cells then become several tables, one below the other.
    grid = Table.grid()
    for start in range(0, len(cells), _MOST_COLUMNS):
        chosen = cells[start : start + _MOST_COLUMNS]
        table = _table(title, "", *_right(*names[start : start + _MOST_COLUMNS]))
        for metric, label in metrics.items():
            table.add_row(escape(label), *(_metric(cell, metric) for cell in chosen))
        grid.add_row(table)
    return grid


def _latency_table(cells: Sequence[CellResult]) -> Table:
    numbers = ("p50 ms", "p90 ms", "p99 ms", "CPU ms", "samples/s", "ratio")
    table = _table("latency", Column(overflow="fold"), *_right(*numbers))
    for cell, short in zip(cells, _short_names(cells), strict=True):
        name = escape(short)
        if cell.latency is None:
            table.add_row(name, _status(cell), *[""] * 5)
        else:
            table.add_row(name, *_latency(cell.latency))
    return table


def _latency(latency: LatencyResult) -> list[str | Text]:
    times: list[str | Text] = [number(latency.p50_ms), number(latency.p90_ms), number(latency.p99_ms)]
    if not latency.valid:
        times[0] = Text(f"INVALID {times[0]}", style="red")
    if latency.noisy:
        times[0] = Text.assemble(times[0], Text(" ~", style="yellow"))
    return [*times, number(latency.cpu_ms), number(latency.throughput), _ratio(latency)]


def _ratio(latency: LatencyResult) -> str:
    interval = latency.ratio_ci if latency.ratio != 1 else None  # the reference itself
    return number(latency.ratio) + (f" [{interval[0]:.3g}, {interval[1]:.3g}]" if interval else "")


def _metric(cell: CellResult, name: str) -> str | Text:
    if cell.status != "ok":
        return _status(cell)
    metric = cell.metrics.get(name)
    return _value(metric) if metric is not None else ""


def _with_unit(name: str, metric: MetricResult) -> str:
    return name if metric.unit == "fraction" else f"{name} ({metric.unit})"


def _value(metric: MetricResult) -> str:
    if metric.value is None:
        return f"n/a (0 of {metric.n_invalid} evaluable)"
    share = metric.unit == "fraction"
    scale, digits = (100, 1) if share else (1, 3)
    text = f"{metric.value * scale:.{digits}f}{'%' if share else ''}"
    if metric.ci is not None:
        text += f" [{metric.ci[0] * scale:.{digits}f}, {metric.ci[1] * scale:.{digits}f}]"
    return text + (f" ({metric.n_invalid} invalid)" if metric.n_invalid else "")


def _print_notes(out: Console, cells: Sequence[CellResult]) -> None:
    """What must be known of cells; what is the same of many is said once, beside the first."""
    said: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        if note := _why(cell):
            style = _STATUS[cell.status] if cell.status != "ok" else "yellow"
            said.setdefault((note.removeprefix(": "), style), []).append(cell.key)
        if cell.latency is not None and cell.latency.why:
            said.setdefault((cell.latency.why, "yellow"), []).append(cell.key)
    for (note, style), keys in said.items():
        more = f" and {_count(len(keys) - 1, 'more cell')}:" if len(keys) > 1 else ""
        out.print(Text(keys[0], style=style), Text(f"{more} {note}".strip()), soft_wrap=True)


def _why(cell: CellResult) -> str:
    """In one line, whatever a plugin says."""
    text = cell.reason or ""
    if cell.error is not None:
        text = cell.error.message + (f" ({cell.error.where})" if cell.error.where else "")
    return ": " + " ".join(text.split()) if text else ""


def _gate_line(gate: GateResult) -> Text:
    verdict = Text("passed " if gate.passed else "FAILED ", style="green" if gate.passed else "red")
    value = f" (is {gate.value:.6g})" if gate.value is not None else ""
    return verdict + Text(f"gate {gate.expression}{value}{': ' + gate.reason if gate.reason else ''}")


def _short_names(cells: Sequence[CellResult]) -> list[str]:
    """Keys without their first part (kind, dataset: said in the title) and without what all of them share.

    Scenario, batch and threads of a latency cell are parts of their own: "single-stream", "b1", "t1".
    """
    parts = [_SETTING.sub("/", cell.key).split("/")[1:] if cell.kind == "latency" else cell.key.split("/")[2:]
             for cell in cells]
    constant = [index for index, values in enumerate(zip(*parts, strict=False)) if len(set(values)) == 1 and index]
    return ["/".join(part for index, part in enumerate(each) if index not in constant) for each in parts]


def _status(cell: CellResult) -> Text:
    return Text(cell.status, style=_STATUS[cell.status])


def _right(*names: str) -> list[Any]:
    return [Column(header=escape(name), justify="right") for name in names]


def _int(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
