"""OTLP/HTTP: what is answered to what, and what reaches the pipelines."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otelingest.net.auth import Unauthenticated
from otelingest.net.status import REJECTED_KEY, partial_success
from otelingest.pipeline.errors import ConfigError, Partial, Refused, Rejected
from otelingest.pipeline.payload import Signal
from tests.net.support import TLS, Client, ask, client_tls, request
from tests.net.test_http2 import H2
from tests.support.otlp import call, captures, recorded, traces

PROTOBUF, JSON = "application/x-protobuf", "application/json"
SPAN = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}'
LOG = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a"}}]}]}]}'
SQUEEZE = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}
METRIC = b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"asInt":1}]}}]}]}]}'


def post(body: bytes, content_type: str = PROTOBUF, **headers: str) -> bytes:
    path = headers.pop("path", "/v1/traces")
    return request(body, path=path, content_type=content_type, **headers)


async def test_protobuf_reaches_the_pipeline_byte_for_byte(receive: Any) -> None:
    running = await receive(http={})
    body = traces(3)
    answer = await ask(running.http, post(body))
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, PROTOBUF, b"\x0a\x00")
    (payload,) = running.sink.payloads
    assert (payload.signal, payload.chunks, payload.items) == (Signal.TRACES, (body,), 3)
    assert payload.context.peer == "127.0.0.1"


@pytest.mark.parametrize(
    ("path", "body", "signal"),
    [
        ("/v1/traces", SPAN, Signal.TRACES),
        ("/v1/metrics", METRIC, Signal.METRICS),
        ("/v1/logs", LOG, Signal.LOGS),
    ],
)
async def test_json_of_every_signal_becomes_protobuf(receive: Any, path: str, body: bytes, signal: Signal) -> None:
    running = await receive(http={})
    answer = await ask(running.http, post(body, JSON, path=path))
    assert (answer.status, answer.headers["content-type"]) == (200, JSON)
    assert json.loads(answer.body) == {"partialSuccess": {}}
    (payload,) = running.sink.payloads
    assert (payload.signal, payload.items) == (signal, 1)
    assert payload.message().ByteSize() == payload.size


async def test_a_request_without_items_does_not_bother_the_pipeline(receive: Any) -> None:
    running = await receive(http={})
    running.sink.error = RuntimeError("bothered")
    assert (await ask(running.http, post(b""))).status == 200
    assert (await ask(running.http, post(b"{}", JSON))).status == 200


@pytest.mark.parametrize("size", [10, 2000])  # the larger one is read in a thread
async def test_compressed_bodies_of_any_size_arrive(receive: Any, size: int) -> None:
    running = await receive(http={})
    body = traces(size)
    assert (await ask(running.http, post(gzip.compress(body), content_encoding="gzip"))).status == 200
    assert running.sink.payloads[0].chunks == (body,)


@pytest.mark.parametrize(
    ("raw", "status", "text"),
    [
        (request(method="GET", content_type=PROTOBUF), 405, b"405 method not allowed, supported: [POST]"),
        (
            post(b"", "text/plain"),
            415,
            b"415 unsupported media type, supported: [application/json, application/x-protobuf]",
        ),
        (post(b"", path="/nowhere"), 404, b"404 page not found\n"),
        (post(b"", path="/V1/TRACES"), 404, b"404 page not found\n"),
        (post(b"", path="/v1/traces/v1/traces"), 404, b"404 page not found\n"),
    ],
)
async def test_what_is_no_otlp_request_is_named(receive: Any, raw: bytes, status: int, text: bytes) -> None:
    answer = await ask((await receive(http={})).http, raw)
    assert (answer.status, answer.body, answer.headers["content-type"][:10]) == (status, text, "text/plain")
    assert status != 405 or answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "path", ["/v1/traces/", "//v1/traces", "/v1/x/../traces", "/v1/%74races", "/v1/traces?a=b", "http://host/v1/traces"]
)
async def test_paths_written_a_little_differently_are_served(receive: Any, path: str) -> None:
    running = await receive(http={})
    assert (await ask(running.http, post(SPAN, JSON, path=path))).status == 200
    assert len(running.sink.payloads) == 1


@pytest.mark.parametrize("content_type", ["APPLICATION/JSON", "application/json; charset=utf-8", "application/json;"])
async def test_content_types_may_have_parameters_and_any_case(receive: Any, content_type: str) -> None:
    answer = await ask((await receive(http={})).http, post(SPAN, content_type))
    assert (answer.status, answer.headers["content-type"]) == (200, JSON)


async def test_own_paths_replace_the_defaults(receive: Any) -> None:
    paths = {"traces_url_path": "spans", "logs_url_path": "/otlp/logs/"}
    running = await receive(http=paths)
    assert (await ask(running.http, post(SPAN, JSON, path="/spans"))).status == 200
    assert (await ask(running.http, post(SPAN, JSON))).status == 404
    assert (await ask(running.http, post(LOG, JSON, path="/otlp/logs/deeper"))).status == 200


async def test_signals_without_a_pipeline_are_not_served(receive: Any) -> None:
    running = await receive(http={}, signals={Signal.TRACES})
    assert (await ask(running.http, post(LOG, JSON, path="/v1/logs"))).status == 404


# Saying no.


def status_of(answer: Any) -> dict[str, Any]:
    if answer.headers["content-type"] == JSON:
        return dict(json.loads(answer.body))
    # google.rpc.Status: code, then message
    assert answer.body[0] == 8
    return {"code": answer.body[1], "message": answer.body[4 : 4 + answer.body[3]].decode()}


@pytest.mark.parametrize(("body", "content_type"), [(b"\xff", PROTOBUF), (b"{", JSON), (b"", JSON)])
async def test_unreadable_data_is_a_400_in_its_own_encoding(receive: Any, body: bytes, content_type: str) -> None:
    answer = await ask((await receive(http={})).http, post(body, content_type))
    assert (answer.status, answer.headers["content-type"], status_of(answer)["code"]) == (400, content_type, 3)


@pytest.mark.parametrize(
    ("body", "content_type", "hint"),
    [
        (SPAN, PROTOBUF, "set Content-Type: application/json"),
        (gzip.compress(SPAN, mtime=0), JSON, "set Content-Encoding: gzip"),
        (LOG, JSON, "/v1/logs"),
    ],
)
async def test_common_mistakes_get_a_hint(receive: Any, body: bytes, content_type: str, hint: str) -> None:
    answer = await ask((await receive(http={})).http, post(body, content_type))
    assert answer.status == 400
    assert hint in answer.body.decode("utf-8", "replace")


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize(
    ("error", "status", "code", "message", "wait"),
    [
        (Refused("full"), 503, 14, "full", "1"),
        (Refused("full", retry_after=1.2), 503, 14, "full", "2"),
        (Refused("slow down", retry_after=0.5, code=8), 429, 8, "slow down", "1"),
        (Rejected("bad"), 500, 13, "Permanent error: bad", None),
        (Rejected("bad", code=3), 400, 3, "bad", None),
        (Rejected("no", code=7), 403, 7, "no", None),
        (RuntimeError("secret"), 500, 13, "internal error", None),
    ],
)
async def test_errors_of_the_pipeline_become_answers(
    receive: Any, content_type: str, error: Exception, status: int, code: int, message: str, wait: str | None
) -> None:
    running = await receive(http={})
    running.sink.error = error
    answer = await ask(running.http, post(traces(1) if content_type == PROTOBUF else SPAN, content_type))
    assert (answer.status, answer.headers.get("retry-after")) == (status, wait)
    assert (status_of(answer)["code"], status_of(answer)["message"]) == (code, message)
    assert len(running.log.messages("error")) == isinstance(error, RuntimeError)


async def test_a_loss_in_json_is_told_as_a_partial_success(receive: Any) -> None:
    running = await receive(http={})
    body = b'{"ResourceSpans":[]}'  # the wrong case: all of it is ignored
    answer = await ask(running.http, post(body, JSON))
    assert answer.status == 200
    assert "ResourceSpans" in json.loads(answer.body)["partialSuccess"]["errorMessage"]
    assert running.log.messages("warning") == ["An OTLP/JSON request was read with a loss"]


async def test_what_someone_further_on_left_out_is_told(receive: Any) -> None:
    running = await receive(http={})
    running.sink.partial = Partial(2, "too long")
    answer = await ask(running.http, post(traces(3)))
    assert (answer.status, answer.body) == (200, partial_success(2, "too long"))
    running.sink.partial = Partial(2)
    for signal, sent in (("traces", SPAN), ("metrics", METRIC), ("logs", LOG)):
        body = json.dumps({"partialSuccess": {REJECTED_KEY[signal]: "2"}}, separators=(",", ":")).encode()
        answer = await ask(running.http, post(sent, JSON, path=f"/v1/{signal}"))
        assert (answer.status, answer.body) == (200, body)
    assert len(running.sink.payloads) == 4


async def test_a_failed_decoding_is_told_in_the_requests_encoding(receive: Any) -> None:
    running = await receive(http={})
    answer = await ask(running.http, post(b"no", JSON, content_encoding="gzip"))
    assert (answer.status, json.loads(answer.body)) == (400, {"code": 3, "message": "gzip: invalid header"})
    answer = await ask(running.http, request(b"no", content_encoding="br"))
    assert json.loads(answer.body)["message"] == "unsupported Content-Encoding: br"


async def test_codings_can_be_limited(receive: Any) -> None:
    running = await receive(http={"compression_algorithms": ["zstd", "brotli"]})
    answer = await ask(running.http, post(gzip.compress(SPAN, mtime=0), JSON, content_encoding="gzip"))
    assert answer.status == 400
    assert (await ask(running.http, post(SPAN, JSON))).status == 200
    reason = "compression_algorithms that are not known: brotli"
    assert running.log.lines[0] == ("warning", "A setting is without effect", {"protocol": "http", "reason": reason})


# Who sent it.


class Token:
    challenge = "Custom"

    async def authenticate(self, headers: Any) -> dict[str, Any]:
        if headers.get("x-key") != ("right",):
            raise Unauthenticated("wrong key")
        return {"project_id": "p"}


async def test_the_authenticator_decides_and_its_attributes_travel(receive: Any) -> None:
    running = await receive(http={"auth": {"authenticator": "keys"}}, extensions={"keys": Token()})
    answer = await ask(running.http, post(SPAN, JSON))
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Custom")
    assert json.loads(answer.body) == {"code": 16, "message": "wrong key"}
    assert (await ask(running.http, post(SPAN, JSON, x_key="right"))).status == 200
    assert running.sink.payloads[0].context.auth == {"project_id": "p"}
    assert running.sink.payloads[0].context.metadata == {}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
async def test_an_authenticator_must_be_there_and_be_one(receive: Any, protocol: str) -> None:
    with pytest.raises(ConfigError, match='failed to resolve authenticator "keys": authenticator not found'):
        await receive(**{protocol: {"auth": {"authenticator": "keys"}}})
    with pytest.raises(ConfigError, match="requested authenticator is not a server authenticator"):
        await receive(**{protocol: {"auth": {"authenticator": "keys"}}}, extensions={"keys": object()})
    with pytest.raises(ConfigError, match='failed to resolve authenticator "": authenticator not found'):
        await receive(**{protocol: {"auth": {}}})


async def test_headers_are_kept_only_when_wanted(receive: Any) -> None:
    running = await receive(http={"include_metadata": True})
    await ask(running.http, post(SPAN, JSON, x_team="red"))
    metadata = running.sink.payloads[0].context.metadata
    assert metadata["x-team"] == ("red",)
    assert metadata["host"] == ("h",)


# Ports mixed up.


async def test_grpc_on_the_http_port_is_told_where_to_go(receive: Any) -> None:
    running = await receive(http={}, grpc={})
    client = await H2.connect(running.http)
    headers, body = await client.post(b"\0\0\0\0\0", "/x.y/Export", **{"content-type": "application/grpc"})
    assert (headers["content-type"], headers["grpc-status"], body) == ("application/grpc", "12", b"")
    assert running.grpc in headers["grpc-message"]
    await client.post(b"\0\0\0\0\0", "/x.y/Export", **{"content-type": "application/grpc"})
    assert running.log.messages("warning") == ["A client sends gRPC to the HTTP port"]
    client.client.close()


async def test_otlp_over_http2_is_served(receive: Any) -> None:
    running = await receive(http={})
    client = await H2.connect(running.http)
    headers, body = await client.post(traces(1), "/v1/traces", **{"content-type": PROTOBUF})
    assert (headers[":status"], body) == ("200", b"\x0a\x00")
    assert ExportTraceServiceResponse.FromString(body) == ExportTraceServiceResponse(partial_success={})
    assert len(running.sink.payloads) == 1
    client.client.close()


async def test_tls_is_served(receive: Any) -> None:
    certificate = {"cert_file": str(TLS / "server.pem"), "key_file": str(TLS / "server.key")}
    running = await receive(http={"tls": certificate})
    answer = await ask(running.http, post(SPAN, JSON), ssl=client_tls(), server_hostname="localhost")
    assert answer.status == 200


# Real clients.


@pytest.mark.parametrize("folder", captures(), ids=lambda folder: folder.name)
async def test_what_real_clients_sent_is_taken(receive: Any, folder: Path) -> None:
    running = await receive(http={}, grpc={})
    items = 0
    for sent, body in recorded(folder):
        fields = {name.lower(): value for name, value in sent["headers"].items()}
        if sent["protocol"] == "grpc":
            await asyncio.to_thread(call, running.grpc, body, method=sent["path"])
        else:
            coding = fields.get("content-encoding", "")
            headers = {"content_encoding": coding} if coding else {}
            wire = SQUEEZE[coding](body)
            answer = await ask(running.http, post(wire, fields["content-type"], path=sent["path"], **headers))
            assert answer.status == 200, answer
        (payload,) = running.sink.payloads
        assert body == payload.chunks[0] or "json" in sent["protocol"]
        items += payload.items
        running.sink.payloads.clear()
    assert items > 0


# Life.


async def test_the_log_names_the_bound_address(receive: Any) -> None:
    running = await receive(http={}, grpc={})
    lines = [(message, values) for level, message, values in running.log.lines if level == "info"]
    assert lines == [
        ("Starting GRPC server", {"endpoint": running.grpc}),
        ("Starting HTTP server", {"endpoint": running.http}),
    ]
    assert not running.http.endswith(":0")


async def test_a_port_in_use_stops_the_start_and_leaves_nothing(receive: Any) -> None:
    first = await receive(http={})
    with pytest.raises(ConfigError) as error:
        await receive(grpc={}, http={"endpoint": first.http})
    assert str(error.value) == f"listen tcp {first.http}: bind: address already in use"
    await receive(http={})


async def test_stop_answers_what_has_been_begun(receive: Any) -> None:
    running = await receive(http={})
    running.sink.go.clear()
    client = await Client.connect(running.http)
    client.writer.write(post(SPAN, JSON))
    await running.sink.arrived.wait()
    stopping = asyncio.create_task(running.stop())
    await asyncio.sleep(0.05)
    running.sink.go.set()
    assert (await client.read()).status == 200
    await stopping


async def test_stop_is_safe_without_start(tmp_path: Path) -> None:
    from otelingest.config.settings import ComponentId
    from otelingest.pipeline.component import Env
    from otelingest.receivers.otlp import OtlpReceiver
    from tests.net.support import Log

    settings = OtlpReceiver.Settings.model_validate({"protocols": {"http": None}})
    await OtlpReceiver(settings, Env(ComponentId("otlp"), Log()), {}).stop()  # type: ignore[arg-type]


async def test_counts_are_kept_by_signal_and_outcome(receive: Any) -> None:
    running = await receive(http={})
    await ask(running.http, post(traces(3)))
    running.sink.error = Refused("full")
    await ask(running.http, post(traces(2)))
    series = {(s.instrument.name, s.labels["transport"]): s.value for s in running.receiver.metrics()}
    assert series == {
        ("otelcol_receiver_accepted_spans", "http"): 3,
        ("otelcol_receiver_refused_spans", "http"): 2,
        ("otelcol_receiver_failed_spans", "http"): 0,
    }
