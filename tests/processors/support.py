"""What the processors' tests share: a consumer that records, a host, and requests made from OTLP/JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import json_format
from structlog.testing import CapturingLogger

from otelingest.config.settings import ComponentId, Settings
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.payload import EMPTY_CONTEXT, Context, Payload, Signal, request_class

_IDS = {"traceId", "spanId", "parentSpanId"}
_WRITTEN_EMPTY = {"status", "negative", "positive"}
"""Messages that Go's encoder writes even if there is nothing in them, which means the same."""


class Sink:
    """Takes payloads, or raises what `fail_with` holds, one after the other."""

    def __init__(self) -> None:
        self.payloads: list[Payload] = []
        self.fail_with: list[Exception] = []

    async def consume(self, payload: Payload) -> None:
        if self.fail_with:
            raise self.fail_with.pop(0)
        self.payloads.append(payload)

    @property
    def sizes(self) -> list[int]:
        return [payload.items for payload in self.payloads]


class FakeHost:
    """A collector as its components see it."""

    def __init__(self) -> None:
        self.stop_deadline: float | None = None
        self.resource: Mapping[str, Any] = {"service.instance.id": "the-instance"}
        self._shared: dict[Any, Any] = {}

    def extension(self, component_id: ComponentId) -> Any | None:
        return None

    def extensions(self) -> Mapping[ComponentId, Any]:
        return {}

    def shared(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    def fatal(self, error: BaseException) -> None:
        raise AssertionError(f"a component failed: {error!r}")


class Log(CapturingLogger):
    """A logger whose lines can be read: `log.lines` is a list of (level, message, fields)."""

    @property
    def lines(self) -> list[tuple[str, str, dict[str, Any]]]:
        return [(call.method_name, call.args[0], call.kwargs) for call in self.calls]

    def bind(self, **_: Any) -> Log:
        return self

    def try_unbind(self, *_: str) -> Log:
        return self

    def messages(self, *levels: str) -> list[str]:
        return [message for level, message, _ in self.lines if not levels or level in levels]


def make_env(component: str, signal: Signal = Signal.TRACES, log: Log | None = None) -> Env:
    return Env(ComponentId.parse(component), log if log is not None else Log(), frozenset({signal}))  # type: ignore[arg-type]


def make_settings(component: type[Any], raw: Mapping[str, Any] | None) -> Any:
    """Settings as the collector reads them. Raises ConfigError for those that it refuses."""
    try:
        settings: Settings = component.Settings.model_validate(dict(raw or {}))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    problems = list(settings.problems())
    if problems:
        raise ConfigError("; ".join(map(str, problems)))
    return settings


def message(signal: Signal, request: Mapping[str, Any]) -> Any:
    """A decoded request from OTLP/JSON, by protobuf's own reader."""
    return json_format.ParseDict(_with_base64_ids(request), request_class(signal)())


def payload(signal: Signal, request: Mapping[str, Any], context: Context = EMPTY_CONTEXT) -> Payload:
    return Payload.of(signal, message(signal, request), context)


def spans(count: int, *, service: str = "svc", start: int = 0, context: Context = EMPTY_CONTEXT) -> Payload:
    """A request of spans that are numbered from `start`."""
    request = request_class(Signal.TRACES)()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    scope = group.scope_spans.add()
    for number in range(start, start + count):
        scope.spans.add(name=f"s{number}", trace_id=bytes(15) + b"\x01", span_id=(number + 1).to_bytes(8, "big"))
    return Payload.of(Signal.TRACES, request, context)


def span_names(payload: Payload) -> list[str]:
    groups = payload.message().resource_spans
    return [span.name for group in groups for scope in group.scope_spans for span in scope.spans]


def _with_base64_ids(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: base64.b64encode(bytes.fromhex(item)).decode() if key in _IDS else _with_base64_ids(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_base64_ids(item) for item in value]
    return value


def comparable(decoded: Any) -> Any:
    """A request as plain values in which attributes and data points have a fixed order."""
    return _ordered(json_format.MessageToDict(decoded))


def _ordered(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _ordered(item, name) for name, item in value.items() if item or name not in _WRITTEN_EMPTY}
    if isinstance(value, list):
        items = [_ordered(item) for item in value]
        pairs = key == "values" and any(isinstance(item, dict) and "key" in item for item in items)
        if pairs or key in ("attributes", "filteredAttributes", "dataPoints"):
            items.sort(key=lambda item: json.dumps(item, sort_keys=True))
        return items
    return value
