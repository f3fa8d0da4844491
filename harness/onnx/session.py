"""Sessions over onnxruntime: explicit options, asserted provider, checked feeds, and a bare call for the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from harness.contracts import TensorInfo
from harness.errors import BackendUnavailable, CellError, ModelFileError
from harness.onnx.executed import executed_types
from harness.onnx.interface import checked_feeds, tensor_info
from harness.onnx.problems import open_problem, shorten
from harness.onnx.providers import CPU, CUDA, preload_libraries, provider_problem, session_options
from harness.onnx.runtime import onnxruntime, runtime_errors

Array = NDArray[Any]
Optimization = Literal["none", "basic", "extended", "all"]


def open_session(path: Path, *, provider: str = CPU, provider_options: Mapping[str, Any] | None = None,
                 threads: int = 1, inter_threads: int = 1, allow_spinning: bool = False,
                 optimization: Optimization = "all") -> OrtSession:
    """Open an ONNX file with onnxruntime.

    threads: of one operator; inter_threads: operators at a time. provider_options: as onnxruntime names them.
    Raises ModelFileError for a file that can not be used, BackendUnavailable where `provider` does not work, and
    CellError where it works and onnxruntime would run this file elsewhere (it falls back to the CPU in silence).
    """
    ort = onnxruntime()
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    if provider not in ort.get_available_providers():
        raise BackendUnavailable(provider_problem(provider) or provider)
    if provider != CPU:
        preload_libraries()
    make_options = partial(session_options, threads=threads, inter_threads=inter_threads,
                           allow_spinning=allow_spinning, optimization=optimization)
    settings = {name: str(value) for name, value in (provider_options or {}).items()}
    try:
        session = ort.InferenceSession(str(path), make_options(), providers=[provider], provider_options=[settings],
                                       enable_fallback=0)
    except runtime_errors() as error:
        problem = provider_problem(provider)
        raise (BackendUnavailable(problem) if problem else open_problem(path, error)) from error
    _assert_provider(path, session, provider)
    return OrtSession(path, session, device_id=int(settings.get("device_id", 0)),
                      cuda_graph=settings.get("enable_cuda_graph", "0") == "1",
                      executed=lambda: executed_types(path, make_options(), provider, settings))


def _assert_provider(path: Path, session: Any, provider: str) -> None:
    actual = session.get_providers()[0]
    if actual != provider:
        if (problem := provider_problem(provider)) is not None:
            raise BackendUnavailable(problem)
        raise CellError(f"{path}: asked for {provider}, which works here, but onnxruntime would run it on {actual}")


class OrtSession:
    """A contracts.InferenceSession. runs_on is the provider that onnxruntime put first, e.g. CUDAExecutionProvider.

    settings: options that were chosen by measuring (harness.onnx.tuning), {} otherwise.
    """

    def __init__(self, path: Path, session: Any, *, device_id: int = 0, cuda_graph: bool = False,
                 executed: Callable[[], dict[str, int]] = dict) -> None:
        self.path = path
        self.executed = executed
        self.settings: Mapping[str, Any] = {}
        self.runs_on: str = session.get_providers()[0]
        self.inputs: Sequence[TensorInfo] = [tensor_info(i.name, i.type, i.shape) for i in session.get_inputs()]
        self.outputs: Sequence[TensorInfo] = [tensor_info(o.name, o.type, o.shape) for o in session.get_outputs()]
        self._session = session
        self._names = [info.name for info in self.outputs]
        self._device = ("cpu", 0) if self.runs_on == CPU else ("cuda", device_id)
        self._cuda_graph = cuda_graph and self.runs_on == CUDA
        self._graph_ids = count(1)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name; the arrays belong to the caller.

        onnxruntime allocates them: shapes that a foreign graph declares may be wrong, and a wrong buffer is an error.
        Raises ModelFileError when feeds do not fit the graph, CellError when the run fails.
        """
        fitted = checked_feeds(self.path, self.inputs, self.outputs, feeds)
        try:
            # A captured CUDA graph replays fixed addresses, so plain runs stay outside of it.
            values = self._session.run(self._names, fitted, self._run_options(-1))
        except runtime_errors() as error:
            raise CellError(f"{self.path}: onnxruntime failed while running it: {shorten(str(error))}") from error
        return dict(zip(self._names, values, strict=True))

    def bind(self, feeds: Mapping[str, Array]) -> Callable[[], None]:
        """A call that repeats one inference; inputs and outputs stay on the device, in buffers allocated once.

        It runs twice here: onnxruntime allocates outputs of the true shapes, then they are bound as they are (and a
        CUDA graph is captured). Returns when the device is done. Raises as `run`.
        """
        binding, options = self._session.io_binding(), self._run_options(next(self._graph_ids))
        value_of = onnxruntime().OrtValue.ortvalue_from_numpy
        for name, array in checked_feeds(self.path, self.inputs, self.outputs, feeds).items():
            binding.bind_ortvalue_input(name, value_of(array, *self._device))
        for name in self._names:
            binding.bind_output(name, *self._device)
        query = self._query(binding, options)
        try:
            self._session.run_with_iobinding(binding, self._run_options(-1))
            for name, value in zip(self._names, binding.get_outputs(), strict=True):
                binding.bind_ortvalue_output(name, value)
            query()
        except runtime_errors() as error:
            raise CellError(f"{self.path}: onnxruntime failed while running it: {shorten(str(error))}") from error
        return query

    def close(self) -> None:
        """Free the model's memory, once no bound call is held any more."""
        self._session = None

    def _query(self, binding: Any, options: Any) -> Callable[[], None]:
        run = partial(self._session.run_with_iobinding, binding, options)
        if self._device[0] == "cpu":
            return run

        def synchronized() -> None:
            run()
            binding.synchronize_outputs()

        return synchronized

    def _run_options(self, graph_id: int) -> Any:
        if not self._cuda_graph:
            return None
        options = onnxruntime().RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(graph_id))
        return options
