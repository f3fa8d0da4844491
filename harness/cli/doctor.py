"""`harness doctor`."""

from __future__ import annotations

import os

import click

from harness.cli.options import discover, echo_json, no_plugins_option


@click.command("doctor", short_help="Look for what is wrong with this installation.")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@no_plugins_option
def command(format_: str, no_plugins: tuple[str, ...]) -> int:
    """Look for what is wrong: onnxruntime packages that overwrite each other, missing CUDA libraries, broken plugins.

    Exit code 3 when something is an error, so that scripts can rely on it.
    """
    from harness.cache import default_folder
    from harness.catalogue import plugin_problems
    from harness.environment import Finding, diagnose

    host = discover(no_plugins)
    findings = diagnose(default_folder(os.environ))
    findings += [Finding("error" if problem.fatal else "warn", problem.subject, problem.message, problem.fix)
                 for problem in plugin_problems(host)]
    working = [record for record in host.plugins if record.status == "ok"]
    findings.append(Finding("ok", "plugins", f"{len(working)} of {len(host.plugins)} work"))
    if format_ == "json":
        echo_json([{"level": f.level, "subject": f.subject, "message": f.message, "fix": f.fix} for f in findings])
    else:
        for finding in findings:
            fix = f"\n      -> {finding.fix}" if finding.fix else ""
            click.echo(f"{finding.level:5} {finding.subject}: {finding.message}{fix}")
    return 3 if any(finding.level == "error" for finding in findings) else 0
