"""From suites to cells: keys, matrices, groups and estimates."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.plan import count_samples, matches

TABLES = """\
[suite]
name = "valid"
seed = 7
[datasets.a]
use = "spots"
count = 3
[datasets.b]
use = "spots"
count = 5
[datasets.pets]
use = "boxed"
count = 10
[datasets.gone]
use = "needy"
root = "nowhere"
[models.m]
use = "trainable"
[models.n]
use = "trainable"
[models.c]
use = "classifier"
[saliency.map]
use = "two-pass"
"""
ACCURACY = """\
[[bench]]
models = ["m"]
datasets = ["a"]
metrics = ["distance"]
"""


def keys(plan):
    return [cell.key for cell in plan.cells]


def groups(plan):
    return [[cell.key for cell in group] for group in plan.groups]


def test_keys_are_those_of_the_documentation(plan):
    made = plan(TABLES + ACCURACY + """\
precisions = ["fp32", "int8"]
latency = [{ scenario = "single-stream", batch = [1, 8], threads = 2 }]
[[explain]]
models = ["c"]
datasets = ["pets"]
metrics = ["of-maps"]
saliency = ["map", "costly"]
[[explain]]
models = ["c"]
datasets = ["pets"]
metrics = ["of-maps"]
saliency = ["map"]
target = "predicted"
""")
    assert groups(made) == [
        ["accuracy/a/m/fp32/onnxruntime-cpu"],
        ["accuracy/a/m/int8/onnxruntime-cpu"],
        ["latency/m/fp32/onnxruntime-cpu/single-stream-b1-t2", "latency/m/fp32/onnxruntime-cpu/single-stream-b8-t2",
         "latency/m/int8/onnxruntime-cpu/single-stream-b1-t2", "latency/m/int8/onnxruntime-cpu/single-stream-b8-t2"],
        ["explain/pets/c/fp32/onnxruntime-cpu/map"],
        ["explain/pets/c/fp32/onnxruntime-cpu/costly"],
        ["explain/pets/c/fp32/onnxruntime-cpu/map@predicted"],
    ]
    assert keys(made) == [key for group in groups(made) for key in group]
    assert {cell.seed for cell in made.cells} == {7}
    assert [cell.target for cell in made.cells if cell.kind == "explain"] == ["label", "label", "predicted"]


def test_a_matrix_has_every_combination_once_in_a_stable_order(plan):
    text = TABLES + """\
[backends.other]
use = "onnxruntime-cpu"
[[bench]]
models = ["n", "m"]
datasets = ["b", "a"]
metrics = ["distance"]
precisions = ["int8", "fp32"]
backends = ["other", "onnxruntime-cpu"]
latency = [{ batch = [4, 1], threads = [2, 1] }]
"""
    made = plan(text)
    axes = ("n", "m"), ("int8", "fp32"), ("other", "onnxruntime-cpu")
    accuracy = [f"accuracy/{d}/{m}/{p}/{b}" for d, m, p, b in product(("b", "a"), *axes)]
    latency = [f"latency/{m}/{p}/{b}/single-stream-b{size}-t{threads}"
               for m, p, b, size, threads in product(*axes, (4, 1), (2, 1))]
    assert groups(made) == [*([key] for key in accuracy), latency]
    assert keys(plan(text)) == keys(made)


KEYS = [f"accuracy/{d}/{m}/{p}/onnxruntime-cpu" for d, m, p in product("ab", "mn", ("fp32", "int8"))]
GLOBS = st.sampled_from(["*", "*/a/*", "*/m/*", "*/fp32/*", "accuracy/b/n/*", "accuracy/?/m/int8/*", "*/[an]/*"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(include=st.lists(GLOBS, max_size=2), exclude=st.lists(GLOBS, max_size=2))
def test_include_and_exclude(plan, include, exclude):
    made = plan(TABLES + f"""\
[[bench]]
models = ["m", "n"]
datasets = ["a", "b"]
metrics = ["distance"]
precisions = ["fp32", "int8"]
include = {include}
exclude = {exclude}
""")
    assert keys(made) == [key for key in KEYS if (not include or any(fnmatchcase(key, glob) for glob in include))
                          and not any(fnmatchcase(key, glob) for glob in exclude)]


def test_excluding_latency_leaves_no_empty_group(plan):
    made = plan(TABLES + ACCURACY + "latency = [{}]\nexclude = ['latency/*']\n")
    assert groups(made) == [["accuracy/a/m/fp32/onnxruntime-cpu"]]


def test_globs_match_over_slashes_and_in_their_case():
    assert matches("accuracy/a/m/fp32/cpu", ["*/cpu"])
    assert matches("x", ["y", "x"])
    assert not matches("accuracy/a", ["Accuracy/*"])
    assert not matches("accuracy/a", [])


def test_two_tables_with_one_key_unite_their_metrics(plan):
    made = plan(TABLES + "[metrics.far]\nuse = 'distance'\n" + ACCURACY
                + ACCURACY.replace('["distance"]', '["distance", "far", "undefined"]'))
    (cell,) = made.cells
    assert [metric.id for metric in cell.metrics] == ["distance", "far", "undefined"]
    assert made.groups == ((cell,),)


def test_two_tables_that_contradict_each_other(mistakes):
    line = TABLES.count("\n") + 5
    text = TABLES + ACCURACY + ACCURACY + "batch_size = 3\n"
    assert mistakes(text) == [(line, "bench[1]", 'asks for "accuracy/a/m/fp32/onnxruntime-cpu" with other settings '
                                                 "than an earlier table")]


def test_two_latency_requests_that_contradict_each_other(mistakes):
    text = TABLES + "[[bench]]\nmodels = ['m']\nlatency = [{ min_queries = 3 }, { min_queries = 4 }]\n"
    ((line, path, message),) = mistakes(text)
    assert (line, path) == (TABLES.count("\n") + 1, "bench[0]")
    assert '"latency/m/fp32/onnxruntime-cpu/single-stream-b1-t1" with other settings' in message


@pytest.mark.parametrize("latency", ["[{ batch = [1, 2, 1] }]", "[{ batch = [1, 2] }, { batch = 2 }]",
                                     "[{ batch = [1, 2], threads = [1, 1] }]"])
def test_a_latency_that_is_asked_for_twice_is_measured_once(plan, latency):
    made = plan(TABLES + f"[[bench]]\nmodels = ['m']\nlatency = {latency}\n")
    expected = [f"latency/m/fp32/onnxruntime-cpu/single-stream-b{batch}-t1" for batch in (1, 2)]
    assert groups(made) == [expected]


def test_a_latency_of_an_earlier_bench_stays_in_its_group(plan):
    bench = "[[bench]]\nmodels = ['m']\nlatency = [{ batch = [1, 2] }]\n"
    made = plan(TABLES + bench + bench.replace("2]", "4]"))
    names = [[cell.latency.batch for cell in group] for group in made.groups]
    assert names == [[1, 2], [4]]


REFERENCE = TABLES.replace("seed = 7", 'seed = 7\nreference = "REF"')


@pytest.mark.parametrize(("reference", "fits"), [
    ("latency/m/fp32/onnxruntime-cpu/single-stream-b1-t1", True),
    ("latency/m/fp32/onnxruntime-cpu/single-stream-b2-t1", False),
    ("accuracy/a/m/fp32/onnxruntime-cpu", False),
    ("latency/*/fp32/*", True),
    ("latency/*/int8/*", False),
])
def test_the_reference_is_a_latency_cell(mistakes, reference, fits):
    found = mistakes(REFERENCE.replace("REF", reference) + ACCURACY + "latency = [{}]\n")
    message = (f'"{reference}" is not a latency cell of this suite (they are: '
               "latency/m/fp32/onnxruntime-cpu/single-stream-b1-t1)")
    assert found == ([] if fits else [(4, "suite.reference", message)])


def test_a_reference_with_wildcards_is_one_cell_of_each_model(mistakes):
    found = mistakes(REFERENCE.replace("REF", "latency/*") + ACCURACY + "latency = [{ batch = [1, 2] }]\n")
    assert [(path, message.partition(":")[0]) for _, path, message in found] == [
        ("suite.reference", '"latency/*" is more than one cell of a model')]


def test_only(plan):
    made = plan(TABLES + ACCURACY.replace('["a"]', '["a", "b"]') + "latency = [{ batch = [1, 2] }]\n")
    assert made.select([]) is made
    assert keys(made.select(["*-b2-*", "accuracy/b/*"])) == [
        "accuracy/b/m/fp32/onnxruntime-cpu", "latency/m/fp32/onnxruntime-cpu/single-stream-b2-t1"]
    assert groups(made.select(["latency/*"])) == [groups(made)[2]]
    with pytest.raises(UsageError, match=r"--only nothing/\*: matches no cell; the cells are: accuracy/a/m"):
        made.select(["nothing/*"])


def test_only_leaves_out_gates_on_what_it_leaves_out(plan):
    gate = '[[gates]]\ncell = "{}"\nmetric = "x"\nmin = 1\n'
    texts = [gate.format(glob) for glob in ("accuracy/a/*", "accuracy/b/*", "accuracy/*", "misspelt/*")]
    made = plan(TABLES + ACCURACY.replace('["a"]', '["a", "b"]') + "".join(texts))
    assert [each.cell for each in made.select(["accuracy/a/*"]).suite.gates] == [
        "accuracy/a/*", "accuracy/*", "misspelt/*"]  # the last one matches nothing in any case, and fails
    assert made.select([]).suite.gates == made.suite.gates


def test_estimated_forward_passes(plan):
    made = count_samples(plan(TABLES + ACCURACY.replace('["a"]', '["a", "gone"]') + """\
latency = [{}]
[[explain]]
models = ["c"]
datasets = ["pets"]
metrics = ["of-maps", "of-boxes"]
saliency = ["map", "costly"]
"""))
    passes = {cell.key.split("/")[-1]: cell.forward_passes for cell in made.cells if cell.kind == "explain"}
    # One for the prediction, two for the map, three more for the metric `of-maps`; 10 images.
    assert passes == {"map": 10 * (1 + 2 + 3), "costly": None}
    assert {cell.dataset.id: (cell.samples, cell.forward_passes) for cell in made.cells if cell.kind == "accuracy"} == {
        "a": (3, 3), "gone": (None, None)}
    assert [cell.forward_passes for cell in made.cells if cell.kind == "latency"] == [None]
    assert [[cell.samples for cell in group] for group in made.groups] == [[3], [None], [None], [10], [10]]


def test_samples_are_counted_once_for_each_dataset(plan, monkeypatch):
    import fake_parts

    opened = []
    count = fake_parts.Spots.__init__
    monkeypatch.setattr(fake_parts.Spots, "__init__", lambda self, params: (opened.append(1), count(self, params))[1])
    count_samples(plan(TABLES + ACCURACY.replace('["m"]', '["m", "n"]')))
    assert len(opened) == 1
