"""The command line. Each command lives in its own file and is imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from harness import __version__
from harness.errors import EXIT_CELLS, EXIT_INTERRUPTED, HandledError

# Name -> summary: known here so that --help imports no command; a test compares them with the commands' own.
COMMANDS = {
    "init": "Write a commented starter suite that runs at once.",
    "run": "Run a suite: accuracy, latency and explanation quality.",
    "validate": "Check a suite file; every mistake is shown with its line.",
    "list": "Show the cells of a suite with estimated forward passes.",
    "explain": "Show what in a photograph a model looks at.",
    "report": "Make the report of a finished run, compare several, or show results otherwise.",
    "bench": "Measure the latency of ONNX files, without a suite.",
    "train": "Train the models that a suite declares, and export them.",
    "export": "Export a checkpoint to ONNX, or an export to another precision, opset or decoder.",
    "verify": "Re-check hash, parity and accuracy of exports, without torch.",
    "compare": "Compare two runs: paired tests, and regressions by the exit code.",
    "publish": "Make a static site of many runs: trends, changes, and every report.",
    "plugins": "Show the installed plugins and what they provide.",
    "doctor": "Look for what is wrong with this installation.",
}


class LazyGroup(click.Group):
    """Knows its commands by name and summary; imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"harness.cli.{cmd_name}").command
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `harness ... | head`; click itself would exit with 1, as if a gate had failed
            from harness.cli.options import stop_writing

            stop_writing()
            return 0

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from harness.errors import did_you_mean

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f'there is no command "{args[0]}"{did_you_mean(args[0], COMMANDS)}')
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="harness")
@click.option("-v", "--verbose", is_flag=True, help="Show full tracebacks.")
def cli(verbose: bool) -> None:  # read by `main`, which has to know it when the arguments are wrong
    """How accurate, how fast and how well explained is a vision model?

    Data goes to standard output, everything else to standard error. Exit codes: 0 ok, 1 a gate failed, 2 usage or
    invalid suite, 3 some cells failed or nothing was measured, 4 a needed plugin failed, 130 interrupted.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Entry point of the command `harness`. Always ends in SystemExit with one of the documented codes."""
    arguments = [*(sys.argv[1:] if args is None else args)]  # the name `list` is the command's module here
    verbose = bool({"-v", "--verbose"} & set(arguments))
    try:
        code = cli.main(_bare_no_plugins(arguments), prog_name="harness", standalone_mode=False)
    except HandledError as error:
        _print_error(error, verbose)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001  Python's own exit code 1 would mean that a gate failed
        _print_unexpected(error, verbose)
        code = EXIT_CELLS
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # nobody reads it; Python would try again at its end and exit with 120
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code if isinstance(code, int) else 0)


def _bare_no_plugins(arguments: list[str]) -> list[str]:
    """`--no-plugins SUITE` must not take the suite for its value: the option is bare or has "="."""
    return ["--no-plugins=all" if argument == "--no-plugins" else argument for argument in arguments]


def _print_unexpected(error: Exception, verbose: bool) -> None:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    click.echo(f"unexpected {type(error).__name__}: {error} ({frame.filename}:{frame.lineno}); a bug in harness "
               "or in a plugin, -v shows the traceback", err=True)
    if verbose:
        click.echo("".join(traceback.format_exception(error)), err=True)


def _print_error(error: HandledError, verbose: bool) -> None:
    if verbose:
        click.echo("".join(traceback.format_exception(error)), err=True)
    else:
        click.echo(f"{error}", err=True)
    for note in getattr(error, "__notes__", []):
        click.echo(f"  {note}", err=True)
