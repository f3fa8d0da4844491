"""Options and helpers that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from harness.host import Host
    from harness.suite import Suite

F = TypeVar("F", bound=Callable[..., Any])

SUITE = click.Path(path_type=Path)


def suite_argument(function: F) -> F:
    return click.argument("suite", type=SUITE)(function)


def profile_option(function: F) -> F:
    return click.option("--profile", metavar="NAME", help="Apply [profiles.NAME] of the suite.")(function)


def only_option(function: F) -> F:
    help_ = "Only cells whose key matches; repeatable."
    return click.option("--only", multiple=True, metavar="GLOB", help=help_)(function)


def no_plugins_option(function: F) -> F:
    return click.option(
        "--no-plugins", multiple=True, metavar="[=NAME|third-party]",
        help="Switch off all plugins, one plugin or distribution by name, or all third-party ones, before any is "
             "loaded. HARNESS_DISABLE_PLUGINS (comma-separated) does the same.",
    )(function)


def discover(no_plugins: Sequence[str]) -> Host:
    """The host for a command; plugins that were misspelt in --no-plugins are a warning on standard error."""
    from harness.discovery import Disabled
    from harness.host import Host, HostConfig

    host = Host.discover(HostConfig(Disabled.read(no_plugins, os.environ)))
    for warning in host.warnings:
        click.echo(f"warning: {warning}", err=True)
    return host


def read(suite: Path, host: Host, profile: str | None) -> Suite:
    """The suite of a command's argument."""
    from harness.reading import read_suite

    return read_suite(suite, host, profile)


def key_value(text: str, option: str, example: str) -> tuple[str, Any]:
    """KEY=VALUE, the value read as TOML where it is, as text otherwise. Raises UsageError."""
    import tomllib

    from harness.errors import UsageError

    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UsageError(f"{option} {text}: must be KEY=VALUE, e.g. {example}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def echo_json(value: Any) -> None:
    """Indented JSON on standard output."""
    import json

    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def stop_writing() -> None:
    """Nobody reads standard output anymore: what is still to come, the last flush included, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
