"""Operators that ONNX defines by others: without a rule they are differentiated through their definition."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, inliner

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.graph import Graph


def definition(ctx: Context) -> dict[str, str] | None:
    """Append the operator's definition to the graph; returns output -> the tensor that equals it.

    None where ONNX has no definition. The forward pass runs the operator itself; what its gradient needs is computed
    once more.
    """
    inlined = _inlined(ctx)
    if inlined is None:
        return None
    facts = Graph(inlined)
    names = {name: name for name in ctx.node.input if name}
    for node in inlined.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for index, name in enumerate(node.input):
            copy.input[index] = names.get(name, name)
        for index, name in enumerate(node.output):
            copy.output[index] = names[name] = ctx.graph.unique(f"{ctx.graph.prefix}.{ctx.node.op_type}.{name}")
        ctx.graph.append(copy)
        for name in node.output:
            if facts.dtype(name) is not None:
                ctx.graph.declare(names[name], facts.dtype(name), facts.shape(name))
    return {name: names[name] for name in ctx.node.output if name}


def _inlined(ctx: Context) -> onnx.ModelProto | None:
    """The one node as a model, replaced by its definition."""
    model = helper.make_model(
        helper.make_graph([_complete(ctx)], "definition", list(_inputs(ctx)),
                          [helper.make_empty_tensor_value_info(name) for name in ctx.node.output if name]),
        opset_imports=ctx.graph.model.opset_import, ir_version=ctx.graph.model.ir_version)
    operator = (ctx.node.domain, ctx.node.op_type)
    model = inliner.inline_selected_functions(model, [operator], inline_schema_functions=True)
    return None if operator in [(node.domain, node.op_type) for node in model.graph.node] else model


def _complete(ctx: Context) -> onnx.NodeProto:
    """The node with its defaults written out: where a definition refers to one, the inliner would leave a hole."""
    node = onnx.NodeProto()
    node.CopyFrom(ctx.node)
    versions = {each.domain or "ai.onnx": each.version for each in ctx.graph.model.opset_import}
    try:
        schema = onnx.defs.get_schema(node.op_type, versions[node.domain or "ai.onnx"], node.domain)
    except (KeyError, onnx.defs.SchemaError):  # no operator of ONNX
        return node
    given = {each.name for each in node.attribute}
    node.attribute.extend(each.default_value for name, each in schema.attributes.items()
                          if name not in given and each.default_value.name)
    return node


def _inputs(ctx: Context) -> Iterator[onnx.ValueInfoProto]:
    for name in dict.fromkeys(ctx.node.input):
        if name:
            dtype = helper.np_dtype_to_tensor_dtype(ctx.graph.dtype(name) or np.dtype(np.float32))
            yield helper.make_tensor_value_info(name, dtype, ctx.shape(name))


