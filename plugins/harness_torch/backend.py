"""Backends over the network of an export: its plugin's module with the weights that the export holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.api import BackendUnavailable, CellError, InferenceSession, MissingDependency, TensorInfo, checked_feeds
from harness_torch.params import CompileParams, EagerParams

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.api import Trainable

Array = NDArray[Any]
Call = Callable[["Tensor"], Sequence["Tensor"]]
_MANY = 1 << 20
"""Compilations of one function after which torch would go on without compiling, and not say so; 8 by default."""


class EagerBackend:
    """A contracts.Backend."""

    def __init__(self, params: EagerParams) -> None:
        self._params = params

    def unavailable(self) -> str | None:
        if find_spec("torch") is None:
            return str(MissingDependency("torch", "train", "the backend"))
        if self._params.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                return "torch finds no CUDA device here; `harness doctor` tells more"
        return None

    def versions(self) -> dict[str, str]:
        try:
            return {"torch": version("torch")}
        except PackageNotFoundError:
            return {"torch": "not installed"}

    def open(self, path: Path, *, threads: int) -> InferenceSession:
        """path: an export folder with its weights. Raises ModelFileError for any other, BackendUnavailable."""
        if (reason := self.unavailable()) is not None:
            raise BackendUnavailable(reason)
        from harness.api import reload

        reloaded = reload(path)
        network = Network.of(reloaded.model, reloaded.module, self._params)
        return TorchSession(path, network, reloaded.input_name, self._engine(network.predictor), self._params, threads)

    def _engine(self, predictor: nn.Module) -> Engine:
        return Engine(predictor, nullcontext, lambda: None)


class CompileBackend(EagerBackend):
    """A contracts.Backend; compiling takes seconds for each new input shape."""

    _params: CompileParams

    def _engine(self, predictor: nn.Module) -> Engine:
        import torch
        from torch._dynamo.eval_frame import remove_from_cache

        own = _own(predictor)
        compiled: Call = torch.compile(own, mode=self._params.mode, dynamic=False)
        return Engine(compiled, partial(_compiling, self._params.freezing), partial(remove_from_cache, own))


class Engine(NamedTuple):
    """call: a network; compiling: what its first call of an input shape runs in, and no other; forget: for its end."""

    call: Call
    compiling: Callable[[], AbstractContextManager[Any]]
    forget: Callable[[], object]


class Network(NamedTuple):
    """model: the plugin's; predictor: its network with decoding, on the device and in its memory layout."""

    model: Trainable
    predictor: nn.Module

    @classmethod
    def of(cls, model: Trainable, module: nn.Module, params: EagerParams) -> Network:
        import torch

        predictor = model.predictor(module).eval().to(params.device)
        if params.channels_last:
            predictor = predictor.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(model, predictor)

    @property
    def inputs(self) -> tuple[int | None, ...]:
        """Shape of the image input; None where it is free."""
        spec, free = self.model.input, getattr(self.model, "dynamic_axes", {})
        shape = (spec.channels, *spec.size) if spec.layout == "NCHW" else (*spec.size, spec.channels)
        return (None, *(None if axis in free else dim for axis, dim in enumerate(shape, 1)))

    def named(self, outputs: Sequence[Tensor]) -> dict[str, Array]:
        """What the predictor gives as the task's outputs, suppression included; copies."""
        finish = self.model.finish if hasattr(self.model, "finish") else None
        names = self.model.output_names if finish is None else finish.input_names
        arrays = (output.float() if output.is_floating_point() else output for output in outputs)
        found = {name: np.array(array.cpu().numpy()) for name, array in zip(names, arrays, strict=True)}
        return found if finish is None else dict(finish.reference(found))

    def layers(self) -> int:
        """Convolutions and matrix products with weights."""
        from torch import nn

        return sum(isinstance(each, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) for each in self.predictor.modules())


class TorchSession:
    """A contracts.InferenceSession over one network; torch has its number of threads whenever it runs."""

    def __init__(self, path: Path, network: Network, input_name: str, engine: Engine, params: EagerParams,
                 threads: int) -> None:
        import torch

        self.path, self._network, self._params, self._engine = path, network, params, engine
        self._settings = _Settings(threads, params)
        self._settings.hold()
        self.inputs: Sequence[TensorInfo] = [TensorInfo(input_name, "float32", network.inputs)]
        self.outputs: Sequence[TensorInfo] = [TensorInfo(name, "float32", ()) for name in network.model.output_names]
        self.runs_on = params.device if params.device == "cpu" else f"cuda ({torch.cuda.get_device_name()})"

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs of the task by name, suppression included; the arrays belong to the caller."""
        return self._network.named(self._first(self._input(feeds)))

    def bind(self, feeds: Mapping[str, Array]) -> Callable[[], None]:
        """A call of the network on a tensor that lies on the device; what suppresses after it is left out."""
        import torch

        tensor, call, inference = self._input(feeds), self._engine.call, self._inference()
        hold = self._settings.hold_threads
        self._first(tensor)

        def query() -> None:
            hold()
            with inference():
                call(tensor)

        def synchronized() -> None:
            query()
            torch.cuda.synchronize()

        return synchronized if self._params.device == "cuda" else query

    def executed(self) -> Mapping[str, int]:
        """Layers with weights by type."""
        return {self._autocast or "float32": self._network.layers()}

    def close(self) -> None:
        """Give torch the settings back that it had before, and the memory of what it compiled."""
        self._engine.forget()
        self._settings.give_back()

    @property
    def _autocast(self) -> str | None:
        """The type that products are computed in instead of float32."""
        return "bfloat16" if self._params.bf16 else "float16" if self._params.fp16 else None

    def _input(self, feeds: Mapping[str, Array]) -> Tensor:
        import torch

        array = next(iter(checked_feeds(self.path, self.inputs, self.outputs, feeds).values()))
        tensor = torch.from_numpy(array)
        if self._params.channels_last and tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        return tensor.to(self._params.device)

    def _first(self, tensor: Tensor) -> Sequence[Tensor]:
        """A call in which a compiler may work, and fail. Raises CellError."""
        self._settings.hold()
        try:
            with self._engine.compiling(), self._inference()():
                return self._engine.call(tensor)
        except Exception as error:  # torch and its compiler raise whatever their parts raise
            lines = str(error).strip().splitlines() or [""]
            raise CellError(f"{self.path}: torch failed while running it: {type(error).__name__}: {lines[0][:300]}"
                            ) from error

    def _inference(self) -> Callable[[], AbstractContextManager[Any]]:
        """What a call runs in; as little as possible, because it is timed."""
        import torch

        if self._autocast is None:  # freezing is not made for inference mode
            return torch.no_grad if isinstance(self._params, CompileParams) else torch.inference_mode
        kind: torch.dtype = getattr(torch, self._autocast)

        def mixed() -> AbstractContextManager[Any]:
            stack = ExitStack()
            stack.enter_context(torch.no_grad())
            stack.enter_context(torch.autocast(self._params.device, kind))
            return stack

        return mixed


class _Settings:
    """torch's own settings, which hold for the whole process: one session's wishes, and what was there before it.

    Sessions that are open at the same time may want different ones. Compiled code holds for those it was compiled
    under: with others torch would compile it again, in the midst of a measurement.
    """

    def __init__(self, threads: int, params: EagerParams) -> None:
        import torch

        self._own = (threads, params.tf32, params.tf32)
        self._before = _current()
        self._threads = torch.get_num_threads

    def hold(self) -> None:
        """Set them again where somebody has changed them."""
        if _current() != self._own:
            _set(*self._own)

    def hold_threads(self) -> None:
        """The same of threads alone, in 0.1 us."""
        if self._threads() != self._own[0]:
            self.hold()

    def give_back(self) -> None:
        _set(*self._before)


def _current() -> tuple[int, bool, bool]:
    """Threads; TF32 in matrix products, in convolutions."""
    import torch

    return torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def _set(threads: int, products: bool, convolutions: bool) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = products, convolutions


def _own(predictor: nn.Module) -> Call:
    """The network as a function with a code object of its own.

    torch keeps what it compiles by the code that was compiled. So sessions that are open at the same time have theirs,
    of the same network too, and one that is closed can take its own with it.
    """
    def call(tensor: Tensor) -> Sequence[Tensor]:
        found: Sequence[Tensor] = predictor(tensor)
        return found

    call.__code__ = call.__code__.replace()
    return call


@contextmanager
def _compiling(freezing: bool) -> Iterator[None]:
    """Where torch's compiler may work: everything that it makes is made under the same settings."""
    from torch._dynamo import config as tracing
    from torch._inductor import config as lowering

    limits: dict[str, Any] = {"recompile_limit": _MANY, "accumulated_recompile_limit": _MANY}
    with lowering.patch(freezing=freezing), tracing.patch(limits):
        yield
