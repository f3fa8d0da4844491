"""Image classification: the Oxford-IIIT Pet photographs, top-k accuracy and the quality of the probabilities."""

from collections.abc import Iterable
from math import inf

from harness.api import DatasetSpec, MetricSpec, hookimpl
from harness_classification.params import EceParams, OxfordPetParams, TopKParams

_TASKS = frozenset({"classification"})


@hookimpl
def harness_datasets() -> Iterable[DatasetSpec]:
    return [
        DatasetSpec(
            name="oxford-pet",
            summary="Oxford-IIIT Pet: photographs of cats and dogs with breed, mask and box.",
            task="classification",
            provides=frozenset({"boxes", "mask"}),
            params=OxfordPetParams,
            factory="harness_classification.oxford_pet:OxfordPet",
        )
    ]


@hookimpl
def harness_metrics() -> Iterable[MetricSpec]:
    return [
        MetricSpec(
            name="top-k",
            summary="Share of samples whose label is among the k highest logits.",
            tasks=_TASKS,
            params=TopKParams,
            factory="harness_classification.top_k:TopK",
            worst=0.0,
        ),
        MetricSpec(
            name="nll",
            summary="Mean negative log-likelihood of the label, natural logarithm.",
            tasks=_TASKS,
            factory="harness_classification.proper_scores:NegativeLogLikelihood",
            higher_is_better=False,
            unit="nat",
            range=(0.0, inf),
        ),
        MetricSpec(
            name="brier",
            summary="Mean squared distance of the probabilities to the one-hot label.",
            tasks=_TASKS,
            factory="harness_classification.proper_scores:Brier",
            higher_is_better=False,
            unit="squared distance",
            range=(0.0, 2.0),
            worst=2.0,
        ),
        MetricSpec(
            name="ece",
            summary="Expected calibration error of the top-1 probability.",
            tasks=_TASKS,
            params=EceParams,
            factory="harness_classification.calibration:ExpectedCalibrationError",
            higher_is_better=False,
            worst=1.0,
        ),
    ]
