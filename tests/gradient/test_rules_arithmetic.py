"""Elementwise arithmetic with broadcasting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

DIMS = st.sampled_from(["known", "batch", "unknown"])


@pytest.mark.parametrize("op", ["Add"])
@settings(deadline=None, max_examples=60)
@given(shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3), dims=DIMS)
def test_two_inputs(op_model, check_vjp, op, shapes, dims):
    rng = np.random.default_rng(0)
    inputs = dict(zip("ab", (rng.uniform(0.5, 2, shape) for shape in shapes.input_shapes), strict=True))
    check_vjp(op_model(op, inputs, dims=dims), inputs)
