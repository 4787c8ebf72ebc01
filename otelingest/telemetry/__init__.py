"""What the collector tells about itself: its log, and its metrics."""

from __future__ import annotations

from otelingest.telemetry.logs import Renderer, Sampler, Sink, component_logger, get_logger, setup

__all__ = ["Renderer", "Sampler", "Sink", "component_logger", "get_logger", "setup"]
