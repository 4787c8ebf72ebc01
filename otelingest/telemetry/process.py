"""What the collector's own metrics say about its process: time, and memory as far as Python has the like of Go's."""

from __future__ import annotations

import time
from collections.abc import Iterator

from otelingest.pipeline.metrics import Instrument, Sample

_SCOPE = "go.opentelemetry.io/collector/service"
_STARTED = time.monotonic()

_UPTIME = Instrument("otelcol_process_uptime", "counter", "Time since the process started.", "seconds", _SCOPE)
_CPU = Instrument("otelcol_process_cpu_seconds", "counter", "CPU time, user and system.", "seconds", _SCOPE)
_MEMORY = {
    "VmRSS": Instrument("otelcol_process_memory_rss", "gauge", "Physical memory in use.", "bytes", _SCOPE),
    "RssAnon": Instrument(
        "otelcol_process_runtime_heap_alloc_bytes", "gauge", "Physical memory that no file backs.", "bytes", _SCOPE
    ),
    "VmData": Instrument(
        "otelcol_process_runtime_total_sys_memory_bytes",
        "gauge",
        "Memory that the process has asked the system for, used or not.",
        "bytes",
        _SCOPE,
    ),
}
"""By the line of /proc/self/status that tells it."""


def samples() -> Iterator[Sample]:
    """How the process is now. Memory is told on Linux only."""
    yield Sample(_UPTIME, time.monotonic() - _STARTED)
    yield Sample(_CPU, time.process_time())
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            lines = status.read().splitlines()
    except OSError:
        return
    for line in lines:
        name, _, value = line.partition(":")
        if name in _MEMORY:
            yield Sample(_MEMORY[name], int(value.split()[0]) * 1024)
