"""What the collector tells about itself: its log, and its metrics."""

from __future__ import annotations

from otelingest.telemetry.logs import Renderer, Sampler, component_logger, get_logger, setup
from otelingest.telemetry.sinks import Sink

__all__ = ["Renderer", "Sampler", "Sink", "component_logger", "get_logger", "setup"]
