"""Functions that make other metrics of metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from otelingest.codec.any_values import fill, read
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.expressions import Expression
from otelingest.ottl.functions.kinds import (
    ANY,
    STRING,
    WRITTEN_BOOL,
    WRITTEN_FLOAT,
    WRITTEN_STRING,
)
from otelingest.ottl.functions.registry import building, editor
from otelingest.ottl.item import Item
from otelingest.ottl.operators import equal
from otelingest.ottl.paths.metrics import KIND_NAMES, data_of

Edit = Callable[[Item], None]
METRIC = frozenset({"metric"})
DATA_POINT = frozenset({"datapoint"})
_FILTER = frozenset({"filter"})
_DELTA, _CUMULATIVE = 1, 2
_TEMPORALITIES = {"delta": _DELTA, "cumulative": _CUMULATIVE}
_DISTRIBUTIONS = ("histogram", "exponential_histogram", "summary")


def temporality_of(text: str) -> int:
    """Raises StatementError."""
    if text not in _TEMPORALITIES:
        raise StatementError(f"unknown aggregation temporality: {text}")
    return _TEMPORALITIES[text]


@editor("convert_sum_to_gauge", contexts=METRIC)
def _convert_sum_to_gauge() -> Edit:
    def run(item: Item) -> None:
        if item.metric.WhichOneof("data") == "sum":
            points = list(item.metric.sum.data_points)
            item.metric.gauge.data_points.extend(points)
            item.metric.gauge.SetInParent()

    return run


@editor("convert_gauge_to_sum", ("string_agg_temp", WRITTEN_STRING), ("monotonic", WRITTEN_BOOL), contexts=METRIC)
def _convert_gauge_to_sum(temporality: str, monotonic: bool) -> Edit:
    number = temporality_of(temporality)

    def run(item: Item) -> None:
        if item.metric.WhichOneof("data") == "gauge":
            points = list(item.metric.gauge.data_points)
            made = item.metric.sum
            made.data_points.extend(points)
            made.aggregation_temporality = number
            made.is_monotonic = monotonic

    return run


def _new_metric(item: Item, suffix: str, unit: str) -> Any:
    """An empty metric behind the others, named after the one at hand."""
    return item.scope_group.metrics.add(name=item.metric.name + suffix, description=item.metric.description, unit=unit)


def copy_point(source: Any, target: Any) -> None:
    """Attributes and times."""
    target.attributes.extend(source.attributes)
    target.start_time_unix_nano = source.start_time_unix_nano
    target.time_unix_nano = source.time_unix_nano


def _requires_distribution(name: str, item: Item) -> str:
    kind: str | None = item.metric.WhichOneof("data")
    if kind not in _DISTRIBUTIONS:
        raise OttlError(
            f"{name} requires an input metric of type Histogram, ExponentialHistogram or Summary, got "
            f"{KIND_NAMES[kind]}"
        )
    assert kind is not None
    return kind


def _extracted(item: Item, name: str, suffix: str, unit: str, points: list[Any], monotonic: bool) -> Any:
    """A sum with a point for each of the given ones; none where there are none."""
    kind = _requires_distribution(name, item)
    if not points:
        return None
    data = data_of(item.metric)
    metric = _new_metric(item, suffix, unit)
    metric.sum.aggregation_temporality = _CUMULATIVE if kind == "summary" else data.aggregation_temporality
    metric.sum.is_monotonic = monotonic
    return metric.sum


@editor("extract_sum_metric", ("monotonic", WRITTEN_BOOL), ("suffix", WRITTEN_STRING, "_sum"), contexts=METRIC)
def _extract_sum_metric(monotonic: bool, suffix: str) -> Edit:
    def run(item: Item) -> None:
        kind = _requires_distribution("extract_sum_metric", item)
        points = [point for point in data_of(item.metric).data_points if kind == "summary" or point.HasField("sum")]
        made = _extracted(item, "extract_sum_metric", suffix, item.metric.unit, points, monotonic)
        for point in points:
            new = made.data_points.add(as_double=point.sum)
            copy_point(point, new)

    return run


@editor("extract_count_metric", ("monotonic", WRITTEN_BOOL), ("suffix", WRITTEN_STRING, "_count"), contexts=METRIC)
def _extract_count_metric(monotonic: bool, suffix: str) -> Edit:
    def run(item: Item) -> None:
        _requires_distribution("extract_count_metric", item)
        points = list(data_of(item.metric).data_points)
        made = _extracted(item, "extract_count_metric", suffix, "1", points, monotonic)
        for point in points:
            new = made.data_points.add(as_int=signed(point.count))
            copy_point(point, new)

    return run


def signed(count: int) -> int:
    """An unsigned number of 64 bits as a signed one."""
    return count - (1 << 64) if count >> 63 else count


def _convert_summary(value: Callable[[Any], dict[str, Any]]) -> Callable[[str, bool, str], Edit]:
    def build(temporality: str, monotonic: bool, suffix: str) -> Edit:
        number = temporality_of(temporality)

        def run(item: Item) -> None:
            if item.metric.WhichOneof("data") != "summary":
                return
            metric = _new_metric(item, suffix, item.metric.unit)
            metric.sum.aggregation_temporality = number
            metric.sum.is_monotonic = monotonic
            for point in item.metric.summary.data_points:
                copy_point(point, metric.sum.data_points.add(**value(point)))

        return run

    return build


for _name, _suffix, _value in (
    ("convert_summary_count_val_to_sum", "_count", lambda point: {"as_int": signed(point.count)}),
    ("convert_summary_sum_val_to_sum", "_sum", lambda point: {"as_double": point.sum}),
):
    editor(
        _name,
        ("string_agg_temp", WRITTEN_STRING),
        ("monotonic", WRITTEN_BOOL),
        ("suffix", WRITTEN_STRING, _suffix),
        contexts=DATA_POINT,
    )(_convert_summary(_value))


@editor(
    "convert_summary_quantile_val_to_gauge",
    ("attribute_key", WRITTEN_STRING, "quantile"),
    ("suffix", WRITTEN_STRING, ".quantiles"),
    contexts=METRIC,
)
def _convert_summary_quantiles(key: str, suffix: str) -> Edit:
    def run(item: Item) -> None:
        if item.metric.WhichOneof("data") != "summary":
            return
        metric = _new_metric(item, suffix, item.metric.unit)
        metric.gauge.SetInParent()
        for point in item.metric.summary.data_points:
            for quantile in point.quantile_values:
                new = metric.gauge.data_points.add(as_double=quantile.value)
                copy_point(point, new)
                put_attribute(new, key, quantile.quantile)

    return run


def put_attribute(point: Any, key: str, value: Any) -> None:
    found = next((entry for entry in point.attributes if entry.key == key), None)
    fill((found or point.attributes.add(key=key)).value, value)


@editor(
    "copy_metric",
    ("name", STRING, None),
    ("description", STRING, None),
    ("unit", STRING, None),
    contexts=METRIC,
)
def _copy_metric(name: Expression | None, description: Expression | None, unit: Expression | None) -> Edit:
    """Copies are not copied again by the statement that made them: it would never end."""

    def run(item: Item) -> None:
        made = item.copied.setdefault(run, set())
        if item.metric_index in made:
            return
        changes = {
            key: expression.get(item)
            for key, expression in (("name", name), ("description", description), ("unit", unit))
            if expression is not None
        }
        metrics = item.scope_group.metrics
        made.add(len(metrics))
        copy = metrics.add()
        copy.CopyFrom(item.metric)
        for key, value in changes.items():
            setattr(copy, key, value)

    return run


@editor("scale_metric", ("multiplier", WRITTEN_FLOAT), ("unit", STRING, None), contexts=METRIC)
def _scale_metric(factor: float, unit: Expression | None) -> Edit:
    def run(item: Item) -> None:
        kind = item.metric.WhichOneof("data")
        if kind not in _SCALERS:
            raise OttlError(f"unsupported metric type: '{KIND_NAMES[kind]}'")
        text = None if unit is None else unit.get(item)
        for point in data_of(item.metric).data_points:
            _SCALERS[kind](point, factor)
        if text is not None:
            item.metric.unit = text

    return run


def _scale_number(point: Any, factor: float) -> None:
    kind = point.WhichOneof("value")
    if kind == "as_double":
        point.as_double *= factor
    elif kind == "as_int":
        point.as_int = int(point.as_int * factor)


def _scale_histogram(point: Any, factor: float) -> None:
    for name in ("sum", "min", "max"):
        if point.HasField(name):
            setattr(point, name, getattr(point, name) * factor)
    point.explicit_bounds[:] = [bound * factor for bound in point.explicit_bounds]
    for exemplar in point.exemplars:
        _scale_number(exemplar, factor)


def _scale_summary(point: Any, factor: float) -> None:
    point.sum *= factor
    for quantile in point.quantile_values:
        quantile.value *= factor


_SCALERS: dict[str | None, Callable[[Any, float], None]] = {
    "gauge": _scale_number,
    "sum": _scale_number,
    "histogram": _scale_histogram,
    "summary": _scale_summary,
}


# ---- converters of filters


def points_of(item: Item) -> Iterator[Any]:
    data = data_of(item.metric)
    return iter(()) if data is None else iter(data.data_points)


@building("HasAttrKeyOnDatapoint", ("key", STRING), pure=False, contexts=METRIC, only_in=_FILTER)
def _has_key(key: Expression) -> Callable[[Item], bool]:
    def test(item: Item) -> bool:
        name = key.get(item)
        return any(entry.key == name for point in points_of(item) for entry in point.attributes)

    return test


@building("HasAttrOnDatapoint", ("key", STRING), ("expected_val", ANY), pure=False, contexts=METRIC, only_in=_FILTER)
def _has_attribute(key: Expression, value: Expression) -> Callable[[Item], bool]:
    def test(item: Item) -> bool:
        name, wanted = key.get(item), value.get(item)
        return any(
            entry.key == name and equal(read(entry.value), wanted)
            for point in points_of(item)
            for entry in point.attributes
        )

    return test
