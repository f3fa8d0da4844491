"""Checks that a plugin keeps its contracts; each raises ConformanceError with what is wrong and for which sample.

    spec = next(spec for spec in acme.harness_metrics() if spec.name == "confidence")
    check_spec(spec)
    check_metric(spec, create(spec), samples)
"""

from harness.testing.conformance.dataset import check_dataset
from harness.testing.conformance.executor import check_executor
from harness.testing.conformance.expect import ConformanceError
from harness.testing.conformance.metric import check_metric
from harness.testing.conformance.runtime import check_backend, check_reporter, check_scenario
from harness.testing.conformance.saliency import check_saliency
from harness.testing.conformance.spec import check_spec, create

__all__ = [
    "ConformanceError",
    "check_backend",
    "check_dataset",
    "check_executor",
    "check_metric",
    "check_reporter",
    "check_saliency",
    "check_scenario",
    "check_spec",
    "create",
]
