"""What is known of the machine, and what doctor says about it."""

import json
import os
import subprocess
import sys

import pytest

from harness import environment
from harness.environment import container_cpu_limit, describe, diagnose, git_commit, requirement_floors
from harness.onnx import providers


def by_subject(findings):
    return {finding.subject: finding for finding in findings}


def test_describe_is_json_and_complete():
    facts = describe()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["logical_cores"] == os.cpu_count()
    assert facts["memory_gb"] > 0
    assert {"numpy", "onnx", "vision-harness"} <= set(facts["packages"])
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))


def test_describe_imports_no_engine():
    code = ("import sys; from harness.environment import describe; describe()\n"
            "sys.exit(', '.join({'onnx', 'onnxruntime', 'torch', 'numpy'} & set(sys.modules)) or 0)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_sound_machine_has_no_errors(tmp_path):
    findings = diagnose(tmp_path / "cache")
    assert [finding for finding in findings if finding.level == "error"] == []
    assert by_subject(findings)["CPUExecutionProvider"].level == "ok"
    assert by_subject(findings)["cache"].message == str(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_both_onnxruntimes_are_an_error(monkeypatch):
    real = environment.versions
    monkeypatch.setattr(environment, "versions", lambda names: {**real(names), **{
        name: "1.31.0" for name in names if name.startswith("onnxruntime")}})
    found = by_subject(diagnose())["onnxruntime"]
    assert found.level == "error"
    assert "onnxruntime 1.31.0" in found.message
    assert "onnxruntime-gpu 1.31.0" in found.message
    assert "both installed" in found.message
    assert found.fix.startswith("pip uninstall -y onnxruntime onnxruntime-gpu")


@pytest.mark.parametrize(("version", "level"), [("1.9.3", "error"), ("2.0", "ok"), ("2.0.0rc1", "ok"), ("10.1", "ok")])
def test_versions_below_the_floor(monkeypatch, version, level):
    monkeypatch.setattr(environment, "requirement_floors", lambda: {"numpy": "2.0"})
    monkeypatch.setattr(environment, "versions", lambda names: {"numpy": version} if "numpy" in names else {})
    found = by_subject(diagnose())["numpy"]
    assert (found.level, "pip install" in found.fix) == (level, level == "error")


def test_missing_requirement(monkeypatch):
    monkeypatch.setattr(environment, "requirement_floors", lambda: {"no-such-distribution": "3.1"})
    found = by_subject(diagnose())["no-such-distribution"]
    assert (found.level, found.fix) == ("error", "pip install 'no-such-distribution>=3.1'")


def test_floors_come_from_the_distribution():
    floors = requirement_floors()
    assert floors["numpy"] == "2.0"
    assert len({"onnxruntime", "onnxruntime-gpu"} & set(floors)) == 1
    assert "torch" not in floors


def test_missing_cuda_libraries_warn_with_the_fix(monkeypatch):
    if providers.nvidia_devices() or providers.CUDA not in providers.onnxruntime().get_available_providers():
        pytest.skip("needs onnxruntime-gpu on a machine without an NVIDIA GPU")
    assert by_subject(diagnose())[providers.CUDA].level == "ok"  # nothing to mend on a machine without a GPU
    monkeypatch.setattr(providers, "nvidia_devices", lambda: 1)
    found = by_subject(diagnose())[providers.CUDA]
    assert found.level == "warn"
    assert "pip install 'vision-harness[cuda]'" in found.fix


def test_cache_that_can_not_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    found = by_subject(diagnose(tmp_path / "file"))["cache"]
    assert found.level == "error"
    assert "HARNESS_CACHE_DIR" in found.fix


@pytest.mark.parametrize(("text", "limit"), [("150000 100000", 1.5), ("max 100000", None), ("damaged", None)])
def test_container_limit_of_cgroup_2(tmp_path, text, limit):
    (tmp_path / "cpu.max").write_text(text)
    assert container_cpu_limit(tmp_path) == limit


@pytest.mark.parametrize(("quota", "limit"), [("50000", 0.5), ("-1", None)])
def test_container_limit_of_cgroup_1(tmp_path, quota, limit):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
    assert container_cpu_limit(tmp_path) == limit
    assert container_cpu_limit(tmp_path / "none") is None


def test_git_commit(tmp_path):
    assert git_commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    commit = git_commit(tmp_path)
    assert commit is not None
    assert len(commit) == 40
    (tmp_path / "file").write_text("2")
    assert git_commit(tmp_path) == commit + "+"
