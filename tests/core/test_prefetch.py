"""The next item is made while the current one is used: same items, same order, errors in their place."""

import itertools
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.prefetch import prefetched


def alive():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@given(st.lists(st.integers() | st.none()), st.integers(1, 4))
def test_the_same_items_in_the_same_order(items, depth):
    assert list(prefetched(items, depth)) == items
    assert not alive()


def test_an_error_comes_after_the_items_before_it():
    def failing():
        yield 1
        yield 2
        raise OSError("sample three")

    seen = []
    with pytest.raises(OSError, match="sample three"):
        seen.extend(prefetched(failing()))
    assert seen == [1, 2]
    assert not alive()


def test_never_more_than_depth_ahead_of_the_one_in_use():
    made = []

    def counted():
        for index in range(20):
            made.append(index)
            yield index

    for item in prefetched(counted(), depth=2):
        time.sleep(0.002)
        assert len(made) <= item + 1 + 2 + 1  # in use, queued, and the one that waits for its place


def test_both_sides_work_at_the_same_time():
    """Each side waits until the other is at work: without overlap this would never end."""
    making, using = threading.Barrier(2, timeout=10), threading.Barrier(2, timeout=10)

    def source():
        yield 0
        making.wait()
        yield 1
        using.wait()

    for item in prefetched(source()):
        (making if item == 0 else using).wait()


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_leaving_early_ends_the_thread_and_closes_the_source(taken):
    closed = threading.Event()

    def endless():
        try:
            yield from itertools.count()
        finally:
            closed.set()

    items = prefetched(endless())
    assert [next(items) for _ in range(taken)] == list(range(taken))
    items.close()
    assert not alive()
    assert not taken or closed.wait(2)  # what was never asked for an item never began


def test_an_interrupt_in_the_consumer_ends_the_thread():
    def use():
        for _ in prefetched(itertools.count()):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert not alive()
