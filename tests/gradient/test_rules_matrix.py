"""Gemm and MatMul."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(deadline=None, max_examples=60)
@given(a=st.booleans(), b=st.booleans(), alpha=st.sampled_from([1.0, 0.5]), beta=st.sampled_from([1.0, -2.0]),
       bias=st.sampled_from([None, (), (1,), (4,), (3, 1), (1, 4), (3, 4)]),
       dims=st.sampled_from(["known", "batch", "unknown"]), seed=st.integers(0, 99))
def test_gemm(op_model, check_vjp, a, b, alpha, beta, bias, dims, seed):
    rng = np.random.default_rng(seed)
    inputs = {"a": rng.normal(size=(5, 3) if a else (3, 5)), "b": rng.normal(size=(4, 5) if b else (5, 4))}
    if bias is not None:
        inputs["c"] = rng.normal(size=bias)
    check_vjp(op_model("Gemm", inputs, dims=dims, transA=int(a), transB=int(b), alpha=alpha, beta=beta), inputs)
