"""The collector's own traces: which spans are made of a request, how they hang together, and where they go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from aiohttp import ClientSession
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelingest.config.settings import ComponentId
from otelingest.config.telemetry import TelemetrySettings
from otelingest.config.telemetry.traces import SpanSampler, TracesSettings
from otelingest.exporters.otlp_grpc import OtlpGrpcExporter
from otelingest.exporters.otlp_http import OtlpHttpExporter
from otelingest.net.status import Status
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.links import Meter
from otelingest.pipeline.metrics import Totals
from otelingest.pipeline.payload import Signal
from otelingest.pipeline.tracing import Kind, Scope, Span, SpanContext, Tracer
from otelingest.receivers.otlp import OtlpReceiver
from otelingest.telemetry import spans
from otelingest.telemetry.providers import Providers
from tests.exporters.otlp.support import NO_RETRY, Host, HttpAnswer, grpc_far_end, http_far_end
from tests.exporters.sending.support import traces_request
from tests.net.support import Log
from tests.support.otlp import TRACE_METHOD

TRACE, SPAN = "a" * 32, "b" * 16
PARENT = SpanContext(bytes.fromhex(TRACE), bytes.fromhex(SPAN), True, remote=True)
ROOT = b"\1" * 16
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def tracing(*propagators: str) -> tuple[Tracer, list[Span]]:
    tracer, found = Tracer(), list[Span]()
    tracer.use(found.append, spans.make_sampler(None), *spans.make_propagation(propagators))
    return tracer, found


@asynccontextmanager
async def pipeline(tracer: Tracer, kind: type[Any], keys: dict[str, Any]) -> AsyncIterator[OtlpReceiver]:
    """A receiver, as much of a processor as spans show, and an exporter."""
    host = Host()
    exporter = kind(
        kind.Settings.model_validate({**NO_RETRY, **keys}),
        Env(ComponentId("out"), Log(), frozenset({Signal.TRACES}), tracer=tracer),  # type: ignore[arg-type]
    )
    behind = Meter(exporter, tracer, "End processing.", "filter/x")
    before = Meter(behind, tracer, "Start processing.", "filter/x")
    ports = {"grpc": {"endpoint": "127.0.0.1:0"}, "http": {"endpoint": "127.0.0.1:0"}}
    receiver = OtlpReceiver(
        OtlpReceiver.Settings.model_validate({"protocols": ports}),
        Env(ComponentId("in"), Log(), tracer=tracer),  # type: ignore[arg-type]
        {Signal.TRACES: before},
    )
    await exporter.start(host)
    await receiver.start(host)
    try:
        yield receiver
    finally:
        host.stop_within(1)
        await receiver.stop()
        await exporter.stop()


async def post(receiver: OtlpReceiver, headers: dict[str, str]) -> int:
    url = f"http://{receiver.http_endpoint}/v1/traces"
    async with ClientSession() as session, session.post(url, data=traces_request(2), headers=headers) as answer:
        return answer.status


async def test_a_request_is_one_trace_from_its_sender_to_the_next_server() -> None:
    tracer, found = tracing("tracecontext", "b3")
    async with http_far_end() as far, pipeline(tracer, OtlpHttpExporter, {"endpoint": far.url}) as receiver:
        sent = {**PROTOBUF, "traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}
        assert await post(receiver, sent) == 200
        (_, headers, _) = far.requests[0]
    sending, exporting, receiving, serving = found
    assert [(span.name, span.kind) for span in (serving, receiving, exporting, sending)] == [
        ("POST /v1/traces", Kind.SERVER),
        ("receiver/in/TraceDataReceived", Kind.INTERNAL),
        ("exporter/out/traces", Kind.INTERNAL),
        ("HTTP POST", Kind.CLIENT),
    ]
    assert serving.parent == PARENT._replace(state="vendor=1")
    for parent, child in ((serving, receiving), (receiving, exporting), (exporting, sending)):
        assert child.parent == parent.context
        assert parent.begun <= child.begun <= child.ended <= parent.ended
    assert headers["traceparent"] == f"00-{TRACE}-{sending.context.span_id.hex()}-01"
    assert headers["tracestate"] == "vendor=1"
    assert (headers["x-b3-traceid"], headers["x-b3-sampled"]) == (TRACE, "1")
    assert receiving.attributes == {
        "transport": "http",
        "format": "protobuf",
        "accepted_spans": 2,
        "refused_spans": 0,
        "failed_spans": 0,
    }
    assert [(name, values) for _, name, values in receiving.events] == [
        ("Start processing.", {"processor": "filter/x"}),
        ("End processing.", {"processor": "filter/x"}),
    ]
    assert exporting.attributes == {"exporter": "out", "data_type": "traces", "items.sent": 2, "items.failed": 0}
    assert serving.attributes["http.response.status_code"] == sending.attributes["http.response.status_code"] == 200
    assert {span.failure for span in found} == {None}


async def test_a_failure_is_told_by_every_span_that_has_it() -> None:
    tracer, found = tracing()
    async with (
        http_far_end(HttpAnswer(503)) as far,
        pipeline(tracer, OtlpHttpExporter, {"endpoint": far.url}) as receiver,
    ):
        assert await post(receiver, PROTOBUF) == 503
        assert "traceparent" not in far.requests[0][1]
    sending, exporting, receiving, serving = found
    assert (sending.failure, serving.failure) == ("", "")
    assert "503" in (exporting.failure or "")
    assert exporting.failure == receiving.failure
    assert (exporting.attributes["items.sent"], exporting.attributes["items.failed"]) == (0, 2)
    assert (receiving.attributes["accepted_spans"], receiving.attributes["refused_spans"]) == (0, 2)
    assert serving.parent is None


async def test_calls_are_traced_as_requests_are() -> None:
    tracer, found = tracing("tracecontext")
    keys = {"tls": {"insecure": True}}
    async with (
        grpc_far_end(b"", Status(14, "busy")) as far,
        pipeline(tracer, OtlpGrpcExporter, {"endpoint": far.address, **keys}) as receiver,
        grpc.aio.insecure_channel(receiver.grpc_endpoint) as channel,
    ):
        call = channel.unary_unary(TRACE_METHOD)
        await call(traces_request(1), metadata=(("traceparent", f"00-{TRACE}-{SPAN}-01"),))
        with pytest.raises(grpc.aio.AioRpcError):
            await call(traces_request(1))
        async with asyncio.timeout(5):
            while len(found) < 8:
                await asyncio.sleep(0.005)
    calling, exporting, receiving, serving = found[:4]
    method = TRACE_METHOD.removeprefix("/")
    assert (calling.name, calling.kind) == (serving.name, Kind.CLIENT) == (method, Kind.CLIENT)
    assert serving.parent == PARENT
    assert calling.parent == exporting.context
    assert receiving.attributes["transport"] == "grpc"
    assert far.calls[0][1]["traceparent"] == f"00-{TRACE}-{calling.context.span_id.hex()}-01"
    assert serving.attributes["rpc.response.status_code"] == calling.attributes["rpc.response.status_code"] == "OK"
    assert (found[7].failure, found[7].attributes["rpc.response.status_code"]) == (found[5].failure, "UNAVAILABLE")


async def test_without_a_processor_nothing_is_made() -> None:
    tracer = Tracer()
    async with http_far_end() as far, pipeline(tracer, OtlpHttpExporter, {"endpoint": far.url}) as receiver:
        assert await post(receiver, {**PROTOBUF, "traceparent": f"00-{TRACE}-{SPAN}-01"}) == 200
        assert "traceparent" not in far.requests[0][1]


def sampled(keys: dict[str, Any], parent: SpanContext | None, trace_id: bytes = ROOT) -> bool:
    return spans.make_sampler(SpanSampler.model_validate(keys))(parent, trace_id)


LOCAL = PARENT._replace(remote=False)
OFF: dict[str, Any] = {"always_off": {}}
ON: dict[str, Any] = {"always_on": {}}


@pytest.mark.parametrize(
    ("keys", "parent", "taken"),
    [
        (ON, PARENT._replace(sampled=False), True),
        (OFF, PARENT, False),
        ({"parent_based": {}}, None, True),
        ({"parent_based": {"root": OFF}}, None, False),
        ({"parent_based": {"root": OFF}}, PARENT, True),
        ({"parent_based": {}}, PARENT._replace(sampled=False), False),
        ({"parent_based": {"remote_parent_sampled": OFF}}, PARENT, False),
        ({"parent_based": {"remote_parent_sampled": OFF}}, LOCAL, True),
        ({"parent_based": {"local_parent_sampled": OFF}}, LOCAL, False),
        ({"parent_based": {"remote_parent_not_sampled": ON}}, PARENT._replace(sampled=False), True),
        ({"parent_based": {"local_parent_not_sampled": ON}}, LOCAL._replace(sampled=False), True),
        ({"trace_id_ratio_based": {}}, None, True),
        ({"trace_id_ratio_based": {"ratio": 0.0}}, None, False),
    ],
)
def test_a_sampler_takes_what_it_says(keys: dict[str, Any], parent: SpanContext | None, taken: bool) -> None:
    assert sampled(keys, parent) is taken


def test_a_share_is_taken_by_the_end_of_the_id_as_in_every_sdk() -> None:
    for ratio, first, last in ((0.5, "7fffffffffffffff", "8000000000000000"), (0.25, "3" + "f" * 15, "4" + "0" * 15)):
        for end, taken in ((first, True), (last, False)):
            trace_id = bytes.fromhex("f" * 16 + end)
            assert sampled({"trace_id_ratio_based": {"ratio": ratio}}, None, trace_id) is taken


def test_the_sampler_of_the_settings_not_given_follows_the_sender() -> None:
    sample = spans.make_sampler(None)
    assert (sample(None, ROOT), sample(PARENT._replace(sampled=False), ROOT)) == (True, False)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, PARENT),
        ({"traceparent": f"00-{TRACE}-{SPAN}-00"}, PARENT._replace(sampled=False)),
        ({"traceparent": f"cc-{TRACE}-{SPAN}-01-more"}, PARENT),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01-more"}, None),
        ({"traceparent": f"ff-{TRACE}-{SPAN}-01"}, None),
        ({"traceparent": f"00-{'0' * 32}-{SPAN}-01"}, None),
        ({"traceparent": f"00-{TRACE}-{'0' * 16}-01"}, None),
        ({"traceparent": "00-" + "A" * 32 + f"-{SPAN}-01"}, None),
        ({"traceparent": "x" * 100_000}, None),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "s" * 513}, PARENT),
        ({"b3": f"{TRACE}-{SPAN}-1"}, PARENT),
        ({"b3": f"{TRACE}-{SPAN}-d-{SPAN}"}, PARENT),
        ({"b3": f"{TRACE}-{SPAN}-0"}, PARENT._replace(sampled=False)),
        ({"b3": "0"}, None),
        (
            {"x-b3-traceid": "a" * 16, "x-b3-spanid": SPAN},
            PARENT._replace(trace_id=bytes(8) + b"\xaa" * 8, sampled=False),
        ),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-flags": "1"}, PARENT),
        ({"x-b3-traceid": TRACE, "x-b3-spanid": "b" * 32, "x-b3-sampled": "1"}, None),
        ({}, None),
    ],
)
def test_the_senders_span_is_read_from_headers(headers: dict[str, str], found: SpanContext | None) -> None:
    extract, _ = spans.make_propagation(["tracecontext", "b3"])
    assert extract(lambda name: headers.get(name, "")) == found
    ours, _ = spans.make_propagation([])
    assert ours(lambda name: headers.get(name, "")) is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"processors": [{}]}, "unsupported span processor type, must be one of simple or batch"),
        ({"processors": [{"batch": {}}]}, "no valid span exporter"),
        ({"processors": [{"batch": {"exporter": {"zipkin": {"endpoint": "http://z"}}}}]}, "no valid span exporter"),
        ({"propagators": ["x"]}, "error creating propagator: unsupported trace propagator"),
        ({"sampler": {}}, "invalid sampler configuration"),
        ({"sampler": {"jaeger_remote": {}}}, "invalid sampler configuration"),
        ({"sampler": {"parent_based": {"root": {}}}}, "invalid sampler configuration"),
    ],
)
def test_what_cannot_be_done_is_told_with_upstreams_words(keys: dict[str, Any], message: str) -> None:
    console = {"processors": [{"simple": {"exporter": {"console": {}}}}]}
    with pytest.raises(ConfigError, match=f"^failed to create tracer provider: {message}"):
        spans.check_traces(TracesSettings.model_validate({**console, **keys}))
    spans.check_traces(TracesSettings.model_validate({**console, **keys, "level": "none"}))


def test_a_span_becomes_otlp() -> None:
    span = Span("a\ud800", Kind.CLIENT, Scope("s", (("k", "v"),)), PARENT._replace(remote=False), PARENT, 5, 9)
    span.attributes["n"] = 1
    span.add_event("e", processor="p")
    span.failure = "gone"
    child = Span("b", Kind.INTERNAL, span.scope, span.context, span.context, 6, 7)
    request = ExportTraceServiceRequest.FromString(spans.encode([span, child], {"service.name": "otelcol"}))
    (resource,) = request.resource_spans
    assert resource.schema_url == "https://opentelemetry.io/schemas/1.40.0"
    (scope,) = resource.scope_spans
    assert (scope.scope.name, scope.scope.attributes[0].value.string_value) == ("s", "v")
    one, other = scope.spans
    assert (one.trace_id, one.span_id, one.parent_span_id) == (PARENT.trace_id, PARENT.span_id, PARENT.span_id)
    assert (one.flags, other.flags) == (0x301, 0x101)
    assert (one.name, one.kind, one.start_time_unix_nano, one.end_time_unix_nano) == ("a?", 3, 5, 9)
    assert (one.attributes[0].value.int_value, one.events[0].name) == (1, "e")
    assert one.events[0].attributes[0].value.string_value == "p"
    assert (one.status.code, one.status.message, other.HasField("status")) == (2, "gone", False)


async def test_spans_are_sent_and_changes_of_the_settings_are_followed(far, capsys) -> None:
    otlp = {"protocol": "http/protobuf", "endpoint": f"http://{far.address}"}
    keys = {"processors": [{"simple": {"exporter": {"otlp": otlp}}}]}
    quiet = {"metrics": {"level": "none"}, "logs": {"level": "error"}}
    providers = Providers(TelemetrySettings.model_validate({**quiet, "traces": keys}), {})
    await providers.start(Totals)
    with providers.tracer.span(Scope("s"), "work"):
        pass
    async with asyncio.timeout(5):
        while not far.seen:
            await asyncio.sleep(0.005)
    await providers.apply(TelemetrySettings.model_validate({**quiet, "traces": {**keys, "level": "none"}}))
    assert not providers.tracer.on
    await providers.apply(TelemetrySettings.model_validate({**quiet, "traces": {**keys, "sampler": OFF}}))
    with providers.tracer.span(Scope("s"), "not taken"):
        pass
    await providers.stop()
    (seen,) = far.seen
    assert seen[0] == b"/v1/traces"
    (resource,) = ExportTraceServiceRequest.FromString(seen[2]).resource_spans
    assert resource.scope_spans[0].spans[0].name == "work"
    Providers(TelemetrySettings(), {})
