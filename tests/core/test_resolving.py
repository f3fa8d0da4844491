"""What a valid suite means: derived datasets, paths, defaults; and whose fault it is when a plugin is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import EXIT_PLUGIN, EXIT_USAGE, SuiteError
from harness.host import Host
from harness.reading import read_suite

VALID = """\
[suite]
name = "valid"
[datasets.spots]
use = "spots"
[datasets.boxed]
use = "boxed"
[datasets.bare]
use = "bare"
[models.net]
use = "trainable"
[models.classes]
use = "classifier"
"""
BENCH = """\
[[bench]]
models = ["net"]
datasets = ["spots"]
metrics = ["distance"]
"""
START = VALID.count("\n")
"""Lines before what a test adds."""


# --- derived datasets -----------------------------------------------------------------------------------------------

def test_a_derived_dataset_overrides_and_adds(suite):
    datasets = suite(VALID + """
[datasets.noisy]
base = "dark"
transforms = [{ kind = "noise", sigma = 0.1 }]
[datasets.dark]
base = "spots"
level = 3
transforms = [{ kind = "blur", sigma = 1 }, { kind = "contrast", factor = 2 }]
[datasets.many]
base = "noisy"
count = 9
""").datasets
    assert [(datasets[name].params.count, datasets[name].params.level) for name in ("spots", "dark", "noisy", "many")] \
        == [(4, 200), (4, 3), (4, 3), (9, 3)]
    kinds = {name: [transform.kind for transform in entry.transforms] for name, entry in datasets.items()}
    assert kinds["spots"] == []
    assert kinds["dark"] == ["blur", "contrast"]
    assert kinds["noisy"] == kinds["many"] == ["blur", "contrast", "noise"]
    assert {entry.spec.name for entry in datasets.values()} == {"spots", "boxed", "bare"}


def test_a_cycle_is_reported_at_each_of_its_members_alone(mistakes):
    text = VALID + "[datasets.c]\nbase = 'a'\n[datasets.a]\nbase = 'b'\n[datasets.b]\nbase = 'a'\n"
    assert mistakes(text) == [
        (START + 4, "datasets.a.base", "derives from itself: b -> a -> b"),
        (START + 6, "datasets.b.base", "derives from itself: a -> b -> a"),
    ]


def test_a_mistake_of_the_base_is_reported_once(mistakes):
    text = VALID + """\
[datasets.wrong]
use = "spots"
cuont = 3
transforms = [{ kind = "nois" }]
[datasets.first]
base = "wrong"
transforms = [{ kind = "blur" }]
[datasets.second]
base = "first"
level = 300
"""
    assert [(line, path) for line, path, _ in mistakes(text)] == [
        (START + 3, "datasets.wrong.cuont"), (START + 4, "datasets.wrong.transforms[0].kind"),
        (START + 7, "datasets.first.transforms[0].sigma"), (START + 10, "datasets.second.level")]


def test_an_unknown_plugin_of_the_base_is_reported_once(mistakes):
    text = VALID + "[datasets.first]\nuse = 'spot'\n[datasets.second]\nbase = 'first'\ncount = 3\n"
    assert [(line, path) for line, path, _ in mistakes(text)] == [(START + 2, "datasets.first.use")]


def test_transforms_of_the_base_that_are_no_list(mistakes):
    text = VALID + ("[datasets.first]\nuse = 'spots'\ntransforms = 'blur'\n"
                    "[datasets.second]\nbase = 'first'\ntransforms = []\n")
    assert [(line, path) for line, path, _ in mistakes(text)] == [(START + 3, "datasets.first.transforms")]


# --- values --------------------------------------------------------------------------------------------------------

def test_paths_are_relative_to_the_suite_file(suite, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", "/home/me")
    read = suite("""
[suite]
name = "paths"
baseline = "runs/old"
[datasets.here]
use = "needy"
root = "data"
[datasets.elsewhere]
use = "needy"
root = "${ROOT}/data"
[datasets.home]
use = "needy"
root = "~/data"
[models.mine]
use = "onnx"
path = "../mine.onnx"
labels = "labels.txt"
export = "exports/mine"
""", ROOT="/absolute")
    roots = {name: entry.params.root for name, entry in read.datasets.items()}
    assert roots == {"here": tmp_path / "data", "elsewhere": Path("/absolute/data"), "home": Path("/home/me/data")}
    model = read.models["mine"]
    assert (read.table.baseline, model.export) == (tmp_path / "runs/old", tmp_path / "exports/mine")
    assert (model.params.path, model.params.labels) == (tmp_path / "../mine.onnx", tmp_path / "labels.txt")
    assert model.folders == (tmp_path / "exports",)


def test_defaults_and_ids(suite):
    read = suite(VALID + "[metrics.far]\nuse = 'distance'\nscale = 2\n[backends.slower]\nuse = 'slow'\nscale = 3\n"
                 "[executor]\nuse = 'inline'\n" + BENCH.replace('"distance"', '"far", "distance"')
                 + "backends = ['slower', 'slow', 'onnxruntime-cpu']\nlatency = [{}, { batch = [2, 4] }]\n")
    (bench,) = read.benches
    assert [(metric.id, metric.spec.name, metric.params.scale) for metric in bench.metrics] == [
        ("far", "distance", 2), ("distance", "distance", 1)]
    assert [(entry.id, entry.spec.name) for entry in bench.backends] == [
        ("slower", "slow"), ("slow", "slow"), ("onnxruntime-cpu", "onnxruntime-cpu")]
    assert [(each.spec.name, each.batch, each.threads) for each in bench.latency] == [
        ("single-stream", (1,), (1,)), ("single-stream", (2, 4), (1,))]
    assert read.executor.spec.name == "inline"
    assert (bench.precisions, bench.batch_size, bench.target) == (("fp32",), None, None)
    assert read.models["net"].task == "keypoints"


def test_an_id_hides_a_plugin_of_its_name(suite):
    (bench,) = suite(VALID + "[metrics.distance]\nuse = 'distance'\nscale = 7\n" + BENCH).benches
    assert bench.metrics[0].params.scale == 7


def test_the_task_of_a_model_may_be_known_to_its_file_alone(suite):
    text = VALID + "[models.mine]\nuse = 'onnx'\npath = 'm.onnx'\n"
    assert suite(text).models["mine"].task is None
    assert suite(text + "task = 'keypoints'\n").models["mine"].task == "keypoints"
    assert len(suite(text + BENCH.replace('"net"', '"mine"')).benches) == 1


def test_a_metric_that_needs_maps_fits_into_explain(suite):
    read = suite(VALID + "[[explain]]\nmodels = ['classes']\ndatasets = ['boxed']\nsaliency = ['costly', 'two-pass']\n"
                 "metrics = ['of-maps', 'of-regions']\ntarget = 'predicted'\n")
    (bench,) = read.benches
    assert [entry.id for entry in bench.saliency] == ["costly", "two-pass"]
    assert bench.target == "predicted"


def test_the_resolved_data_is_kept(suite):
    read = suite(VALID + "[datasets.x]\nuse = 'needy'\nroot = '${ROOT}'\n[profiles.p.suite]\nseed = 4\n", "p", ROOT="r")
    assert read.resolved["datasets"]["x"] == {"use": "needy", "root": "r"}
    assert read.resolved["suite"] == {"name": "valid", "seed": 4}
    assert "profiles" not in read.resolved


# --- plugins that are missing or broken ----------------------------------------------------------------------------

def exit_code(write, host, text):
    with pytest.raises(SuiteError) as caught:
        read_suite(write(text), host, None, {})
    return caught.value.exit_code, str(caught.value)


class Broken:
    """A plugin whose hook raises."""

    __name__ = "broken"

    @property
    def harness_api(self):
        return 99


def pinned(*pins):
    return f"[suite]\nname = 'pinned'\nplugins = {list(pins)}\n"


def test_pins_that_hold(write, host):
    assert read_suite(write(pinned("fake_plugin", "fake-plugin>=0", "harness_onnx==0")), host).name == "pinned"


@pytest.mark.parametrize(("pin", "message"), [
    ("acme-metrics>=1.2", 'the plugin distribution "acme-metrics" is not installed'),
    ("fake_plugn", 'the plugin distribution "fake_plugn" is not installed; did you mean "fake_plugin"?'),
    ("fake_plugin>=1.2", "fake_plugin 0 is installed, the suite asks for >=1.2"),
    (">=1.2", '">=1.2" is not a requirement like "acme-metrics>=1.2"'),
])
def test_a_pin_that_does_not_hold(write, host, pin, message):
    code, text = exit_code(write, host, pinned("harness_onnx", pin))
    assert message in text
    assert ":3  suite.plugins" in text
    assert code == (EXIT_USAGE if pin.startswith(">") else EXIT_PLUGIN)


def test_a_pinned_plugin_that_failed(write):
    code, text = exit_code(write, Host.of(Broken()), pinned("broken"))
    assert code == EXIT_PLUGIN
    assert "plugin broken (broken 0) failed (api): declares harness_api = 99" in text


def test_a_broken_plugin_is_blamed_for_what_is_missing(write):
    host = Host.of(Broken())
    text = "[suite]\nname = 'x'\n[models.m]\nuse = 'theirs'\n"
    code, message = exit_code(write, host, text)
    assert code == EXIT_PLUGIN
    assert "plugin broken (broken 0) failed (api)" in message
    code, _ = exit_code(write, host, text + "[modles.x]\n")
    assert code == EXIT_USAGE


def test_a_misspelt_name_is_the_suites_fault(write, host):
    assert exit_code(write, host, "[suite]\nname = 'x'\n[models.m]\nuse = 'onxn'\n")[0] == EXIT_USAGE


def test_a_broken_plugin_that_is_not_needed_is_no_mistake(write):
    import harness_onnx

    text = "[suite]\nname = 'x'\n[models.m]\nuse = 'onnx'\npath = 'm.onnx'\n"
    assert read_suite(write(text), Host.of(Broken(), harness_onnx)).models.keys() == {"m"}
