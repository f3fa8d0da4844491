"""Pydantic's errors in the words of a suite's author."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from harness.params import Params
from harness.validation import problems_of, split


class Round(Params):
    kind: Literal["round"]
    radius: float = 1


class Square(Params):
    kind: Literal["square"]
    side: float = 1


Shape = Annotated[Round | Square, Field(discriminator="kind")]


class Inner(Params):
    size: tuple[int, int]
    mode: Literal["fast", "slow"] = "fast"


class Outer(Params):
    inner: Inner | None = None
    many: list[Inner] = []
    shapes: tuple[Shape, ...] = ()
    labels: list[str] | str | None = None
    extra: dict[str, int] = {}
    low: float = 0
    high: float = 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("low exceeds high")
        return self


def problems(data, also=()):
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return list(problems_of(caught.value, Outer, data, also))


INNER = {"size": [1, 2]}


@pytest.mark.parametrize(("data", "path", "message"), [
    ({"innr": 1}, ("innr",),
     'unknown key; did you mean "inner"? (known: also, extra, high, inner, labels, low, many, shapes)'),
    ({"als": 1}, ("als",), 'unknown key; did you mean "also"? '),
    ({"inner": {**INNER, "siez": 1}}, ("inner", "siez"), 'unknown key; did you mean "size"? (known: mode, size)'),
    ({"many": [INNER, {**INNER, "siez": 1}]}, ("many", 1, "siez"), 'unknown key; did you mean "size"? (known: mode, '),
    ({"shapes": [{"kind": "round", "side": 1}]}, ("shapes", 0, "side"), "unknown key (known: kind, radius)"),
    ({"shapes": [{"kind": "square", "sid": 1}]}, ("shapes", 0, "sid"), 'unknown key; did you mean "side"? (known: '),
    ({"shapes": [{"kind": "rund"}]}, ("shapes", 0, "kind"),
     '"rund" is not one of round, square; did you mean "round"?'),
    ({"shapes": [{"radius": 1}]}, ("shapes", 0), "needs the key 'kind'"),
    ({"shapes": [{"kind": "round", "radius": "big"}]}, ("shapes", 0, "radius"), "input should be a valid number, "),
    ({"shapes": 3}, ("shapes",), "input should be a valid list (it is 3)"),
    ({"inner": {}}, ("inner", "size"), "is required"),
    ({"inner": 3}, ("inner",), "input should be a valid table or instance of Inner (it is 3)"),
    ({"inner": {"size": [1]}}, ("inner", "size", 1), "is required"),
    ({"inner": {**INNER, "mode": "fats"}}, ("inner", "mode"), '"fats" is not one of fast, slow; did you mean "fast"?'),
    ({"many": [{}]}, ("many", 0, "size"), "is required"),
    ({"extra": {"a": 1, "b": "x"}}, ("extra", "b"), "input should be a valid integer"),
    ({"low": 2}, (), "low exceeds high"),
    ({"low": "x" * 99}, ("low",), "input should be a valid number, unable to parse string as a number (it is 'xxx"),
], ids=str)
def test_one_mistake(data, path, message):
    ((found, text),) = problems(data, ["also"])
    assert found == path
    assert text.startswith(message)
    assert len(text) < 160


@pytest.mark.parametrize("labels", [3, {"x": 3}, [1], [["x"]]])
def test_members_of_a_union_are_no_keys(labels):
    assert {path for path, _ in problems({"labels": labels})} <= {("labels",), ("labels", 0)}


def test_every_mistake_is_found():
    data = {"innr": 1, "inner": {"mode": "x", "siez": 1}, "low": "x", "shapes": [{"kind": "round", "sid": 1}, {}]}
    assert [path for path, _ in problems(data)] == [
        ("inner", "size"), ("inner", "mode"), ("inner", "siez"), ("shapes", 0, "sid"), ("shapes", 1), ("low",),
        ("innr",)]


def test_split():
    own, rest = split({"low": 1, "width": 2, "inner": None, "use": "x"}, Outer)
    assert (own, rest) == ({"low": 1, "inner": None}, {"width": 2, "use": "x"})
