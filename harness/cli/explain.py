"""`harness explain`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import discover, no_plugins_option
from harness.errors import ModelFileError, UsageError, did_you_mean, one_of

if TYPE_CHECKING:
    from harness.explanation import Floats, Method, Photograph, Subject
    from harness.host import Host
    from harness.params import Params
    from harness.showing import Explained
    from harness.specs import SaliencySpec
    from harness.terminal import PassCounter

_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where results go; None: nowhere."""

    output: Path | None
    save_map: Path | None
    export: Path | None
    share_weights: bool


@click.command("explain", short_help="Show what in a photograph a model looks at.")
@click.argument("model", type=_FILE)
@click.argument("photographs", nargs=-1, type=_FILE)
@click.option("--method", "methods", multiple=True, metavar="NAME",
              help="Saliency generator; repeatable. All: harness plugins list --kind saliency.")
@click.option("--layer", metavar="NAME", help="Tensor that class activation methods explain; by default the one that "
              "the file names, or the last activation that everything passes through.")
@click.option("--class", "classes", multiple=True, metavar="K|NAME",
              help="Class (or keypoint) to explain, by index or name; repeatable. By default the best one.")
@click.option("--top", type=click.IntRange(min=1), help="Explain the N best classes of each photograph.")
@click.option("--output", type=_FILE, help="The picture: the map over the photograph, or a contact sheet of several. "
              "[default: explanation.png, unless --save-map or --export is given]")
@click.option("--save-map", type=_FILE, help="The raw maps at the model's input size: .npy of one, .npz of several.")
@click.option("--export", type=_FILE, help="The explainer as one ONNX file that runs in plain onnxruntime.")
@click.option("--share-weights", is_flag=True, help="With --export: point to the weights in MODEL, which has to stay "
              "in the folder of the explainer or below, instead of holding them.")
@click.option("--input", "inputs", multiple=True, metavar="KEY=VALUE",
              help="What the file does not say: size, range, mean, std, layout, color, fit, task, labels, "
                   "outputs.logits, ...; repeatable.")
@click.option("--param", "params", multiple=True, metavar="[METHOD.]KEY=VALUE",
              help="A parameter of a method, e.g. rise.masks=1000; repeatable.")
@click.option("--list-layers", is_flag=True, help="Show which layers can be explained, with their shapes.")
@no_plugins_option
def command(model: Path, photographs: tuple[Path, ...], methods: tuple[str, ...], layer: str | None,
            classes: tuple[str, ...], top: int | None, output: Path | None, save_map: Path | None,
            export: Path | None, share_weights: bool, inputs: tuple[str, ...], params: tuple[str, ...],
            list_layers: bool, no_plugins: tuple[str, ...]) -> int:
    """Show what in PHOTOGRAPHS the ONNX file MODEL looks at.

    Any classifier, and models with keypoints, segmentation or detection. Preprocessing comes from the file's own
    metadata, or from --input. Several photographs, classes or methods give one contact sheet.
    """
    from harness.described import described_card, parse_settings

    host = discover(no_plugins)
    card = described_card(model, parse_settings(inputs, "--input"))
    if layer is not None:
        card = card.model_copy(update={"cam_layer": layer})
    made = [] if list_layers else _methods(host, methods, params)
    from harness import showing
    from harness.explanation import open_subject
    from harness.showing import Explained
    from harness.terminal import PassCounter

    with PassCounter() as counter, _hints(), open_subject(model, card, counter.add) as subject:
        if subject.note:
            click.echo(f"note: {subject.note}", err=True)
        if list_layers:
            _list_layers(subject)
            return 0
        # Everything that can be wrong is found before the work begins.
        files = _files(made, photographs, Files(output=output, save_map=save_map, export=export,
                                                   share_weights=share_weights))
        chosen = _choose(subject, photographs, classes, top)
        showing.check_files(files.output, files.save_map, len(chosen) * len(made))
        explained = [Explained(photograph, index, _maps(subject, photograph, index, made, counter))
                     for photograph, index in chosen]
        counter.stop()
        _write(subject, explained, made, files)
    return 0


def _methods(host: Host, names: Sequence[str], params: Sequence[str]) -> list[Method]:
    """The generators with their parameters. Raises UsageError, or PluginError where a plugin is to blame."""
    from harness.described import parse_settings
    from harness.explanation import Method
    from harness.specs import GradientRuleSpec, SaliencySpec

    known = host.names("saliency")
    if not names:
        raise UsageError(f"--method: name at least one of {one_of(known, len(known))}")
    for name in names:
        if name not in known and not host.may_be_broken(SaliencySpec, name):
            raise UsageError(f'--method {name}: there is no such method{did_you_mean(name, known)} (known: '
                             f"{one_of(known, len(known))})")
    specs = [host.spec(SaliencySpec, name) for name in dict.fromkeys(names)]
    settings = parse_settings([_owned(item, specs) for item in params], "--param")
    rules = host.specs(GradientRuleSpec)
    return [Method.of(spec, _validated(spec, settings.get(spec.name, {})), rules) for spec in specs]


def _owned(item: str, specs: Sequence[SaliencySpec]) -> str:
    """KEY=VALUE belongs to the only method; otherwise METHOD.KEY=VALUE."""
    names = [spec.name for spec in specs]
    owner = item.partition("=")[0].partition(".")[0].strip()
    if owner in names:
        return item
    if len(names) == 1:
        return f"{names[0]}.{item}"
    raise UsageError(f"--param {item}: write METHOD.KEY=VALUE{did_you_mean(owner, names)} (the methods: "
                     f"{one_of(names)})")


def _validated(spec: SaliencySpec, values: dict[str, object]) -> Params:
    from pydantic import ValidationError

    from harness.errors import format_path

    try:
        return spec.params.model_validate(values)
    except ValidationError as error:
        known = spec.params.model_fields
        problems = []
        for each in error.errors():
            key = format_path(each["loc"])
            unknown = each["type"] == "extra_forbidden"
            problems.append(f"--param {spec.name}.{key}: "
                            + (f"there is no such parameter{did_you_mean(key, known)} (known: {one_of(known)})"
                               if unknown else each["msg"]))
        raise UsageError("\n".join(problems)) from None


@contextmanager
def _hints() -> Iterator[None]:
    """Errors speak of the keys of a suite's table: say how these are given here."""
    try:
        yield
    except ModelFileError as error:
        error.add_note("a key of the model's table is given as --input KEY=VALUE (--input outputs.logits=NAME), "
                       "`cam_layer` as --layer; --list-layers shows what can be explained")
        raise


def _list_layers(subject: Subject) -> None:
    from harness.onnx.interface import shape_text
    from harness.showing import layers
    from harness.terminal import print_table

    found, default = layers(subject)
    print_table(["layer", "operator", "shape", " "],
                [(each.name, each.operator, shape_text(each.shape), "default" if each.name == default else "")
                 for each in found])
    if not found:
        click.echo("no layer (N, C, h, w) is on every path to the scores; any tensor of the graph can be named by "
                   "--layer", err=True)
    elif default not in [each.name for each in found]:
        click.echo(f"default: {default}" if default else "no default: name one by --layer", err=True)


def _files(methods: Sequence[Method], photographs: Sequence[Path], files: Files) -> Files:
    """Where results go. Raises UsageError for what does not fit together."""
    if files.export is not None:
        if len(methods) != 1:
            raise UsageError(f"--export: one explainer is one method, {len(methods)} are given")
        if not methods[0].spec.graph:
            raise UsageError(f"--export: {methods[0].name} runs on the host, around the model, and can not be written "
                             "as a graph; methods that can: see those with `graph` in harness plugins list --kind "
                             "saliency --format json")
    elif files.share_weights:
        raise UsageError("--share-weights belongs to --export")
    if not photographs and files.export is None:
        raise UsageError("name at least one photograph")
    nowhere = files.output is None and files.save_map is None and files.export is None
    return replace(files, output=Path("explanation.png")) if nowhere else files


def _choose(subject: Subject, photographs: Sequence[Path], classes: Sequence[str],
            top: int | None) -> list[tuple[Photograph, int]]:
    """Each photograph with each class to explain."""
    from harness.showing import choose

    read = [subject.read(path) for path in photographs]
    return [(photograph, index) for photograph in read for index in choose(subject, photograph, classes, top)]


def _maps(subject: Subject, photograph: Photograph, index: int, methods: Sequence[Method],
          counter: PassCounter) -> list[Floats]:
    maps = []
    for method in methods:
        passes = getattr(method.params, "passes", method.spec.passes)
        counter.start(f"{photograph.path.name}: {method.name}", passes)
        maps.append(subject.explain(method, photograph, index))
    return maps


def _write(subject: Subject, explained: Sequence[Explained], methods: Sequence[Method], files: Files) -> None:
    from harness import showing
    from harness.explainer_file import export_explainer

    names = [method.name for method in methods]
    for line in showing.report(subject, explained):
        click.echo(line)
    for line in showing.warnings(explained, names):
        click.echo(f"warning: {line}", err=True)
    if files.output is not None and explained:
        showing.save_picture(files.output, subject, explained, names)
        click.echo(f"picture: {files.output}")
    if files.save_map is not None and explained:
        showing.save_maps(files.save_map, explained, names)
        click.echo(f"maps: {files.save_map}")
    if files.export is not None:
        for line in export_explainer(files.export, subject, methods[0], explained, share_weights=files.share_weights):
            click.echo(line)
