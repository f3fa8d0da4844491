"""Photographs explained without a suite: a model opened for it, classes by name, and maps by several methods."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.card import ModelCard
from harness.errors import ModelFileError, UsageError, did_you_mean, one_of
from harness.explaining import StoredExplainer, check_maps, generator_of, ranked_classes
from harness.geometry import Fit, prepare
from harness.handle import Handle, open_handle
from harness.host import blame
from harness.onnx.models import resolve_io
from harness.onnx.session import open_session
from harness.opened import available_threads
from harness.params import Params
from harness.photographs import read_photograph
from harness.saliency import SaliencyGenerator
from harness.specs import GradientRuleSpec, SaliencySpec
from harness.stats import stable_seed

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Photograph:
    """pixels: (H, W, 3) uint8; inputs: (1, ...) float32 as the model sees it; scores: (K,) raw; shares: (K,) float64.

    shares: probabilities of a classifier's classes, the scores themselves of other tasks.
    """

    path: Path
    pixels: NDArray[np.uint8]
    inputs: Floats
    fit: Fit
    scores: Floats
    shares: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Method:
    """A generator by the name that was asked for."""

    spec: SaliencySpec
    params: Params
    generator: SaliencyGenerator

    @classmethod
    def of(cls, spec: SaliencySpec, params: Params, rules: Sequence[GradientRuleSpec] = ()) -> Method:
        """rules: gradient rules of plugins."""
        with blame(spec):
            return cls(spec, params, generator_of(spec, params, rules))

    @property
    def name(self) -> str:
        return self.spec.name


@dataclass(frozen=True, slots=True)
class Subject:
    """The model that is explained. note: what was left out of its graph, for people, or ""."""

    card: ModelCard
    path: Path
    handle: Handle
    note: str
    names: dict[int, str] = field(default_factory=dict)

    @property
    def layer(self) -> str:
        """What class activation methods explain; "" where there is nothing, which other methods do without."""
        try:
            return self.handle.layer
        except ModelFileError:
            return ""

    def read(self, path: Path) -> Photograph:
        """A photograph with the model's scores. Raises DataError when it can not be read."""
        pixels = read_photograph(path)
        inputs, (fit,) = prepare([pixels], self.card.input)
        scores = self.handle.predict(inputs)
        return Photograph(path, pixels, inputs, fit, scores[0], self.handle.probabilities(scores)[0])

    def best(self, photograph: Photograph, count: int) -> list[int]:
        """The classes with the highest scores, best first; a detector's background is none."""
        order: list[int] = ranked_classes(photograph.scores[None], self.card)[0, :count].tolist()
        return order

    def class_index(self, text: str, count: int) -> int:
        """An index, or the name of a class, of `count`. Raises UsageError for one that the model does not have."""
        if re.fullmatch(r"-?[0-9]+", text):
            if not 0 <= int(text) < count:
                raise UsageError(f"--class {text}: the model has {count} classes, 0 to {count - 1}")
            return int(text)
        if text in self.card.classes:
            return self.card.classes[text]
        found = [index for index, name in self.names.items() if name.lower() == text.lower()]
        if len(found) > 1:
            raise UsageError(f'--class "{text}": {len(found)} classes have this name; give the index, one of '
                             f"{', '.join(map(str, found))}")
        if not found:
            known = list(self.names.values())
            raise UsageError(f'--class "{text}": the model has no such class{did_you_mean(text, known)}' + (
                f"; it has {one_of(known, 5)}" if known else "; it has no names, give an index, or the names by "
                "--input labels=FILE"))
        return found[0]

    def class_name(self, index: int) -> str:
        """"cat", or "class 3" where there are no names."""
        return self.names.get(index, f"class {index}")

    def explain(self, method: Method, photograph: Photograph, index: int, seed: int = 0) -> Floats:
        """(h, w) raw map of one class at the model's input size."""
        with blame(method.spec):
            if isinstance(method.generator, StoredExplainer):
                maps = method.generator.stored.maps([photograph.path.stem], [photograph.fit])
            else:
                maps = method.generator.explain(self.handle, photograph.inputs, np.array([index], np.int64),
                                                [stable_seed(seed, photograph.path.stem)])
        check_maps(method.spec, maps, (1, *self.card.input.size))
        map_: Floats = maps[0]
        return map_


@contextmanager
def open_subject(path: Path, card: ModelCard, count: Callable[[int], None]) -> Iterator[Subject]:
    """Open a model for explanations on the CPU; its interface is held against the card first.

    count: told the samples of every forward pass. Raises ModelFileError.
    """
    open_file: Any = partial(open_session, threads=available_threads())
    session = open_file(path)
    try:
        resolve_io(card, session, path)
    finally:
        session.close()
    handle, note = open_handle(card, path, open_file, count)
    try:
        yield Subject(card, path, handle, note, _names(card))
    finally:
        handle.close()


def _names(card: ModelCard) -> dict[int, str]:
    """By index of the scores; a detector's labels are counted without the background."""
    names = {index: name for name, index in reversed(card.classes.items())}
    background = card.decoder.background if card.decoder else None
    for index, name in enumerate(card.labels or []):
        names[index + (background is not None and index >= background)] = name
    return names
