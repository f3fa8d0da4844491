"""How many samples go through a model at a time where nobody says."""

import pytest

from harness.card import InputSpec
from harness.opened import automatic_batch


@pytest.mark.parametrize(("size", "color", "device", "batch"), [
    ((96, 96), "RGB", "cpu", 16), ((224, 224), "RGB", "cpu", 16), ((224, 224), "RGB", "cuda", 64),
    ((572, 572), "GRAY", "cpu", 12), ((1024, 1024), "RGB", "cpu", 1), ((5000, 5000), "RGB", "cuda", 1),
])
def test_by_the_size_of_the_input(size, color, device, batch):
    assert automatic_batch(InputSpec(size=size, color=color), device) == batch
