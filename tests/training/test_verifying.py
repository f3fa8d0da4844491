"""`harness verify`: every kind of damage is found, by the check that is meant for it, without torch."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

from harness.errors import UsageError
from harness.exports import load_export
from harness.table import Table
from harness.verify import export_folders, verify


def outcomes(host, folder, **options):
    return {check.name: check for check in verify(host, folder, **options)}


def failed(host, folder, **options):
    return [name for name, check in outcomes(host, folder, **options).items() if not check.passed]


def change_record(folder, change):
    path = folder / "export.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def change_model(folder, change):
    """Change the graph and keep the recorded hash up to date."""
    path = folder / "model.fp32.onnx"
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    rehash(folder)


def rehash(folder):
    import hashlib

    def change(data):
        for file in (data["files"]["fp32"], data["golden"]):
            file["sha256"] = hashlib.sha256((folder / file["file"]).read_bytes()).hexdigest()

    change_record(folder, change)


def test_an_untouched_export_passes_every_check(keypoints_host, exported):
    checks = outcomes(keypoints_host, exported)
    assert list(checks) == ["hash", "onnx fp32", "parity fp32", "batch fp32", "accuracy fp32"]
    assert all(check.passed for check in checks.values())
    assert list(outcomes(keypoints_host, exported, accuracy=False)) == list(checks)[:4]


def test_a_changed_byte(keypoints_host, own_export):
    path = own_export / "golden.npz"
    path.write_bytes(path.read_bytes() + b" ")
    checks = outcomes(keypoints_host, own_export, accuracy=False)
    assert not checks["hash"].passed
    assert "golden.npz: was changed after its export" in checks["hash"].detail


def test_a_missing_file(keypoints_host, own_export):
    (own_export / "model.fp32.onnx").unlink()
    checks = outcomes(keypoints_host, own_export)
    assert "is missing" in checks["hash"].detail
    assert not any(check.passed for check in checks.values())


def test_a_truncated_model(keypoints_host, own_export):
    path = own_export / "model.fp32.onnx"
    path.write_bytes(path.read_bytes()[:5000])
    assert {"hash", "onnx fp32", "parity fp32"} <= set(failed(keypoints_host, own_export))


def test_changed_weights_are_found_by_parity_and_accuracy(keypoints_host, own_export):
    def change(model):
        tensor = next(t for t in model.graph.initializer if t.name.endswith("head.weight"))
        values = onnx.numpy_helper.to_array(tensor) * np.float32(-1)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    change_model(own_export, change)
    assert failed(keypoints_host, own_export) == ["parity fp32", "accuracy fp32"]


def test_a_graph_for_one_batch_size_only(keypoints_host, own_export):
    """It answers a batch of 8 with the first sample's outputs, which golden parity alone would not tell for one."""
    def change(model):
        graph = model.graph
        names = {output.name for output in graph.output}
        for node in graph.node:
            for index, name in enumerate(node.output):
                if name in names:
                    node.output[index] = f"{name}_all"
        graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1, np.int64), "first"))
        for name in names:
            for node in graph.node:
                for index, used in enumerate(node.input):
                    if used == name:
                        node.input[index] = f"{name}_all"
            graph.node.append(onnx.helper.make_node("Sub", [f"{name}_all", f"{name}_mean"], [name]))
            graph.node.insert(len(graph.node) - 1, onnx.helper.make_node(
                "ReduceMean", [f"{name}_all", "first"], [f"{name}_mean"], keepdims=1))

    change_model(own_export, change)
    assert "batch fp32" in failed(keypoints_host, own_export, accuracy=False)


def test_an_accuracy_that_was_not_measured(keypoints_host, own_export):
    def change(data):
        data["accuracy"]["pck@0.2"]["value"] += 0.01

    change_record(own_export, change)
    checks = outcomes(keypoints_host, own_export)
    assert [name for name, check in checks.items() if not check.passed] == ["accuracy fp32"]
    assert "pck@0.2 is" in checks["accuracy fp32"].detail
    assert "tolerance 0.002" in checks["accuracy fp32"].detail


def test_golden_outputs_of_another_model(keypoints_host, own_export):
    golden = Table.load(own_export / "golden.npz")
    columns = dict(golden) | {"output.scores": golden.dense("output.scores") + np.float32(2e-4)}
    Table(columns).save(own_export / "golden.npz")
    rehash(own_export)
    assert failed(keypoints_host, own_export, accuracy=False) == ["parity fp32"]


def test_a_damaged_golden_file(keypoints_host, own_export):
    (own_export / "golden.npz").write_bytes(b"PK no archive")
    checks = outcomes(keypoints_host, own_export, accuracy=False)
    assert "golden.npz: can not be read" in checks["parity fp32"].detail


def test_other_weights_in_the_metadata(keypoints_host, own_export):
    def change(data):
        data["weights_sha256"] = "0" * 64

    change_record(own_export, change)
    assert failed(keypoints_host, own_export, accuracy=False) == ["onnx fp32"]


def test_a_folder_without_a_record_is_a_failure(keypoints_host, own_export):
    (own_export / "export.json").unlink()
    (check,) = verify(keypoints_host, own_export.parent)
    assert not check.passed
    assert "has no export.json" in check.detail


def test_nothing_to_verify_is_a_usage_error(keypoints_host, tmp_path):
    with pytest.raises(UsageError, match="holds no exports"):
        export_folders(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        export_folders(tmp_path / "nothing")


def test_on_the_command_line(cli, own_export):
    outcome = cli("verify", own_export.parent, "--no-accuracy")
    assert outcome.code == 0
    assert outcome.out.count("\n") == 4
    (own_export / "snapshots.npz").write_bytes(b"")
    outcome = cli("verify", own_export.parent, "--no-accuracy", "--format", "json")
    assert outcome.code == 3
    assert [check["passed"] for check in json.loads(outcome.out)] == [False, True, True, True]


def test_shipped_exports_pass_without_torch():
    """In a process where importing torch is an error."""
    script = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch': raise ImportError('no torch here')\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from harness.cli import main\n"
        "from harness.exports import shipped\n"
        "main(['verify', str(shipped())])\n"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "FAILED" not in process.stdout
    assert process.stdout.count("accuracy fp32") >= 2


def test_shipped_exports_are_small_and_good():
    from harness.exports import shipped

    for folder in export_folders(shipped()):
        assert all(path.stat().st_size < 4e6 for path in folder.iterdir())
    heatmap, regression = (load_export(shipped() / name).accuracy for name in ("heatmapnet", "regressionnet"))
    assert heatmap["pck@0.05"].value >= 0.989
    assert heatmap["pck@0.2"].value >= 0.998
    assert heatmap["pck.mean-error"].value < 0.65
    assert heatmap["pck@0.05"].value - regression["pck@0.05"].value >= 0.25
