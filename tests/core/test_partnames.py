"""Labels as parts of result names."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from harness.partnames import part_names

RESERVED = frozenset({"empty", "macro"})


def test_what_begins_a_part_or_a_parameter_is_replaced() -> None:
    assert part_names(["traffic light", "v1.5", "a@b", "tree"]) == ("traffic-light", "v1-5", "a-b", "tree")


def test_parts_of_the_metric_itself_are_not_taken() -> None:
    assert part_names(["empty", "full", "class-empty"], RESERVED) == ("class-empty", "full", "class-empty-2")


@given(st.lists(st.text(max_size=6) | st.sampled_from(["empty", "a b", "a.b", "a-b", "a-b-2", "class-empty"])))
def test_there_is_one_name_for_each_label(labels: list[str]) -> None:
    names = part_names(labels, RESERVED)
    assert len(names) == len(labels) == len(set(names))
    assert not RESERVED & {*names}
    assert not any(re.search(r"[.@\s]", name) for name in names)
