"""What runs are told apart by, and which numbers they have: tables that the command line reads too, without the rest."""

from __future__ import annotations

from collections.abc import Mapping

MEMBERS: Mapping[str, str] = {
    "mode": "mode",
    "endpoint": "endpoint",
    "spec": "spec",
    "version": "harness version",
    "workload": "workload",
    "region": "region",
    "schedule": "schedule",
}
"""The members of a key, and what they are called."""
CONTRACT_MEMBERS = ("mode", "endpoint", "spec", "version")
"""Those on which depends what a provider is found to answer; the others only move its latencies."""
QUANTILES: Mapping[str, tuple[str, float]] = {
    "total p50": ("total", 0.5),
    "total p95": ("total", 0.95),
    "queue p50": ("queue", 0.5),
    "inference p50": ("inference", 0.5),
}
ERRORS, COST = "errors", "cost"
FEWEST_JOBS = {0.5: 2, 0.95: 20}
"""Jobs that a run needs for a quantile."""
ACROSS = tuple(member for member in MEMBERS if member != "mode")
"""What may differ between two runs if the user says so; the mode may not."""
MODES: Mapping[str, str] = {"live": "live", "simulate": "simulated", "replay": "replayed"}
"""What runs are called by where their answers came from."""
