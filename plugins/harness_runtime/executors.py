"""Executors: every group in a fresh process of its own, or all in this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from harness_runtime.params import InlineParams, LocalParams

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from harness.api import CellResult, Group, Progress


class InlineExecutor:
    """Groups one after the other in this process: breakpoints work, a crash takes everything with it."""

    def __init__(self, params: InlineParams) -> None:
        pass

    def run(self, groups: Sequence[Group], progress: Progress) -> Iterator[list[CellResult]]:
        for group in groups:
            try:
                results = group.execute(progress)
            except Exception as error:  # noqa: BLE001  the other groups are still measured
                results = group.failed(type(error).__name__, str(error))
            yield results


class LocalExecutor:
    """A fresh process for each group, so that a crash, a leak or a time-out harms nothing else.

    Groups that need the machine for themselves (latency) run last, one at a time.
    """

    def __init__(self, params: LocalParams) -> None:
        self._params = params

    def run(self, groups: Sequence[Group], progress: Progress) -> Iterator[list[CellResult]]:
        shared = [group for group in groups if not group.exclusive]
        alone = [group for group in groups if group.exclusive]
        yield from self._run(shared, progress, self._params.workers)
        yield from self._run(alone, progress, 1)

    def _run(self, groups: Sequence[Group], progress: Progress, workers: int) -> Iterator[list[CellResult]]:
        if not groups:
            return
        from pebble import ProcessPool

        context = multiprocessing.get_context("spawn")  # onnxruntime's threads do not survive a fork
        reader, writer = context.Pipe(duplex=False)
        listener = threading.Thread(target=_listen, args=(reader, progress), daemon=True)
        listener.start()
        pool: Any = ProcessPool(max_workers=workers, max_tasks=1, context=context, initializer=_start,
                                initargs=(writer,))
        try:
            with _interrupts_held():  # the pool's threads start here, and with them every worker is deaf to Ctrl-C
                futures: dict[Future[list[CellResult]], Group] = {
                    pool.schedule(_execute, args=(group,), timeout=self._params.timeout): group for group in groups
                }
            yield from _finished(futures, self._params.timeout)
            pool.close()
        finally:
            pool.stop()
            pool.join()
            writer.close()  # the last one: the listener ends
            listener.join()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """What starts inside inherits a blocked SIGINT; this process gets one that comes meanwhile at the end.

    A terminal sends Ctrl-C to the workers as well. One that is just starting would print a traceback; ending the
    workers is the business of this process alone.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # it unblocks SIGINT when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _finished(futures: dict[Future[list[CellResult]], Group], timeout: float | None) -> Iterator[list[CellResult]]:
    while futures:
        # A bounded wait keeps Ctrl-C responsive.
        for future in wait(futures, timeout=0.5, return_when=FIRST_COMPLETED).done:
            yield _outcome(future, futures.pop(future), timeout)


def _outcome(future: Future[list[CellResult]], group: Group, timeout: float | None) -> list[CellResult]:
    from pebble import ProcessExpired

    from harness.api import exit_reason

    try:
        return future.result()
    except TimeoutError:
        limit = f"not finished within {timeout:g} s" if timeout else "timed out"
        return group.failed("TimeoutError", f"{limit}; `timeout` in the suite's [executor] sets the limit")
    except ProcessExpired as error:
        return group.failed("ProcessExpired", f"the worker process died: {exit_reason(error.exitcode)}")
    except Exception as error:  # noqa: BLE001  e.g. a group or a result that can not be pickled
        return group.failed(type(error).__name__, str(error))


# --- in the worker process -------------------------------------------------------------------------------------------

_worker: dict[str, Any] = {}
"""The pipe to the parent: the only way to hand it to a task is through the worker's initializer."""


def _start(writer: Connection) -> None:
    os.dup2(2, 1)  # standard output belongs to the results; what plugins and libraries print is no part of them
    if hasattr(os, "set_blocking"):
        os.set_blocking(writer.fileno(), False)
    _worker["writer"] = writer


def _execute(group: Group) -> list[CellResult]:
    writer = _worker["writer"]

    def progress(key: str, done: int, total: int) -> None:
        # One small write is atomic: no lock that a killed worker could hold. A full pipe loses a step of a bar.
        with suppress(OSError):
            writer.send((key, done, total))

    return group.execute(progress, fresh_process=True)


def _listen(reader: Connection, progress: Progress) -> None:
    with suppress(EOFError, OSError):
        while True:
            progress(*reader.recv())
