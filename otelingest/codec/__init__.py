"""Bytes to meaning: counting, checking and turning OTLP into ClickHouse columns. Pure functions, no I/O, no settings.

`scan` and `columns` are the whole interface; `reference` is the readable implementation of both.
"""

from otelingest.codec.reference import columns, scan
from otelingest.codec.types import Column, ColumnData, Columns, Malformed, Scan

__all__ = ["Column", "ColumnData", "Columns", "Malformed", "Scan", "columns", "scan"]
