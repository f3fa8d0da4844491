"""Rules that say how a gradient passes an operator, and immutable sets of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

    from harness.onnx.gradient.context import Context
    from harness.onnx.gradient.graph import Graph

Rule = Callable[["Context"], Sequence[str | None]]
"""rule(context) -> the name of the gradient tensor of each input, in order.

None where an input has no gradient or `context.needed` says that nobody asks for it; inputs left out at the end count
as None. Every gradient has exactly its input's shape. A rule appends the nodes through the context.
"""
_MARK = "__gradient_of__"
_STANDARD = ("", "ai.onnx")


@dataclass(frozen=True)
class Conditional:
    """A rule for some nodes of an operator; the others keep another one."""

    when: Callable[[Graph, onnx.NodeProto], bool]
    then: Rule
    otherwise: Rule

    def __call__(self, context: Context) -> Sequence[str | None]:
        return (self.then if self.when(context.graph, context.node) else self.otherwise)(context)


def rule(*op_types: str, domain: str = "") -> Callable[[Rule], Rule]:
    """Mark a function as the rule of these operators, so that `Rules.collect` finds it in its module."""

    def mark(function: Rule) -> Rule:
        setattr(function, _MARK, tuple((canonical_domain(domain), op_type) for op_type in op_types))
        return function

    return mark


@dataclass(frozen=True)
class Rules:
    """The rules of operators by (domain, operator); never changed, only combined into new sets."""

    table: Mapping[tuple[str, str], Rule] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def collect(cls, modules: Iterable[ModuleType]) -> Rules:
        """All functions marked by `@rule` in these modules. Raises ValueError when two claim one operator."""
        table: dict[tuple[str, str], Rule] = {}
        for module in modules:
            for key, function in _marked(module):
                if table.setdefault(key, function) is not function:
                    raise ValueError(f"{module.__name__}: a second rule for {key[1]!r} of domain {key[0]!r}")
        return cls(MappingProxyType(table))

    def find(self, node: onnx.NodeProto) -> Rule | None:
        return self.table.get((canonical_domain(node.domain), node.op_type))

    def replaces(self, graph: Graph, node: onnx.NodeProto) -> bool:
        """Whether a node has a rule here that is not the plain one of a Conditional."""
        found = self.find(node)
        return found is not None and (not isinstance(found, Conditional) or found.when(graph, node))

    def adding(self, op_type: str, function: Rule, domain: str = "") -> Rules:
        """These rules and one more, which replaces that of the same operator."""
        return Rules({(canonical_domain(domain), op_type): function}).over(self)

    def over(self, other: Rules) -> Rules:
        """The rules of `other`, then these over them."""
        return Rules(MappingProxyType({**other.table, **self.table}))


def _marked(module: ModuleType) -> Iterator[tuple[tuple[str, str], Rule]]:
    for function in vars(module).values():
        if getattr(function, "__module__", None) == module.__name__:
            for key in getattr(function, _MARK, ()):
                yield key, function


def canonical_domain(domain: str) -> str:
    """"ai.onnx" is another name of the standard domain ""."""
    return "" if domain in _STANDARD else domain
