"""`harness bench`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import discover, key_value, no_plugins_option
from harness.errors import EXIT_CELLS, EXIT_OK, UsageError

if TYPE_CHECKING:
    from harness.benching import BenchRequest
    from harness.host import Host
    from harness.suite import BackendEntry


def _numbers(_context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """1,8 -> (1, 8)."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"{parameter.opts[0]} {text}: must be positive numbers with commas between them, e.g. 1,8")
    return tuple(map(int, parts))


@click.command("bench", short_help="Measure the latency of ONNX files, without a suite.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--compare", "others", type=click.Path(path_type=Path), multiple=True, metavar="MODEL",
              help="Another file, measured in the same rounds; repeatable.")
@click.option("--backend", "backends", multiple=True, metavar="NAME[:KEY=VALUE,...]",
              help="A backend plugin with its params, by default onnxruntime-cpu; repeatable.")
@click.option("--batch", callback=_numbers, metavar="1,8",
              help="Samples of a query; by default 1, or what --shape says.")
@click.option("--threads", callback=_numbers, default="1", show_default=True, metavar="1,2",
              help="Intra-operator threads.")
@click.option("--precision", "precisions", metavar="fp32,int8", help="Also precisions that are made from the file; by "
              "default what the file is.")
@click.option("--shape", "shapes", multiple=True, metavar="NAME=N,3,224,224",
              help="Lengths of an input where the file leaves them free; N is the batch. Repeatable.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=FILE.npy",
              help="Values of an input; by default they are made up. Repeatable.")
@click.option("--scenario", default="single-stream", show_default=True, metavar="NAME",
              help="When queries are issued: a scenario plugin.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="A param of the scenario, e.g. min_queries=1000; repeatable.")
@click.option("--format", "format_", default="table", show_default=True, metavar="table|json|REPORTER",
              help="What goes to standard output.")
@no_plugins_option
def command(model: Path, others: tuple[Path, ...], format_: str, no_plugins: tuple[str, ...], **options: Any) -> int:
    """Measure the latency of MODEL, an ONNX file or the folder of an export.

    All combinations of files, precisions, backends, batches and threads are measured in turns, round by round, each
    backend in a process of its own, so that their ratios hold while the machine drifts. Ratios are relative to the
    first row with the same batch and threads. A measurement that is INVALID by its scenario's conditions is a result
    all the same, with exit code 0; `valid` and `why` of --format json say it to scripts.
    """
    from harness.benching import bench
    from harness.cli.progress import BenchProgress
    from harness.cli.rendering import renderer
    from harness.terminal import print_latencies

    host = discover(no_plugins)
    show = None if format_ == "table" else renderer(format_, host)  # an unknown format must not cost a measurement
    request = _request(host, (model, *others), **options)
    with BenchProgress() as progress:
        measured = bench(host, request, progress)
    for note in dict.fromkeys(measured.notes):
        click.echo(f"note: {note}", err=True)
    if show is None:
        print_latencies(measured.results.cells)
    else:
        show(measured.results, Path())
    cells = measured.results.cells
    failed = any(cell.status == "failed" for cell in cells) or not any(cell.status == "ok" for cell in cells)
    return EXIT_CELLS if failed else EXIT_OK


def _request(host: Host, files: Sequence[Path], *, backends: tuple[str, ...], batch: tuple[int, ...] | None,
             threads: tuple[int, ...], precisions: str | None, shapes: tuple[str, ...], inputs: tuple[str, ...],
             scenario: str, settings: tuple[str, ...]) -> BenchRequest:
    from harness import benching
    from harness.graphinputs import Shapes, read_shape
    from harness.specs import ScenarioSpec

    spec = host.chosen(ScenarioSpec, scenario, "--scenario")
    values = dict(key_value(text, "--set", "min_queries=1000") for text in settings)
    fed = dict(key_value(text, "--input", "image=image.npy") for text in inputs)
    return benching.BenchRequest(
        files=files, backends=[_backend(host, text) for text in backends or ("onnxruntime-cpu",)], scenario=spec,
        scenario_params=benching.settings(values, spec.params, "--set"),
        precisions=[part.strip() for part in precisions.split(",")] if precisions else None,
        batches=batch, threads=threads,
        shapes=Shapes(dict(map(read_shape, shapes)), {name: Path(str(file)) for name, file in fed.items()}))


def _backend(host: Host, text: str) -> BackendEntry:
    """NAME or NAME:KEY=VALUE,KEY=VALUE."""
    from harness.benching import settings
    from harness.specs import BackendSpec
    from harness.suite import BackendEntry

    name, _, pairs = text.partition(":")
    spec = host.chosen(BackendSpec, name, "--backend")
    example = "onnxruntime-cpu:optimization=basic"
    values = dict(key_value(pair, "--backend", example) for pair in pairs.split(",") if pair)
    return BackendEntry(text, spec, settings(values, spec.params, f"--backend {name}"))
