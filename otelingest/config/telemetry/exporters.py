"""Ways out for the collector's own telemetry: targets, and the processors that send records to them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from otelingest.config.settings import GoType, Headers, Secret, Settings


class OtlpTarget(Settings):
    """Where the collector's own telemetry is sent to."""

    protocol: str | None = None
    """`grpc` or `http/protobuf`."""
    endpoint: str | None = None
    """A URL; without a scheme `https://`, or `http://` where `insecure` is true."""
    headers: Headers = Field(default_factory=dict)
    """Request headers."""
    headers_list: Annotated[Secret, GoType("string")] | None = None
    """Request headers as one string."""
    compression: str | None = None
    """`gzip` or `none`."""
    timeout: int | None = None
    """Milliseconds that one attempt may take."""
    insecure: bool | None = None
    """Without TLS."""
    certificate: str | None = None
    """The authority's certificate."""
    client_key: str | None = None
    """The own key."""
    client_certificate: str | None = None
    """The own certificate."""


class RecordExporter(Settings):
    """What log records or spans are sent with."""

    otlp: OtlpTarget | None = None
    """OTLP."""
    console: Annotated[dict[str, Any], GoType("otelconf.Console")] | None = None
    """The standard output, as one line of OTLP JSON each time."""


class BatchRecordProcessor(Settings):
    """Sends many at once."""

    exporter: RecordExporter = Field(default_factory=RecordExporter)
    """What they are sent with."""
    schedule_delay: int | None = None
    """Milliseconds until what there is is sent; unset: 1,000 for log records, 5,000 for spans."""
    export_timeout: int | None = None
    """Milliseconds that one attempt may take; unset: 30,000."""
    max_queue_size: int | None = None
    """How many may wait; unset: 2,048. The oldest goes when one more comes."""
    max_export_batch_size: int | None = None
    """How many are sent at once; unset: 512."""

    def problem(self) -> str | None:
        """What cannot be, in the collector's words; told at the start."""
        numbers = (
            ("export timeout", self.export_timeout),
            ("batch size", self.max_export_batch_size),
            ("queue size", self.max_queue_size),
            ("schedule delay", self.schedule_delay),
        )
        return next((f"invalid {name} {number}" for name, number in numbers if (number or 0) < 0), None)


class SimpleRecordProcessor(Settings):
    """Sends each by itself, at once."""

    exporter: RecordExporter = Field(default_factory=RecordExporter)
    """What they are sent with."""


class RecordProcessor(Settings):
    """One way out for log records or spans: one of the two."""

    batch: BatchRecordProcessor | None = None
    """Many at once."""
    simple: SimpleRecordProcessor | None = None
    """Each by itself."""
