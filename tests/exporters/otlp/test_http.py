"""otlp_http: what is sent, and what the far end's answers become."""

from __future__ import annotations

import asyncio
import json
import ssl
from email.utils import formatdate
from time import time
from typing import Any

import pytest

from otelingest.exporters.otlp_http import OtlpHttpExporter
from otelingest.net.compressing import ENCODERS
from otelingest.net.compression import DECODERS
from otelingest.net.status import Status, partial_success
from otelingest.pipeline.errors import ConfigError, Partial, Refused, Rejected
from otelingest.pipeline.payload import Payload, Signal
from tests.exporters.otlp.support import (
    NO_RETRY,
    QUICK_RETRY,
    HttpAnswer,
    eventually,
    exporting,
    http_far_end,
    made,
    traces,
    unused_port,
)
from tests.net.support import TLS


async def test_the_bytes_arrive_as_they_are_at_each_signals_path() -> None:
    async with http_far_end() as far, exporting(OtlpHttpExporter, {"endpoint": f"{far.url}/base/", **NO_RETRY}) as ex:
        for signal in Signal:
            assert await ex.consume(Payload(signal, (b"\x0a\x00", b"\x0a\x00"), 2)) is None
    assert [path for path, _, _ in far.requests] == [f"/base/v1/{signal}" for signal in Signal]
    for _, headers, body in far.requests:
        assert headers["Content-Type"] == "application/x-protobuf"
        assert headers["Content-Encoding"] == "gzip"
        assert headers["User-Agent"].startswith("otelingest/")
        assert DECODERS["gzip"](body, 100) == b"\x0a\x00\x0a\x00"


async def test_an_endpoint_of_a_signals_own_is_used_verbatim() -> None:
    async with http_far_end() as far:
        keys = {"endpoint": f"{far.url}/base", "traces_endpoint": f"{far.url}/in?key=1", "compression": "none"}
        async with exporting(OtlpHttpExporter, {**keys, **NO_RETRY}) as ex:
            await ex.consume(traces())
    (request,) = far.requests
    assert request[0] == "/in"
    assert "Content-Encoding" not in request[1]


@pytest.mark.parametrize("compression", sorted(ENCODERS))
async def test_every_compression_can_be_undone(compression: str) -> None:
    async with http_far_end() as far:
        keys = {"endpoint": far.url, "compression": compression, **NO_RETRY}
        async with exporting(OtlpHttpExporter, keys) as ex:
            for payload in (traces(3), traces(5000)):  # the larger one is compressed in a thread
                await ex.consume(payload)
                _, headers, body = far.requests.pop()
                assert headers["Content-Encoding"] == compression
                assert DECODERS[compression](body, 1 << 24) == b"".join(payload.chunks)


async def test_json_is_otlp_json() -> None:
    async with http_far_end(HttpAnswer(body=b"{}", content_type="application/json")) as far:
        keys = {"endpoint": far.url, "encoding": "json", "compression": "", **NO_RETRY}
        async with exporting(OtlpHttpExporter, keys) as ex:
            await ex.consume(traces(2))
    _, headers, body = far.requests[0]
    assert headers["Content-Type"] == "application/json"
    spans = json.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [span["spanId"] for span in spans] == ["0000000000000000", "0000000000000001"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_passing_refusal_is_retried_until_it_is_taken(status: int) -> None:
    answers = (HttpAnswer(status), HttpAnswer(status), HttpAnswer())
    async with http_far_end(*answers) as far, exporting(OtlpHttpExporter, {"endpoint": far.url, **QUICK_RETRY}) as ex:
        assert await ex.consume(traces()) is None
    assert len(far.requests) == 3
    assert len({body for _, _, body in far.requests}) == 1


@pytest.mark.parametrize(
    ("status", "code", "name"),
    [
        (400, 3, "InvalidArgument"),
        (401, 16, "Unauthenticated"),
        (403, 7, "PermissionDenied"),
        (404, 12, "Unimplemented"),
        (413, 2, "Unknown"),
        (500, 2, "Unknown"),
        (501, 2, "Unknown"),
    ],
)
async def test_any_other_refusal_is_for_ever_and_says_why(status: int, code: int, name: str) -> None:
    answer = HttpAnswer(status, Status(3, "no such thing").protobuf())
    async with http_far_end(answer) as far, exporting(OtlpHttpExporter, {"endpoint": far.url, **QUICK_RETRY}) as ex:
        with pytest.raises(Rejected) as caught:
            await ex.consume(traces())
    assert len(far.requests) == 1
    assert caught.value.code == code
    assert str(caught.value) == (
        f"not retryable error: Permanent error: rpc error: code = {name} desc = error exporting items, "
        f"request to {far.url}/v1/traces responded with HTTP Status Code {status}, Message=no such thing, Details=[]"
    )


async def test_without_retry_whoever_waits_hears_what_the_far_end_said() -> None:
    answer = HttpAnswer(503, b"<html>", "text/html", {"Retry-After": "7"})
    async with http_far_end(answer) as far, exporting(OtlpHttpExporter, {"endpoint": far.url, **NO_RETRY}) as ex:
        with pytest.raises(Refused) as caught:
            await ex.consume(traces())
    assert caught.value.retry_after == 7.0
    assert str(caught.value).endswith("responded with HTTP Status Code 503")


async def test_a_wait_that_is_asked_for_is_kept() -> None:
    answers = (HttpAnswer(429, headers={"Retry-After": formatdate(time() + 2, usegmt=True)}), HttpAnswer())
    async with http_far_end(*answers) as far, exporting(OtlpHttpExporter, {"endpoint": far.url, **QUICK_RETRY}) as ex:
        before = asyncio.get_running_loop().time()
        await ex.consume(traces())
    assert len(far.requests) == 2
    assert asyncio.get_running_loop().time() - before > 0.5


@pytest.mark.parametrize(
    ("answer", "partial"),
    [
        (HttpAnswer(body=partial_success(2, "too long")), Partial(2, "too long")),
        (HttpAnswer(body=partial_success(0, "a warning")), Partial(0, "a warning")),
        (HttpAnswer(body=b""), None),
        (HttpAnswer(body=b"", content_type="text/plain"), None),
        (HttpAnswer(status=202), None),
        (
            HttpAnswer(
                body=b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"x"}}', content_type="application/json"
            ),
            Partial(2, "x"),
        ),
    ],
)
async def test_a_partial_success_is_told_and_handed_back(answer: HttpAnswer, partial: Partial | None) -> None:
    async with http_far_end(answer) as far, exporting(OtlpHttpExporter, {"endpoint": far.url, **QUICK_RETRY}) as ex:
        assert await ex.consume(traces(5)) == partial
    said = [values for _, message, values in ex.log.lines if message == "Partial success response"]
    assert said == ([{"message": partial.message, "dropped_spans": partial.rejected}] if partial else [])
    lost = partial.rejected if partial else 0
    counters = ex.counters[Signal.TRACES]
    assert (counters.sent, counters.send_failed) == (5 - lost, lost)


async def test_a_success_that_cannot_be_read_is_one() -> None:
    async with (
        http_far_end(HttpAnswer(body=b"what?")) as far,
        exporting(OtlpHttpExporter, {"endpoint": far.url, **NO_RETRY}) as ex,
    ):
        assert await ex.consume(traces()) is None
    assert ex.log.messages("warning") == ["The answer to a delivered request cannot be read"]


async def test_nobody_there_is_worth_another_attempt_and_named() -> None:
    port = unused_port()
    async with exporting(OtlpHttpExporter, {"endpoint": f"http://u:secret@127.0.0.1:{port}", **NO_RETRY}) as ex:
        with pytest.raises(Refused) as caught:
            await ex.consume(traces())
    assert str(caught.value) == (
        f'failed to make an HTTP request: Post "http://u:xxxxx@127.0.0.1:{port}/v1/traces": '
        f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    )


async def test_silence_ends_with_the_timeout() -> None:
    async with (
        http_far_end(HttpAnswer(delay=5)) as far,
        exporting(OtlpHttpExporter, {"endpoint": far.url, "timeout": "100ms", **NO_RETRY}) as ex,
    ):
        with pytest.raises(Refused, match="timed out after 100ms"):
            await ex.consume(traces())


async def test_a_redirect_keeps_data_and_server_or_is_not_followed() -> None:
    moved = HttpAnswer(308, headers={"Location": "/v1/elsewhere"})
    async with (
        http_far_end(moved, HttpAnswer()) as far,
        exporting(OtlpHttpExporter, {"endpoint": far.url, **NO_RETRY}) as ex,
    ):
        await ex.consume(traces())
    assert [path for path, _, _ in far.requests] == ["/v1/traces", "/v1/elsewhere"]
    assert far.requests[0][2] == far.requests[1][2]
    for status, there in ((307, "http://127.0.0.1:1/v1/traces"), (301, "/v1/elsewhere"), (302, "http://a\rb/")):
        async with (
            http_far_end(HttpAnswer(status, headers={"Location": there.replace("\r", "")})) as far,
            exporting(OtlpHttpExporter, {"endpoint": far.url, **NO_RETRY}) as ex,
        ):
            with pytest.raises(Refused, match="which is not followed"):
                await ex.consume(traces())
        assert len(far.requests) == 1
    async with (
        http_far_end(HttpAnswer(307, headers={"Location": "/v1/traces"})) as far,
        exporting(OtlpHttpExporter, {"endpoint": far.url, **NO_RETRY}) as ex,
    ):
        with pytest.raises(Refused, match="stopped after 10 redirects"):
            await ex.consume(traces())
    assert len(far.requests) == 10


async def test_headers_are_sent_and_win_over_our_own() -> None:
    async with http_far_end() as far:
        headers = {"user-agent": "mine/1", "X-Team": "red"}
        async with exporting(OtlpHttpExporter, {"endpoint": far.url, "headers": headers, **NO_RETRY}) as ex:
            await ex.consume(traces())
    _, sent, _ = far.requests[0]
    assert (sent["X-Team"], sent.getall("User-Agent")) == ("red", ["mine/1"])  # type: ignore[attr-defined]


async def test_a_header_cannot_break_out() -> None:
    exporter = made(OtlpHttpExporter, {"endpoint": "http://h", "headers": {"X-Key": "a\nX-Other: b"}})
    with pytest.raises(ConfigError, match="line break") as caught:
        await exporter.start(None)
    assert "X-Other" not in str(caught.value)


@pytest.mark.parametrize("keeps", [True, False])
async def test_connections_are_kept_unless_they_are_not_to_be(keeps: bool) -> None:
    async with http_far_end() as far:
        keys = {"endpoint": far.url, "keepalive": {"enabled": keeps}, **NO_RETRY}
        async with exporting(OtlpHttpExporter, keys) as ex:
            for _ in range(3):
                await ex.consume(traces())
    assert len(far.connections) == (1 if keeps else 3)


async def test_cookies_are_kept_only_when_wanted() -> None:
    for wanted in (True, False):
        async with http_far_end(HttpAnswer(headers={"Set-Cookie": "a=b"})) as far:
            url = far.url.replace("127.0.0.1", "localhost")  # cookies are not kept for bare addresses
            async with exporting(OtlpHttpExporter, {"endpoint": url, "cookies": {"enabled": wanted}, **NO_RETRY}) as ex:
                await ex.consume(traces())
                await ex.consume(traces())
        assert [headers.get("Cookie") for _, headers, _ in far.requests] == [None, "a=b" if wanted else None]


async def test_a_proxy_is_asked_when_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with http_far_end() as proxy:
        keys = {"endpoint": "http://far.invalid:4318", **NO_RETRY}
        async with exporting(OtlpHttpExporter, {**keys, "proxy_url": proxy.url}) as ex:
            await ex.consume(traces())
        monkeypatch.setenv("http_proxy", proxy.url)
        async with exporting(OtlpHttpExporter, keys) as ex:
            await ex.consume(traces())
    assert len(proxy.requests) == 2


async def test_a_proxys_refusal_does_not_tell_its_password() -> None:
    async with http_far_end(HttpAnswer(407, b"")) as proxy:
        url = proxy.url.replace("://", "://u:geheim@")
        for endpoint in ("https://far.invalid", "http://far.invalid"):
            async with exporting(OtlpHttpExporter, {"endpoint": endpoint, "proxy_url": url, **NO_RETRY}) as ex:
                with pytest.raises((Refused, Rejected)) as caught:
                    await ex.consume(traces())
            assert "geheim" not in str(caught.value)


def server_tls(client_authority: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    if client_authority:
        context.load_verify_locations(TLS / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.mark.parametrize(
    ("tls", "reaches"),
    [
        ({}, False),
        ({"ca_file": str(TLS / "ca.pem")}, True),
        ({"insecure_skip_verify": True}, True),
        ({"ca_file": str(TLS / "ca.pem"), "server_name_override": "other.example"}, False),
        ({"ca_file": str(TLS / "ca.pem"), "server_name_override": "localhost"}, True),
    ],
)
async def test_the_server_is_checked(tls: dict[str, Any], reaches: bool) -> None:
    async with (
        http_far_end(tls=server_tls()) as far,
        exporting(OtlpHttpExporter, {"endpoint": far.url, "tls": tls, **NO_RETRY}) as ex,
    ):
        if reaches:
            await ex.consume(traces())
        else:
            with pytest.raises(Refused, match="tls: failed to verify certificate"):
                await ex.consume(traces())
    assert len(far.requests) == int(reaches)


async def test_a_certificate_is_shown_to_the_server() -> None:
    tls = {"ca_file": str(TLS / "ca.pem"), "cert_file": str(TLS / "client.pem"), "key_file": str(TLS / "client.key")}
    async with (
        http_far_end(tls=server_tls(client_authority=True)) as far,
        exporting(OtlpHttpExporter, {"endpoint": far.url, "tls": tls, **NO_RETRY}) as ex,
    ):
        await ex.consume(traces())
        del tls["cert_file"], tls["key_file"]
        async with exporting(OtlpHttpExporter, {"endpoint": far.url, "tls": tls, **NO_RETRY}) as ex:
            with pytest.raises(Refused):
                await ex.consume(traces())
    assert len(far.requests) == 1


async def test_files_that_are_not_there_stop_the_start() -> None:
    exporter = made(OtlpHttpExporter, {"endpoint": "https://h", "tls": {"ca_file": "/nowhere/ca.pem"}})
    with pytest.raises(ConfigError, match=r"open /nowhere/ca\.pem: no such file"):
        await exporter.start(None)


class Shows:
    def __init__(self) -> None:
        self.token = 0

    async def credentials(self) -> dict[str, str]:
        self.token += 1
        return {"Authorization": f"Bearer {self.token}"}


async def test_the_authenticators_header_is_asked_for_anew_each_time() -> None:
    async with http_far_end() as far:
        keys = {"endpoint": far.url, "auth": {"authenticator": "token"}, **NO_RETRY}
        async with exporting(OtlpHttpExporter, keys, {"token": Shows()}) as ex:
            await ex.consume(traces())
            await ex.consume(traces())
    assert [headers["Authorization"] for _, headers, _ in far.requests] == ["Bearer 1", "Bearer 2"]


@pytest.mark.parametrize(
    ("extensions", "message"),
    [
        ({}, 'failed to resolve authenticator "token": authenticator not found'),
        ({"token": object()}, "requested authenticator is not a HTTP client authenticator"),
    ],
)
async def test_an_authenticator_must_be_there_and_be_one(extensions: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        async with exporting(
            OtlpHttpExporter, {"endpoint": "http://h", "auth": {"authenticator": "token"}}, extensions
        ):
            pass
    assert str(caught.value) == message


async def test_a_signal_needs_an_endpoint() -> None:
    with pytest.raises(ConfigError, match="either endpoint or traces_endpoint must be specified"):
        made(OtlpHttpExporter, {"logs_endpoint": "http://h/v1/logs"}, frozenset({Signal.TRACES}))


@pytest.mark.parametrize("endpoint", ["gw:4318", "ftp://gw"])
def test_what_nothing_can_be_sent_to_is_warned_of(endpoint: str) -> None:
    settings = OtlpHttpExporter.Settings.model_validate({"endpoint": endpoint})
    assert list(settings.problems()) == []
    (warning,) = settings.without_effect()
    assert warning == f'endpoint: nothing can be sent to "{endpoint}", write http:// or https:// before it'


@pytest.mark.parametrize("endpoint", ["http://gw:x", "http://[gw"])
def test_what_is_no_url_is_named(endpoint: str) -> None:
    settings = OtlpHttpExporter.Settings.model_validate({"endpoint": endpoint})
    (problem,) = settings.problems()
    assert str(problem).startswith("endpoint must be a valid URL")


async def test_an_answer_without_end_is_not_read_to_it() -> None:
    async with (
        http_far_end(HttpAnswer(400, b"x" * (1 << 24), "text/plain")) as far,
        exporting(OtlpHttpExporter, {"endpoint": far.url, **NO_RETRY}) as ex,
    ):
        with pytest.raises(Rejected, match="HTTP Status Code 400"):
            await ex.consume(traces())


async def test_with_the_queue_whoever_sends_does_not_wait() -> None:
    async with http_far_end(HttpAnswer(503), HttpAnswer()) as far:
        keys = {"endpoint": far.url, "retry_on_failure": {"initial_interval": "10ms"}}
        async with exporting(OtlpHttpExporter, keys) as ex:
            await ex.consume(traces(3))
            await eventually(lambda: ex.counters[Signal.TRACES].sent == 3)
    assert len(far.requests) == 2
