"""What a trainable model plugin provides. Torch appears in annotations only, so that this module imports without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from harness.params import Params

if TYPE_CHECKING:
    import numpy as np
    import onnx
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from harness.card import InputSpec
    from harness.geometry import Fit
    from harness.tasks import Target


class Recipe(Params):
    """How a model is trained; a model plugin gives the defaults, `train = {...}` in a suite overrides them."""

    dataset: str = ""
    """Name of the dataset plugin; its own splits train, val and test are used."""
    dataset_params: dict[str, Any] = {}
    """Parameters of the dataset, without `split` and `count`."""
    train_count: int = Field(1000, gt=0)
    """Training samples."""
    val_count: int = Field(200, gt=0)
    """Validation samples, evaluated after each epoch."""
    test_count: int = Field(500, gt=0)
    """Unseen samples for the accuracy in export.json."""
    metrics: dict[str, dict[str, Any]] = {}
    """Metric plugin -> its parameters, measured on the test split after export."""
    epochs: int = Field(30, ge=0)
    """Passes over the training samples; 0 exports the weights that training would start from."""
    steps: int | None = Field(None, gt=0)
    """Optimizer steps; decides the length instead of `epochs`, the last epoch is cut short."""
    batch_size: int = Field(16, gt=0)
    """Samples per optimizer step."""
    lr: float = Field(1e-3, gt=0)
    """Learning rate; with a schedule, its highest value."""
    schedule: Literal["constant", "one-cycle", "cosine"] = "constant"
    """How the learning rate changes from step to step."""
    warmup: float | None = Field(None, ge=0, lt=1)
    """Share of all steps in which the learning rate rises; by default 0.3 for one-cycle, otherwise 0."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Optimizer with its torch defaults beside the learning rate and the weight decay."""
    weight_decay: float | None = Field(None, ge=0)
    """By default that of the optimizer in torch: 0.01 for adamw, otherwise 0."""
    clip_norm: float | None = Field(None, gt=0)
    """Largest norm of all gradients together; by default they are not clipped."""
    patience: int | None = Field(None, gt=0)
    """Stop after so many epochs without a lower validation loss; by default all epochs are trained."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: mixed precision, convolutions and matrix products in bfloat16."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the network is trained; equal seeds give equal weights on the CPU only."""
    seed: int = 0
    """Seeds weights, order and augmentation."""
    snapshots: int = Field(4, ge=0)
    """Validation samples whose dense outputs are kept over the epochs."""


@runtime_checkable
class Pretrained(Protocol):
    """A Trainable whose training may start from given weights."""

    def initialize(self, module: nn.Module) -> None:
        """Load them into a network as it was built. Raises ModelFileError when they do not fit."""


class Trainable(Protocol):
    """Returned by the factory of a ModelSpec."""

    recipe: Recipe
    """The defaults."""
    input: InputSpec
    """Preprocessing; stored with the export."""
    output_names: Sequence[str]
    """Names of the predictor's outputs, in order; the task's fixed names."""

    def build(self) -> nn.Module:
        """A freshly initialized network; torch's seed is already set."""

    def encode(self, targets: Sequence[Target], fits: Sequence[Fit]) -> Mapping[str, Tensor]:
        """Training targets of a batch; `fits` map native pixels to model input pixels."""

    def loss(self, outputs: Any, encoded: Mapping[str, Tensor]) -> Tensor:
        """Scalar loss of the network's raw outputs."""

    def predictor(self, module: nn.Module) -> nn.Module:
        """The network with its decoding: image (N,C,H,W) -> tuple of tensors in the order of output_names."""

    def snapshot(self, outputs: Any) -> torch.Tensor | None:
        """What to keep of a batch's raw outputs for the pictures of training, or None."""

    def card_fields(self) -> Mapping[str, Any]:
        """Further ModelCard fields: labels, cam_layer."""


@runtime_checkable
class Augments(Protocol):
    """A Trainable may also change its training batches, never those of validation."""

    def augment(self, inputs: Tensor, encoded: Mapping[str, Tensor],
                rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """(N, C, h, w) float32 inputs and what `encode` gave -> the same, changed; deterministic by `rng`."""


@runtime_checkable
class AnySize(Protocol):
    """A Trainable may also take images of other sizes than `input.size`; its export then has free height and width."""

    dynamic_axes: Mapping[int, tuple[int, int]]
    """Axis of the image input -> (step, remainder): its admitted lengths are remainder + a multiple of step."""


class Finish(Protocol):
    """What a predictor can not do in torch's exporter, e.g. non-maximum suppression: added to its ONNX graph.

    A Trainable may carry one as its attribute `finish`. The file before it is exported too, as `model.raw.fp32.onnx`,
    with batch 1 and nothing but fixed shapes; `raw_card` says how the host decodes that one.
    """

    input_names: Sequence[str]
    """Names of the predictor's outputs, in order; `output_names` are then those of the finished graph."""

    def append(self, model: onnx.ModelProto) -> None:
        """Replace the outputs of the graph by the task's, in place."""

    def reference(self, outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The same in numpy, on the predictor's outputs: what the finished graph is held against."""

    def raw_card(self) -> Mapping[str, Any]:
        """ModelCard fields of the file without it: decoder."""
