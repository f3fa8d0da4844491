"""A plugin for the tests of runs: colored squares, and parts that misbehave on request. The fixture `lab` has it."""

import ctypes
import multiprocessing
import os
import signal
import time
from typing import Literal

import numpy as np

from harness.api import (
    BackendSpec,
    Batch,
    ClassificationTarget,
    DatasetSpec,
    ExecutorSpec,
    MetricSpec,
    Params,
    ReporterSpec,
    SaliencySpec,
    Scalar,
    ScenarioSpec,
    SuitePath,
    Summary,
    Table,
    Timing,
    Unreadable,
    hookimpl,
    open_session,
)

LABELS = ("red", "green", "blue")


class ColorsParams(Params):
    """Colored noise."""

    count: int = 12
    """Samples."""
    seed: int = 0
    """Of the noise."""
    unreadable: list[int] = []
    """Indices that can not be read."""
    label: str | None = None
    """Instead of the color's name."""
    fails: Literal["", "length", "fingerprint", "stream", "short"] = ""
    """Where it raises."""


class Colors:
    """8x8 images in which the channel index % 3 is brightest, but for every fifth, where it is the next one."""

    def __init__(self, params):
        self.params = params

    def __len__(self):
        if self.params.fails == "length":
            raise RuntimeError("the index is torn")
        return self.params.count

    def fingerprint(self):
        if self.params.fails == "fingerprint":
            raise OSError("the disk is gone")
        return ""

    def batches(self, size, indices=None):
        wanted = list(range(len(self)) if indices is None else indices)
        for start in range(0, len(wanted), size):
            chosen = wanted[start : start + size]
            if self.params.fails == "stream" and start:
                raise RuntimeError("the tape broke")
            if self.params.fails == "short":
                chosen = chosen[1:]
            readable = [index for index in chosen if index not in self.params.unreadable]
            yield Batch([self._image(index) for index in readable],
                        [ClassificationTarget(label=self.params.label or LABELS[index % 3]) for index in readable],
                        [f"square-{index}" for index in readable],
                        [Unreadable(f"square-{index}", "it is blank") for index in chosen if index not in readable])

    def _image(self, index):
        image = np.random.default_rng([self.params.seed, index]).integers(60, 120, (8, 8, 3), dtype=np.uint8)
        image[:, :, (index + (index % 5 == 4)) % 3] += 90
        return image


class OddParams(Params):
    """What it does instead of measuring."""

    how: Literal["raise", "rows", "exit", "segfault", "sleep", "kill", "print", "summarize"]
    """Which way it misbehaves."""
    once: SuitePath | None = None
    """Misbehave only while this file does not exist; it is made then."""


def _expendable():
    """In a worker, or in a command that the tests started: never the process of the tests."""
    return multiprocessing.parent_process() is not None or "LAB_EXPENDABLE" in os.environ


class Odd:
    """Misbehaves in `measure`, or gives the index of the highest logit."""

    def __init__(self, params):
        self.params = params

    def measure(self, samples):
        rows = samples.predictions.dense("logits").argmax(axis=1)
        if self._due():
            if self.params.how == "raise":
                raise ArithmeticError("a | `b` <script>\nsecond line")
            if self.params.how in ("exit", "segfault", "kill") and not _expendable():
                raise AssertionError("this would end the tests themselves")
            if self.params.how == "exit":
                os._exit(7)
            if self.params.how == "segfault":
                ctypes.string_at(0)
            if self.params.how == "sleep":
                time.sleep(60)
            if self.params.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.params.how == "print":
                print("noise")  # noqa: T201
            if self.params.how == "rows":
                rows = rows[1:]
        return Table({"value": rows})

    def summarize(self, rows):
        if self.params.how == "summarize":
            raise ZeroDivisionError("no denominator")
        return Summary({"": Scalar(value=float(rows.dense("value").mean()), n=rows.rows)})

    def _due(self):
        if self.params.once is None:
            return True
        if self.params.once.exists():
            return False
        self.params.once.touch()
        return True


class MapParams(Params):
    """No parameters."""


class Maps:
    """Shape, explained class and sum of each saliency map; costs one forward pass."""

    def __init__(self, params):
        pass

    def measure(self, samples):
        n = len(samples.ids)
        predicted = samples.predict(samples.inputs)
        return Table({"shape": np.tile(samples.saliency.shape[1:], (n, 1)), "class": samples.classes,
                      "sum": samples.saliency.sum(axis=(1, 2)), "logit": predicted[np.arange(n), samples.classes],
                      "brightness": samples.inputs.mean(axis=1).sum(axis=(1, 2))})

    def summarize(self, rows):
        return Summary({"": Scalar(value=float(rows.dense("sum").mean()), n=rows.rows, unit="saliency")})


class Noise:
    """Uniform noise by the samples' seeds; a layer named "constant" makes all ones."""

    def __init__(self, params):
        pass

    def explain(self, model, inputs, classes, seeds):
        if model.card.cam_layer == "constant":
            return np.ones((len(inputs), *model.card.input.size), np.float32)
        return np.stack([np.random.default_rng(seed).random(model.card.input.size, np.float32) for seed in seeds])


class Narrow(Noise):
    """Maps that lack a column."""

    def explain(self, model, inputs, classes, seeds):
        return super().explain(model, inputs, classes, seeds)[:, :, 1:]


class Brightest:
    """A graph generator: the mean over channels of the image times the class, plus noise that comes as a feed."""

    def __init__(self, params):
        pass

    def build(self, graph, card, rules):
        from onnx import TensorProto, helper, numpy_helper

        image = graph.graph.input[0]
        nodes = [helper.make_node("ReduceMean", [image.name, "axes"], ["mean"], keepdims=0),
                 helper.make_node("Cast", ["class"], ["float"], to=TensorProto.FLOAT),
                 helper.make_node("Unsqueeze", ["float", "end"], ["factor"]),
                 helper.make_node("Mul", ["mean", "factor"], ["scaled"]),
                 helper.make_node("Add", ["scaled", "noise"], ["saliency"])]
        constants = [numpy_helper.from_array(np.array(value), name)
                     for name, value in (("axes", [1]), ("end", [1, 2]))]
        inputs = [image, helper.make_tensor_value_info("class", TensorProto.INT64, ["N"]),
                  helper.make_tensor_value_info("noise", TensorProto.FLOAT, ["N", *card.input.size])]
        output = helper.make_tensor_value_info("saliency", TensorProto.FLOAT, ["N", *card.input.size])
        return helper.make_model(helper.make_graph(nodes, "brightest", inputs, [output], constants),
                                 opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    def feeds(self, inputs, seeds):
        return {"noise": np.stack([np.random.default_rng(seed).random(inputs.shape[2:], np.float32)
                                   for seed in seeds])}


class LogParams(Params):
    """Where runs are noted."""

    log: SuitePath
    """A line for each run of the session: the number of samples."""


class Logged:
    """onnxruntime that notes every run."""

    def __init__(self, params):
        self.log = params.log

    def unavailable(self):
        return None

    def versions(self):
        return {"logged": "1"}

    def open(self, path, *, threads):
        return LoggedSession(open_session(path, provider="CPUExecutionProvider", threads=threads), self.log)


class DyingParams(Params):
    """When."""

    after: int = 50
    """Queries before the process ends."""


class Dying:
    """onnxruntime whose process ends in the middle of a measurement."""

    def __init__(self, params):
        self.after = params.after

    def unavailable(self):
        return None

    def versions(self):
        return {"dying": "1"}

    def open(self, path, *, threads):
        session = open_session(path, threads=threads)
        bind, left = session.bind, iter(range(self.after))

        def bound(feeds):
            query = bind(feeds)
            return lambda: query() if next(left, None) is not None else os._exit(9)

        session.bind = bound
        return session


class Absent(Logged):
    """A backend that this machine does not have."""

    def unavailable(self):
        return "it needs a machine from the future"


class TurnsParams(Params):
    """A scenario that notes its turns."""

    log: SuitePath
    """A line for each turn: process, batch and turn."""
    rounds: int = 3
    """Turns."""
    fails: int = -1
    """The turn in which it raises."""


class Turns:
    """One query a turn."""

    def __init__(self, params):
        self.params, self.rounds = params, params.rounds

    def measure(self, subject, turn):
        with self.params.log.open("a") as file:
            file.write(f"{os.getpid()} {subject.batch} {turn}\n")
        if turn == self.params.fails and subject.batch > 1:
            raise ArithmeticError("out of turn")
        start = time.perf_counter_ns()
        subject.query()
        elapsed = time.perf_counter_ns() - start
        return Timing(np.array([elapsed]), elapsed, 0, 0)

    def invalidity(self, turns):
        return None if len(turns) == self.rounds else f"{len(turns)} turns"


class LoggedSession:
    """Forwards to a session."""

    def __init__(self, session, log):
        self.session, self.log = session, log
        self.runs_on, self.inputs, self.outputs = session.runs_on, session.inputs, session.outputs

    def run(self, feeds):
        with self.log.open("a") as file:
            file.write(f"{len(next(iter(feeds.values())))}\n")
        return self.session.run(feeds)

    def bind(self, feeds):
        return self.session.bind(feeds)

    def close(self):
        self.session.close()


class Forgetful:
    """An executor that drops the last group."""

    def __init__(self, params):
        pass

    def run(self, groups, progress):
        for group in groups[:-1]:
            yield group.execute(progress)


class Stumbling(Forgetful):
    """An executor that raises after the first group."""

    def run(self, groups, progress):
        yield groups[0].execute(progress)
        raise ConnectionError("the cluster is gone")


class Lines:
    """A reporter that makes two files, one of them binary."""

    def __init__(self, params):
        pass

    def render(self, run):
        return {"keys.txt": "".join(f"{cell.key}\n" for cell in run.results.cells), "raw.bin": b"\x00\xff"}


@hookimpl
def harness_datasets():
    return [DatasetSpec(name="lab-colors", summary="Colored squares.", task="classification", params=ColorsParams,
                        factory=f"{__name__}:Colors")]


@hookimpl
def harness_metrics():
    tasks = frozenset({"classification"})
    return [MetricSpec(name="lab-odd", summary="Misbehaves.", tasks=tasks, params=OddParams, factory=f"{__name__}:Odd"),
            MetricSpec(name="lab-maps", summary="Looks at maps.", tasks=tasks, params=MapParams, passes=1,
                       requires=frozenset({"saliency", "predict"}), factory=f"{__name__}:Maps", unit="saliency")]


@hookimpl
def harness_saliency():
    return [SaliencySpec(name="lab-noise", summary="Noise.", passes=0, factory=f"{__name__}:Noise"),
            SaliencySpec(name="lab-graph", summary="Graph.", graph=True, passes=1, factory=f"{__name__}:Brightest"),
            SaliencySpec(name="lab-narrow", summary="Too narrow.", passes=0, factory=f"{__name__}:Narrow")]


@hookimpl
def harness_backends():
    return [BackendSpec(name="lab-logged", summary="Notes runs.", params=LogParams, factory=f"{__name__}:Logged"),
            BackendSpec(name="lab-dying", summary="Ends.", params=DyingParams, factory=f"{__name__}:Dying"),
            BackendSpec(name="lab-absent", summary="Absent.", params=LogParams, factory=f"{__name__}:Absent")]


@hookimpl
def harness_scenarios():
    return [ScenarioSpec(name="lab-turns", summary="Notes turns.", params=TurnsParams, factory=f"{__name__}:Turns")]


@hookimpl
def harness_executors():
    return [ExecutorSpec(name="lab-forgetful", summary="Drops the last group.", factory=f"{__name__}:Forgetful"),
            ExecutorSpec(name="lab-stumbling", summary="Raises.", factory=f"{__name__}:Stumbling")]


@hookimpl
def harness_reporters():
    return [ReporterSpec(name="lab-lines", summary="Keys.", factory=f"{__name__}:Lines")]


def _note(context, line):
    with (context.directory / "hooks.txt").open("a") as file:
        file.write(line + "\n")
    if os.environ.get("LAB_HOOKS_RAISE"):
        raise ConnectionError("the dashboard is away")


@hookimpl
def harness_run_started(context):
    _note(context, f"started {len(context.keys)}")


@hookimpl
def harness_cell_finished(context):
    _note(context, f"cell {context.result.key} {context.result.status}")


@hookimpl
def harness_run_finished(context):
    written = (context.directory / "results.json").exists()
    _note(context, f"finished {len(context.results.cells)} {written}")
