"""The gradient rules of plugins, beside those of harness.onnx.gradient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harness.errors import PluginError
from harness.host import call
from harness.specs import GradientRuleSpec

if TYPE_CHECKING:
    from harness.onnx.gradient import Context, Rule, Rules


def gradient_rules(specs: Iterable[GradientRuleSpec]) -> Rules:
    """The standard rules with those of plugins over them; a plugin's module is imported when its rule is needed.

    Raises PluginError when two plugins declare a rule for one operator.
    """
    from harness.onnx.gradient import standard_rules
    from harness.onnx.gradient.rules import canonical_domain

    rules = standard_rules()
    claimed: dict[tuple[str, str], GradientRuleSpec] = {}
    for spec in specs:
        other = claimed.setdefault((canonical_domain(spec.domain), spec.name), spec)
        if other is not spec:
            raise PluginError(f'two plugins declare a gradient rule for "{spec.name}" of domain "{spec.domain}": '
                              f"{other.provider} and {spec.provider}; disable one with --no-plugins=NAME")
        rules = rules.adding(spec.name, _rule(spec), spec.domain)
    return rules


def _rule(spec: GradientRuleSpec) -> Rule:
    def rule(context: Context) -> Sequence[str | None]:
        gradients: Sequence[str | None] = call(spec, spec.factory, context)
        return gradients

    return rule
