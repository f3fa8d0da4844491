"""Joining ONNX graphs: what one network says becomes the input of another, in one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto

from harness.errors import ModelFileError, did_you_mean, one_of
from harness.onnx.interface import shape_text
from harness.onnx.opsets import at_least, opset_of

if TYPE_CHECKING:
    import onnx_ir as ir

_ANY_SIZE = 1 << 62

Values = dict[str, onnx.ValueInfoProto]


def compose(first: onnx.ModelProto, second: onnx.ModelProto, connect: Mapping[str, str], *,
            keep: Sequence[str] = ()) -> onnx.ModelProto:
    """One graph that runs `first` and feeds the second with what it makes; neither model is changed.

    connect: input of the second -> output of the first, or an input of the first, which both read then. Other inputs
    of the second become inputs of the whole. keep: outputs of the first that stay beside those of the second.
    Inputs and outputs keep their names, inner tensors may get others. What both compute alike from equal weights is
    computed once, and what no output needs is left out. The newer opset counts; metadata is not kept.

    Raises ModelFileError for names that are not there or clash, for connected tensors whose element types, ranks or
    known sizes differ, and for opsets that can not be brought together.
    """
    import onnx_ir as ir

    _check(first, second, connect, keep)
    one, two = (_read(model) for model in _same_opsets(first, second))
    ours = {str(value.name): value for value in (*one.graph.inputs, *one.graph.outputs)}
    outputs = [*two.graph.outputs, *(ours[name] for name in keep)]
    one.graph.outputs[:] = []
    _separate_names(one.graph, two.graph, set(connect), set(keep))
    for value in list(two.graph.inputs):
        two.graph.inputs.remove(value)
        if value.name in connect:
            ir.convenience.replace_all_uses_with(value, ours[connect[str(value.name)]])
        else:
            one.graph.inputs.append(value)
    _move(two, one)
    one.graph.outputs[:] = outputs
    _tidy(one)
    return ir.serde.serialize_model(one)


def inputs_of(model: onnx.ModelProto) -> Values:
    """What has to be fed, by name."""
    constants = {each.name for each in model.graph.initializer}
    return {value.name: value for value in model.graph.input if value.name not in constants}


def _outputs_of(model: onnx.ModelProto) -> Values:
    return {value.name: value for value in model.graph.output}


def _check(first: onnx.ModelProto, second: onnx.ModelProto, connect: Mapping[str, str], keep: Sequence[str]) -> None:
    sources, kept = {**inputs_of(first), **_outputs_of(first)}, _outputs_of(first)
    targets, results = inputs_of(second), _outputs_of(second)
    if not connect:
        raise ModelFileError(f"nothing connects the two graphs: name inputs of the second ({one_of(targets)}) and "
                             f"outputs of the first ({one_of(kept)})")
    for target, source in connect.items():
        _require(target, targets, "the second graph has no input")
        _require(source, sources, "the first graph has no input or output")
        _check_types(target, targets[target], source, sources[source])
    for name in keep:
        _require(name, kept, "the first graph has no output")
    for name in results.keys() & targets.keys():
        raise ModelFileError(f"the second graph passes its input {name!r} on as an output; take it from the first")
    for name in (targets.keys() - connect.keys()) & {*inputs_of(first), *keep}:
        raise ModelFileError(f"both graphs have {name!r}: connect it, so that both read it, or rename it in one")
    for name in results.keys() & {*inputs_of(first), *keep}:
        raise ModelFileError(f"the second graph's output {name!r} would clash with that of the first; rename one of "
                             "them, or do not keep it")


def _require(name: str, known: Values, what: str) -> None:
    if name not in known:
        raise ModelFileError(f"{what} {name!r}{did_you_mean(name, known)}; it has {one_of(known)}")


def _check_types(target: str, wanted: onnx.ValueInfoProto, source: str, given: onnx.ValueInfoProto) -> None:
    kinds = [value.type.tensor_type.elem_type for value in (given, wanted)]
    shapes = [_shape(value) for value in (given, wanted)]
    parts = [f"{TensorProto.DataType.Name(kind).lower()} {'of unknown shape' if shape is None else shape_text(shape)}"
             for kind, shape in zip(kinds, shapes, strict=True)]
    known = [shape for shape in shapes if shape is not None]
    differ = len(known) == 2 and (len(known[0]) != len(known[1]) or any(
        isinstance(one, int) and isinstance(other, int) and one != other for one, other in zip(*known, strict=True)))
    if differ or (all(kinds) and kinds[0] != kinds[1]):
        raise ModelFileError(f"{source!r} of the first graph is {parts[0]}, and {target!r} of the second takes "
                             f"{parts[1]}: put a graph between them that converts one into the other")


def _shape(value: onnx.ValueInfoProto) -> list[int | str | None] | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in tensor.shape.dim]


def _same_opsets(first: onnx.ModelProto, second: onnx.ModelProto) -> list[onnx.ModelProto]:
    """Copies at one version of the standard operators."""
    for domain in {each.domain for each in first.opset_import} & {each.domain for each in second.opset_import}:
        versions = opset_of(first, domain), opset_of(second, domain)
        if domain not in ("", "ai.onnx") and versions[0] != versions[1]:
            raise ModelFileError(f"the graphs need versions {versions[0]} and {versions[1]} of the operators of "
                                 f"{domain!r}: export one of them anew")
    newest = max(opset_of(model) or 0 for model in (first, second))
    return [at_least(model, newest) for model in (first, second)]


def _read(model: onnx.ModelProto) -> ir.Model:
    import onnx_ir as ir
    from onnx_ir.passes import common

    result = ir.serde.deserialize_model(model)
    common.InlinePass()(result)
    common.RemoveInitializersFromInputsPass()(result)
    return result


def _separate_names(one: ir.Graph, two: ir.Graph, connected: set[str], kept: set[str]) -> None:
    """Give inner values of both graphs names that the other one does not use."""
    outside = {value.name for value in (*two.inputs, *two.outputs)} - connected
    mine = {value.name for value in one.inputs} | kept
    taken = {value.name for graph in (one, two) for value in _values(graph)}
    for value in [each for each in _values(one) if each.name in outside - mine]:
        value.name = _free(str(value.name), taken)
    names = {value.name for value in (*_values(one), *one.inputs)}
    for value in [each for each in _values(two) if each.name in names - outside]:
        value.name = _free(str(value.name), taken)


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    """All values that a graph and its subgraphs define, the graph's own inputs left out."""
    yield from list(graph.initializers.values())
    for subgraph in graph.subgraphs():
        if subgraph is not graph:
            yield from (*subgraph.inputs, *subgraph.initializers.values())
    for node in graph.all_nodes():
        yield from node.outputs


def _free(name: str, taken: set[str | None]) -> str:
    number = 2
    while f"{name}.{number}" in taken:
        number += 1
    taken.add(f"{name}.{number}")
    return f"{name}.{number}"


def _move(source: ir.Model, target: ir.Model) -> None:
    source.graph.outputs[:] = []
    for name, value in list(source.graph.initializers.items()):
        source.graph.initializers.pop(name)
        target.graph.initializers.add(value)
    nodes = list(source.graph)
    source.graph.remove(nodes)
    target.graph.extend(nodes)
    target.graph.opset_imports.update(source.graph.opset_imports)
    target.ir_version = max(target.ir_version, source.ir_version)


def _tidy(model: ir.Model) -> None:
    from onnx_ir.passes import common

    for each in (common.DeduplicateInitializersPass(size_limit=_ANY_SIZE),
                 common.CommonSubexpressionEliminationPass(size_limit=_ANY_SIZE), common.RemoveUnusedNodesPass(),
                 common.RemoveUnusedOpsetsPass(), common.NameFixPass()):
        each(model)
