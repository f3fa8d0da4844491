"""Whatever is wrong with a cell is one clear line and a result; the other cells are measured all the same."""

import json

import pytest
from onnx import TensorProto, helper

from harness.table import Table
from harness_runtime.executors import InlineExecutor
from harness_runtime.params import InlineParams

GOOD = "accuracy/colors/mean/fp32/logged"

# A second bench that must be measured whatever happens in the first.
SECOND = """
[models.{name}]
use = "onnx"
path = "{path}"
{card}
[[bench]]
models = ["{name}"]
datasets = ["colors"]
metrics = ["top"]
"""
CARD = """
task = "classification"
input = { size = [8, 8], range = [0.0, 1.0] }
labels = ["red", "green", "blue"]
"""


def bad_model(lab, path, card=CARD):
    """The outcome of a sound and a bad model in one suite, and the result of the bad one."""
    outcome = lab.run(lab.suite + lab.bench + SECOND.format(name="bad", path=path, card=card))
    return outcome, other(outcome)


def other(outcome):
    """The cell beside the sound one, which must be ok."""
    found = {cell.key: cell for cell in outcome.results.cells}
    assert found.pop(GOOD).status == "ok"
    (cell,) = found.values()
    return cell


def assert_failed(outcome, cell, kind, *words, code=3):
    assert (cell.status, cell.error.type, outcome.exit_code) == ("failed", kind, code), cell
    assert not [word for word in words if word not in cell.error.message], cell.error.message
    assert "\n" not in cell.error.message
    assert "Traceback" not in cell.error.message
    assert not cell.metrics


def test_a_truncated_model(lab):
    whole = lab.classifier("bad").read_bytes()
    (lab.folder / "bad.onnx").write_bytes(whole[: len(whole) // 2])
    assert_failed(*bad_model(lab, "bad.onnx"), "ModelFileError", "bad.onnx", "truncated")


def test_a_text_file_that_is_called_onnx(lab):
    (lab.folder / "bad.onnx").write_text("<html><body>404 Not Found</body></html>\n" * 20)
    assert_failed(*bad_model(lab, "bad.onnx"), "ModelFileError", "bad.onnx", "not an ONNX file")


def test_a_missing_model(lab):
    assert_failed(*bad_model(lab, "absent.onnx"), "ModelFileError", "absent.onnx", "no such", '"bad"')


def test_a_folder_as_model(lab):
    (lab.folder / "bad.onnx").mkdir()
    assert_failed(*bad_model(lab, "bad.onnx"), "ModelFileError", "bad.onnx")


def test_nan_in_the_output_names_model_output_and_sample(lab):
    lab.classifier("bad", bias=float("nan"))
    assert_failed(*bad_model(lab, "bad.onnx"), "CellError", '"bad"', "NaN", '"logits"', '"square-0"')


def test_a_wrong_output_name_lists_the_graph(lab):
    lab.classifier("bad", output="scores")
    outcome, cell = bad_model(lab, "bad.onnx", CARD + 'outputs = { logits = "skores" }')
    assert_failed(outcome, cell, "ModelFileError", "skores", 'did you mean "scores"', "image float32")


def test_a_wrong_input_size_says_what_the_graph_takes(lab):
    lab.classifier("bad")
    outcome, cell = bad_model(lab, "bad.onnx", CARD.replace("[8, 8]", "[9, 8]"))
    assert_failed(outcome, cell, "ModelFileError", "9", "8", "`input`")


def test_a_task_that_only_the_file_knows(lab, centroid_model):
    import onnx

    from harness.card import ModelCard
    from harness.onnx.metadata import write_card

    model = onnx.load(centroid_model)
    card = {"task": "keypoints", "input": {"size": [64, 64], "color": "GRAY"}}
    write_card(model, ModelCard.model_validate(card))
    onnx.save(model, lab.folder / "bad.onnx")
    assert_failed(*bad_model(lab, "bad.onnx", ""), "TaskMismatch", "keypoints", "classification", '"bad"', '"colors"')


def test_a_file_that_says_nothing_and_a_suite_that_does_not_either(lab):
    lab.classifier("bad")
    assert_failed(*bad_model(lab, "bad.onnx", ""), "ModelFileError", "`task`", "classification")


def test_more_labels_than_classes(lab):
    lab.classifier("bad")
    outcome, cell = bad_model(lab, "bad.onnx", CARD.replace('"blue"', '"blue", "cyan"'))
    assert_failed(outcome, cell, "ModelFileError", "4 labels", "3 classes")


DATASET = """
[datasets.bad]
{table}
[[bench]]
models = ["mean"]
datasets = ["bad"]
metrics = ["top"]
"""


def bad_dataset(lab, table):
    outcome = lab.run(lab.suite + lab.bench + DATASET.format(table=table))
    return outcome, other(outcome)


def test_an_empty_dataset(lab):
    assert_failed(*bad_dataset(lab, 'use = "lab-colors"\ncount = 0'), "DataError", '"bad"', "empty")


def test_a_dataset_whose_folder_is_missing(lab):
    outcome, cell = bad_dataset(lab, 'use = "oxford-pet"\nroot = "nowhere/pets"')
    assert_failed(outcome, cell, "DataError", "nowhere/pets")


def test_no_sample_can_be_read(lab):
    outcome, cell = bad_dataset(lab, 'use = "lab-colors"\ncount = 3\nunreadable = [0, 1, 2]')
    assert_failed(outcome, cell, "DataError", "none of the 3", '"bad"', "square-0: it is blank")


def test_samples_that_can_not_be_read_are_named_and_counted(lab):
    outcome, cell = bad_dataset(lab, 'use = "lab-colors"\nunreadable = [0, 1, 2, 3, 5, 7, 11]')
    assert (outcome.exit_code, cell.status) == (0, "ok")
    assert cell.reason.startswith("7 of 12 samples can not be read: square-0: it is blank; square-1")
    assert cell.reason.endswith("and 2 more")
    assert cell.metrics["top@1"].n == 5
    again = lab.run(lab.suite + lab.bench
                    + DATASET.format(table='use = "lab-colors"\nunreadable = [0, 1, 2, 3, 5, 7, 11]'), output="again")
    assert other(again).cached
    assert other(again).reason == cell.reason


def test_a_label_that_the_model_does_not_know(lab):
    outcome, cell = bad_dataset(lab, 'use = "lab-colors"\nlabel = "gren"')
    assert_failed(outcome, cell, "TaskMismatch", '"gren"', 'did you mean "green"', "classes")


@pytest.mark.parametrize(("where", "kind", "message"), [
    ("stream", "RuntimeError", "the tape broke"),
    ("length", "RuntimeError", "the index is torn"),
    ("fingerprint", "OSError", "the disk is gone"),
])
def test_a_dataset_that_raises(lab, where, kind, message):
    table = f'use = "lab-colors"\ncount = 40\nfails = "{where}"'
    outcome, cell = bad_dataset(lab, table)
    assert_failed(outcome, cell, kind, message)
    assert 'in dataset "lab-colors" of plugin lab (lab-harness 1.0)' in cell.error.where
    assert "lab_plugin.py:" in cell.error.where


METRIC = """
[metrics.bad]
use = "lab-odd"
how = "{how}"
[[bench]]
models = ["mean"]
datasets = ["colors"]
metrics = ["bad"]
"""


def bad_metric(lab, how, executor="inline", extra=""):
    outcome = lab.run(lab.suite + lab.bench + METRIC.format(how=how).replace("[[bench]]", BACKEND) + extra,
                      executor=executor)
    return outcome, other(outcome)


BACKEND = '[backends.plain]\nuse = "onnxruntime-cpu"\n[[bench]]\nbackends = ["plain"]'


@pytest.mark.parametrize(("how", "kind", "message"), [
    ("raise", "ArithmeticError", "a | `b` <script>"), ("summarize", "ZeroDivisionError", "no denominator"),
])
def test_a_metric_that_raises(lab, how, kind, message):
    outcome, cell = bad_metric(lab, how)
    assert (cell.status, cell.error.type, outcome.exit_code) == ("failed", kind, 3)
    assert message in cell.error.message
    assert 'in metric "lab-odd" of plugin lab (lab-harness 1.0)' in cell.error.where
    assert "lab_plugin.py:" in cell.error.where


def test_a_metric_that_loses_rows_is_a_broken_plugin(lab):
    outcome, cell = bad_metric(lab, "rows")
    assert_failed(outcome, cell, "PluginError", "11 rows for 12 samples", "lab (lab-harness 1.0)", code=4)


@pytest.mark.parametrize(("how", "message"), [("exit", "exit code 7"), ("segfault", "SIGSEGV")])
def test_a_worker_that_dies(lab, how, message):
    outcome, cell = bad_metric(lab, how, executor="local")
    assert_failed(outcome, cell, "ProcessExpired", "worker process", message)


def test_a_worker_that_takes_too_long(lab):
    outcome, cell = bad_metric(lab, "sleep", executor="local", extra='[executor]\nuse = "local"\ntimeout = 4.0\n')
    assert_failed(outcome, cell, "TimeoutError", "4 s", "timeout")


@pytest.mark.parametrize(("what", "name"), [
    ("harness.thumbnails.Writer.close", "its pictures"), ("harness.onnx.flops.gflop", "its operations"),
    ("harness.worker.CellGroup._keep_record", "the record of its training"),
])
def test_what_follows_a_measurement_does_not_cost_it(lab, monkeypatch, what, name):
    def full(*_):
        raise OSError(28, "No space left on device")

    whole = lab.run().results.cells[0]
    monkeypatch.setattr(what, full)
    outcome = lab.run(output="again", cache="other")
    (cell,) = outcome.results.cells
    assert (outcome.exit_code, cell.status, cell.metrics) == (0, "ok", whole.metrics)
    assert cell.reason == f"without {name}: OSError: [Errno 28] No space left on device"


def test_a_latency_that_can_not_be_kept_does_not_cost_the_others(lab, monkeypatch):
    saved = Table.save

    def full(self, path):
        if "b4" in path.name:
            raise OSError(28, "No space left on device")
        saved(self, path)

    monkeypatch.setattr(Table, "save", full)
    outcome = lab.run(lab.suite + """
[[bench]]
models = ["mean"]
latency = [{ batch = [1, 4], min_queries = 70, min_duration_s = 0.0, max_warmup_s = 0.1 }]
""")
    first, second = outcome.results.cells
    assert (first.status, second.status, outcome.exit_code) == ("ok", "failed", 3)
    assert "No space left" in second.error.message


class Stumbling:
    """A group that raises, against its contract."""

    keys, exclusive = ("a",), False

    def execute(self, progress, *, fresh_process=False):
        raise MemoryError("too large")

    def failed(self, error_type, message):
        return [f"{error_type}: {message}"]


def test_inline_goes_on_after_a_group_that_raises():
    found = InlineExecutor(InlineParams()).run([Stumbling(), Stumbling()], lambda *_: None)
    assert list(found) == [["MemoryError: too large"]] * 2


def test_an_executor_that_forgets_a_cell(lab):
    outcome, cell = bad_metric(lab, "raise", executor="lab-forgetful")
    assert_failed(outcome, cell, "PluginError", "lab-forgetful", code=4)
    assert len(lab.lines()) == 2


def test_an_executor_that_raises(lab):
    outcome, cell = bad_metric(lab, "raise", executor="lab-stumbling")
    assert_failed(outcome, cell, "PluginError", "lab-stumbling", "ConnectionError: the cluster is gone", code=4)


def test_a_dataset_that_drops_samples_in_silence(lab):
    outcome, cell = bad_dataset(lab, 'use = "lab-colors"\nfails = "short"')
    assert_failed(outcome, cell, "PluginError", '"bad"', "11 samples", "12", code=4)


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_what_a_plugin_prints_does_not_mix_with_the_results(lab, executor):
    text = lab.suite + METRIC.format(how="print")
    done = lab.call(text, "--executor", executor, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cells"][0]["status"] == "ok"
    assert "noise" in done.stderr


def test_cuda_where_there_is_none_is_skipped_with_the_reason(lab):
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no CUDA provider at all")
    text = lab.suite + lab.bench.replace('["logged"]', '["onnxruntime-cuda"]')
    outcome = lab.run(text)
    (cell,) = outcome.results.cells
    if cell.status == "ok":
        pytest.skip("this machine has a GPU")
    assert (cell.status, cell.error, outcome.exit_code) == ("skipped", None, 3)
    assert "CUDA" in cell.reason
    assert "\n" not in cell.reason
    both = lab.run(text.replace('["onnxruntime-cuda"]', '["onnxruntime-cuda", "logged"]'), output="both")
    assert both.exit_code == 0
    assert [cell.status for cell in both.results.cells] == ["skipped", "ok"]


def test_a_plugin_outranks_a_cell_and_a_cell_outranks_a_gate(lab):
    gate = '[[gates]]\ncell = "accuracy/*"\nmetric = "top@1"\nmin = 1.1\n'
    good = lab.suite + lab.bench + gate
    assert lab.run(good).exit_code == 1
    failing = good + SECOND.format(name="bad", path="absent.onnx", card=CARD)
    assert lab.run(failing).exit_code == 3
    assert lab.run(failing + METRIC.format(how="rows").replace("[[bench]]", BACKEND)).exit_code == 4


def test_outputs_of_a_graph_with_a_fixed_batch_are_those_of_a_free_one(lab):
    lab.classifier("bad", batch=1)
    outcome, cell = bad_model(lab, "bad.onnx")
    assert cell.metrics == {found.key: found for found in outcome.results.cells}[GOOD].metrics


def test_a_fixed_batch_can_not_be_timed_at_another(lab):
    lab.classifier("bad", batch=1)
    text = lab.suite + lab.bench + SECOND.format(name="bad", path="bad.onnx", card=CARD).replace(
        'datasets = ["colors"]\nmetrics = ["top"]', 'latency = [{ batch = 2 }]')
    outcome = lab.run(text)
    assert_failed(outcome, other(outcome), "ModelFileError", "fixed at batch 1", "batch 2")


def test_logits_of_another_rank(lab):
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["logits"])], "same",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3, 8, 8])])
    lab.save(graph, "bad.onnx")
    outcome, cell = bad_model(lab, "bad.onnx", CARD.replace('labels = ["red", "green", "blue"]', "classes = {red = 0}"))
    assert_failed(outcome, cell, "ModelFileError", "(N,C)", "3, 8, 8")
