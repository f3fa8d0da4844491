"""One training loop for every trainable model: recipes to checkpoints, deterministic on the CPU and resumable.

Torch is imported when a training is built, so that this module is light.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import ValidationError

from harness import checkpoint
from harness.checkpoint import Epoch, TrainingRecord
from harness.errors import CellError, MissingDependency, UsageError, format_path
from harness.host import Host, create
from harness.params import Params
from harness.prepared import Prepared
from harness.preparing import prepare_split
from harness.schedule import learning_rate
from harness.specs import DatasetSpec, ModelSpec, Spec
from harness.table import Table
from harness.trainable import Augments, Pretrained

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from harness.trainable import Recipe, Trainable

NONFINITE = "nonfinite.npz"
"""In the checkpoint folder: the batch whose loss was not finite; columns ids, pixels and inputs."""
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


def load_split(host: Host, recipe: Recipe, model: Trainable, split: str, workers: int | None = None) -> Prepared:
    """The recipe's dataset, one of its splits train, val and test, at the model's input size."""
    spec = host.spec(DatasetSpec, recipe.dataset)
    return prepare_split(spec, split_params(host, recipe, split), model.input, workers=workers)


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


def train(host: Host, job: Job, *, resume: bool = False, progress: Progress | None = None,
          workers: int | None = None) -> TrainingRecord:
    """Train one model and leave its checkpoints in `job.folder`.

    resume: continue an interrupted or shorter training of the same recipe, to the same result as without interruption.
    workers: processes that prepare the data, by default one per core where it takes long.
    Raises TrainingError when the loss is not finite, UsageError when the checkpoint belongs to another recipe.
    """
    model = create_model(job.spec, job.params)
    training, validation = (load_split(host, job.recipe, model, split, workers) for split in ("train", "val"))
    trainer = Trainer(model, job.recipe, job.record(), training, validation, job.folder)
    if resume and (job.folder / checkpoint.LAST).is_file():
        trainer.resume()
    return trainer.run(progress)


class Trainer:
    """The loop over epochs.

    The order of samples is a function of (seed, epoch), the learning rate one of the step, so that any epoch can be
    the first.
    """

    def __init__(self, model: Trainable, recipe: Recipe, record: TrainingRecord, train: Prepared, val: Prepared,
                 folder: Path) -> None:
        import torch

        self.model, self.recipe, self.record = model, recipe, record
        self.train_data, self.val_data, self.folder = train, val, folder
        self.per_epoch = math.ceil(len(train) / recipe.batch_size)
        self.steps = recipe.steps or recipe.epochs * self.per_epoch
        self.epochs = math.ceil(self.steps / self.per_epoch)
        self.device = usable_device(recipe.device)
        torch.manual_seed(self.recipe.seed)
        module = model.build()
        if isinstance(model, Pretrained):
            model.initialize(module)
        self.module = channels_last(module).to(self.device)
        self.optimizer = make_optimizer(self.recipe, self.module)
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
            checkpoint.save_weights(self.folder / checkpoint.BEST, self.module)
            self._save()
        for number in range(done + 1, self.epochs + 1):
            if self._exhausted():
                break
            started = time.perf_counter()
            train_loss = self._train_epoch(number, progress)
            val_loss = self._validate(number)
            row = Epoch(epoch=number, train_loss=train_loss, val_loss=val_loss, seconds=time.perf_counter() - started)
            self._finish(row)
            if progress:
                progress.epoch(row, self.epochs)
        return self.record

    def _exhausted(self) -> bool:
        """The validation loss has not fallen for `patience` epochs."""
        patience, best = self.recipe.patience, self.record.best_epoch
        return patience is not None and best is not None and len(self.record.history) - best >= patience

    def _train_epoch(self, number: int, progress: Progress | None) -> float:
        self.module.train()
        order = np.random.default_rng([self.recipe.seed, number]).permutation(len(self.train_data)).tolist()
        first = (number - 1) * self.per_epoch
        steps = _chunks(order, self.recipe.batch_size)[: self.steps - first]
        total = 0.0
        for step, indices in enumerate(steps, 1):
            where = f"epoch {number}, batch {step} of {len(steps)}"
            self._set_rate(learning_rate(self.recipe, first + step - 1, self.steps))
            rng = np.random.default_rng([self.recipe.seed, number, step])
            total += self._step(indices, where, rng) * len(indices)
            if progress:
                progress.batch(number, step, len(steps))
        return total / sum(map(len, steps))

    def _step(self, indices: Sequence[int], where: str, rng: np.random.Generator) -> float:
        loss = self._loss(self.train_data, indices, rng)[0]
        value = self._finite(loss.item(), "loss", where, self.train_data, indices)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_norm is not None:
            norm = clip_gradients(self.module, self.recipe.clip_norm)
            self._finite(norm, "norm of the gradients", where, self.train_data, indices)
        self.optimizer.step()
        return value

    def _set_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _validate(self, number: int) -> float:
        import torch

        self.module.eval()
        total = 0.0
        with torch.inference_mode():
            for indices in _chunks(range(len(self.val_data)), self.recipe.batch_size):
                loss = self._loss(self.val_data, indices)[0]
                where = f"the validation of epoch {number}"
                total += self._finite(loss.item(), "loss", where, self.val_data, indices) * len(indices)
            self._snapshot(number)
        return total / len(self.val_data)

    def _loss(self, data: Prepared, indices: Sequence[int],
              rng: np.random.Generator | None = None) -> tuple[Tensor, Any]:
        """rng: draws the augmentation of a model that has one; None leaves the samples as they are."""
        import torch

        batch = data.take(indices)
        inputs, encoded = as_tensor(batch.inputs(slice(None))), self.model.encode(batch.targets, batch.fits)
        if rng is not None and isinstance(self.model, Augments):
            inputs, encoded = self.model.augment(inputs, encoded, rng)
        encoded = {name: tensor.to(self.device) for name, tensor in encoded.items()}
        with torch.autocast(self.device, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            outputs = self.module(inputs.to(self.device))
            return self.model.loss(outputs, encoded), outputs

    def _finite(self, value: float, what: str, where: str, data: Prepared, indices: Sequence[int]) -> float:
        if not math.isfinite(value):
            path = self.folder / NONFINITE
            batch = data.take(indices)
            Table({"ids": np.array(batch.ids), "pixels": batch.pixels,
                   "inputs": batch.inputs(slice(None))}).save(path)
            named = ", ".join(batch.ids[:4])
            raise TrainingError(f"{self.record.id}: the {what} is {value} in {where} (samples {named}, ...); the batch "
                                f"is in {path}: look at it, or lower the learning rate (now {self.recipe.lr:g})")
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
        kept = kept.float().cpu()
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
    """The recipe's optimizer with its torch defaults beside learning rate and weight decay."""
    import torch

    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    kind: type[torch.optim.Optimizer] = kinds[recipe.optimizer]
    decay: dict[str, Any] = {} if recipe.weight_decay is None else {"weight_decay": recipe.weight_decay}
    return kind(module.parameters(), lr=recipe.lr, **decay)  # type: ignore[call-arg]


def usable_device(name: str) -> str:
    """The name itself; raises UsageError when torch has no such device here: never trained elsewhere in silence."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError('train.device = "cuda": torch finds no CUDA device here (`harness doctor` tells more); '
                         'use "cpu"')
    return name


def clip_gradients(module: nn.Module, norm: float) -> float:
    """Scale all gradients together to at most this norm; the norm before."""
    import torch

    return float(torch.nn.utils.clip_grad_norm_(module.parameters(), norm))


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
