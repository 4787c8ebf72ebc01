"""`routing`: which pipeline gets what, by resource, by item and by request."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.config.settings import ComponentId
from otelingest.connectors.routing import RoutingConnector
from otelingest.pipeline.component import Env, Ways
from otelingest.pipeline.errors import ConfigError, Partial, Refused, Rejected
from otelingest.pipeline.payload import Context, Payload, Signal
from tests.connectors.support import Log, Sink
from tests.processors.support import make_settings, payload

PIPELINES = {Signal.TRACES: "traces/{}", Signal.METRICS: "metrics/{}", Signal.LOGS: "logs/{}"}


def routing(
    signal: Signal, settings: dict[str, Any], log: Log | None = None
) -> tuple[RoutingConnector, dict[str, Sink]]:
    """A connector before the pipelines a, b and c of a signal."""
    sinks = {name: Sink() for name in "abc"}
    ways = Ways({signal: Sink()}, {PIPELINES[signal].format(name): sink for name, sink in sinks.items()})
    env = Env(ComponentId("routing"), log or Log(), frozenset({signal}))  # type: ignore[arg-type]
    return RoutingConnector(make_settings(RoutingConnector, settings), env, ways), sinks


def to(signal: Signal, *names: str) -> list[str]:
    return [PIPELINES[signal].format(name) for name in names]


def logs(context: Context = Context()) -> Payload:  # noqa: B008
    """Records `1.INFO`, `1.ERROR` of tenant one and `2.INFO` of tenant two."""
    groups = []
    for tenant, severities in (("1", ("INFO", "ERROR")), ("2", ("INFO",))):
        records = [{"severityText": text, "body": {"stringValue": f"{tenant}.{text}"}} for text in severities]
        resource = {"attributes": [{"key": "tenant", "value": {"stringValue": tenant}}]}
        groups.append({"resource": resource, "scopeLogs": [{"scope": {"name": "s"}, "logRecords": records}]})
    return payload(Signal.LOGS, {"resourceLogs": groups}, context)


def bodies(sink: Sink) -> list[str]:
    return [
        record.body.string_value
        for each in sink.payloads
        for group in each.message().resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    ]


async def routed(table: list[dict[str, Any]], default: str = "c", sent: Payload | None = None, **more: Any) -> Any:
    """The bodies of records that each pipeline gets. Targets are written as letters."""
    lines = [{**line, "pipelines": to(Signal.LOGS, *line["pipelines"])} for line in table]
    settings = {"table": lines, "default_pipelines": to(Signal.LOGS, *default), **more}
    connector, sinks = routing(Signal.LOGS, settings)
    await connector.consume(sent or logs())
    return {name: bodies(sink) for name, sink in sinks.items() if sink.payloads}


ONE = 'attributes["tenant"] == "1"'
ERROR = 'severity_text == "ERROR"'


async def test_by_resource_and_what_no_line_means_goes_to_the_default() -> None:
    assert await routed([{"condition": ONE, "pipelines": "a"}]) == {"a": ["1.INFO", "1.ERROR"], "c": ["2.INFO"]}


async def test_without_a_default_the_rest_is_dropped() -> None:
    assert await routed([{"condition": ONE, "pipelines": "a"}], default="") == {"a": ["1.INFO", "1.ERROR"]}


async def test_by_item_within_a_resource() -> None:
    found = await routed([{"context": "log", "condition": ERROR, "pipelines": "a"}])
    assert found == {"a": ["1.ERROR"], "c": ["1.INFO", "2.INFO"]}


async def test_what_is_moved_is_gone_for_later_lines_and_what_is_copied_is_not() -> None:
    lines = [{"context": "log", "condition": ERROR, "pipelines": "a"}, {"condition": ONE, "pipelines": "b"}]
    assert await routed(lines) == {"a": ["1.ERROR"], "b": ["1.INFO"], "c": ["2.INFO"]}
    lines[0]["action"] = "copy"
    assert await routed(lines) == {"a": ["1.ERROR"], "b": ["1.INFO", "1.ERROR"], "c": ["2.INFO"]}


async def test_several_pipelines_and_several_lines_for_the_same() -> None:
    lines = [{"context": "log", "condition": ERROR, "pipelines": "ab"}, {"condition": ONE, "pipelines": "ab"}]
    assert await routed(lines) == {"a": ["1.ERROR", "1.INFO"], "b": ["1.ERROR", "1.INFO"], "c": ["2.INFO"]}


async def test_the_older_form_of_a_condition() -> None:
    assert await routed([{"statement": f"route() where {ONE}", "pipelines": "a"}], default="") == {
        "a": ["1.INFO", "1.ERROR"]
    }
    assert len((await routed([{"statement": "route()", "pipelines": "a"}]))["a"]) == 3


@pytest.mark.parametrize(
    ("condition", "tenant", "target"),
    [
        ('request["X-Tenant"] == "acme"', ("acme",), "a"),
        ('request["X-Tenant"] == "acme"', ("other", "acme"), "a"),
        ('request["X-Tenant"] == "acme"', ("other",), "c"),
        ('request["X-Tenant"] != "acme"', ("other",), "a"),
        ('request["X-Tenant"] != "acme"', (), "c"),
    ],
)
async def test_by_request_and_nothing_is_decoded(condition: str, tenant: tuple[str, ...], target: str) -> None:
    sent = Payload(Signal.LOGS, (b"\xff\xff",), 3, Context(metadata={"x-tenant": tenant} if tenant else {}))
    table = [{"context": "request", "condition": condition, "pipelines": to(Signal.LOGS, "a")}]
    connector, sinks = routing(Signal.LOGS, {"table": table, "default_pipelines": to(Signal.LOGS, "c")})
    await connector.consume(sent)
    assert [name for name, sink in sinks.items() if sink.payloads] == [target]
    assert sinks[target].payloads[0].chunks == sent.chunks


async def test_data_points_of_a_metric_part_and_both_keep_the_metric() -> None:
    values = [
        {"asInt": str(number), "attributes": [{"key": "n", "value": {"intValue": str(number)}}]} for number in (1, 2)
    ]
    metrics = [{"name": "m", "unit": "s", "gauge": {"dataPoints": values}}, {"name": "none"}]
    sent = payload(Signal.METRICS, {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]})
    table = [{"context": "datapoint", "condition": 'attributes["n"] == 1', "pipelines": to(Signal.METRICS, "a")}]
    connector, sinks = routing(Signal.METRICS, {"table": table, "default_pipelines": to(Signal.METRICS, "b")})
    await connector.consume(sent)
    for name, value in (("a", 1), ("b", 2)):
        (part,) = sinks[name].payloads
        (metric,) = part.message().resource_metrics[0].scope_metrics[0].metrics
        assert (metric.name, metric.unit, [point.as_int for point in metric.gauge.data_points]) == ("m", "s", [value])
        assert part.items == 1


async def test_a_condition_that_fails_refuses_the_request_or_does_not_hold() -> None:
    broken = 'Len(attributes["tenant"]["x"]) > 1'
    with pytest.raises(Rejected, match="failed to eval condition"):
        await routed([{"condition": broken, "pipelines": "a"}])
    found = await routed([{"condition": broken, "pipelines": "a"}], error_mode="ignore")
    assert found == {"c": ["1.INFO", "1.ERROR", "2.INFO"]}


async def test_a_pipeline_that_refuses_is_heard_and_the_others_get_theirs() -> None:
    table = [{"condition": ONE, "pipelines": to(Signal.LOGS, "a")}]
    connector, sinks = routing(Signal.LOGS, {"table": table, "default_pipelines": to(Signal.LOGS, "c")})
    sinks["a"].fail_with = [Refused("full")]
    with pytest.raises(Refused, match="full"):
        await connector.consume(logs())
    assert bodies(sinks["c"]) == ["2.INFO"]


async def test_what_different_pipelines_leave_out_adds_up() -> None:
    table = [{"condition": ONE, "pipelines": to(Signal.LOGS, "a")}]
    connector, sinks = routing(Signal.LOGS, {"table": table, "default_pipelines": to(Signal.LOGS, "c")})

    async def leave_out(payload: Payload) -> Partial:
        return Partial(1, "bad")

    sinks["a"].consume = sinks["c"].consume = leave_out  # type: ignore[method-assign, assignment]
    assert await connector.consume(logs()) == Partial(2, "bad")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "the routing table is empty"),
        ({"table": [{"pipelines": ["logs/a"]}]}, "no condition or statement provided"),
        ({"table": [{"condition": ONE, "statement": "route()", "pipelines": ["logs/a"]}]}, "both condition and"),
        ({"table": [{"condition": ONE}]}, "no pipelines defined"),
        ({"table": [{"condition": ONE, "pipelines": ["logs/a"], "context": "cloud"}]}, "invalid context: cloud"),
        ({"table": [{"condition": ONE, "pipelines": ["logs/a"], "action": "drop"}]}, "invalid Action string: drop"),
        ({"table": [{"condition": ONE, "pipelines": ["logs/x"]}]}, r'missing consumer: "logs/x"; .*logs/a, logs/b'),
        ({"table": [{"condition": ONE, "pipelines": ["logs/a"]}], "default_pipelines": ["traces"]}, "traces"),
        ({"table": [{"condition": "nonsense(", "pipelines": ["logs/a"]}]}, "invalid syntax"),
        ({"table": [{"statement": "delete_key(attributes, 1)", "pipelines": ["logs/a"]}]}, "only route"),
        ({"table": [{"context": "span", "condition": ONE, "pipelines": ["logs/a"]}]}, 'context "span" is not one of'),
        ({"table": [{"context": "request", "condition": "x", "pipelines": ["logs/a"]}]}, "valid comparator"),
        ({"table": [{"context": "request", "condition": 'x == "1"', "pipelines": ["logs/a"]}]}, "must have format"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        routing(Signal.LOGS, settings)
