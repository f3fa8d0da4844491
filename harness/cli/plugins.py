"""`harness plugins list` and `harness plugins info`."""

from __future__ import annotations

from typing import Any, get_args

import click

from harness.catalogue import plugin_facts, plugin_problems, spec_facts
from harness.cli.options import discover, echo_json, no_plugins_option
from harness.errors import UsageError, did_you_mean
from harness.host import Host
from harness.specs import Role, Spec

_CATALOGUE = {"task": "", "tasks": "", "requires": "needs ", "provides": "with ", "direction": "", "range": "",
              "unit": "", "conventions": "convention ", "precisions": "", "device": "on "}
"""What the catalogue shows of a declaration, with a word before it."""
_FORMAT = click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)


@click.group("plugins", short_help="Show the installed plugins and what they provide.")
def command() -> None:
    """Show the installed plugins and what they provide."""


@command.command("list")
@click.option("--kind", type=click.Choice(get_args(Role)), help="The catalogue of one kind of declaration.")
@_FORMAT
@no_plugins_option
def list_(kind: str | None, format_: str, no_plugins: tuple[str, ...]) -> int:
    """List plugins with their state and load time, or with --kind what all of them provide."""
    host = discover(no_plugins)
    if format_ == "json":
        specs = [spec_facts(spec) for spec in host.specs(Spec) if kind in (None, spec.role)]
        echo_json(specs if kind else [plugin_facts(record) for record in host.plugins])
    elif kind is None:
        _print_plugins(host)
    else:
        _print_kind(host, kind)
    return 0


@command.command("info")
@click.argument("name")
@_FORMAT
@no_plugins_option
def info(name: str, format_: str, no_plugins: tuple[str, ...]) -> int:
    """Show all about a plugin, or about whatever is declared under NAME, with its parameters."""
    host = discover(no_plugins)
    plugins = [plugin_facts(record) for record in host.plugins if name in (record.name, record.provider.distribution)]
    specs = [spec_facts(spec) for spec in host.specs(Spec) if spec.name == name]
    if not plugins and not specs:
        known = {record.name for record in host.plugins} | {spec.name for spec in host.specs(Spec)}
        raise UsageError(f'there is no plugin and no declaration "{name}"{did_you_mean(name, known)}')
    if format_ == "json":
        echo_json({"plugins": plugins, "declarations": specs})
        return 0
    for facts in (*plugins, *specs):
        _print_facts(facts)
    return 0


def _print_plugins(host: Host) -> None:
    from harness.terminal import print_table

    rows = []
    for record in host.plugins:
        roles = [spec.role for spec in record.specs]
        provides = ", ".join(f"{roles.count(role)} {role}" for role in dict.fromkeys(roles))
        rows.append((record.name, record.provider.distribution, record.provider.version, record.status,
                     f"{record.load_ms:.1f}", provides))
    print_table(["plugin", "distribution", "version", "status", ">ms", "provides"], rows)
    for problem in plugin_problems(host):
        click.echo(f"{problem.subject}: {problem.message}")


def _print_kind(host: Host, kind: str) -> None:
    """Two lines each, so that nothing is cut: the facts, then the summary."""
    for spec in host.specs(Spec):
        if spec.role == kind:
            facts = spec_facts(spec)
            shown = [f"{label}{_text(facts[key])}" for key, label in _CATALOGUE.items() if facts.get(key)]
            click.echo(f"{spec.name:24} {'; '.join([*shown, f'plugin {spec.provider}'])}")
            click.echo(f"    {spec.summary}")


def _print_facts(facts: dict[str, Any]) -> None:
    click.echo(f"{facts.pop('title')}")
    for key, value in facts.items():
        if key == "params":
            click.echo("  parameters:" if value else "  parameters: none")
            for name, param in value.items():
                default = "required" if param["required"] else f"default {param['default']!r}"
                click.echo(f"    {name}: {param['type']}, {default}\n      {param['description']}")
        elif value not in (None, "", [], {}, ()):
            click.echo(f"  {key}: {_text(value)}")
    click.echo()


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
