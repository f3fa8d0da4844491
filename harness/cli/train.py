"""`harness train`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import discover, no_plugins_option, profile_option, read, suite_argument
from harness.errors import EXIT_INTERRUPTED, UsageError, did_you_mean, one_of

if TYPE_CHECKING:
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
    from harness.cli.progress import EpochLines
    from harness.cli.rendering import print_export
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
        print_export(output / job.id, export(host, job.folder, output, id_=job.id).accuracy)
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
