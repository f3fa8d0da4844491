"""Equal suites give equal numbers, whoever runs them."""

import pytest

SUITE = """
[datasets.dim]
base = "colors"
count = 30
transforms = [{ kind = "noise", sigma = 0.2 }]
[[bench]]
models = ["mean"]
datasets = ["colors", "dim"]
metrics = ["top", "nll", "brier", "ece"]
backends = ["logged"]
[[explain]]
models = ["mean"]
datasets = ["dim"]
saliency = ["lab-noise"]
metrics = ["lab-maps"]
"""


@pytest.fixture
def reference(lab):
    return lab.numbers(lab.run(lab.suite + SUITE).results)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_numbers_do_not_depend_on_the_batch_size(lab, reference, batch_size):
    text = (lab.suite + SUITE).replace('models = ["mean"]', f'models = ["mean"]\nbatch_size = {batch_size}')
    assert lab.numbers(lab.run(text, output="again", fresh=True).results) == reference


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_numbers_do_not_depend_on_the_executor(lab, reference, executor):
    again = lab.run(lab.suite + SUITE, output="again", executor=executor, fresh=True)
    assert lab.numbers(again.results) == reference


def test_the_order_of_cells_is_that_of_the_plan(lab):
    outcome = lab.run(lab.suite + SUITE)
    assert [cell.key for cell in outcome.results.cells] == [
        "accuracy/colors/mean/fp32/logged", "accuracy/dim/mean/fp32/logged",
        "explain/dim/mean/fp32/onnxruntime-cpu/lab-noise"]


def test_another_seed_moves_noise_and_intervals(lab, reference):
    other = lab.numbers(lab.run((lab.suite + SUITE).replace('name = "lab"', 'name = "lab"\nseed = 1')).results)
    assert other != reference
    key = "explain/dim/mean/fp32/onnxruntime-cpu/lab-noise"
    assert other[key][2]["lab-maps"].value != reference[key][2]["lab-maps"].value
    plain = "accuracy/colors/mean/fp32/logged"
    assert other[plain][2]["nll"].value == reference[plain][2]["nll"].value
    assert other[plain][2]["nll"].ci != reference[plain][2]["nll"].ci


def test_intervals_contain_their_value(reference):
    for _, _, metrics, *_ in reference.values():
        for result in metrics.values():
            if result.ci is not None:
                assert result.ci[0] <= result.value <= result.ci[1]
