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
    runs = not auto.startswith("SAME") or set(dilations) == {1}  # onnxruntime refuses both together
    check_vjp(op_model("Conv", x, constants=constants, dims=dims, group=group, strides=strides, dilations=dilations,
                       **attributes), x, runtime=runs)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), dims=st.sampled_from(["known", "batch", "unknown"]), rank=st.integers(1, 2),
       seed=st.integers(0, 99))
def test_conv_transpose(op_model, check_vjp, data, dims, rank, seed):
    def ints(low, high):
        return data.draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    rng = np.random.default_rng(seed)
    group = data.draw(st.integers(1, 3))
    few, many = data.draw(st.integers(1, 2)), group * data.draw(st.integers(1, 2))
    kernel, strides, dilations = ints(1, 3), ints(1, 3), ints(1, 2)
    reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    pads = [data.draw(st.integers(0, r // 2)) for r in [*reach, *reach]]
    x = {"x": rng.normal(size=(2, many, *ints(1, 4)))}
    constants = {"w": rng.normal(size=(many, few, *kernel))}
    more = [data.draw(st.integers(0, s - 1)) for s in strides]
    check_vjp(op_model("ConvTranspose", x, constants=constants, dims=dims, group=group, strides=strides,
                       dilations=dilations, pads=pads, output_padding=more), x)
