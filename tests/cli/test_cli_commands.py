"""The other commands, and what all of them have in common."""

import importlib
import json

import pytest

from harness.cli import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_one_summary(cli, name):
    command = importlib.import_module(f"harness.cli.{name}").command
    assert command.short_help == COMMANDS[name]
    done = cli(name, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: harness {name}")
    assert max(map(len, done.out.splitlines())) <= 100
    assert cli(name, "-h").out == done.out


def test_help_lists_every_command_with_its_summary(cli):
    done = cli("--help")
    for name, summary in COMMANDS.items():
        assert f"{name}" in done.out
        assert summary in done.text
    assert "Exit codes" in done.text


def test_the_version(cli):
    from harness import __version__

    assert cli("--version").out == f"harness, version {__version__}\n"


def test_an_unknown_command_suggests_one(cli):
    done = cli("rnu")
    assert (done.code, done.out) == (2, "")
    assert 'there is no command "rnu"; did you mean "run"?' in done.err
    assert cli("plugins", "lits").code == 2
    assert cli("run", "--ouput", "x").code == 2


def test_init_writes_a_suite_that_is_valid(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = cli("init")
    assert done.code == 0
    assert "harness run suite.toml" in done.out
    assert (tmp_path / "suite.toml").read_text().startswith("#:schema ./suite.schema.json")
    json.loads((tmp_path / "suite.schema.json").read_text())
    assert cli("validate", "suite.toml").code == 0
    refused = cli("init")
    assert refused.code == 2
    assert "--force" in refused.err
    (tmp_path / "suite.toml").write_text("mine")
    assert cli("init").code == 2
    assert (tmp_path / "suite.toml").read_text() == "mine"
    assert cli("init", "--force").code == 0
    assert (tmp_path / "suite.toml").read_text() != "mine"


def test_init_makes_the_folder(cli, tmp_path):
    assert cli("init", tmp_path / "a" / "b").code == 0
    assert (tmp_path / "a" / "b" / "suite.toml").exists()
    (tmp_path / "file").write_text("")
    done = cli("init", tmp_path / "file" / "b")
    assert done.code == 2
    assert "can not be written" in done.err


def test_doctor(cli):
    table, found = cli("doctor"), cli("doctor", "--format", "json")
    findings = json.loads(found.out)
    assert {tuple(finding) for finding in findings} == {("level", "subject", "message", "fix")}
    assert {finding["level"] for finding in findings} <= {"ok", "warn", "error"}
    assert found.code == (3 if any(finding["level"] == "error" for finding in findings) else 0)
    assert "plugins" in {finding["subject"] for finding in findings}
    assert table.code == found.code
    for finding in findings:
        assert finding["message"] in table.out


def test_plugins_list(cli):
    table, found = cli("plugins", "list"), json.loads(cli("plugins", "list", "--format", "json").out)
    names = {plugin["name"] for plugin in found}
    assert {"keypoints", "classification", "onnx", "runtime", "reports"} <= names
    for plugin in found:
        assert plugin["name"] in table.out
        assert plugin["status"] == "ok"
        assert plugin["load_ms"] >= 0


@pytest.mark.parametrize(("kind", "name"), [("metric", "pck"), ("dataset", "stick-figures"), ("model", "onnx"),
                                            ("backend", "onnxruntime-cpu"), ("scenario", "single-stream"),
                                            ("executor", "local"), ("reporter", "markdown")])
def test_the_catalogue_of_one_kind(cli, kind, name):
    table, found = cli("plugins", "list", "--kind", kind), cli("plugins", "list", "--kind", kind, "--format", "json")
    specs = json.loads(found.out)
    assert {spec["role"] for spec in specs} == {kind}
    assert name in {spec["name"] for spec in specs}
    assert name in table.text
    assert specs[0]["summary"] in table.text


def test_an_unknown_kind_lists_the_known_ones(cli):
    done = cli("plugins", "list", "--kind", "metrics")
    assert done.code == 2
    assert "'metric'" in done.err


def test_plugins_info(cli):
    text = cli("plugins", "info", "pck")
    assert text.code == 0
    assert "fractions" in text.out
    assert "keypoints (vision-harness" in text.out
    found = json.loads(cli("plugins", "info", "pck", "--format", "json").out)
    assert found["declarations"][0]["params"]["fractions"]["required"] is False
    plugin = json.loads(cli("plugins", "info", "keypoints", "--format", "json").out)
    assert "metric pck" in plugin["plugins"][0]["provides"]
    unknown = cli("plugins", "info", "pkc")
    assert (unknown.code, unknown.out) == (2, "")
    assert 'did you mean "pck"' in unknown.err


def test_an_unexpected_error_is_not_the_exit_code_of_a_gate(cli, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("the moon is in the wrong phase")

    monkeypatch.setattr("harness.environment.diagnose", broken)
    done = cli("doctor")
    assert done.code == 3
    assert "the moon is in the wrong phase" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [
    ("run", "SUITE", "--format", "acme"), ("run", "SUITE", "--executor", "acme"), ("report", "RUN", "--format", "acme"),
    ("report", "RUN", "--format", "acme", "--output", "out"), ("bench", "net.onnx", "--format", "acme"),
    ("bench", "net.onnx", "--backend", "acme"), ("bench", "net.onnx", "--scenario", "acme"),
], ids=" ".join)
def test_what_a_broken_plugin_may_have_had_is_its_fault(cli, tmp_plugin, suite, tmp_path, arguments):
    places = {"SUITE": suite, "RUN": tmp_path}
    given = [places.get(each, each) for each in arguments]
    wrong = cli(*given)
    assert wrong.code == 2
    assert "acme" in wrong.err
    tmp_plugin("import a_package_that_nobody_has_installed")
    blamed = cli(*given)
    assert blamed.code == 4
    assert "plugin acme (acme-harness 1.0) failed (load)" in blamed.err
