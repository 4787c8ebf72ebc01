"""All modules that define functions. They are imported by those who have statements, not by everyone."""

from __future__ import annotations

import importlib

MODULES = (
    "checks",
    "conversions",
    "editors",
    "hashing",
    "histograms",
    "lambdas",
    "lists",
    "logs",
    "maps",
    "metrics",
    "metrics_aggregation",
    "network",
    "numbers",
    "parsing",
    "patterns",
    "spans",
    "text",
    "times",
    "urls",
    "xml",
    "xml_paths",
)


def load() -> None:
    """Have every function registered."""
    for name in MODULES:
        importlib.import_module(f"otelingest.ottl.functions.{name}")
