"""The `python` processor: calls a function of yours, from a file, for every span, log record or metric.

How to write one is in [extending.md](../extending.md).
"""

from otelingest.processors.python.attributes import Attributes
from otelingest.processors.python.processor import PythonProcessor
from otelingest.processors.python.settings import PythonSettings
from otelingest.processors.python.views import DataPoint, Event, Link, LogRecord, Metric, Resource, Scope, Span

__all__ = [
    "Attributes",
    "DataPoint",
    "Event",
    "Link",
    "LogRecord",
    "Metric",
    "PythonProcessor",
    "PythonSettings",
    "Resource",
    "Scope",
    "Span",
]
