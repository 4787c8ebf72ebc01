"""Metric families as an exposition has them: what writers write, whoever has measured it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from otelingest.prometheus.names import Kind

Labels = tuple[tuple[str, str], ...]
"""Names and values, sorted by name, each name once."""


class Exemplar(NamedTuple):
    """An example of what was measured. time: ns since 1970."""

    labels: Labels
    value: float
    time: int


class Bucket(NamedTuple):
    """How many measurements were at most `bound`."""

    bound: float
    cumulative: int
    exemplar: Exemplar | None = None


class Distribution(NamedTuple):
    """A histogram with buckets of given bounds, which ascend. The bucket of +Inf may be left out.

    total: how many measurements there were.
    """

    buckets: Sequence[Bucket]
    total: int
    sum: float


class Quantiles(NamedTuple):
    """A summary: (quantile, value), ascending."""

    values: Sequence[tuple[float, float]]
    total: int
    sum: float


class NativeHistogram(NamedTuple):
    """A histogram with exponential buckets: only the protobuf format has them; in text they are total and sum.

    positive, negative: counts by the bucket's index (Prometheus', which is OpenTelemetry's plus one).
    """

    schema: int
    zero_threshold: float
    zero_count: int
    positive: dict[int, int]
    negative: dict[int, int]
    total: int
    sum: float
    exemplars: Sequence[Exemplar] = ()


Value = float | Distribution | Quantiles | NativeHistogram


class Point(NamedTuple):
    """One series of a family, and what it is now.

    time: ms since 1970, None for the time of the scrape. exemplar: a counter's. start: ns since 1970, 0 if unknown.
    """

    labels: Labels
    value: Value
    time: int | None = None
    exemplar: Exemplar | None = None
    start: int = 0


class Family(NamedTuple):
    """Points of one name. unit: only shown, never appended to the name."""

    name: str
    kind: Kind
    help: str
    points: Sequence[Point]
