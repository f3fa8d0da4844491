"""How good is a saliency map: localization against boxes and masks, faithfulness to the network."""

from collections.abc import Iterable

from harness.api import MetricSpec, hookimpl
from harness_saliency_metrics import faithfulness, localization


@hookimpl
def harness_metrics() -> Iterable[MetricSpec]:
    return [*localization.METRICS, *localization.SEGMENTATION, *faithfulness.METRICS]
