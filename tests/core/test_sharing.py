"""What metrics of one batch share."""

from dataclasses import replace

from harness.card import InputSpec, ModelCard
from harness.contracts import Samples
from harness.table import Table


def test_work_is_done_once_for_a_batch_and_again_for_a_changed_copy():
    card = ModelCard(task="classification", input=InputSpec(size=(8, 8)))
    samples = Samples(["a"], [], Table({}), card)
    calls = []

    def make():
        calls.append(1)
        return object()

    assert samples.once("acme.x", make) is samples.once("acme.x", make)
    assert samples.once("acme.y", make) is not samples.once("acme.x", make)
    assert len(calls) == 2
    replace(samples, seed=1).once("acme.x", make)
    assert len(calls) == 3
    assert samples == replace(samples)
