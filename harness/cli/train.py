"""`harness train`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from harness.cli.options import discover, no_plugins_option, profile_option, read, suite_argument
from harness.errors import EXIT_INTERRUPTED, UsageError, did_you_mean, one_of

if TYPE_CHECKING:
    from harness.checkpoint import Epoch
    from harness.results import MetricResult
    from harness.suite import ModelEntry, Suite
    from harness.train import Job


@click.command("train", short_help="Train the models that a suite declares, and export them.")
@suite_argument
@click.option("--only", multiple=True, metavar="GLOB", help="Only models whose id matches; repeatable.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False),
              help="Folder of exports, by default exports/ beside the suite; checkpoints go to checkpoints/ beside it.")
@click.option("--epochs", type=click.IntRange(min=1), help="Overrides the recipes' number of epochs.")
@click.option("--resume", is_flag=True, help="Continue interrupted or shorter trainings, to the same result.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that prepare the training data, by default one "
              "per core where it takes long.")
@profile_option
@no_plugins_option
def command(suite: Path, only: tuple[str, ...], output: Path | None, epochs: int | None, resume: bool,
            workers: int | None, profile: str | None, no_plugins: tuple[str, ...]) -> int:
    """Train the models of SUITE on their own training data, then export them.

    Each epoch leaves a checkpoint, so that nothing is lost when a training is interrupted.
    """
    from harness.export import export
    from harness.train import train

    host = discover(no_plugins)
    read_suite = read(suite, host, profile)
    output = output or suite.resolve().parent / "exports"
    for job in [_job(entry, output, epochs) for entry in _chosen(read_suite, only)]:
        try:
            with EpochLines(job) as lines:
                train(host, job, resume=resume, progress=lines, workers=workers)
        except KeyboardInterrupt:
            click.echo(f"interrupted; {job.folder} holds the last checkpoint, --resume goes on from there", err=True)
            return EXIT_INTERRUPTED
        click.echo(f"{job.id}: exporting", err=True)
        report(output / job.id, export(host, job.folder, output, id_=job.id).accuracy)
    return 0


def _chosen(suite: Suite, only: tuple[str, ...]) -> list[ModelEntry]:
    trainable = {id_: entry for id_, entry in suite.models.items() if entry.spec.factory}
    if not trainable:
        raise UsageError(f"{suite.path}: declares no model that can be trained")
    for pattern in only:
        if not any(fnmatchcase(id_, pattern) for id_ in trainable):
            raise UsageError(f"--only {pattern}: matches no model that can be trained"
                             f"{did_you_mean(pattern, trainable)} (there are: {one_of(trainable)})")
    return [entry for id_, entry in trainable.items() if not only or any(fnmatchcase(id_, each) for each in only)]


def _job(entry: ModelEntry, output: Path, epochs: int | None) -> Job:
    from harness.train import Job, create_model, merge_recipe

    changes = {**entry.train, **({"epochs": epochs} if epochs else {})}
    recipe = merge_recipe(create_model(entry.spec, entry.params), changes)
    return Job(entry.id, entry.spec, entry.params, recipe, output.parent / "checkpoints" / entry.id)


def report(path: Path, accuracy: Mapping[str, MetricResult]) -> None:
    """Where an export is and its main numbers."""
    click.echo(str(path))
    for name, result in accuracy.items():
        if result.value is not None and not result.detail:
            unit = "" if result.unit == "fraction" else f" {result.unit}"
            click.echo(f"  {name:<24} {result.value:.4f}{unit}")


def duration(seconds: float) -> str:
    """90 -> "1:30", 3700 -> "1:01:40"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class EpochLines:
    """A line on standard error for each epoch; on a terminal also a bar over the batches of the running epoch."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.bar: Any = None
        self.seconds: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._close()

    def batch(self, epoch: int, done: int, total: int) -> None:
        if not sys.stderr.isatty():
            return
        if self.bar is None:
            label = f"{self.job.id} epoch {epoch}"
            self.bar = click.progressbar(length=total, label=label, file=sys.stderr)
            self.bar.__enter__()
        self.bar.update(1)
        if done == total:
            self._close()

    def epoch(self, row: Epoch, epochs: int) -> None:
        self.seconds.append(row.seconds)
        left = sum(self.seconds) / len(self.seconds) * (epochs - row.epoch)
        eta = f"  ETA {duration(left)}" if left else ""
        click.echo(f"{self.job.id}: epoch {row.epoch}/{epochs}  train {row.train_loss:.3e}  validation "
                   f"{row.val_loss:.3e}  {row.seconds:.1f} s{eta}", err=True)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.__exit__(None, None, None)
            self.bar = None
