"""A plugin from its own wheel adds to the harness; a broken one takes nothing away and is named."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures"

SUITE = """
[suite]
name = "acme"
[datasets.discs]
use = "acme-discs"
[models.centroid]
use = "onnx"
path = "{model}"
task = "keypoints"
input = {{ size = [64, 64], color = "GRAY", range = [0.0, 1.0] }}
[[bench]]
models = ["centroid"]
datasets = ["discs"]
metrics = ["{metric}"]
"""

class Broken(NamedTuple):
    """phrase: what `plugins list` and `doctor` must say; metric: what a suite would want of it."""

    file: str
    phrase: str
    metric: str = "wanted"
    attribute: str = ""

    @property
    def name(self):
        return "broken-" + self.file.replace("_", "-")


DUPLICATE = Broken("duplicate_name", "acme-hit", metric="acme-hit")
INDEPENDENT = [
    Broken("import_error", "a_package_that_nobody_has_installed"),
    Broken("misspelt_hook", 'did you mean "harness_metrics"'),
    Broken("unmarked_hook", "not marked with @hookimpl"),
    Broken("class_plugin", "Plugin()", attribute=":Plugin"),
    Broken("unknown_argument", "registry"),
    Broken("spec_class", "the class MetricSpec"),
    Broken("raising_hook", "license server"),
    Broken("future_api", "harness_api = 99"),
]
MISSING_FACTORY = Broken("missing_factory", "nothing_here")
RAISING_LIFECYCLE = Broken("raising_lifecycle", "dashboard", metric="acme-hit")


def each(*cases):
    return pytest.mark.parametrize("broken", cases, ids=lambda case: case.name, indirect=True)


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    """The folder into which the third-party wheel was installed."""
    work = tmp_path_factory.mktemp("acme")
    source = shutil.copytree(FIXTURES / "third_party_plugin", work / "source")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", work, source)
    (wheel,) = work.glob("acme_harness-1.2.0-*.whl")
    _pip("install", "--no-deps", "--no-index", "--target", work / "site", wheel)
    return work / "site"


def _pip(command, *arguments):
    call = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(call, check=True, capture_output=True, text=True)


def install(folder, case):
    """Put a broken plugin and its metadata into a folder, as pip would."""
    folder.mkdir(exist_ok=True)
    shutil.copy(FIXTURES / "broken" / f"{case.file}.py", folder / f"broken_{case.file}.py")
    metadata = folder / f"broken_{case.file}-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.3\nName: {case.name}\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text(f"[harness]\n{case.name} = broken_{case.file}{case.attribute}\n")


@pytest.fixture
def suite(tmp_path, centroid_model):
    def write(metric):
        path = tmp_path / f"{metric}.toml"
        path.write_text(SUITE.format(model=centroid_model, metric=metric))
        return path

    return write


def harness(*arguments, path, cwd):
    """`python -m harness` in its own process with plugin folders on its path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "NO_COLOR": "1", "COLUMNS": "200"}
    call = [sys.executable, "-m", "harness", *map(str, arguments)]
    return subprocess.run(call, check=False, capture_output=True, text=True, env=environment, cwd=cwd)


def test_a_plugin_from_its_own_wheel(acme, suite, tmp_path):
    done = harness("run", suite("acme-hit"), "--output", tmp_path / "run", path=[acme], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    (cell,) = results["cells"]
    assert cell["key"] == "accuracy/discs/centroid/fp32/onnxruntime-cpu"
    assert (cell["metrics"]["acme-hit@5"]["value"], cell["metrics"]["acme-hit@5"]["n"]) == (1.0, 8)
    assert {"name": "acme", "distribution": "acme-harness", "version": "1.2.0"} in results["plugins"]


def test_all_broken_plugins_together_leave_everything_else_working(acme, suite, tmp_path):
    broken = tmp_path / "broken"
    for case in INDEPENDENT:
        install(broken, case)
    done = harness("run", suite("acme-hit"), "--output", tmp_path / "run", path=[acme, broken], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = harness("plugins", "list", path=[acme, broken], cwd=tmp_path)
    assert listed.returncode == 0
    assert not [case.name for case in INDEPENDENT if case.name not in listed.stdout + listed.stderr]
    silenced = harness("plugins", "list", "--no-plugins=third-party", path=[acme, broken], cwd=tmp_path)
    assert silenced.returncode == 0
    assert "a_package_that_nobody_has_installed" not in silenced.stdout + silenced.stderr


@pytest.fixture
def broken(request, acme, tmp_path, monkeypatch):
    """A broken plugin, installed for this process and its children beside the sound one."""
    folder = tmp_path / "broken"
    install(folder, request.param)
    monkeypatch.syspath_prepend(acme)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (folder, acme))))
    monkeypatch.setenv("COLUMNS", "200")
    yield request.param
    for module in [module for module in sys.modules if module.startswith(("broken_", "acme_harness"))]:
        del sys.modules[module]


@each(*INDEPENDENT, DUPLICATE)
def test_a_broken_plugin_is_named_where_one_looks_for_it(broken, cli):
    listed = cli("plugins", "list")
    assert listed.code == 0
    assert broken.name in listed.text
    assert broken.phrase in listed.text
    doctor = cli("doctor")
    assert broken.name in doctor.text
    assert broken.phrase in doctor.text


@each(*INDEPENDENT)
def test_a_broken_plugin_leaves_other_suites_alone(broken, cli, suite):
    assert cli("validate", suite("acme-hit")).code == 0
    listed = cli("list", suite("acme-hit"))
    assert listed.code == 0
    assert "accuracy/discs/centroid/fp32/onnxruntime-cpu" in listed.text


@each(*INDEPENDENT, DUPLICATE)
def test_a_broken_plugin_that_the_suite_needs_is_the_error_of_run(broken, cli, suite, tmp_path):
    ran = cli("run", suite(broken.metric), "--output", tmp_path / "run")
    assert ran.code == 4, ran.text
    assert broken.name in ran.err
    assert "0.1" in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


@each(INDEPENDENT[0])
def test_a_mistake_in_the_suite_outranks_the_broken_plugin(broken, cli, suite, tmp_path):
    path = suite("wanted")
    path.write_text(path.read_text().replace('use = "acme-discs"', 'use = "acme-discs"\ncuont = 3'))
    ran = cli("run", path, "--output", tmp_path / "run")
    assert ran.code == 2
    assert "cuont" in ran.err
    assert broken.name in ran.err


@each(MISSING_FACTORY)
def test_a_factory_that_does_not_exist_is_reported_when_it_is_needed(broken, cli, suite, tmp_path):
    ran = cli("run", suite(broken.metric), "--output", tmp_path / "run")
    assert ran.code == 4, ran.text
    assert broken.name in ran.text
    assert broken.phrase in ran.text


@each(RAISING_LIFECYCLE)
def test_a_lifecycle_hook_that_raises_does_not_end_the_run(broken, cli, suite, tmp_path):
    ran = cli("run", suite(broken.metric), "--output", tmp_path / "run")
    assert ran.code == 0, ran.text
    assert broken.name in ran.err
    assert broken.phrase in ran.err


@each(DUPLICATE)
def test_both_providers_of_a_name_are_named_and_one_can_be_switched_off(broken, cli, suite, monkeypatch):
    listed = cli("list", suite("acme-hit"))
    assert listed.code == 4
    assert "acme (acme-harness 1.2.0)" in listed.err
    assert "broken-duplicate-name (broken-duplicate-name 0.1)" in listed.err
    monkeypatch.setenv("HARNESS_DISABLE_PLUGINS", broken.name)
    assert cli("list", suite("acme-hit")).code == 0
