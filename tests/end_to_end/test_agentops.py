"""`config/agentops.yaml` beside a ClickHouse with AgentOps' tables: whose token it is, whose project the rows are."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
import jwt
import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelingest.codec.wire import length_delimited
from tests.support.agentops import PROJECT, SECRET, bearer, make_tables, own_collector, sdk_request, token
from tests.support.clickhouse import ask, eventually, rows
from tests.support.collector import CONFIG, CollectorProcess, free_ports, local
from tests.support.otlp import call, post, traces

_RSA = rsa.generate_private_key(65537, 2048)
FORGED = "0c26af2a-8bac-4809-8b30-433ae3850608"


@dataclass
class AgentOps:
    collector: CollectorProcess
    http: str
    grpc: str
    clickhouse: str

    def settle(self, spans: int) -> None:
        eventually(lambda: ask(self.clickhouse, "SELECT count() FROM otel_2.otel_traces").strip(), str(spans))


def collector(folder: Path, clickhouse: int, **environment: str) -> AgentOps:
    grpc_port, http, health = free_ports(3)
    overrides = {
        "receivers.otlp.protocols.grpc.endpoint": f"127.0.0.1:{grpc_port}",
        "receivers.otlp.protocols.http.endpoint": f"127.0.0.1:{http}",
        "extensions.health_check.endpoint": f"127.0.0.1:{health}",
        "processors.batch.timeout": "100ms",
    }
    process = CollectorProcess(
        (CONFIG / "agentops.yaml").read_text(),
        folder,
        args=tuple(f"--set={key}={value}" for key, value in overrides.items()),
        env={"JWT_SECRET": SECRET, "CLICKHOUSE_ENDPOINT": f"http://127.0.0.1:{clickhouse}"} | environment,
    )
    return AgentOps(process, f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc_port}", f"http://127.0.0.1:{clickhouse}")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    _, _, clickhouse, _ = ports = free_ports(4)
    with local(tmp_path_factory.mktemp("engine") / "here", *ports):
        yield clickhouse


@pytest.fixture
def agentops(engine: int, tmp_path: Path) -> Iterator[AgentOps]:
    """With AgentOps' own tables, which it may write and not change."""
    url = f"http://127.0.0.1:{engine}"
    make_tables(url)
    made = collector(tmp_path, engine, CLICKHOUSE_CREATE_SCHEMA="false")
    with made.collector:
        yield made


PROJECTS = "SELECT project_id, arrayJoin([ResourceAttributes['agentops.project.id'], ResourceAttributes['project_id'], \
ResourceAttributes['ProjectId']]) AS attribute, count() AS n FROM otel_2.otel_traces GROUP BY ALL"


def claiming(*attributes: Mapping[str, str], others: int = 0) -> bytes:
    """A request whose resource says these things of itself, one after the other."""
    message = ExportTraceServiceRequest.FromString(traces(1))
    resource = message.resource_spans[0].resource
    for number in range(others):
        resource.attributes.add(key=f"key.{number}").value.string_value = "x"
    for pairs in attributes:
        for key, value in pairs.items():
            resource.attributes.add(key=key).value.string_value = value
    return message.SerializeToString()


ALL = dict.fromkeys(("agentops.project.id", "project_id", "ProjectId"), FORGED)
_GROUP = ExportTraceServiceRequest.FromString(claiming(ALL)).resource_spans[0]
IN_TWO = length_delimited(1, length_delimited(1, _GROUP.resource.SerializeToString()) + _GROUP.SerializeToString())
"""A resource that comes twice in its group: protobuf says that it is one."""


def test_rows_are_the_tokens_project_whatever_the_data_says(agentops: AgentOps) -> None:
    path, body = sdk_request()
    assert b"temporary" in body
    assert post(agentops.http, body, path=path, headers=bearer(token())).status == 200
    forgeries = [claiming(), claiming(ALL), claiming(ALL, ALL, ALL), claiming(ALL, ALL, others=20), IN_TWO]
    for forgery in forgeries:
        assert post(agentops.http, forgery, headers=bearer(token())).status == 200
        call(agentops.grpc, forgery, metadata=tuple(bearer(token()).items()))
    agentops.settle(6 + 2 * len(forgeries))
    assert rows(agentops.clickhouse, PROJECTS) == [
        {"project_id": PROJECT, "attribute": PROJECT, "n": 3 * (6 + 2 * len(forgeries))}
    ]


def test_without_a_right_token_nothing_is_stored_and_nothing_secret_is_said(agentops: AgentOps) -> None:
    wrong = {
        "expired": token(exp=int(time.time()) - 1),
        "key": jwt.encode({"project_id": FORGED}, "another-secret-that-is-long-enough-too", "HS256"),
        "none": jwt.encode({"project_id": FORGED}, "", "none"),
        "claim": token(project_id=None),
        "not yet": token(nbf=int(time.time()) + 600),
        "other algorithm": jwt.encode({"project_id": FORGED}, _RSA, "RS256"),
    }
    for value in wrong.values():
        assert post(agentops.http, traces(1), headers=bearer(value)).status == 401
        with pytest.raises(grpc.RpcError) as refused:
            call(agentops.grpc, traces(1), metadata=tuple(bearer(value).items()))
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
    assert post(agentops.http, traces(1)).status == 401
    assert post(agentops.http, traces(2), headers=bearer(token())).status == 200
    agentops.settle(2)
    log = agentops.collector.log
    assert "Requests are refused: they do not show who may send" in log
    assert [secret for secret in (SECRET, *wrong.values()) if secret in log] == []


def test_agentops_questions_are_answered_by_what_was_written(agentops: AgentOps) -> None:
    path, body = sdk_request()
    post(agentops.http, body, path=path, headers=bearer(token()))
    agentops.settle(6)
    url = agentops.clickhouse
    # The list of traces: one line a trace, with its tokens, errors and tags.
    (trace,) = rows(
        url,
        f"""SELECT TraceId AS trace_id, any(ServiceName) AS service_name, count() AS span_count,
            anyIf(SpanName, ParentSpanId = '') AS root, countIf(upper(StatusCode) = 'ERROR') AS error_count,
            sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.prompt_tokens'])) AS prompt_tokens,
            sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.completion_tokens'])) AS completion_tokens,
            sum(toFloat64OrZero(SpanAttributes['gen_ai.usage.prompt_cost'])) AS prompt_cost,
            anyIf(SpanAttributes['agentops.tags'], SpanAttributes['agentops.tags'] != '') AS tags
            FROM otel_2.otel_traces WHERE project_id = '{PROJECT}' GROUP BY TraceId""",
    )
    assert (trace["span_count"], trace["root"], trace["error_count"]) == (6, "portal.session", 1)
    assert (trace["service_name"], trace["tags"]) == ("agentops", '["t1","t2"]')
    assert trace["prompt_tokens"] > 0
    assert trace["prompt_cost"] == pytest.approx(trace["prompt_tokens"] * 1.5e-7)
    # A trace in detail: the root comes first without being asked to, as rows lie by time within a project.
    detail = ask(url, f"SELECT SpanName, StatusCode FROM otel_2.otel_traces WHERE TraceId = '{trace['trace_id']}'")
    assert detail.splitlines()[0] == "portal.session\tUnset"
    assert {line.split("\t")[1] for line in detail.splitlines()} == {"Unset", "Ok", "Error"}
    # Its views, which an INSERT must feed.
    counts = "SELECT project_id, countMerge(span_count) AS n FROM otel_2.trace_span_counts GROUP BY project_id"
    assert rows(url, counts) == [{"project_id": PROJECT, "n": 6}]
    index = "SELECT project_id, count() AS n FROM otel_2.otel_traces_project_idx GROUP BY project_id"
    assert rows(url, index) == [{"project_id": PROJECT, "n": 6}]
    table = ask(url, "SHOW CREATE TABLE otel_2.otel_traces FORMAT TSVRaw")
    assert "ORDER BY (project_id, Timestamp)" in table
    assert "deduplication_window" not in table  # create_schema: false changes nothing


def test_without_tables_it_makes_them(engine: int, tmp_path: Path) -> None:
    ask(f"http://127.0.0.1:{engine}", "DROP DATABASE IF EXISTS otel_2")
    made = collector(tmp_path, engine)
    path, body = sdk_request()
    with made.collector:
        assert post(made.http, body, path=path, headers=bearer(token())).status == 200
        made.settle(6)
        assert rows(made.clickhouse, PROJECTS) == [{"project_id": PROJECT, "attribute": PROJECT, "n": 18}]


def test_its_own_configuration_runs_as_it_is(engine: int, tmp_path: Path) -> None:
    """Two files that are merged, thousands of statements, all of its components; only the ports are others here."""
    url = f"http://127.0.0.1:{engine}"
    make_tables(url)
    process, http, fluent = own_collector(tmp_path, url)
    path, body = sdk_request()
    with process:
        assert post(http, body, path=path, headers=bearer(token())).status == 200
        assert post(http, body, path=path).status == 401
        with socket.create_connection(("127.0.0.1", fluent)) as fluentd:
            fluentd.sendall(msgpack.packb(["api", int(time.time()), {"log": "hello", "container": "api"}]))
        eventually(lambda: ask(url, "SELECT count() FROM otel_2.otel_traces").strip(), "6")
        eventually(lambda: ask(url, "SELECT Body, LogAttributes['fluent.tag'] FROM otel_2.otel_logs"), "hello\tapi\n")
        assert process.stop() == 0
    (found,) = rows(
        url,
        """SELECT project_id, ResourceAttributes['ProjectId'] AS other, ResourceAttributes['host.name'] != '' AS named,
           max(SpanAttributes['gen_ai.usage.prompt_cost']) AS cost FROM otel_2.otel_traces GROUP BY ALL""",
    )
    assert found == {"project_id": PROJECT, "other": PROJECT, "named": 1, "cost": found["cost"]}
    assert float(found["cost"]) == pytest.approx(1200 * 1.5e-7)
    warned = [line.split("\t")[3] for line in process.lines if "\twarn\t" in line]
    assert not [line for line in warned if "jwtauthextension" in line]


def test_without_the_secret_it_says_what_is_missing(tmp_path: Path) -> None:
    made = collector(tmp_path, 1, JWT_SECRET="")
    made.collector.start(ready=None)
    assert made.collector.wait() == 1
    assert "no jwt secret provided for the JWT configuration" in made.collector.log
