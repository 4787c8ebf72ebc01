"""The generated message classes of the three signals, loaded on first use: they are slow to import."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message

_SERVICES = {"traces": ("trace", "Trace"), "metrics": ("metrics", "Metrics"), "logs": ("logs", "Logs")}
SIGNALS = tuple(_SERVICES)

CONTAINERS = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "metrics": ("resource_metrics", "scope_metrics", "metrics"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
}
"""The repeated fields on the way from a request to what its scopes hold."""


@cache
def request_class(signal: str) -> type[Message]:
    """`Export…ServiceRequest` of a signal."""
    package, name = _SERVICES[signal]
    module = import_module(f"opentelemetry.proto.collector.{package}.v1.{package}_service_pb2")
    made: type[Message] = getattr(module, f"Export{name}ServiceRequest")
    return made


def parse(signal: str, data: bytes) -> Any:
    """Decode a request with protobuf's C implementation. Raises its DecodeError."""
    message = request_class(signal)()
    message.MergeFromString(data)
    return message
