"""Runs as MLflow sees them: active where MLFLOW_TRACKING_URI says where to."""

from __future__ import annotations

import os

from harness.api import MissingDependency, RunContext, hookimpl

TRACKING = "MLFLOW_TRACKING_URI"


@hookimpl
def harness_run_finished(context: RunContext) -> None:
    """One MLflow run of the experiment that is named after the suite. Raises MissingDependency without mlflow."""
    if not os.environ.get(TRACKING):
        return
    try:
        from harness_mlflow.tracking import track
    except ModuleNotFoundError as error:
        raise MissingDependency("mlflow", "mlflow", f"{TRACKING} is set, and tracking") from error
    track(context)
