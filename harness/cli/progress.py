"""How far a command is, on standard error."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from harness.checkpoint import Epoch
    from harness.train import Job


class BenchProgress:
    """Which round is being measured, on a terminal's standard error."""

    def __init__(self) -> None:
        self.last = ""

    def __enter__(self) -> BenchProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.last:
            click.echo("\r" + " " * len(self.last) + "\r", err=True, nl=False)

    def __call__(self, key: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            text = f"round {done} of {total}: {key.removeprefix('latency/')}"
            click.echo("\r" + text.ljust(len(self.last)), err=True, nl=False)
            self.last = text


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
