"""The same graph with less in it: constants folded, functions inlined, dead nodes gone, shapes known."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.errors import ModelFileError, did_you_mean

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

_FOLDED_ELEMENTS = 1 << 18
"""Larger results of constant expressions stay expressions: a graph must not grow by them."""
_RESHAPE_ALLOWS_ZERO = 14
"""The opset since which Reshape has the attribute `allowzero`, which the rewritten node sets."""


class UnknownTensor(ModelFileError):
    """A name that is to be kept is no tensor of the graph."""


def simplify(model: onnx.ModelProto, *, fold_batch_norm: bool = False, keep: Sequence[str] = ()) -> onnx.ModelProto:
    """A new model that computes the same outputs from the same inputs; the given one stays as it is.

    ONNX functions are inlined, expressions of constants and of known shapes are folded, Identity and inference-time
    Dropout are passed by, what no output needs is removed. Initializers are never inputs; constants are initializers
    and keep their names and bytes, so that they can still be shared with the original file. Every tensor whose shape
    can be inferred has a value_info; symbolic dimensions such as a batch stay symbolic. Metadata of the model stays.

    fold_batch_norm: BatchNormalization after Conv, ConvTranspose or Gemm goes into their weights, whose initializers
    get new names. keep: inner tensors to keep under their names, e.g. a layer to explain.

    Raises UnknownTensor when a name in `keep` is not a tensor of the graph, ModelFileError when it can not be read.
    """
    import onnx_ir as ir

    copy = type(model)()
    copy.CopyFrom(model)  # lifting a constant gives its tensor a name, in the message it was read from
    try:
        graph_model = ir.serde.deserialize_model(copy)
        added = _output_too(graph_model, keep)
        said = {value.name: value.shape for node in graph_model.graph for value in node.outputs}
        for each in _passes():
            each(graph_model)
        if fold_batch_norm:
            _fold_batch_norm(graph_model)
        _no_outputs(graph_model, added)
        _take_names(graph_model, said)
    except ModelFileError:
        raise
    except Exception as error:
        raise ModelFileError(f"the graph can not be simplified: {_innermost(error)}; "
                             "onnx.checker.check_model(path, full_check=True) says whether it is valid") from error
    return ir.serde.serialize_model(graph_model)


def _passes() -> list[Callable[[ir.Model], object]]:
    import onnx_ir.passes.common as common

    # Folding knows the shapes that inference finds, and inference the constants that folding finds: hence twice.
    return [common.InlinePass(), common.RemoveInitializersFromInputsPass(), common.NameFixPass(),
            common.TopologicalSortPass(), _forget_shapes, _infer_shapes, _fold_constants, _infer_shapes,
            _materialize_reshapes, _infer_shapes, _fold_constants, common.RemoveUnusedNodesPass(),
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            common.LiftSubgraphInitializersToMainGraphPass(), common.RemoveUnusedOpsetsPass(),
            common.ClearMetadataAndDocStringPass(), _infer_shapes]


def _forget_shapes(model: ir.Model) -> None:
    """What a file says of computed tensors may be of another batch size; of custom operators nobody else says it."""
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if node.domain == "":
                value.shape = None


def _take_names(model: ir.Model, said: Mapping[str | None, ir.Shape | None]) -> None:
    """Name dimensions as the file does where inference could only tell that they are not constant.

    Only by names of input dimensions: a file that repeats one means it. Outputs without a shape get the file's.
    """
    import onnx_ir as ir

    dims = [dim for value in model.graph.inputs for dim in value.shape or ()]
    names = {dim.value for dim in dims if not isinstance(dim, int)} - {None}
    for node in model.graph:
        for value in node.outputs:
            shape, other = value.shape, said.get(value.name)
            if shape is None and value.is_graph_output():
                value.shape = other
            elif shape is not None and other is not None and len(shape) == len(other):
                value.shape = ir.Shape([_named(dim, also, names) for dim, also in zip(shape, other, strict=True)])


def _named(dim: int | ir.SymbolicDim, also: int | ir.SymbolicDim, names: Container[str | None]) -> int | ir.SymbolicDim:
    if isinstance(dim, int) or isinstance(also, int) or dim.value in names or also.value not in names:
        return dim
    return also


def _materialize_reshapes(model: ir.Model) -> None:
    """Reshape to [-1, 4, 9] where that is what a computed shape comes to: its arithmetic is dead then."""
    from onnxscript.rewriter import RewritePass
    from onnxscript.rewriter.rules.common import materialize_reshape_shape_rule

    if model.opset_imports.get("", 0) >= _RESHAPE_ALLOWS_ZERO:
        RewritePass([materialize_reshape_shape_rule])(model)


def _infer_shapes(model: ir.Model) -> None:
    from onnx_ir.passes.common import ShapeInferencePass

    # Lenient: a shape that a foreign file declares wrongly is no reason to know no other.
    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)


def _fold_constants(model: ir.Model) -> None:
    from onnxscript.optimizer import fold_constants_ir

    fold_constants_ir(model, onnx_shape_inference=True, input_size_limit=_FOLDED_ELEMENTS,
                      output_size_limit=_FOLDED_ELEMENTS, should_fold=_small_constant)


def _small_constant(node: ir.Node) -> bool | None:
    """Also fold ConstantOfShape, which the library leaves for the sake of file size: shape arithmetic is full of it."""
    return True if node.op_type == "ConstantOfShape" and node.domain == "" else None


def _fold_batch_norm(model: ir.Model) -> None:
    from onnx_ir.passes.common import RemoveUnusedNodesPass
    from onnxscript.rewriter import RewritePass
    from onnxscript.rewriter.rules import common as rules

    before = {name: value.const_value for name, value in model.graph.initializers.items()}
    RewritePass([rules.fuse_batchnorm_into_conv_rule, rules.fuse_batchnorm_into_conv_transpose_rule,
                 rules.fuse_batchnorm_into_gemm_rule])(model)
    RemoveUnusedNodesPass()(model)
    for name, value in list(model.graph.initializers.items()):
        # The rule gives other weights the name of the old ones; shared with the original file they would be wrong.
        if name in before and value.const_value is not before[name]:
            value.name = _free(f"{name}.batch_norm", model)
    _infer_shapes(model)


def _free(name: str, model: ir.Model) -> str:
    taken = {value.name for node in model.graph for value in node.outputs} | set(model.graph.initializers)
    while name in taken:
        name += "_"
    return name


def _output_too(model: ir.Model, keep: Sequence[str]) -> list[str]:
    """Make inner tensors outputs, which no pass renames or removes; the names of those that were none before."""
    outputs = {value.name for value in model.graph.outputs}
    known = {value.name: value for node in model.graph for value in node.outputs if value.name}
    inputs = {value.name for value in model.graph.inputs} | set(model.graph.initializers)
    added = []
    for name in keep:
        if name not in known and name not in inputs:
            raise UnknownTensor(f"the graph has no tensor {name!r}{did_you_mean(name, known)}")
        if name in known and name not in outputs and name not in added:
            model.graph.outputs.append(known[name])
            added.append(name)
    return added


def _no_outputs(model: ir.Model, names: Sequence[str]) -> None:
    if names:
        kept = [value for value in model.graph.outputs if value.name not in names]
        model.graph.outputs[:] = kept


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
