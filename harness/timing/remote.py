"""A station in a process of its own, which does nothing while it is not asked.

The workers of an executor may have no children through multiprocessing, so the process is started as a command; pickled
calls go to its standard input and answers come from its standard output. It ends when its input does, hence with
whoever started it, however that ended.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple

from harness.contracts import Timing
from harness.failures import exit_reason
from harness.plan import Cell
from harness.results import ErrorResult
from harness.timing.station import UNKNOWN, Failure, Opening, Peaks, Station

_COMMAND = "from harness.timing.remote import serve; serve()"
_GRACE_S = 10


class _Call(NamedTuple):
    name: str
    arguments: tuple[Any, ...]


class RemoteStation:
    """As Station, in another process. A process that died is a Failure of what it was asked for."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
        self._process = subprocess.Popen([sys.executable, "-c", _COMMAND], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, env=environment)

    def open(self, cell: Cell) -> Opening | Failure:
        answer: Opening | Failure = self._ask("open", cell)
        return answer

    def reopen(self, cells: Sequence[Cell]) -> list[Opening | Failure]:
        answer: list[Opening | Failure] | Failure = self._ask("reopen", cells)
        return [answer] * len(cells) if isinstance(answer, Failure) else answer

    def measure(self, key: str, turn: int) -> Timing | Failure:
        answer: Timing | Failure = self._ask("measure", key, turn)
        return answer

    def peaks_mb(self) -> Peaks:
        answer = self._ask("peaks_mb")
        return answer if isinstance(answer, Peaks) else UNKNOWN

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            try:
                _piped(stream).close()
            except OSError:  # it is gone
                continue
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, name: str, *arguments: Any) -> Any:
        try:
            pickle.dump(_Call(name, arguments), _piped(self._process.stdin))
            _piped(self._process.stdin).flush()
            return pickle.load(_piped(self._process.stdout))
        except (EOFError, OSError, pickle.UnpicklingError):
            return Failure(error=ErrorResult(type="ProcessExpired", message="the process of this backend died: "
                                             + exit_reason(self._process.wait(_GRACE_S))))


def _piped(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("not a pipe")
    return stream


def serve() -> None:
    """In the process: answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it decides when it ends
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    station = Station()
    calls: dict[str, Callable[..., object]] = {
        "open": station.open, "reopen": station.reopen, "measure": station.measure, "peaks_mb": station.peaks_mb}
    while True:
        try:
            call = pickle.load(sys.stdin.buffer)
        except EOFError:
            break
        except Exception as error:  # noqa: BLE001  e.g. a plugin's class that can not be imported here
            answer: object = Failure.of(error)
        else:
            answer = calls[call.name](*call.arguments)
        pickle.dump(answer, answers)
        answers.flush()
    station.close()
