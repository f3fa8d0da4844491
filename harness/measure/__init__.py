"""Latency: loops over real clocks, LoadGen's percentile rules, statistics whose unit is the round."""

from harness.measure.arrivals import open_loop, poisson_arrivals
from harness.measure.clocks import Clocks, Nanoseconds, collector_off
from harness.measure.loops import WarmUp, closed_loop, cold_start, settle, warm_up
from harness.measure.noise import Spin
from harness.measure.percentiles import MIN_QUERIES, early_stopping_estimate, early_stopping_queries, percentile
from harness.measure.summary import latency_result
from harness.measure.validity import invalidity

__all__ = [
    "MIN_QUERIES",
    "Clocks",
    "Nanoseconds",
    "Spin",
    "WarmUp",
    "closed_loop",
    "cold_start",
    "collector_off",
    "early_stopping_estimate",
    "early_stopping_queries",
    "invalidity",
    "latency_result",
    "open_loop",
    "percentile",
    "poisson_arrivals",
    "settle",
    "warm_up",
]
