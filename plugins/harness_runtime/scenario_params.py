"""Parameters of the scenarios."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from harness.api import Params


class ClosedParams(Params):
    """Closed loops."""

    min_queries: int = Field(200, gt=0)
    """At least so many timed queries; p90 needs 64, p95 130, p99 662."""
    min_duration_s: float = Field(0.5, ge=0)
    """And at least so long."""
    max_duration_s: float = Field(60.0, gt=0)
    """Stop then in any case; with fewer than `min_queries` the measurement is not valid."""
    max_warmup_s: float = Field(5.0, gt=0)
    """Warm-up ends when latencies are steady, or then."""
    rounds: int = Field(15, gt=0)
    """Turns that the measurement is split into; between them the other latency cells of the bench have theirs."""
    percentile: float = Field(0.9, gt=0, lt=1)
    """It is valid when early stopping has enough queries for this percentile."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_duration_s > self.max_duration_s:
            raise ValueError(f"min_duration_s {self.min_duration_s:g} exceeds max_duration_s {self.max_duration_s:g}")
        return self


class SingleStreamParams(ClosedParams):
    """One query after the other."""


class MultiStreamParams(ClosedParams):
    """`batch` is the number of streams; LoadGen has 8."""

    min_queries: int = Field(700, gt=0)
    """At least so many timed queries; p99 needs 662."""
    percentile: float = Field(0.99, gt=0, lt=1)
    """It is valid when early stopping has enough queries for this percentile."""


class OfflineParams(ClosedParams):
    """Throughput."""

    min_queries: int = Field(64, gt=0)
    """At least so many batches."""
    min_duration_s: float = Field(1.0, ge=0)
    """And at least so long."""
    percentile: float = Field(0.5, gt=0, lt=1)
    """It is valid when early stopping has enough batches for this percentile."""


class ServerParams(Params):
    """Poisson arrivals."""

    target_qps: float = Field(gt=0)
    """Samples per second that arrive on average; with a larger batch, batches arrive the less often."""
    latency_bound_ms: float = Field(gt=0)
    """What the percentile must not exceed."""
    percentile: float = Field(0.99, gt=0, lt=1)
    """The share of queries that must be within the bound."""
    min_queries: int = Field(700, gt=0)
    """At least so many queries; p99 needs 459 of which none is late, and more with each late one."""
    min_duration_s: float = Field(1.0, ge=0)
    """And as many as arrive in this time on average."""
    max_duration_s: float = Field(120.0, gt=0)
    """Stop then in any case; what has arrived and is not served counts as later than any bound."""
    max_warmup_s: float = Field(5.0, gt=0)
    """Warm-up ends when latencies are steady, or then."""
    rounds: int = Field(5, gt=0)
    """Turns that the measurement is split into; each starts with an empty queue."""


class ColdStartParams(Params):
    """New sessions."""

    min_queries: int = Field(12, gt=0)
    """Sessions to open, one in each round; p50 needs 11."""
