"""Bytes to meaning: counting, checking and turning OTLP into ClickHouse columns. Pure functions, no I/O, no settings.

`scan`, `columns` and `split` are the whole interface; `reference` is the readable implementation.
`otlp_json` turns OTLP/JSON into what `scan` reads.
"""

from otelingest.codec.reference import columns, scan
from otelingest.codec.splitting import Part, split
from otelingest.codec.types import Column, ColumnData, Columns, Malformed, Scan, Tables

__all__ = ["Column", "ColumnData", "Columns", "Malformed", "Part", "Scan", "Tables", "columns", "scan", "split"]
