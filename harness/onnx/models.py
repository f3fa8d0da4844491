"""What is known of a model file: its own card, completed by the suite, and checked against its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from harness.card import InputSpec, ModelCard
from harness.contracts import InferenceSession, ModelFile, TensorInfo
from harness.errors import ModelFileError, did_you_mean, format_path, one_of
from harness.onnx.interface import batch_size, describe, shape_text
from harness.onnx.metadata import graph_interface, read_card
from harness.tasks import TASKS, Task

_FLOATS = ("float32", "float16", "float64")


class Interface(NamedTuple):
    """How a graph serves its task. outputs: task output -> graph output; batch: its fixed batch size, or None."""

    input: TensorInfo
    outputs: dict[str, str]
    batch: int | None


def load_card(model_file: ModelFile) -> ModelCard:
    """The file's own card with the keys of `model_file.card` over it; `labels` there may be a file, a name per line.

    Raises ModelFileError when the file can not be read, nothing says the task or the input, or the parts of the card
    contradict each other; the message says which suite key to set.
    """
    path = model_file.path
    facts = {**(read_card(path) or {}), **model_file.card}
    if isinstance(facts.get("labels"), str | Path):
        facts["labels"] = read_labels(Path(facts["labels"]))
    _require_task_and_input(path, facts)
    try:
        card = ModelCard.model_validate(facts)
    except ValidationError as error:
        problems = "; ".join(f"{format_path(e['loc'])}: {e['msg']}" for e in error.errors())
        raise ModelFileError(f"{path}: its description is invalid: {problems}") from error
    _check_outputs_known(path, card)
    _check_classes(path, card, len(card.labels) if card.labels else None, "labels")
    return card


def read_labels(path: Path) -> list[str]:
    """One class name per line, in the order of the class indices; a blank line at the end does not count."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path}: the file of labels can not be read: {error}") from error


def resolve_io(card: ModelCard, session: InferenceSession, path: Path) -> Interface:
    """Find the graph's image input and the task's outputs, and hold them against the card.

    Raises ModelFileError that lists the graph's inputs and outputs and names the suite key to set.
    """
    image = _image_input(card, session, path)
    _check_input(card.input, image, path)
    outputs = _outputs(card, TASKS[card.task], session, path)
    if card.task == "classification":
        logits = next(info for info in session.outputs if info.name == outputs["logits"])
        if logits.shape and isinstance(logits.shape[-1], int):
            _check_classes(path, card, logits.shape[-1], f"output {logits.name!r}")
            _check_label_count(path, card, logits.shape[-1])
    return Interface(image, outputs, batch_size(image))


def _require_task_and_input(path: Path, facts: Mapping[str, Any]) -> None:
    task = facts.get("task")
    if task is not None and task not in TASKS:
        raise ModelFileError(f"{path}: unknown task {task!r}{did_you_mean(str(task), TASKS)}; one of {one_of(TASKS)}")
    if task is not None and facts.get("input") is not None:
        return
    inputs, outputs = graph_interface(path)
    missing = "its task; set `task`" if task is None else f"its preprocessing; set `input`{_suggestion(inputs)}"
    raise ModelFileError(f"{path}: neither the file nor the suite says {missing} in the suite's table of this model"
                         f"{' to one of ' + one_of(TASKS) if task is None else ''}; {describe(inputs, outputs)}")


def _suggestion(inputs: Sequence[TensorInfo]) -> str:
    """` = { size = [192, 192], layout = "NCHW" }` when the only input looks like a batch of images."""
    shape = inputs[0].shape if len(inputs) == 1 else ()
    if len(shape) != 4:
        return ""
    layout, size = ("NHWC", shape[1:3]) if shape[3] in (1, 3) else ("NCHW", shape[2:])
    height, width = (dim if isinstance(dim, int) else 224 for dim in size)
    return f' = {{ size = [{height}, {width}], range = [0.0, 1.0], layout = "{layout}" }} (or what it was trained with)'


def _check_outputs_known(path: Path, card: ModelCard) -> None:
    known = [output.name for output in TASKS[card.task].outputs]
    for name in card.outputs:
        if name not in known:
            raise ModelFileError(f"{path}: outputs.{name}: {card.task} has no such output{did_you_mean(name, known)}; "
                                 f"it has {one_of(known)}")


def _check_classes(path: Path, card: ModelCard, count: int | None, what: str) -> None:
    for name, index in card.classes.items():
        if index < 0 or (count is not None and index >= count):
            limit = f"{what} has {count} classes" if count is not None else "an index counts from 0"
            raise ModelFileError(f"{path}: classes.{name} = {index}, but {limit}")


def _check_label_count(path: Path, card: ModelCard, count: int) -> None:
    if card.labels is not None and len(card.labels) != count:
        raise ModelFileError(f"{path}: {len(card.labels)} labels for {count} classes; set `labels` to one name per "
                             "class index, in order")


def _image_input(card: ModelCard, session: InferenceSession, path: Path) -> TensorInfo:
    infos = {info.name: info for info in session.inputs}
    interface = describe(session.inputs, session.outputs)
    if card.input_name is not None and card.input_name not in infos:
        raise ModelFileError(f"{path}: input_name = {card.input_name!r} is not an input of the graph"
                             f"{did_you_mean(card.input_name, infos)}; {interface}")
    if len(infos) != 1:
        named = f" beside {card.input_name!r}" if card.input_name else ""
        raise ModelFileError(f"{path}: a model takes one image input, this graph needs {len(infos)} inputs{named}; "
                             f"export it with the others fixed; {interface}")
    return next(iter(infos.values()))


def _check_input(spec: InputSpec, image: TensorInfo, path: Path) -> None:
    if image.dtype not in _FLOATS:
        raise ModelFileError(f"{path}: input {image.name!r} takes {image.dtype}; images are fed as float32 after "
                             "`input`; export it with a float input")
    if not image.shape:
        return
    height, width = spec.size
    sizes = {"NCHW": (spec.channels, height, width), "NHWC": (height, width, spec.channels)}
    if not _fits(image.shape, sizes[spec.layout]):
        other = "NHWC" if spec.layout == "NCHW" else "NCHW"
        hint = f'; set layout = "{other}"' if _fits(image.shape, sizes[other]) else "; set size, layout and color"
        given = shape_text(("batch", *sizes[spec.layout]))
        told = f"`input` (size {list(spec.size)}, {spec.layout}, {spec.color}) gives {given}"
        raise ModelFileError(f"{path}: {told}, but the graph's input {image.name!r} takes {shape_text(image.shape)}"
                             f"{hint} of `input`")


def _fits(shape: Sequence[int | str | None], sample: Sequence[int]) -> bool:
    return len(shape) == 4 and all(not isinstance(dim, int) or dim == size
                                   for dim, size in zip(shape[1:], sample, strict=True))


def _outputs(card: ModelCard, task: Task, session: InferenceSession, path: Path) -> dict[str, str]:
    present = [info.name for info in session.outputs]
    interface = describe(session.inputs, session.outputs)
    required = [output.name for output in task.outputs if output.required]
    found: dict[str, str] = {}
    if card.decoder is not None:
        for key in ("boxes", "scores"):
            if (name := getattr(card.decoder, key)) not in present:
                raise ModelFileError(f"{path}: decoder.{key} = {name!r} is not an output of the graph"
                                     f"{did_you_mean(name, present)}; {interface}")
    decoded = card.decoder is not None
    for output in task.outputs:
        if decoded and output.flat:
            continue
        name = card.outputs.get(output.name, output.name)
        if name in present:
            found[output.name] = name
        elif output.name in card.outputs:
            raise ModelFileError(f"{path}: outputs.{output.name} = {name!r} is not an output of the graph"
                                 f"{did_you_mean(name, present)}; {interface}")
        elif required == [output.name] and len(present) == 1:
            found[output.name] = present[0]
        elif output.required:
            raise ModelFileError(f"{path}: {task.name} needs {output.name!r} {output.shape}, and no output has this "
                                 f"name; set outputs = {{ {output.name} = \"NAME\" }}; {interface}")
    return found
