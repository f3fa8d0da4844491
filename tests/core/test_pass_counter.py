"""Forward passes on the terminal."""

import io
import sys

import pytest

from harness.terminal import PassCounter


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("passes", "expected"), [(10.0, "7/10"), (None, "7/?"), (0.0, "7/?")])
def test_passes_are_counted_on_a_terminal(monkeypatch, passes, expected):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    with PassCounter() as counter:
        counter.add(99)  # before anything was started: of what is read and predicted
        counter.start("cat.jpg: [rise]", passes)
        counter.add(3)
        counter.add(4)
        counter.start("cat.jpg: next", None)
    written = sys.stderr.getvalue()
    assert expected in written
    assert "cat.jpg: [rise]" in written
    assert "99/" not in written


def test_nothing_is_written_elsewhere(capsys):
    with PassCounter() as counter:
        counter.start("cat.jpg: rise", 10)
        counter.add(3)
    assert capsys.readouterr() == ("", "")
