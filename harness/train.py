"""One training loop for every trainable model: recipes to checkpoints, deterministic on the CPU and resumable.

Torch is imported when a training is built, so that this module is light.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import ValidationError

from harness import checkpoint
from harness.checkpoint import Epoch, TrainingRecord
from harness.contracts import DatasetSpec, ModelSpec, Spec
from harness.errors import CellError, MissingDependency, UsageError, format_path
from harness.host import Host, create
from harness.params import Params
from harness.prepared import Prepared

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from harness.trainable import Recipe, Trainable

_PRODUCERS = ("vision-harness", "torch", "onnx", "onnxscript", "numpy", "pillow", "safetensors")


class TrainingError(CellError):
    """Training can not go on, e.g. a loss that is not finite."""


class Progress(Protocol):
    """What a training reports to."""

    def batch(self, epoch: int, done: int, total: int) -> None:
        """After each optimizer step of an epoch."""

    def epoch(self, row: Epoch, epochs: int) -> None:
        """After each epoch, its checkpoint written."""


@dataclass(frozen=True, slots=True)
class Job:
    """One model to train. id: its name in the suite; folder: of its checkpoints."""

    id: str
    spec: ModelSpec
    params: Params
    recipe: Recipe
    folder: Path

    def record(self) -> TrainingRecord:
        return TrainingRecord(id=self.id, model=self.spec.name, provider=str(self.spec.provider),
                              params=self.params.model_dump(mode="json"), recipe=self.recipe.model_dump(mode="json"),
                              producer=producers())


def create_model(spec: ModelSpec, params: Params) -> Trainable:
    """The trainable model of a declaration; raises MissingDependency without torch."""
    if not spec.factory:
        raise UsageError(f'the model plugin "{spec.name}" ({spec.provider}) can not be trained')
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependency("torch", "train", "training and exporting") from error
    model: Trainable = create(spec, params)
    return model


def merge_recipe(model: Trainable, changes: Mapping[str, Any]) -> Recipe:
    """The model's default recipe with the suite's `train = {...}` on top; raises UsageError when they do not fit."""
    try:
        return type(model.recipe).model_validate({**model.recipe.model_dump(mode="json"), **changes})
    except ValidationError as error:
        raise UsageError(f"the training recipe is not valid: {_problems(error)}") from error


def load_split(host: Host, recipe: Recipe, model: Trainable, split: str) -> Prepared:
    """The recipe's dataset, one of its splits train, val and test, at the model's input size."""
    return Prepared.load(create(host.spec(DatasetSpec, recipe.dataset), split_params(host, recipe, split)), model.input)


def split_params(host: Host, recipe: Recipe, split: str) -> Params:
    """The parameters, defaults included, of the recipe's dataset for one of its splits."""
    count = {"train": recipe.train_count, "val": recipe.val_count, "test": recipe.test_count}[split]
    spec = host.spec(DatasetSpec, recipe.dataset)
    return validated(spec, {**recipe.dataset_params, "split": split, "count": count})


def validated(spec: Spec, values: Mapping[str, Any]) -> Params:
    """The params of a plugin; raises UsageError that names each value that does not fit."""
    try:
        return spec.params.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError(f'these are no params of the {spec.role} "{spec.name}": {_problems(error)}') from error


def train(host: Host, job: Job, *, resume: bool = False, progress: Progress | None = None) -> TrainingRecord:
    """Train one model and leave its checkpoints in `job.folder`.

    resume: continue an interrupted or shorter training of the same recipe, to the same result as without interruption.
    Raises TrainingError when the loss is not finite, UsageError when the checkpoint belongs to another recipe.
    """
    model = create_model(job.spec, job.params)
    training, validation = (load_split(host, job.recipe, model, split) for split in ("train", "val"))
    trainer = Trainer(model, job.recipe, job.record(), training, validation, job.folder)
    if resume and (job.folder / checkpoint.LAST).is_file():
        trainer.resume()
    return trainer.run(progress)


class Trainer:
    """The loop over epochs. The order of samples is a function of (seed, epoch), so that any epoch can be the first."""

    def __init__(self, model: Trainable, recipe: Recipe, record: TrainingRecord, train: Prepared, val: Prepared,
                 folder: Path) -> None:
        import torch

        self.model, self.recipe, self.record = model, recipe, record
        self.train_data, self.val_data, self.folder = train, val, folder
        torch.manual_seed(self.recipe.seed)
        self.module = channels_last(model.build())
        self.optimizer = make_optimizer(self.recipe, self.module)
        self.schedule = make_schedule(self.recipe, len(train))
        self.snapshots: dict[str, Tensor] = {}

    def resume(self) -> None:
        """Go on from the last checkpoint; raises UsageError when it belongs to another recipe."""
        stored, self.snapshots = checkpoint.load_state(self.folder / checkpoint.LAST, self.module, self.optimizer)
        if differences := stored.same_run(self.record):
            raise UsageError(f"{self.folder}: can not resume, the checkpoint was made with other settings: "
                             f"{'; '.join(differences)}; train without --resume, or undo the change")
        self.record = self.record.model_copy(update={"history": stored.history, "best_epoch": stored.best_epoch})

    def run(self, progress: Progress | None = None) -> TrainingRecord:
        """Train the epochs that are missing; each leaves a checkpoint. An interrupted epoch is started again."""
        done = len(self.record.history)
        if done == 0:
            self._save()
        for number in range(done + 1, self.recipe.epochs + 1):
            started = time.perf_counter()
            train_loss = self._train_epoch(number, progress)
            val_loss = self._validate(number)
            row = Epoch(epoch=number, train_loss=train_loss, val_loss=val_loss, seconds=time.perf_counter() - started)
            self._finish(row)
            if progress:
                progress.epoch(row, self.recipe.epochs)
        return self.record

    def _train_epoch(self, number: int, progress: Progress | None) -> float:
        self.module.train()
        order = np.random.default_rng([self.recipe.seed, number]).permutation(len(self.train_data)).tolist()
        steps = _chunks(order, self.recipe.batch_size)
        total = 0.0
        for step, indices in enumerate(steps, 1):
            loss = self._loss(self.train_data, indices)[0]
            value = self._finite(loss, f"epoch {number}, batch {step} of {len(steps)}", self.train_data, indices)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule((number - 1) * len(steps) + step - 1)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += value * len(indices)
            if progress:
                progress.batch(number, step, len(steps))
        return total / len(order)

    def _validate(self, number: int) -> float:
        import torch

        self.module.eval()
        total = 0.0
        with torch.inference_mode():
            for indices in _chunks(range(len(self.val_data)), self.recipe.batch_size):
                loss = self._loss(self.val_data, indices)[0]
                total += self._finite(loss, f"validation of epoch {number}", self.val_data, indices) * len(indices)
            self._snapshot(number)
        return total / len(self.val_data)

    def _loss(self, data: Prepared, indices: Sequence[int]) -> tuple[Tensor, Any]:
        batch = data.take(indices)
        outputs = self.module(as_tensor(batch.inputs(slice(None))))
        return self.model.loss(outputs, self.model.encode(batch.targets, batch.fits)), outputs

    def _finite(self, loss: Tensor, where: str, data: Prepared, indices: Sequence[int]) -> float:
        value = loss.item()
        if not math.isfinite(value):
            ids = ", ".join(data.ids[i] for i in indices[:4])
            raise TrainingError(f"{self.record.id}: the loss is {value} in {where} (samples {ids}, ...); lower the "
                                f"learning rate (now {self.recipe.lr:g}) or look at these samples")
        return value

    def _snapshot(self, number: int) -> None:
        """Append the dense outputs of the first validation samples, as uint8 between their own extremes."""
        import torch

        count = min(self.recipe.snapshots, len(self.val_data))
        if count == 0:
            return
        kept = self.model.snapshot(self._loss(self.val_data, range(count))[1])
        if kept is None:
            return
        low, high = kept.min(), kept.max()
        levels = ((kept - low) / (high - low).clamp(min=1e-12) * 255).round().to(torch.uint8)
        new = {"maps": levels, "range": torch.stack([low, high]), "epoch": torch.tensor(number)}
        for name, value in new.items():
            earlier = self.snapshots.get(name)
            value = value[None].contiguous()
            self.snapshots[name] = value if earlier is None else torch.cat([earlier, value])

    def _finish(self, row: Epoch) -> None:
        history = [*self.record.history, row]
        best = min(history, key=lambda epoch: epoch.val_loss)
        self.record = self.record.model_copy(update={"history": history, "best_epoch": best.epoch})
        if best is row:
            checkpoint.save_weights(self.folder / checkpoint.BEST, self.module)
        self._save()

    def _save(self) -> None:
        checkpoint.save_state(self.folder / checkpoint.LAST, self.module, self.optimizer, self.snapshots, self.record)
        checkpoint.save_record(self.folder, self.record)


def make_optimizer(recipe: Recipe, module: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimizer with its torch defaults beside the learning rate."""
    import torch

    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    kind: type[torch.optim.Optimizer] = kinds[recipe.optimizer]
    return kind(module.parameters(), lr=recipe.lr)  # type: ignore[call-arg]


def make_schedule(recipe: Recipe, samples: int) -> Callable[[int], float]:
    """The learning rate of each optimizer step, counted from 0 over all epochs: a function, so that any can be first.

    one-cycle: cosines from lr / 25 to lr over the first 30 % of the steps, then to lr / 250000 (torch's OneCycleLR).
    """
    if recipe.schedule == "constant":
        return lambda _step: recipe.lr
    last = recipe.epochs * math.ceil(samples / recipe.batch_size) - 1
    peak = max(0.3 * (last + 1) - 1, 1e-9)

    def one_cycle(step: int) -> float:
        low, share = (recipe.lr / 25, step / peak)
        if step > peak:
            low, share = recipe.lr / 25e4, (last - step) / max(last - peak, 1e-9)
        return low + (recipe.lr - low) * (1 - math.cos(math.pi * share)) / 2

    return one_cycle


def channels_last(module: nn.Module) -> nn.Module:
    """The network with its weights in the memory layout that convolutions on the CPU prefer."""
    import torch

    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def as_tensor(inputs: np.ndarray[Any, Any]) -> Tensor:
    """(N, C, h, w) float32 as a tensor in channels-last memory."""
    import torch

    tensor = torch.from_numpy(inputs)
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def producers() -> dict[str, str]:
    """Versions of the packages that can change a trained or exported file."""
    found = {}
    for name in _PRODUCERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{format_path(each['loc'])}: {each['msg']}" for each in error.errors())


def _chunks(order: Sequence[int], size: int) -> list[Sequence[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]
