"""Declarations of the localization metrics."""

from __future__ import annotations

from harness.api import MetricSpec

TASKS = frozenset({"classification"})

METRICS: tuple[MetricSpec, ...] = ()
