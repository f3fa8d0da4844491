"""Gemm and MatMul."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

DIMS = st.sampled_from(["known", "batch", "unknown"])


@settings(deadline=None, max_examples=60)
@given(a=st.booleans(), b=st.booleans(), alpha=st.sampled_from([1.0, 0.5]), beta=st.sampled_from([1.0, -2.0]),
       bias=st.sampled_from([None, (), (1,), (4,), (3, 1), (1, 4), (3, 4)]), dims=DIMS, seed=st.integers(0, 99))
def test_gemm(op_model, check_vjp, a, b, alpha, beta, bias, dims, seed):
    rng = np.random.default_rng(seed)
    inputs = {"a": rng.normal(size=(5, 3) if a else (3, 5)), "b": rng.normal(size=(4, 5) if b else (5, 4))}
    if bias is not None:
        inputs["c"] = rng.normal(size=bias)
    check_vjp(op_model("Gemm", inputs, dims=dims, transA=int(a), transB=int(b), alpha=alpha, beta=beta), inputs)


@pytest.mark.parametrize("a", [(4,), (2, 4), (1, 2, 4), (3, 2, 4), (5, 1, 2, 4)])
@pytest.mark.parametrize("b", [(4,), (4, 3), (3, 4, 3), (1, 1, 4, 2)])
@pytest.mark.parametrize("dims", ["known", "batch", "unknown"])
def test_matmul(op_model, check_vjp, a, b, dims):
    rng = np.random.default_rng(0)
    inputs = {"a": rng.normal(size=a), "b": rng.normal(size=b)}
    check_vjp(op_model("MatMul", inputs, dims=dims), inputs)
    check_vjp(op_model("MatMul", {"a": inputs["a"]}, constants={"b": inputs["b"]}, dims=dims), {"a": inputs["a"]})
