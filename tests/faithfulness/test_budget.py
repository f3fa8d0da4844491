"""Metrics that make further maps refuse generators that are too dear, before anything runs."""

import importlib

import pytest

from harness.api import Params, SaliencySpec, hookimpl
from harness.errors import SuiteError
from harness.host import Host
from harness.plan import make_plan
from harness.reading import read_suite

PLUGINS = ("harness_classification", "harness_onnx", "harness_runtime", "harness_saliency_metrics")
SUITE = """
[suite]
name = "dear"
[datasets.scenes]
use = "foreground"
[models.net]
use = "cam-cnn"
[saliency.few]
use = "sampled"
masks = 100
[saliency.many]
use = "sampled"
masks = 1000
{more}
[[explain]]
models = ["net"]
datasets = ["scenes"]
saliency = {saliency}
metrics = {metrics}
"""


class SampledParams(Params):
    masks: int = 10
    """Forward passes of one map."""

    @property
    def passes(self) -> float:
        return float(self.masks)


class Plugin:
    """Generators that need no code to be planned."""

    @hookimpl
    def harness_saliency(self):
        return [SaliencySpec(name="sampled", summary="Masks.", params=SampledParams, factory="none:none"),
                SaliencySpec(name="unknown", summary="Cost not declared.", factory="none:none"),
                SaliencySpec(name="kept", summary="Made elsewhere.", factory="none:none", stored=True)]


@pytest.fixture
def read(tmp_path):
    host = Host.of(*map(importlib.import_module, PLUGINS), Plugin())

    def read(metrics, saliency, more=""):
        path = tmp_path / "suite.toml"
        path.write_text(SUITE.format(metrics=metrics, saliency=saliency, more=more))
        return read_suite(path, host)

    return read


def test_the_refusal_names_the_estimate_and_the_way_out(read):
    with pytest.raises(SuiteError) as caught:
        read(["max-sensitivity", "average-drop"], ["few", "many"])
    (problem,) = caught.value.problems
    assert "metrics" in problem.path
    assert problem.message == (
        '"max-sensitivity" makes 10 further maps for each sample, with "many" about 10,000 forward passes, and its '
        "budget is 2,000: raise the budget, or leave one of them out")


@pytest.mark.parametrize(("metric", "more"), [
    ("parameter-randomization", ""), ("max-sensitivity", "draws = 20"), ("adcc", "budget = 999"),
    ("coherency", "budget = 999.5"),
])
def test_others_that_are_refused(read, metric, more):
    with pytest.raises(SuiteError, match="forward passes"):
        read(["it"], ["many"], f'[metrics.it]\nuse = "{metric}"\n{more}')


def test_stored_maps_cannot_be_made_again(read):
    assert read(["average-drop"], ["kept"])
    with pytest.raises(SuiteError, match='"adcc" asks for maps of changed inputs or models, "kept" has those of the '
                                         "samples alone: leave one of them out"):
        read(["adcc"], ["kept"])


def test_what_fits_is_planned_with_its_cost(read):
    suite = read(["it", "road"], ["few", "unknown"],
                 '[metrics.it]\nuse = "max-sensitivity"\ndraws = 20\n[metrics.road]\nuse = "road"\nremoved = [0.5]')
    few, unknown = make_plan(suite).cells
    from dataclasses import replace

    assert replace(few, samples=3).forward_passes == 3 * (1 + 2 + 100 * 21)
    assert replace(unknown, samples=3).forward_passes is None
    assert read(["adcc"], ["many"])
