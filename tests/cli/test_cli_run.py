"""`harness run`, `list` and `validate`: what goes where, and exit codes."""

import csv
import io
import json
import os
import re
import subprocess
import sys

import pytest

KEY = "accuracy/figures/center/fp32/onnxruntime-cpu"
GATE = '\n[[gates]]\ncell = "accuracy/*"\nmetric = "pck@0.2"\nmin = {}\n'
HOSTILE = "a|b`c`<script>*_\\nd"
"""As TOML writes it; the name of a model."""


def run(cli, suite, *arguments):
    return cli("run", suite, "--output", suite.parent / "run", "--executor", "inline", *arguments)


def append(suite, text):
    suite.write_text(suite.read_text() + text)


def test_a_run_in_its_own_process(harness, suite, tmp_path):
    done = harness("run", suite, "--output", tmp_path / "run", "--format", "json")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert results == json.loads((tmp_path / "run" / "results.json").read_text())
    assert [cell["key"] for cell in results["cells"]] == [KEY]
    assert results["cells"][0]["cost"]["peak_rss_mb"] is None or results["cells"][0]["cost"]["peak_rss_mb"] > 20
    lines = done.stderr.splitlines()
    assert lines[0] == f"small: 1 cell -> {tmp_path / 'run'}"
    assert lines[1].startswith(f"[1/1] ok {KEY} (")
    assert lines[2:] == [f"report: {tmp_path / 'run' / 'report.html'}"]


def test_a_table_without_escape_codes_in_100_columns(cli, suite):
    append(suite, '\n[models.a-much-longer-name-of-a-model]\nuse = "onnx"\npath = "absent.onnx"\n' + GATE.format(2))
    text = suite.read_text().replace('models = ["center"]', 'models = ["center", "a-much-longer-name-of-a-model"]')
    suite.write_text(text.replace('metrics = ["pck"]', 'metrics = ["pck"]\nlatency = [{ min_queries = 12, '
                                                       "min_duration_s = 0.0, max_warmup_s = 0.1, batch = [1, 2] }]"))
    done = run(cli, suite)
    assert done.code == 3
    assert "\x1b" not in done.out + done.err
    tables = done.out.partition("FAILED gate")[0]
    assert "latency" in tables
    assert max(map(len, tables.splitlines())) <= 100
    assert "absent.onnx: no such model file" in done.out
    assert str(suite.parent / "run" / "results.json") in done.out


def test_cells_that_are_all_failed_show_their_status(cli, suite, five_centers):
    five_centers.unlink()
    done = run(cli, suite)
    assert done.code == 3
    assert re.search(r"center +failed", done.out)
    assert len([line for line in done.out.splitlines() if "no such model file" in line]) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_gets_color_unless_it_does_not_want_it(suite, five_centers, tmp_path, no_color):
    import pty

    five_centers.unlink()  # "failed" is red
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "harness", "run", str(suite), "--executor", "inline"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "NO_COLOR": no_color}
    done = subprocess.run(command, check=False, stdout=theirs, stderr=subprocess.PIPE, cwd=tmp_path, timeout=60,
                          env=environment)
    os.close(theirs)
    out = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 3
    assert bool(re.search("\x1b" + r"\[[0-9;]*3[0-7]m", out)) == (no_color == "")
    assert b"\x1b" not in done.stderr


def test_markdown_escapes_what_a_name_may_contain(cli, suite):
    suite.write_text(suite.read_text().replace("[models.center]", f'[models."{HOSTILE}"]')
                     .replace('models = ["center"]', f'models = ["{HOSTILE}"]'))
    done = run(cli, suite, "--format", "markdown")
    assert done.code == 0, done.err
    assert "<script>" not in done.out
    rows = [line for line in done.out.splitlines() if line.startswith("|")]
    assert rows
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) in (6, 7), row
        assert not re.findall(r"(?<!\\)`", row)
    assert done.out.startswith("# small\n")


def test_csv_keeps_any_name(cli, suite):
    suite.write_text(suite.read_text().replace("[models.center]", f'[models."{HOSTILE}"]')
                     .replace('models = ["center"]', f'models = ["{HOSTILE}"]'))
    done = run(cli, suite, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert {row["key"] for row in rows} == {KEY.replace("center", "a|b`c`<script>*_\nd")}
    found = {row["name"]: row for row in rows}
    results = json.loads((suite.parent / "run" / "results.json").read_text())["cells"][0]["metrics"]
    assert set(found) == set(results)
    assert float(found["pck@0.2"]["value"]) == results["pck@0.2"]["value"]


def test_reports_say_what_failed(cli, suite, five_centers):
    five_centers.unlink()
    markdown = run(cli, suite, "--format", "markdown")
    assert "no such model file" in markdown.out
    (row,) = csv.DictReader(io.StringIO(run(cli, suite, "--format", "csv").out))
    assert (row["status"], row["name"]) == ("failed", "")
    assert "no such model file" in row["error"]


@pytest.mark.parametrize(("arguments", "words"), [
    (["--format", "markdwon"], ['"markdwon"', 'did you mean "markdown"']),
    (["--executor", "lokal"], ['"lokal"', 'did you mean "local"']),
    (["--only", "latency/*"], ["matches no cell", KEY]),
    (["--profile", "fast"], ['"fast"']),
])
def test_a_bad_option_costs_no_measurement(cli, suite, arguments, words):
    done = cli("run", suite, "--output", suite.parent / "run", *arguments)
    assert done.code == 2
    assert not [word for word in words if word not in done.err], done.err
    assert done.out == ""
    assert not (suite.parent / "run").exists()


def test_a_suite_that_is_not_there(cli, tmp_path):
    for command in ("run", "list", "validate"):
        done = cli(command, tmp_path / "absent.toml")
        assert (done.code, done.out) == (2, "")
        assert "absent.toml" in done.err


@pytest.mark.parametrize("command", [("run", "--dry-run"), ("list",)])
def test_a_plan_measures_nothing(cli, suite, command, monkeypatch):
    monkeypatch.chdir(suite.parent)
    done = cli(command[0], suite, *command[1:])
    assert done.code == 0
    assert KEY in done.out
    assert "1 cell in 1 group, about 6 forward passes without cache" in done.out
    assert not list(suite.parent.glob("run*"))


def test_a_plan_as_json(cli, suite):
    (cell,) = json.loads(cli("list", suite, "--format", "json").out)
    assert cell == {"key": KEY, "kind": "accuracy", "metrics": ["pck"], "samples": 6, "forward_passes": 6}


def test_validate(cli, suite):
    done = cli("validate", suite)
    assert (done.code, done.out) == (0, f"{suite}: valid, 1 cells\n") or done.out == f"{suite}: valid, 1 cell\n"
    append(suite, "\n[[gates]]\ncel = 1\n")
    done = cli("validate", suite)
    assert (done.code, done.out) == (2, "")
    assert f"{suite}:" in done.err
    assert 'did you mean "cell"' in done.err


def test_validate_wants_a_suite_or_schema(cli):
    assert cli("validate").code == 2
    schema = cli("validate", "--schema")
    assert schema.code == 0
    assert "stick-figures" in json.dumps(json.loads(schema.out))


@pytest.mark.parametrize(("least", "code", "word"), [(0.0, 0, "passed"), (1.5, 1, "FAILED")])
def test_a_gate_decides(cli, suite, least, code, word):
    append(suite, GATE.format(least))
    done = run(cli, suite)
    assert done.code == code
    assert f"{word} gate accuracy/* pck@0.2 >= {least:g}" in done.out


def test_no_plugins_does_not_swallow_the_suite(cli, suite):
    assert cli("run", "--dry-run", "--no-plugins", suite).code != 0
    assert KEY in cli("run", "--dry-run", "--no-plugins=third-party", suite).out
    done = cli("validate", "--no-plugins", suite)
    assert "stick-figures" in done.err
    assert "Missing argument" not in done.err


def test_a_disabled_plugin_that_is_needed_is_named(cli, suite):
    done = cli("validate", "--no-plugins=keypoints", suite)
    assert done.code in (2, 4)
    assert "keypoints" in done.err
    warned = cli("validate", "--no-plugins=keypionts", suite)
    assert warned.code == 0
    assert 'did you mean "keypoints"' in warned.err


def test_a_reader_that_stops_early(suite, tmp_path):
    pipe = f"{sys.executable} -m harness plugins list --kind metric | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", pipe], check=False, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "141")


@pytest.mark.parametrize(("arguments", "code"), [
    ("list {} --format json", 0), ("list {}", 0), ("run {} --output run --executor inline", 1),
    ("run {} --output run --executor inline 2>&1 > out.txt", 1),
])
def test_a_reader_that_is_already_gone_changes_no_verdict(suite, tmp_path, arguments, code):
    append(suite, GATE.format(1.5))
    pipe = f"{sys.executable} -m harness 2> err.txt {arguments.format(suite)} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", pipe], check=False, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.strip() == str(code)
    assert "Traceback" not in (tmp_path / "err.txt").read_text()
    assert "BrokenPipe" not in (tmp_path / "err.txt").read_text()


def test_verbose_shows_the_traceback(cli, tmp_path):
    quiet, verbose = cli("run", tmp_path / "absent.toml"), cli("-v", "run", tmp_path / "absent.toml")
    assert "Traceback" not in quiet.err
    assert "Traceback" in verbose.err
    assert quiet.code == verbose.code == 2


def test_a_reporter_that_raises_is_blamed_and_the_results_are_kept(cli, suite, tmp_plugin):
    tmp_plugin("""
        from harness.api import ReporterSpec, hookimpl

        class Torn:
            def __init__(self, params):
                pass

            def render(self, run):
                raise LookupError("no template")

        @hookimpl
        def harness_reporters():
            return [ReporterSpec(name="torn", summary="Raises.", factory=f"{__name__}:Torn")]
    """)
    done = run(cli, suite, "--format", "torn")
    assert done.code == 4
    assert "no template" in done.err
    assert "acme (acme-harness 1.0)" in done.err
    assert "Traceback" not in done.err
    assert (suite.parent / "run" / "results.json").exists()


def test_a_run_ends_with_a_report_that_can_be_made_again(cli, suite):
    done = run(cli, suite)
    report = suite.parent / "run" / "report.html"
    assert f"report: {report}" in done.err
    first = report.read_bytes()
    assert b"accuracy/" in first
    report.unlink()
    again = cli("report", suite.parent / "run")
    assert (again.code, again.out.strip()) == (0, str(report))
    assert report.read_bytes() == first
    listed = cli("report", suite.parent / "run" / "results.json", "--format", "csv")
    assert listed.out.startswith("key,kind,status")
    to_folder = cli("report", suite.parent / "run", "--format", "markdown", "--output", suite.parent / "elsewhere")
    assert to_folder.code == 0
    assert (suite.parent / "elsewhere" / "report.md").is_file()


def test_a_run_without_a_report(cli, suite):
    done = run(cli, suite, "--no-report")
    assert "report:" not in done.err
    assert not (suite.parent / "run" / "report.html").exists()


def test_a_report_that_fails_costs_neither_results_nor_verdict(cli, suite, monkeypatch):
    monkeypatch.setattr("harness_reports.html.reporter.HtmlReporter.render", lambda *_: 1 / 0)
    done = run(cli, suite)
    assert done.code == 0
    assert "there is no report" in done.err
    assert "ZeroDivisionError" in done.err
    assert cli("report", suite.parent / "run").code == 4


def test_what_can_not_be_reported_is_one_clear_line(cli, tmp_path):
    (tmp_path / "cut.json").write_text('{"schema": 1, "suite"')
    (tmp_path / "foreign.json").write_text('{"schema": 7}')
    for name, words in (("cut.json", "damaged"), ("foreign.json", "not written by harness"), ("none", "no results")):
        done = cli("report", tmp_path / name)
        assert done.code == 2
        assert words in done.err
        assert len(done.err.strip().splitlines()) == 1
    assert "did you mean" in cli("report", tmp_path / "cut.json", "--format", "htm").err
