"""The next item is made while the current one is worked on."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue
from typing import NamedTuple, TypeVar

T = TypeVar("T")
_PATIENCE_S = 0.1
"""How long a full queue keeps the thread from noticing that nobody wants its items any more."""


class _End(NamedTuple):
    error: BaseException | None


def prefetched(items: Iterable[T], depth: int = 1) -> Iterator[T]:
    """The same items in the same order, made in a thread of their own, at most `depth` ahead of the one in use.

    Worth its while where both sides spend their time outside the interpreter lock: reading, decoding and resizing on
    one side, inference on the other. An exception is raised where the item it prevented would have come. The thread
    ends with the iteration, also when that is left early or closed.
    """
    queue: Queue[T | _End] = Queue(depth)
    stopped = threading.Event()
    thread = threading.Thread(target=_fill, args=(queue, items, stopped), name="prefetch", daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        _drain(queue)
        thread.join()


def _fill(queue: Queue[T | _End], items: Iterable[T], stopped: threading.Event) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not _put(queue, item, stopped):
                return
    except BaseException as raised:  # noqa: BLE001  it is raised in the thread that iterates
        error = raised
    _put(queue, _End(error), stopped)


def _put(queue: Queue[T | _End], item: T | _End, stopped: threading.Event) -> bool:
    """Whether the item found a place before the iteration was given up."""
    while not stopped.is_set():
        try:
            queue.put(item, timeout=_PATIENCE_S)
        except Full:
            continue
        return True
    return False


def _drain(queue: Queue[T | _End]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        pass
