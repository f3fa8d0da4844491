"""Ids change with what determines an outcome, and with nothing else."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness import identity
from harness.errors import ModelFileError
from harness.opened import open_dataset
from harness.plan import make_plan
from harness.specs import MetricSpec, Provider
from harness.suite import DatasetEntry, MetricEntry
from harness.tasks import TASKS
from harness.transforms import Blur
from harness.worker import cell_ids

SUITE = """\
[suite]
name = "one"
seed = 3
[datasets.spots]
use = "spots"
transforms = [{ kind = "noise", sigma = 0.1 }]
[models.centroid]
use = "onnx"
path = "centroid.onnx"
task = "keypoints"
input = { size = [64, 64], color = "GRAY", range = [0.0, 1.0] }
[metrics.far]
use = "distance"
scale = 2.0
[[bench]]
models = ["centroid"]
datasets = ["spots"]
metrics = ["far", "distance"]
latency = [{ min_queries = 20 }]
"""


@pytest.fixture
def ids(suite, tmp_path, centroid_model):
    """ids(old, new, ...): ids of (accuracy, latency) of the suite with the given replacements."""
    shutil.copy(centroid_model, tmp_path / "centroid.onnx")

    def make(*changes):
        text = SUITE
        for old, new in zip(changes[::2], changes[1::2], strict=True):
            assert old in text
            text = text.replace(old, new)
        return [*cell_ids(make_plan(suite(text)).cells).values()]

    return make


def test_ids_are_stable_and_differ(ids):
    accuracy, latency = ids()
    assert [accuracy, latency] == ids()
    assert accuracy != latency
    assert len(accuracy) == len(latency) == 20


# Each: what changes; whether the ids of (accuracy, latency) do.
CHANGES = {
    "dataset params": (('use = "spots"', 'use = "spots"\nlevel = 100.0'), True, False),
    "transforms": (("sigma = 0.1", "sigma = 0.2"), True, False),
    "kind of transform": (("noise", "blur"), True, False),
    "metric params": (("scale = 2.0", "scale = 3.0"), True, False),
    "another metric": (('"far", "distance"', '"far"'), True, False),
    "preprocessing": (("[0.0, 1.0]", "[0.0, 1.1]"), True, True),
    "seed": (("seed = 3", "seed = 4"), True, True),
    "backend params": (('[metrics.far]', '[backends.onnxruntime-cpu]\nuse = "onnxruntime-cpu"\n'
                                         'optimization = "basic"\n[metrics.far]'), True, True),
    "precision": (('models = ["centroid"]', 'models = ["centroid"]\nprecisions = ["int8"]',
                   '"centroid.onnx"', '"{precision}.onnx"'), True, True),
    "scenario params": (("min_queries = 20", "min_queries = 30"), False, True),
    "batch of latency": (("min_queries", "batch = 2, min_queries"), False, True),
    "threads of latency": (("min_queries", "threads = 2, min_queries"), False, True),
    "name of the suite": (('name = "one"', 'name = "two"'), False, False),
    "description": (('seed = 3', 'seed = 3\ndescription = "x"'), False, False),
    "batch size": (("[[bench]]", "[[bench]]\nbatch_size = 2"), False, False),
    "default written out": (('use = "spots"', 'use = "spots"\ncount = 4'), False, False),
    "more gates": (("[[bench]]", "[[gates]]\ncell = '*'\nmetric = 'far'\nmax = 3\n[[bench]]"), False, False),
    "order of tables": ((SUITE, SUITE.replace('[metrics.far]\nuse = "distance"\nscale = 2.0\n', "")
                         + '[metrics.far]\nuse = "distance"\nscale = 2.0\n'), False, False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_an_id(ids, tmp_path, name):
    changes, accuracy, latency = CHANGES[name]
    shutil.copy(tmp_path / "centroid.onnx", tmp_path / "int8.onnx")
    before, after = ids(), ids(*changes)
    assert [a != b for a, b in zip(before, after, strict=True)] == [accuracy, latency]


def test_bytes_of_the_model(ids, tmp_path):
    import onnx

    before = ids()
    path = tmp_path / "centroid.onnx"
    model = onnx.load(path)
    model.doc_string = "changed"
    onnx.save(model, path)
    os.utime(path, ns=(1, 1))
    assert all(a != b for a, b in zip(before, ids(), strict=True))


def test_a_copy_of_the_model_is_the_same_model(ids, tmp_path):
    before = ids()
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "centroid.onnx", tmp_path / "copy" / "other.onnx")
    assert ids('"centroid.onnx"', '"copy/other.onnx"') == before


def test_the_names_in_a_suite_are_no_part_of_predictions(suite, tmp_path, centroid_model):
    shutil.copy(centroid_model, tmp_path / "centroid.onnx")
    renamed = SUITE
    for old, new in (("spots]", "renamed]"), ('["spots"]', '["renamed"]'), ("centroid]", "net]"),
                     ('["centroid"]', '["net"]')):
        assert old in renamed
        renamed = renamed.replace(old, new)
    first, second = (make_plan(suite(text)).cells[0] for text in (SUITE, renamed))
    digests = []
    for cell in (first, second):
        file = identity.locate_model(cell.model, cell.precision)
        facts = identity.of_dataset(cell.dataset, open_dataset(cell.dataset, cell.seed), cell.seed)
        digests.append(identity.digest(identity.of_predictions(cell, facts, file)))
    assert first.key != second.key
    assert digests[0] == digests[1]


def test_the_card_of_a_model(suite, tmp_path, centroid_model):
    shutil.copy(centroid_model, tmp_path / "centroid.onnx")
    plain, labelled = (make_plan(suite(text)).cells[0] for text in (
        SUITE, SUITE.replace('task = "keypoints"', 'task = "keypoints"\nlabels = "names.txt"')))
    identities = []
    for names in ("a\n", "b\n"):
        (tmp_path / "names.txt").write_text(names)
        identities.append(identity.digest(identity.of_model(identity.locate_model(labelled.model, "fp32"))))
    identities.append(identity.digest(identity.of_model(identity.locate_model(plain.model, "fp32"))))
    assert len(set(identities)) == 3


# --- plugins --------------------------------------------------------------------------------------------------------

class Files:
    """A dataset that reads files."""

    def __init__(self, print_):
        self.print = print_

    def fingerprint(self):
        return self.print


def test_fingerprint_and_seed_of_a_dataset(host):
    from harness.specs import DatasetSpec

    spec = host.spec(DatasetSpec, "spots")
    plain = DatasetEntry("x", spec, spec.params())
    noisy = replace(plain, transforms=(Blur(kind="blur", sigma=1),))

    def of(entry, print_="", seed=0):
        return identity.digest(identity.of_dataset(entry, Files(print_), seed))

    assert len({of(plain), of(plain, "a"), of(plain, "b"), of(noisy), of(noisy, seed=1)}) == 5
    assert of(plain, seed=1) == of(plain)
    assert of(replace(plain, id="y")) == of(plain)


def of_metric(module, version="1.0", **params):
    spec = MetricSpec(name="m", summary="", tasks=frozenset(TASKS), factory=f"{module}:M",
                      provider=Provider("acme", "acme-harness", version))
    return identity.digest(identity.of_metric(MetricEntry("id", spec, spec.params())))


def test_sources_and_version_of_a_plugin(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "acme_single.py").write_text("a = 1")
    (tmp_path / "acme_package" / "sub").mkdir(parents=True)
    (tmp_path / "acme_package" / "__init__.py").write_text("")
    inner = tmp_path / "acme_package" / "sub" / "inner.py"
    inner.write_text("a = 1")
    seen = set()
    for module, file in (("acme_single", tmp_path / "acme_single.py"), ("acme_package.sub.inner", inner)):
        for source in ("a = 1", "a = 2"):
            file.write_text(source)
            identity._sources.cache_clear()
            seen.add(of_metric(module))
            assert of_metric(module) == of_metric(module)
    assert len(seen) == 4
    assert of_metric("acme_single", "1.0") != of_metric("acme_single", "1.1")


@pytest.mark.parametrize("module", ["nobody_has_this", "__main__"])
def test_a_plugin_without_files(module):
    assert len(of_metric(module)) == 20


# --- helpers --------------------------------------------------------------------------------------------------------

def test_digests_of_equal_content():
    assert identity.digest({"a": 1, "b": [Path("x"), frozenset("ba")]}) == identity.digest(
        {"b": [Path("x"), frozenset("ab")], "a": 1})
    assert identity.digest({"a": 1}) != identity.digest({"a": 1.5})


def test_a_model_that_is_not_there(suite):
    (cell, _) = make_plan(suite(SUITE)).cells
    with pytest.raises(ModelFileError, match=r'model "centroid": .*centroid\.onnx: no such model file'):
        identity.locate_model(cell.model, "fp32")
    assert len(cell_ids([cell])[cell.key]) == 20


def test_the_files_of_a_dataset_are_looked_at_once(suite, centroid_model, tmp_path, monkeypatch):
    shutil.copy(centroid_model, tmp_path / "centroid.onnx")
    (accuracy, _) = make_plan(suite(SUITE)).cells
    cells = [replace(accuracy, precision=precision) for precision in ("fp32", "fp16", "int8")]
    monkeypatch.setattr(identity, "locate_model", lambda model, precision: identity._located(model, "fp32"))
    opened = []

    def counted(entry, seed):
        opened.append(entry.id)
        return open_dataset(entry, seed)

    monkeypatch.setattr("harness.opened.open_dataset", counted)
    alone = {cell.key: id_ for cell in cells for id_ in cell_ids([cell]).values()}
    assert len(opened) == 3
    assert cell_ids(cells) == alone
    assert len(opened) == 4
    assert len(set(alone.values())) == 3
