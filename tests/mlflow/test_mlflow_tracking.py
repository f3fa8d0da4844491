"""Runs in a local store of MLflow."""

import json
import sys
from pathlib import Path

import pytest

from harness.api import CellResult, MetricResult, MissingDependency, Results, RunContext
from harness.results import LatencyResult
from harness_mlflow import harness_run_finished


def finished(folder):
    common = {"id": "0", "model": "net", "precision": "fp32", "backend": "cpu", "status": "ok"}
    cells = [
        CellResult(key="accuracy/data/net/fp32/cpu", kind="accuracy", dataset="data", **common,
                   metrics={"pck@0.05": MetricResult(value=0.75, n=4), "nothing": MetricResult(value=None, n=0),
                            "pck.nose": MetricResult(value=1, n=4, detail=True)}),
        CellResult(key="latency/net/fp32/cpu/single-stream-b1-t1", kind="latency", **common,
                   latency=LatencyResult(scenario="single-stream", batch=1, threads=1, n=20, p50_ms=2.5)),
        CellResult(key="latency/net/fp32/cuda/x", kind="latency", **{**common, "status": "skipped"}),
    ]
    suite = {"suite": {"name": "nightly", "seed": 3}, "models": {"net<1>": {"use": "onnx", "path": "p"}}}
    results = Results(suite=suite,
                      environment={"commit": "abc", "cpu": None}, plugins=[], cells=cells)
    folder.mkdir()
    (folder / "results.json").write_text(results.model_dump_json(by_alias=True))
    return RunContext(folder, results.suite, results=results)


def test_without_an_address_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    harness_run_finished(finished(tmp_path / "run"))
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "results.json"]


def test_without_the_package_the_way_out_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.delitem(sys.modules, "harness_mlflow.tracking", raising=False)
    with pytest.raises(MissingDependency, match=r"vision-harness\[mlflow\]"):
        harness_run_finished(finished(tmp_path / "run"))


@pytest.mark.filterwarnings("ignore")  # what MLflow's own modules warn of is no matter of ours
def test_a_run_is_one_run_of_the_experiment_of_its_suite(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    address = (tmp_path / "store").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(address)
    harness_run_finished(finished(tmp_path / "20260101-000000"))
    client = mlflow.MlflowClient(address)
    (run,) = client.search_runs([client.get_experiment_by_name("nightly").experiment_id])
    assert run.info.run_name == "20260101-000000"
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"accuracy/data/net/fp32/cpu/pck:0.05": 0.75,
                                "latency/net/fp32/cpu/single-stream-b1-t1/p50_ms": 2.5}
    assert run.data.params == {"commit": "abc", "suite.name": "nightly", "suite.seed": "3",
                               "models.net_1_": "use = onnx, path = p"}
    assert run.data.tags["harness.verdict"] == "no gates"
    path = Path(client.download_artifacts(run.info.run_id, "results.json", str(tmp_path)))
    assert json.loads(path.read_text())["schema"] == 1
