"""What the factories that plugins declare (harness.specs) must return: protocols, and the data they exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.card import ModelCard
    from harness.geometry import Fit
    from harness.params import Params
    from harness.results import CellResult, Results
    from harness.saliency import Explain, ModelHandle
    from harness.table import Table
    from harness.tasks import Target

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A sample that could not be read; it is reported by name and counted, never dropped in silence."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """images: native uint8 arrays (H, W, C), C = 1, 3 (RGB) or 4 (RGB and a map), sizes may differ; ids are unique."""

    images: Sequence[NDArray[np.uint8]]
    targets: Sequence[Target]
    ids: Sequence[str]
    unreadable: Sequence[Unreadable] = ()

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.targets) == len(self.ids):
            raise ValueError(f"{len(self.images)} images, {len(self.targets)} targets and {len(self.ids)} ids")


class Dataset(Protocol):
    """Samples in a fixed order, deterministic by (params, index), streamed.

    Raises DataError from the factory when the data is missing or in another layout.
    """

    def __len__(self) -> int: ...

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[Batch]:
        """The samples at the given indices (all by default), at most `size` at a time."""

    def fingerprint(self) -> str:
        """Changes when files that the dataset reads change; "" for generated data. Part of the cache key."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """Where `locate` may look.

    id: the suite's name of the model; export: an explicit path; folders: searched in order; export_id: of the model's
    spec; train: what the suite changes in its recipe, so that an export of another recipe is not taken for it.
    """

    id: str
    precision: str
    export: Path | None
    folders: tuple[Path, ...]
    export_id: str | None = None
    train: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An ONNX file and what is declared about it; `card` keys override the file's own metadata."""

    path: Path
    card: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Samples:
    """What a metric sees of one batch; a single argument, so that fields can be added.

    predictions: stored task outputs in native pixels, one row per sample; inputs: (N, ...) float32 as the model saw
    them; fits: how each image was placed there; saliency: (N, H, W) float32 raw maps; classes: (N,) int64 class index
    each map explains; seeds: what the generator drew each map with; predict: (N, ...) float32 inputs -> class logits
    (N, C), counted; explain: further maps by the same generator; model: for metrics that change it; seed: for metrics
    that draw.
    All metrics of a cell get the same object for a batch, so that they can share work through `once`.
    """

    ids: Sequence[str]
    targets: Sequence[Target]
    predictions: Table
    card: ModelCard
    seed: int = 0
    images: Sequence[NDArray[np.uint8]] | None = None
    inputs: NDArray[np.float32] | None = None
    fits: Sequence[Fit] | None = None
    saliency: NDArray[np.float32] | None = None
    classes: NDArray[np.int64] | None = None
    seeds: Sequence[int] | None = None
    predict: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
    explain: Explain | None = None
    model: ModelHandle | None = None
    # Not an argument, so that a copy with other fields does not keep what was made of the old ones.
    _made: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, key: str, make: Callable[[], T]) -> T:
        """What `make` gives, called at the first use of this key; kept until the batch is done.

        key: starts with the name of the plugin's package, e.g. "acme_metrics.components".
        """
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One number of a metric. n: what it is computed over; n_invalid: samples that could not be evaluated.

    value None: nothing was evaluable. proportion: a share of n, so that Wilson's interval applies at 0 and 1.
    detail: one of many parts (a keypoint, a class) that tables leave out and files keep.
    """

    value: float | None
    n: int
    n_invalid: int = 0
    higher_is_better: bool = True
    unit: str = "fraction"
    convention: str = ""
    proportion: bool = False
    detail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A curve for plots: x and y of equal length, with their axis labels and units."""

    x: Sequence[float]
    y: Sequence[float]
    x_label: str
    y_label: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Scalars by result suffix: "" is the metric's own name, "@0.05" a parameter, ".box" a region or part."""

    scalars: Mapping[str, Scalar]
    curves: Mapping[str, Curve] = field(default_factory=dict)


class Metric(Protocol):
    """Stateless: sharding, resuming, bootstrap and paired comparison follow from rows alone."""

    def measure(self, samples: Samples) -> Table:
        """One row per sample, in order; arrays only."""

    def summarize(self, rows: Table) -> Summary:
        """The numbers over any selection of rows, repetitions included; called once per bootstrap replicate."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A graph input or output; symbolic dimensions are names, unknown ones None."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


class InferenceSession(Protocol):
    """A model opened by a backend. runs_on: the provider or device it was verified to execute on."""

    runs_on: str
    inputs: Sequence[TensorInfo]
    outputs: Sequence[TensorInfo]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All outputs by name; the arrays belong to the caller."""

    def bind(self, feeds: Mapping[str, NDArray[Any]]) -> Callable[[], None]:
        """A call that repeats one inference on fixed inputs, with as little around it as possible: what is timed."""

    def close(self) -> None: ...


@runtime_checkable
class TellsPrecision(Protocol):
    """A session that also knows in which types its layers are computed; what a file says may be fused or cast away."""

    def executed(self) -> Mapping[str, int]:
        """Layers with weights by type, e.g. {"int8": 18, "float32": 2}; empty where it can not be told."""


@runtime_checkable
class TellsSettings(Protocol):
    """A session whose backend chose its options by measuring."""

    settings: Mapping[str, Any]
    """What was chosen; {} when nothing was."""


class Backend(Protocol):
    """Opens model files. The factory is cheap; heavy imports happen in these methods."""

    def unavailable(self) -> str | None:
        """Why it can not run on this machine, or None."""

    def versions(self) -> dict[str, str]:
        """Versions that can change an outcome; part of the cache key."""

    def open(self, path: Path, *, threads: int) -> InferenceSession:
        """Raises ModelFileError for an unusable file, BackendUnavailable when it would run elsewhere than asked."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Raw outcome of one turn of a scenario: nanoseconds of every query after warm-up, in order.

    One query is `batch` samples. note: what a reader must know, e.g. that warm-up did not become steady; parts: by
    name, nanoseconds of a part of each query, e.g. of opening a session; invalid: why the measurement is not valid,
    where something else than the harness judged it; joules, gpu_joules: used by the machine's processors and GPUs
    meanwhile, warm-up included, where it can be read; queueing: nanoseconds that threads of the process waited for a
    core per nanosecond of the turn, warm-up included, where it can be read.

    served: queries that were answered, by default all. Fewer than `nanoseconds` where the last of these were not: then
    they are how long a query had waited in vain. More where a scenario measures only the whole, not each query.
    """

    nanoseconds: NDArray[np.int64]
    elapsed_ns: int
    cpu_ns: int
    warmup_queries: int
    note: str | None = None
    parts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    invalid: str | None = None
    joules: float | None = None
    gpu_joules: float | None = None
    queueing: float | None = None
    served: int = -1

    def __post_init__(self) -> None:
        if self.served < 0:
            object.__setattr__(self, "served", len(self.nanoseconds))

    @property
    def queries(self) -> int:
        """All, answered or not."""
        return max(self.served, len(self.nanoseconds))


@dataclass(frozen=True, slots=True)
class Subject:
    """What a scenario times.

    query: one inference of `batch` samples on fixed inputs, with as little around it as possible; opened: a session of
    its own, which gives a call that runs it once and is closed at the end; seed: for what the scenario draws.
    """

    query: Callable[[], None]
    opened: Callable[[], AbstractContextManager[Callable[[], None]]]
    batch: int = 1
    seed: int = 0


class Scenario(Protocol):
    """Decides when queries are issued.

    A measurement is taken in `rounds` turns. Between them the other latency cells of the bench have theirs, so that
    all of them see the same machine; statistics have the round as their unit.
    """

    @property
    def rounds(self) -> int: ...

    def measure(self, subject: Subject, turn: int) -> Timing:
        """One turn, counted from 0: warm up in the first, settle in the others."""

    def invalidity(self, turns: Sequence[Timing]) -> str | None:
        """Why the whole measurement is not valid, or None."""


Progress = Callable[[str, int, int], None]
"""progress(cell key, done, total): may be called often."""


class Executor(Protocol):
    """Runs groups of cells. A group is a picklable job; `job(progress)` returns the results of its cells."""

    def run(self, groups: Sequence[Group], progress: Progress) -> Iterator[list[CellResult]]:
        """Results group by group as they finish; a group that dies gives failed results, never an exception."""


class Group(Protocol):
    """One unit of execution: an accuracy or explain cell, or all latency cells of a bench."""

    @property
    def keys(self) -> Sequence[str]: ...

    @property
    def exclusive(self) -> bool:
        """Must be alone on the machine (latency)."""

    def execute(self, progress: Progress, *, fresh_process: bool = False) -> list[CellResult]:
        """fresh_process: nothing else ran in this process before, so that its peak memory is the group's."""

    def failed(self, error_type: str, message: str) -> list[CellResult]:
        """The results to report when the group could not be executed to its end."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What a reporter reads; a single argument, so that fields can be added. directory: with the raw data, or None."""

    results: Results
    directory: Path | None = None

    def table(self, cell: CellResult, name: str) -> Table | None:
        """Raw data of a cell by its name in `files`, e.g. "samples" or "rows.pck"; None where it is not there.

        Raises ValueError or OSError when the file is damaged.
        """
        from harness.table import Table

        path = self.path(cell, name)
        return Table.load(path) if path is not None else None

    def path(self, cell: CellResult, name: str) -> Path | None:
        """A file or folder of a cell by its name in `files`; None where it is not there, or not inside the run."""
        if self.directory is None or name not in cell.files:
            return None
        path = self.directory / cell.files[name]
        inside = path.resolve().is_relative_to(self.directory.resolve())
        return path if inside and path.exists() else None


class Reporter(Protocol):
    """Turns a finished run into files."""

    def render(self, run: FinishedRun) -> Mapping[str, str | bytes]:
        """File name -> content."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """The one argument of the lifecycle hooks.

    suite: its tables as they are written, paths relative to its file; datasets: the validated params of each of them by
    the suite's name, paths absolute, keys of a `base` taken over; result: the finished cell; results: the finished run.
    """

    directory: Path
    suite: Mapping[str, Any]
    keys: tuple[str, ...] = ()
    result: CellResult | None = None
    results: Results | None = None
    datasets: Mapping[str, Params] = field(default_factory=dict)
