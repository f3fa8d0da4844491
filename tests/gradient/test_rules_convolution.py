"""Convolutions: strides, groups, dilations, uneven padding, auto_pad, sizes that strides do not reach the end of."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(deadline=None, max_examples=60)
@given(data=st.data(), dims=st.sampled_from(["known", "batch", "unknown"]), rank=st.integers(1, 2),
       auto=st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]), seed=st.integers(0, 99))
def test_conv(op_model, check_vjp, data, dims, rank, auto, seed):
    def ints(low, high):
        return data.draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    rng = np.random.default_rng(seed)
    group = data.draw(st.integers(1, 3))
    few, many = data.draw(st.integers(1, 2)), group * data.draw(st.integers(1, 2))
    kernel, strides, dilations = ints(1, 3), ints(1, 3), ints(1, 2)
    if auto.startswith("SAME") and dims == "unknown":
        strides = [1] * rank
    size = [extra + d * (k - 1) + 1 for extra, d, k in zip(ints(0, 4), dilations, kernel, strict=True)]
    x = {"x": rng.normal(size=(2, group * few, *size))}
    constants = {"w": rng.normal(size=(many, few, *kernel))} | data.draw(st.sampled_from(
        [{}, {"b": rng.normal(size=many)}]))
    attributes = {"auto_pad": auto} if auto != "NOTSET" else {"pads": ints(0, 3) + ints(0, 3)}
    check_vjp(op_model("Conv", x, constants=constants, dims=dims, group=group, strides=strides, dilations=dilations,
                       **attributes), x)
