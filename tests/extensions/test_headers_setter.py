"""headers_setter: what exporters send stands under the headers of whoever sent it to us."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otelingest.config.settings import ComponentId
from otelingest.exporters.otlp_grpc import OtlpGrpcExporter
from otelingest.exporters.otlp_http import OtlpHttpExporter
from otelingest.extensions.headers_setter import HeadersSetter
from otelingest.net.auth import HeaderEditor
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import ConfigError, Rejected
from otelingest.pipeline.payload import Context, Payload, Signal
from tests.exporters.otlp.support import NO_RETRY, Host, exporting, grpc_far_end, http_far_end
from tests.exporters.sending.support import traces_request
from tests.net.support import Log

SENDER = Context(
    "127.0.0.1",
    {"x-tenant": ("acme",), "x-twice": ("a", "b")},
    {"project_id": "p", "roles": ["a", "b"], "odd": "a\r\nx: y"},
)


async def started(*headers: dict[str, Any], others: dict[str, Any] | None = None, **keys: Any) -> HeadersSetter:
    settings = HeadersSetter.Settings.model_validate({"headers": list(headers)} | keys)
    assert list(settings.problems()) == []
    extension = HeadersSetter(settings, Env(ComponentId("headers_setter"), Log()))  # type: ignore[arg-type]
    await extension.start(Host(others))
    assert isinstance(extension, HeaderEditor)
    return extension


async def edited(extension: HeadersSetter, context: Context = SENDER, **before: str) -> dict[str, str]:
    headers = {name.replace("_", "-"): value for name, value in before.items()}
    await extension.edit(headers, context)
    return headers


@pytest.mark.parametrize(
    ("action", "absent", "present"),
    [
        ("insert", {"X-A": "new"}, {"x-a": "old"}),
        ("update", {}, {"X-A": "new"}),
        ("upsert", {"X-A": "new"}, {"X-A": "new"}),
        ("", {"X-A": "new"}, {"X-A": "new"}),
    ],
)
async def test_the_action_says_when(action: str, absent: dict[str, str], present: dict[str, str]) -> None:
    extension = await started({"action": action, "key": "X-A", "value": "new"})
    assert await edited(extension) == absent
    assert await edited(extension, x_a="old") == present
    assert len(extension.log.messages("warning")) == (not action)  # type: ignore[attr-defined]


async def test_a_header_can_be_left_out() -> None:
    extension = await started({"action": "delete", "key": "X-A"})
    assert await edited(extension, x_a="old", x_b="b") == {"x-b": "b"}


async def test_values_come_from_the_request_the_sender_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otelingest.net.watched_file.LOOK_SECONDS", 0)
    file = tmp_path / "value"
    file.write_text("first\n")
    extension = await started(
        {"key": "tenant", "action": "upsert", "from_context": "X-Tenant"},
        {"key": "project", "action": "upsert", "from_attribute": "project_id", "default_value": "none"},
        {"key": "roles", "action": "upsert", "from_attribute": "roles"},
        {"key": "other", "action": "upsert", "from_context": "x-other", "default_value": "default"},
        {"key": "file", "action": "upsert", "value_file": str(file)},
    )
    found = {"tenant": "acme", "project": "p", "roles": '["a","b"]', "other": "default", "file": "first"}
    assert await edited(extension) == found
    file.write_text("second")
    nobody = {"tenant": "", "project": "none", "roles": "", "other": "default", "file": "second"}
    assert await edited(extension, Context()) == nobody


@pytest.mark.parametrize("source", [{"from_context": "x-twice"}, {"from_attribute": "odd"}])
async def test_what_is_no_header_is_refused_for_ever(source: dict[str, str]) -> None:
    extension = await started({"key": "x", "action": "upsert", **source})
    with pytest.raises(Rejected) as rejected:
        await edited(extension)
    assert "x: y" not in str(rejected.value)


class Token:
    async def credentials(self) -> dict[str, str]:
        return {"Authorization": "Bearer t", "X-A": "token's"}


async def test_another_authenticator_can_be_asked_first(tmp_path: Path) -> None:
    header = {"key": "x-a", "action": "update", "value": "ours"}
    extension = await started(header, additional_auth="token", others={"token": Token()})
    assert await edited(extension) == {"Authorization": "Bearer t", "x-a": "ours"}
    keys = {"endpoint": "127.0.0.1:1", "tls": {"insecure": True}, "auth": {"authenticator": "setter"}}
    with pytest.raises(ConfigError, match="the credentials require transport level security"):
        async with exporting(OtlpGrpcExporter, keys, {"setter": extension}):
            pass
    with pytest.raises(ConfigError, match='"token" is not in service'):
        await started(header, additional_auth="token")
    with pytest.raises(ConfigError, match='"token" is no authenticator for clients'):
        await started(header, additional_auth="token", others={"token": object()})
    with pytest.raises(ConfigError, match="no such file or directory"):
        await started({"key": "x", "action": "upsert", "value_file": str(tmp_path / "none")})


async def test_each_senders_data_goes_out_under_its_own_headers_by_http_and_grpc() -> None:
    setter = await started(
        {"key": "X-Scope-OrgID", "action": "upsert", "from_context": "x-tenant"},
        {"key": "X-Static", "action": "update", "value": "updated"},
    )
    payloads = [
        Payload(Signal.TRACES, (traces_request(1),), 1, Context(metadata={"x-tenant": (name,)})) for name in ("a", "b")
    ]
    common = {"auth": {"authenticator": "setter"}, "headers": {"x-static": "configured"}, **NO_RETRY}
    async with (
        http_far_end() as far,
        exporting(OtlpHttpExporter, {"endpoint": far.url, **common}, {"setter": setter}) as exporter,
    ):
        for payload in payloads:
            await exporter.consume(payload)
    assert [headers["X-Scope-OrgID"] for _, headers, _ in far.requests] == ["a", "b"]
    assert {headers["X-Static"] for _, headers, _ in far.requests} == {"updated"}
    async with grpc_far_end() as server:
        keys = {"endpoint": server.address, "tls": {"insecure": True}, **common}
        async with exporting(OtlpGrpcExporter, keys, {"setter": setter}) as exporter:
            for payload in payloads:
                await exporter.consume(payload)
    assert [metadata["x-scope-orgid"] for _, metadata, _ in server.calls] == ["a", "b"]
    assert {metadata["x-static"] for _, metadata, _ in server.calls} == {"updated"}


SOURCES = "must be only one of 'from_context', 'from_attribute', 'value', or 'value_file'"


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ([], "missing headers configuration"),
        ([{"value": "x"}], "missing header name"),
        (
            [{"key": "x"}],
            "missing header source, must be 'from_context', 'from_attribute', 'value', or 'value_file'",
        ),
        ([{"key": "x", "value": "", "from_context": "y"}], f"invalid header source, {SOURCES}"),
    ],
)
def test_settings_that_do_not_fit_are_named(headers: list[dict[str, str]], text: str) -> None:
    assert list(HeadersSetter.Settings.model_validate({"headers": headers}).problems()) == [text]
