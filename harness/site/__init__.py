"""Static pages over several runs: how numbers went over time, and what changed from one run to another."""
