"""The folder of a run: what survives a kill, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from harness.errors import UsageError
from harness.results import CellResult, MetricResult, Results
from harness.rundir import CELLS, REPORT, RESULTS, RunDirectory, new_directory, read_results, unfinished_directory


def cell(key, **more):
    return CellResult(key=key, id="0", kind="accuracy", status="ok", model="m", precision="fp32", backend="cpu", **more)


RUN = Results(suite={"suite": {"name": "x"}}, environment={}, plugins=[], cells=[cell("a")])


@pytest.fixture
def directory(tmp_path):
    return RunDirectory(tmp_path / "runs" / "one")


def test_cells_are_appended_line_by_line(directory):
    with directory.started():
        directory.append(cell("a", reason="several\nlines, \u2028 and ünïcode"))
        directory.append(cell("b", metrics={"pck": MetricResult(value=float("nan"), n=0)}))
    lines = (directory.path / CELLS).read_bytes().split(b"\n")
    assert [json.loads(line)["key"] for line in lines[:-1]] == ["a", "b"]
    assert lines[-1] == b""
    assert [found.key for found in directory.cells()] == ["a", "b"]
    assert next(directory.cells()) == cell("a", reason="several\nlines, \u2028 and ünïcode")


def test_every_line_is_on_the_disk_before_the_next(directory, monkeypatch):
    synced = []

    def fsync(descriptor):
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    with directory.started():
        sizes = []
        for key in "abc":
            directory.append(cell(key))
            sizes.append((directory.path / CELLS).stat().st_size)
    assert synced == sizes
    assert len(set(sizes)) == 3


def test_the_last_result_of_a_key_counts(directory):
    with directory.started():
        for reason in ("first", "second"):
            directory.append(cell("a", reason=reason))
    assert [found.reason for found in directory.cells()] == ["second"]


def test_a_line_cut_off_anywhere_is_left_out_and_ended(directory):
    with directory.started():
        directory.append(cell("a"))
        directory.append(cell("b"))
    whole = (directory.path / CELLS).read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first + 1, len(whole) - 1, 5):
        (directory.path / CELLS).write_bytes(whole[:cut])
        assert [found.key for found in directory.cells()] == ["a"]
    with directory.started():
        directory.append(cell("c"))
    assert [found.key for found in directory.cells()] == ["a", "c"]


def test_a_line_that_misses_only_its_end_counts(directory):
    with directory.started():
        directory.append(cell("a"))
    content = (directory.path / CELLS).read_bytes()
    (directory.path / CELLS).write_bytes(content.rstrip(b"\n"))
    with directory.started():
        directory.append(cell("b"))
    assert [found.key for found in directory.cells()] == ["a", "b"]


def test_no_cells_yet(directory):
    assert list(directory.cells()) == []
    with directory.started():
        assert list(directory.cells()) == []


def test_starting_again_keeps_an_interrupted_run_and_forgets_a_finished_one(directory):
    with directory.started():
        directory.append(cell("a"))
    with directory.started():
        assert [found.key for found in directory.cells()] == ["a"]
        directory.write_results(RUN)
    assert directory.finished
    with directory.started():
        assert not directory.finished
        assert list(directory.cells()) == []


def test_a_fresh_start_forgets_everything(directory):
    with directory.started():
        directory.append(cell("a"))
    with directory.started(fresh=True):
        assert list(directory.cells()) == []


def test_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/run: can not be written: .*; choose another --output"), \
            RunDirectory(tmp_path / "file" / "run").started():
        pass


HOLD = """
import sys
from pathlib import Path
from harness.rundir import RunDirectory
with RunDirectory(Path(sys.argv[1])).started():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_write_to_one_folder(directory):
    with subprocess.Popen([sys.executable, "-c", HOLD, directory.path], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="another run is writing to it; choose another --output"), \
                directory.started():
            pass
        assert unfinished_directory(directory.path.parent.parent, "runs") is None
        other.communicate("")
    with directory.started():
        pass
    assert unfinished_directory(directory.path.parent.parent, "runs") == directory.path


def test_a_folder_that_can_not_be_locked_is_not_continued(directory, monkeypatch):
    with directory.started():
        directory.append(cell("a"))

    def denied(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("harness.rundir.FileLock.acquire", denied)
    assert unfinished_directory(directory.path.parent.parent, "runs") is None


def test_a_finished_run_is_kept_until_the_next_one_is_finished(directory):
    with directory.started():
        directory.append(cell("a"))
        directory.write_results(RUN)
    (directory.path / REPORT).write_text("of the first")
    for _ in range(2):  # interrupted, then continued
        with directory.started():
            assert not directory.finished
            assert not (directory.path / REPORT).exists()
            assert read_results(directory.path / f"previous.{RESULTS}") == RUN
            assert (directory.path / f"previous.{REPORT}").read_text() == "of the first"
    with directory.started():
        directory.write_results(RUN.model_copy(update={"cells": []}))
    assert sorted(path.name for path in directory.path.iterdir() if path.name[0] != ".") == [CELLS, RESULTS]


# --- results.json ---------------------------------------------------------------------------------------------------

def test_results_are_complete_or_not_there(directory, monkeypatch):
    directory.path.mkdir(parents=True)
    directory.write_results(RUN)
    before = (directory.path / RESULTS).read_bytes()

    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        directory.write_results(RUN.model_copy(update={"cells": []}))
    assert (directory.path / RESULTS).read_bytes() == before
    assert [path.name for path in directory.path.iterdir()] == [RESULTS]


def test_results_are_read_from_the_folder_or_the_file(directory):
    directory.path.mkdir(parents=True)
    directory.write_results(RUN)
    assert read_results(directory.path) == read_results(directory.path / RESULTS) == RUN


def test_keys_of_a_later_version_are_kept(directory):
    directory.path.mkdir(parents=True)
    data = json.loads(RUN.model_dump_json(by_alias=True))
    data["later"] = {"a": 1}
    data["cells"][0]["carbon"] = 3
    (directory.path / RESULTS).write_text(json.dumps(data))
    again = json.loads(read_results(directory.path).model_dump_json(by_alias=True))
    assert (again["later"], again["cells"][0]["carbon"]) == ({"a": 1}, 3)


VALID = RUN.model_dump_json(by_alias=True)


@pytest.mark.parametrize("content", [
    b"", b"{", VALID[:-5].encode(), b"[]", b"null", b"{}", b"\xff\xfe", VALID.replace('"ok"', '"fine"').encode(),
    VALID.replace('"schema":1', '"schema":2').encode(), json.dumps({"machine_info": {}, "benchmarks": []}).encode(),
], ids=repr)
def test_damaged_and_foreign_results_are_refused_in_one_line(directory, content):
    directory.path.mkdir(parents=True)
    (directory.path / RESULTS).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_results(directory.path)
    assert str(caught.value).startswith(f"{directory.path / RESULTS}: damaged, or not written by harness: ")
    assert "\n" not in str(caught.value)


def test_the_message_names_the_first_key_that_is_wrong(directory):
    directory.path.mkdir(parents=True)
    (directory.path / RESULTS).write_text(VALID.replace('"schema":1', '"schema":2'))
    with pytest.raises(UsageError, match=r"schema: Input should be 1"):
        read_results(directory.path)
    (directory.path / RESULTS).write_text(VALID.replace('"ok"', '"fine"'))
    with pytest.raises(UsageError, match=r"cells\[0\]\.status: Input should be 'ok', 'failed' or 'skipped'"):
        read_results(directory.path)


def test_results_that_are_not_there(directory, tmp_path):
    with directory.started():
        pass
    for path in (directory.path, tmp_path / "no.json"):
        with pytest.raises(UsageError, match=r"no results of a finished run \(No such file or directory\)"):
            read_results(path)


# --- which folder ---------------------------------------------------------------------------------------------------

def test_new_folders_do_not_collide(tmp_path):
    made = []
    for _ in range(3):
        path = new_directory(tmp_path, "suite")
        path.mkdir(parents=True)
        made.append(path)
    assert len(set(made)) == 3
    assert {path.parent for path in made} == {tmp_path / "suite"}


def run_folder(root, name, *files):
    path = root / "suite" / name
    path.mkdir(parents=True)
    for file in files:
        (path / file).write_text("")
    return path


def test_the_newest_run_is_continued_only_if_it_was_interrupted(tmp_path):
    assert unfinished_directory(tmp_path, "suite") is None
    run_folder(tmp_path, "20260101-000000", CELLS)
    newest = run_folder(tmp_path, "20260102-000000", CELLS)
    run_folder(tmp_path, "20260103-000000")
    assert unfinished_directory(tmp_path, "suite") == newest
    assert unfinished_directory(tmp_path, "other") is None
    run_folder(tmp_path, "20260104-000000", CELLS, RESULTS)
    assert unfinished_directory(tmp_path, "suite") is None


def test_the_newest_run_is_the_one_that_was_worked_on_last(tmp_path):
    named = run_folder(tmp_path, "main", CELLS, RESULTS)
    interrupted = run_folder(tmp_path, "20260101-000000", CELLS)
    os.utime(named / CELLS, (1e9, 1e9))
    os.utime(interrupted / CELLS, (2e9, 2e9))
    assert unfinished_directory(tmp_path, "suite") == interrupted
    os.utime(named / CELLS, (3e9, 3e9))
    assert unfinished_directory(tmp_path, "suite") is None
