"""README's two commands do all the set-up, and CI runs these very commands."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def setup_commands():
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()][:2]


def test_the_first_command_runs_the_quickstart_without_torch():
    first, _ = setup_commands()
    assert first.endswith("harness run suite.toml")
    assert "-c constraints.txt" in first
    assert "[" not in first  # no extra: the core installs without torch


def test_the_second_command_runs_the_tests():
    _, second = setup_commands()
    assert second.endswith("tox")
    assert "-c constraints.txt" in second


def test_ci_takes_the_commands_from_the_readme():
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    extract = re.search(r"<\((awk .*?) \| head -n 2\)", script)[1]
    lines = subprocess.run(["bash", "-c", extract], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert lines.splitlines()[:2] == setup_commands()
    assert 'bash -euo pipefail -c "$tests"' in script
    assert 'bash -euo pipefail -c "$quickstart"' in script


def test_constraints_are_exact_public_versions():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert pins == sorted(pins, key=str.lower)
    assert not [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", pin)]
    assert not [pin for pin in pins if pin.startswith("nvidia")]
