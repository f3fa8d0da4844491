"""The documentation is held against the code: what it quotes is current, what it shows works."""

import importlib
import importlib.util
import inspect
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest

from harness import hookspecs
from harness.hookcheck import HOOKS
from harness.host import Host
from harness.reading import read_suite
from harness.testing.conformance import check_dataset, check_spec, create

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def fences(path, language):
    return [code for found, code in FENCE.findall(path.read_text("utf-8")) if found == language]


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_generated_blocks_are_current(page, generate):
    text = page.read_text("utf-8")
    assert generate.rewritten(text) == text, "run: python docs/generate.py"


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_suites_in_the_pages_are_valid(page, tmp_path):
    host = Host.discover()
    for index, code in enumerate(fences(page, "toml")):
        data = tomllib.loads(code)
        if "project" in data:  # a pyproject.toml
            assert data["project"]["entry-points"]["harness"]
            continue
        path = tmp_path / f"{index}.toml"
        path.write_text(code)
        assert read_suite(path, host).benches
        for profile in data.get("profiles", {}):
            assert read_suite(path, host, profile=profile).benches


def test_the_layout_names_every_module():
    layout = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("## Layout")[1].split("\n## ")[0]
    host = layout.split("    plugins/ ")[0]
    named = set(re.findall(r"[\w.]+\.py|\w+/", host)) - {"harness/"}
    folder = ROOT / "harness"
    modules = {path.name for path in folder.glob("*.py") if not path.name.startswith("__")}
    packages = {f"{path.name}/" for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert sorted((modules | packages) - named) == []
    inner = {path.name for path in folder.glob("*/*.py")} | {f"{path.name}/" for path in folder.glob("*/*/")}
    assert sorted(named - modules - packages - inner) == []


def test_the_plugin_page_is_a_working_plugin_and_its_test(tmp_path, monkeypatch):
    plugin, _, test = fences(ROOT / "docs" / "plugins.md", "python")
    (tmp_path / "acme_harness.py").write_text(plugin)
    (tmp_path / "acme_harness_test.py").write_text(test)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        module = importlib.import_module("acme_harness")
        assert [(record.status, record.warnings) for record in Host.of(module).plugins] == [("ok", ())]
        importlib.import_module("acme_harness_test").test_sharp()
    finally:
        for name in ("acme_harness", "acme_harness_test"):
            sys.modules.pop(name, None)


def test_the_plugin_page_has_a_working_dataset(tmp_path, tmp_plugin, harness_host):
    _, source, _ = fences(ROOT / "docs" / "plugins.md", "python")
    for label, value in (("dark", 10), ("bright", 200), ("bright", 210)):
        np.save(tmp_path / f"{label}-{value}.npy", np.full((4, 6, 3), value, np.uint8))
    tmp_plugin(source)
    module = importlib.import_module("acme_plugin")
    assert [(record.status, record.warnings) for record in harness_host(module).plugins] == [("ok", ())]
    (spec,) = module.harness_datasets()
    check_spec(spec)
    dataset = create(spec, root=tmp_path)
    check_dataset(spec, dataset)
    before = dataset.fingerprint()
    (tmp_path / "bright-210.npy").write_bytes(b"damaged")
    assert dataset.fingerprint() != before
    (batch,) = dataset.batches(3)
    assert [target.label for target in batch.targets] == ["bright", "dark"]
    assert [each.id for each in batch.unreadable] == ["bright-210"]


def test_every_hook_is_documented_with_its_exact_signature():
    """autodoc prints the signatures; here: that the page pulls in the module, and what a signature must say."""
    assert ".. automodule:: harness.hookspecs\n   :members:" in (ROOT / "docs" / "plugins.md").read_text("utf-8")
    for hook in HOOKS:
        function = getattr(hookspecs, hook)
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, hook
        assert all(p.annotation is not p.empty and p.default is p.empty for p in signature.parameters.values()), hook
        assert inspect.getdoc(function).count("Example::") == 1, hook


def test_every_hook_signature_is_in_the_built_page(tmp_path):
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    build = [sys.executable, "-m", "sphinx", "-q", "-b", "text", "-d", tmp_path / "doctrees", ROOT / "docs"]
    subprocess.run([*build, tmp_path / "text"], check=True, capture_output=True)
    text = " ".join((tmp_path / "text" / "plugins.txt").read_text("utf-8").split())
    for hook in HOOKS:
        signature = str(inspect.signature(getattr(hookspecs, hook))).replace("'", "")
        assert f"{hook}{signature}" in text.replace("*", ""), f"{hook}{signature}"


def commands():
    for page in [ROOT / "README.md", *PAGES]:
        for code in fences(page, "sh"):
            for line in code.splitlines():
                for part in re.split(r"&&|\|", line):
                    if re.search(r"(^|/| )harness ", part):
                        yield pytest.param(part, id=f"{page.stem}: {part.strip()}")


@pytest.mark.parametrize("line", list(commands()))
def test_commands_in_the_pages_exist(line):
    from harness.cli import cli

    words = shlex.split(line, comments=True)
    words = words[next(i for i, word in enumerate(words) if Path(word).name == "harness") + 1:]
    command = cli
    while isinstance(command, click.Group) and words:
        name = words.pop(0)
        assert name in command.commands or command.get_command(click.Context(command), name), line
        command = command.get_command(click.Context(command), name)
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used <= known | {"--help"}, line
