"""A run that was killed or interrupted goes on where it stopped."""

import json
import os
import signal
import subprocess
import time

import pytest

from harness.errors import UsageError

# Three cells; the metric of the second kills the process once.
KILLED = """
[datasets.late]
base = "colors"
seed = 5
[datasets.last]
base = "colors"
seed = 6
[metrics.odd]
use = "lab-odd"
how = "{how}"
once = "killed"
[[bench]]
models = ["mean"]
datasets = ["late"]
metrics = ["top", "odd"]
backends = ["logged"]
[[bench]]
models = ["mean"]
datasets = ["last"]
metrics = ["top"]
backends = ["logged"]
"""

LATENCY = """
[[bench]]
models = ["mean"]
latency = [{ batch = [1, 2], min_queries = 20, min_duration_s = 0.0, max_warmup_s = 0.1 }]
"""


def keys(lines):
    return [json.loads(line)["key"] for line in lines]


def test_a_killed_run_resumes_and_gives_the_same_results(lab):
    text = lab.suite + lab.bench + KILLED.format(how="kill")
    killed = lab.call(text, "--executor", "inline")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (lab.folder / "run" / "results.json").exists()
    assert keys(lab.lines()) == ["accuracy/colors/mean/fp32/logged"]
    path = lab.folder / "run" / "cells.jsonl"
    path.write_bytes(path.read_bytes() + path.read_bytes()[:100])  # the beginning of a line, as a crash leaves it

    outcome = lab.run(text)
    assert lab.forward_passes == 24  # of the two cells that were not finished
    assert lab.watcher.resumed == 1
    assert [cell.key.split("/")[1] for cell in lab.watcher.results] == ["late", "last"]
    assert outcome.exit_code == 0
    whole = lab.run(text, output="whole", cache="other")
    assert lab.forward_passes == 36
    assert lab.numbers(outcome.results) == lab.numbers(whole.results)
    assert len(lab.lines()) == 4  # three cells and the one that was cut off


def test_a_finished_folder_starts_again(lab):
    lab.run()
    lab.run()
    assert (lab.watcher.resumed, len(lab.lines())) == (0, 1)


def test_a_latency_group_is_resumed_whole_or_not_at_all(lab):
    text = lab.suite + lab.bench + LATENCY
    lab.run(text)
    (lab.folder / "run" / "results.json").unlink()
    lines = lab.lines()
    path = lab.folder / "run" / "cells.jsonl"
    path.write_text("\n".join(lines[:2]) + "\n")  # the accuracy cell and one of two latencies
    first = json.loads(lines[1])["latency"]["mean_ms"]
    outcome = lab.run(text)
    assert lab.watcher.resumed == 1
    assert [cell.kind for cell in lab.watcher.results] == ["latency", "latency"]
    assert len(outcome.results.cells) == 3
    assert outcome.results.cells[1].latency.mean_ms != first

    (lab.folder / "run" / "results.json").unlink()
    again = lab.run(text)
    assert (lab.watcher.resumed, lab.watcher.results) == (3, [])
    assert again.results.cells == outcome.results.cells


def test_failed_and_changed_cells_are_measured_again(lab):
    text = lab.suite + lab.bench + KILLED.format(how="raise")
    first = lab.run(text)
    assert [cell.status for cell in first.results.cells] == ["ok", "failed", "ok"]
    (lab.folder / "run" / "results.json").unlink()
    second = lab.run(text.replace("seed = 6", "seed = 7"))
    assert lab.watcher.resumed == 1
    assert [cell.key.split("/")[1] for cell in lab.watcher.results] == ["late", "last"]
    assert [cell.status for cell in second.results.cells] == ["ok", "ok", "ok"]


def test_fresh_does_not_resume(lab):
    lab.run()
    (lab.folder / "run" / "results.json").unlink()
    lab.run(fresh=True)
    assert (lab.watcher.resumed, lab.forward_passes, len(lab.lines())) == (0, 12, 1)


def test_a_damaged_cell_record_is_measured_again(lab):
    lab.run()
    (lab.folder / "run" / "results.json").unlink()
    (lab.folder / "run" / "cells.jsonl").write_bytes(b'{"key": 3}\n\xff\xfe\x00garbage\n')
    assert lab.run().exit_code == 0
    assert lab.watcher.resumed == 0


def test_by_default_the_newest_unfinished_folder_goes_on(lab):
    root = lab.folder / "runs"
    first = lab.run_in(root)
    assert first.parent == root / "lab"
    second = lab.run_in(root)
    assert second != first
    (second / "results.json").unlink()
    assert lab.run_in(root) == second
    assert lab.watcher.resumed == 1
    (second / "results.json").unlink()
    third = lab.run_in(root, fresh=True)
    assert third not in (first, second)


def hear_interrupts():
    """A shell starts what runs in the background deaf to SIGINT; the tests may be running there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_an_interrupt_keeps_the_cells_and_ends_with_130(lab, executor):
    sleeping = lab.suite + lab.bench + KILLED.format(how="sleep")
    process = subprocess.Popen(lab.command(sleeping, "--executor", executor), env=lab.environment, cwd=lab.folder,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                               preexec_fn=hear_interrupts)
    try:
        deadline = time.monotonic() + 30
        while not (lab.folder / "killed").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
        out, err = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, err
    assert out == ""
    assert "interrupted" in err
    assert "Traceback" not in err
    assert keys(lab.lines()) == ["accuracy/colors/mean/fp32/logged"]
    assert not (lab.folder / "run" / "results.json").exists()
    outcome = lab.run(sleeping)
    assert (outcome.exit_code, lab.watcher.resumed) == (0, 1)


def test_two_runs_do_not_share_a_folder(lab):
    from harness.rundir import RunDirectory

    with RunDirectory(lab.folder / "run").started(), pytest.raises(UsageError, match="another run is writing to it"):
        lab.run()
    assert lab.run().exit_code == 0


def test_a_folder_that_can_not_be_made_costs_no_measurement(lab):
    (lab.folder / "file").write_text("")
    with pytest.raises(UsageError, match="file/run.*--output"):
        lab.run(output="file/run")
    assert lab.forward_passes == 0
