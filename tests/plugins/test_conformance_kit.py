"""The kit finds the mistakes that it is there for: each mutant of a sound plugin is refused for its own reason."""

from dataclasses import replace

import numpy as np
import pytest

from harness.card import InputSpec, ModelCard
from harness.contracts import Batch, Curve, Samples, Scalar, Summary, Timing, Unreadable
from harness.params import Params
from harness.specs import DatasetSpec, MetricSpec, SaliencySpec, ScenarioSpec
from harness.table import Ragged, Table
from harness.tasks import ClassificationTarget
from harness.testing.conformance import (
    ConformanceError,
    check_dataset,
    check_metric,
    check_saliency,
    check_scenario,
    check_spec,
)

DATASET = DatasetSpec(name="sound", summary="Sound.", task="classification", factory=f"{__name__}:none",
                      provides=frozenset({"boxes"}))
METRIC = MetricSpec(name="sound", summary="Sound.", tasks=frozenset({"classification"}), factory=f"{__name__}:none")
CARD = ModelCard(task="classification", input=InputSpec(size=(4, 6)))


class SoundDataset:
    """Sample 3 is unreadable."""

    def __len__(self):
        return 7

    def image(self, index, position):
        return np.random.default_rng(index).integers(0, 256, (5 + index, 8, 3), np.uint8)

    def target(self, index):
        return ClassificationTarget(label="a", boxes=np.array([[0, 0, 8, 5]], np.float32))

    def name(self, index):
        return f"s{index}"

    def batches(self, size, indices=None):
        wanted = list(range(len(self)) if indices is None else indices)
        for start in range(0, len(wanted), size):
            chosen = wanted[start:start + size]
            good = [i for i in chosen if i != 3]
            yield Batch([self.image(i, n) for n, i in enumerate(good)], [self.target(i) for i in good],
                        [self.name(i) for i in good], self.lost(chosen))

    def lost(self, chosen):
        return [Unreadable("s3", "truncated")] if 3 in chosen else []

    def fingerprint(self):
        return "f"


class Empty(SoundDataset):
    def __len__(self):
        return 0


class PositionDependent(SoundDataset):
    def image(self, index, position):
        return super().image(index, 0) + np.uint8(position)


class FloatImage(SoundDataset):
    def image(self, index, position):
        return super().image(index, position).astype(np.float32)


class SameName(SoundDataset):
    def name(self, index):
        return "s"


class DropsSilently(SoundDataset):
    def lost(self, chosen):
        return []


class NoBoxes(SoundDataset):
    def target(self, index):
        return ClassificationTarget(label="a")


class BoxOutside(SoundDataset):
    def target(self, index):
        return ClassificationTarget(label="a", boxes=np.array([[0, 0, 9, 5]], np.float32))


class SmallMask(SoundDataset):
    def target(self, index):
        return replace(super().target(index), mask=np.ones((2, 2), bool))


def test_a_sound_dataset_passes():
    check_dataset(DATASET, SoundDataset())


@pytest.mark.parametrize(("mutant", "reason"), [
    (Empty, "empty"),
    (PositionDependent, "batches of 1 give other samples"),
    (FloatImage, "not a uint8 array"),
    (SameName, "ids repeat"),
    (DropsSilently, "7 indices gave 6 samples"),
    (NoBoxes, "no boxes, but declared"),
    (BoxOutside, "leaves the image"),
    (SmallMask, "mask is not as large"),
])
def test_an_unsound_dataset_is_refused(mutant, reason):
    with pytest.raises(ConformanceError, match=reason):
        check_dataset(DATASET, mutant())


class SoundMetric:
    """Mean logit of class 0, and one curve."""

    def measure(self, samples):
        logits = samples.predictions.dense("logits")
        return Table({"first": logits[:, 0], "all": Ragged.of(list(logits)), "id": np.array(samples.ids)})

    def summarize(self, rows):
        first = rows.dense("first")
        value = float(first.mean())
        curve = Curve(x=[0.0, 1.0], y=[0.0, value], x_label="x", y_label="y")
        return Summary({"": Scalar(value=value, n=len(first)), "@2": Scalar(value=None, n=0)}, {"": curve})


class Stateful(SoundMetric):
    calls = 0

    def measure(self, samples):
        self.calls += 1
        rows = super().measure(samples)
        return Table({**rows, "first": rows.dense("first") * self.calls})


class BatchNormalized(SoundMetric):
    def measure(self, samples):
        rows = super().measure(samples)
        return Table({**rows, "first": rows.dense("first") - rows.dense("first").mean()})


class OneRow(SoundMetric):
    def measure(self, samples):
        return super().measure(samples).take(np.array([0]))


class Objects(SoundMetric):
    def measure(self, samples):
        return Table({"first": np.array([{}] * len(samples.ids))})


class OrderDependent(SoundMetric):
    def summarize(self, rows):
        return Summary({"": Scalar(value=float(rows.dense("first")[0]), n=1)})


class NaN(SoundMetric):
    def summarize(self, rows):
        return Summary({"": Scalar(value=float("nan"), n=1)})


class OutOfRange(SoundMetric):
    def summarize(self, rows):
        return Summary({"@1": Scalar(value=1.5, n=1)})


class BadSuffix(SoundMetric):
    def summarize(self, rows):
        return Summary({"five": Scalar(value=0.5, n=1)})


class VanishesWithOneSample(SoundMetric):
    def summarize(self, rows):
        many = len(set(rows.dense("id").tolist())) > 1
        return Summary({"": Scalar(value=0.5, n=1), **({"@many": Scalar(value=0.5, n=1)} if many else {})})


def samples():
    logits = np.array([[0.1, 1], [0.2, 2], [0.9, 3], [0.4, 4]], np.float32)
    targets = [ClassificationTarget(label="a")] * 4
    return Samples(ids=list("abcd"), targets=targets, predictions=Table({"logits": logits}), card=CARD)


def test_a_sound_metric_passes():
    check_metric(METRIC, SoundMetric(), samples())


@pytest.mark.parametrize(("mutant", "reason"), [
    (Stateful, 'a second call: column "first" differs'),
    (BatchNormalized, "batches of 1"),
    (OneRow, "1 rows for 4 samples"),
    (Objects, "dtype object"),
    (OrderDependent, "rows in another order"),
    (NaN, "nan; give None"),
    (OutOfRange, "outside of"),
    (BadSuffix, "a suffix is"),
    (VanishesWithOneSample, "one row repeated"),
])
def test_an_unsound_metric_is_refused(mutant, reason):
    with pytest.raises(ConformanceError, match=reason):
        check_metric(METRIC, mutant(), samples())


class Handle:
    card = CARD


class SoundSaliency:
    def explain(self, model, inputs, classes, seeds):
        return np.stack([np.random.default_rng(seed).random((4, 6), np.float32) for seed in seeds])


class Unseeded(SoundSaliency):
    def explain(self, model, inputs, classes, seeds):
        return np.random.default_rng().random((len(inputs), 4, 6), np.float32)


class BatchRelative(SoundSaliency):
    def explain(self, model, inputs, classes, seeds):
        maps = super().explain(model, inputs, classes, seeds)
        return maps / maps.max()


class Transposed(SoundSaliency):
    def explain(self, model, inputs, classes, seeds):
        return super().explain(model, inputs, classes, seeds).transpose(0, 2, 1)


@pytest.mark.parametrize(("generator", "reason"), [
    (SoundSaliency, None),
    (Unseeded, "same seeds differs"),
    (BatchRelative, "depends on its batch"),
    (Transposed, "maps of shape"),
])
def test_saliency(generator, reason):
    spec = SaliencySpec(name="s", summary="S.", factory=f"{__name__}:none")
    arguments = spec, generator(), Handle(), np.zeros((3, 3, 4, 6), np.float32), np.zeros(3, np.int64)
    if reason is None:
        check_saliency(*arguments)
    else:
        with pytest.raises(ConformanceError, match=reason):
            check_saliency(*arguments)


class ForgetsQueries:
    rounds = 1

    def measure(self, subject, turn):
        subject.query()
        subject.query()
        return Timing(np.array([1]), 1, 1, warmup_queries=0)


def test_a_scenario_that_forgets_queries_is_refused():
    spec = ScenarioSpec(name="s", summary="S.", factory=f"{__name__}:none")
    with pytest.raises(ConformanceError, match="2 queries, 1 served"):
        check_scenario(spec, ForgetsQueries())


class Undescribed(Params):
    mute: int = 1


@pytest.mark.parametrize(("spec", "reason"), [
    (replace(METRIC, name="Not A Name"), "lower case"),
    (replace(METRIC, summary="Two\nlines"), "one line"),
    (replace(METRIC, params=Undescribed), "mute has no docstring"),
    (replace(METRIC, tasks=frozenset({"dancing"})), "unknown tasks"),
    (replace(METRIC, requires=frozenset({"luck"})), "unknown requirements"),
    (replace(METRIC, worst=2.0), "out of range"),
    (replace(DATASET, provides=frozenset({"luck"})), "provides"),
])
def test_an_incomplete_declaration_is_refused(spec, reason):
    with pytest.raises(ConformanceError, match=reason):
        check_spec(replace(spec, factory="harness.params:Params"))


def test_a_factory_that_does_not_exist_is_refused():
    with pytest.raises(AttributeError, match="nothing_here"):
        check_spec(replace(METRIC, factory="harness.params:nothing_here"))
