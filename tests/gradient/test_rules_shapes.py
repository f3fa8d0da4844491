"""Operators that reshape, move, repeat and choose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from onnx import TensorProto, helper

from harness.onnx.gradient import GradientError

DIMS = st.sampled_from(["known", "batch", "unknown"])
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


def normal(shape, seed=0):
    return np.random.default_rng([seed, 1]).normal(size=shape)  # not what `check_vjp` draws


@settings(deadline=None, max_examples=20)
@given(dims=DIMS, target=st.sampled_from([(6, 4), (-1,), (0, -1), (2, 2, -1, 3), (2, 3, 4)]))
def test_reshape(op_model, check_vjp, dims, target):
    x = {"x": normal((2, 3, 4))}
    check_vjp(op_model("Reshape", x, constants={"shape": np.array(target)}, dims=dims), x)


@settings(deadline=None, max_examples=20)
@given(shape=SHAPES, dims=DIMS, data=st.data())
def test_flatten(op_model, check_vjp, shape, dims, data):
    x = {"x": normal(shape)}
    check_vjp(op_model("Flatten", x, dims=dims, axis=data.draw(st.integers(-len(shape), len(shape)))), x)


@settings(deadline=None, max_examples=20)
@given(shape=SHAPES, dims=DIMS, data=st.data())
def test_transpose(op_model, check_vjp, shape, dims, data):
    x = {"x": normal(shape)}
    perm = data.draw(st.one_of(st.none(), st.permutations(range(len(shape)))))
    check_vjp(op_model("Transpose", x, dims=dims, **({"perm": perm} if perm else {})), x)


@pytest.mark.parametrize("dims", ["known", "unknown"])
@pytest.mark.parametrize("axes", [[1], [1, -1], None])
def test_squeeze(op_model, check_vjp, dims, axes):
    x = {"x": normal((3, 1, 2, 1))}
    check_vjp(op_model("Squeeze", x, constants={"axes": np.array(axes)} if axes else {}, dims=dims), x)


@pytest.mark.parametrize("dims", ["known", "unknown"])
def test_unsqueeze(op_model, check_vjp, dims):
    x = {"x": normal((3, 2))}
    check_vjp(op_model("Unsqueeze", x, constants={"axes": np.array([0, -1])}, dims=dims), x)


@settings(deadline=None, max_examples=40)
@given(shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3), dims=DIMS)
def test_expand(op_model, check_vjp, shapes, dims):
    first, second = shapes.input_shapes
    x = {"x": normal(first)}
    check_vjp(op_model("Expand", x, constants={"shape": np.array(second, np.int64)}, dims=dims), x)


@settings(deadline=None, max_examples=20)
@given(shape=SHAPES, dims=DIMS, data=st.data())
def test_tile(op_model, check_vjp, shape, dims, data):
    x = {"x": normal(shape)}
    repeats = data.draw(st.lists(st.integers(1, 3), min_size=len(shape), max_size=len(shape)))
    check_vjp(op_model("Tile", x, constants={"repeats": np.array(repeats)}, dims=dims), x)


@settings(deadline=None, max_examples=40)
@given(shapes=mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3), dims=DIMS)
def test_where(op_model, check_vjp, shapes, dims):
    condition, a, b = (normal(shape, seed) for seed, shape in enumerate(shapes.input_shapes))
    inputs = {"a": a, "b": b, "condition": np.asarray(condition > 0)}
    model = op_model("Where", inputs, order=["condition", "a", "b"], dims=dims)
    check_vjp(model, inputs, wrt=["a", "b"])


@pytest.mark.parametrize("op", ["Identity", "Dropout"])
def test_identities(op_model, check_vjp, op):
    x = {"x": normal((2, 3))}
    gradient = check_vjp(op_model(op, x), x)["x"]
    assert gradient.shape == (2, 3)


def test_dropout_in_training_mode_is_refused(op_model, check_vjp):
    x = {"x": normal((2, 3))}
    model = op_model("Dropout", x, constants={"ratio": np.array(0.5), "training": np.array(True)})
    with pytest.raises(GradientError, match="evaluation mode"):
        check_vjp(model, x)


def test_cast_there_and_back(op_model, check_vjp):
    x = {"x": normal((2, 3)).astype(np.float32).astype(np.float64)}
    nodes = [helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT),
             helper.make_node("Mul", ["half", "half"], ["square"]),
             helper.make_node("Cast", ["square"], ["y"], to=TensorProto.DOUBLE)]
    gradient = check_vjp(op_model("Cast", x, nodes=nodes), x, step=1e-2, tolerance=1e-4, runtime=False)["x"]
    assert gradient.dtype == np.float64


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("offset", [None, 1])
def test_trilu(op_model, check_vjp, upper, offset):
    x = {"x": normal((2, 3, 4))}
    constants = {} if offset is None else {"k": np.array(offset)}
    check_vjp(op_model("Trilu", x, constants=constants, upper=upper), x)


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_cum_sum(op_model, check_vjp, exclusive, reverse):
    x = {"x": normal((2, 3, 4))}
    check_vjp(op_model("CumSum", x, constants={"axis": np.array(1)}, exclusive=exclusive, reverse=reverse), x)


@pytest.mark.parametrize("dims", ["known", "batch"])
@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(op_model, check_vjp, mode, dims):
    x = {"x": normal((2, 8, 3, 2))}
    check_vjp(op_model("DepthToSpace", x, blocksize=2, mode=mode, dims=dims), x)


def test_space_to_depth(op_model, check_vjp):
    x = {"x": normal((2, 3, 6, 4))}
    check_vjp(op_model("SpaceToDepth", x, blocksize=2, dims="unknown"), x)


@pytest.mark.parametrize("equation", ["ij,jk->ik", "bhid,bhjd->bhij", "ij,ij->", "ij,jk", "nchw,oc->nohw", "ijk,k->j"])
@pytest.mark.parametrize("dims", ["known", "unknown"])
def test_einsum_of_two(op_model, check_vjp, equation, dims):
    sizes = dict(zip("bcdhijknow", (2, 3, 2, 2, 3, 4, 2, 2, 3, 3), strict=True))
    terms = equation.split("->")[0].split(",")
    inputs = {name: normal([sizes[letter] for letter in term], seed)
              for seed, (name, term) in enumerate(zip("xz", terms, strict=True))}
    check_vjp(op_model("Einsum", inputs, equation=equation, dims=dims), inputs)


def test_einsum_with_an_ellipsis_is_refused(op_model, check_vjp):
    x = {"x": normal((2, 3, 4))}
    with pytest.raises(GradientError, match="ellipsis"):
        check_vjp(op_model("Einsum", x, equation="...ij->...ji"), x)
