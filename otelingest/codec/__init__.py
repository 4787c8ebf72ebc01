"""Bytes to meaning: counting, checking and turning OTLP into ClickHouse columns. Pure functions, no I/O, no settings.

`scan`, `columns` and `split` are the whole interface. They come in two implementations with the same results: a native
one where it could be compiled, and the readable one (`reference` and `splitting`), which runs everywhere and is what
the native one is tested against. The environment variable OTELINGEST_CODEC (`native` or `reference`) insists on one.
`otlp_json` turns OTLP/JSON into what `scan` reads.
"""

import os

from otelingest.codec.types import Column, ColumnData, Columns, Malformed, Part, Scan, Tables

__all__ = [
    "IMPLEMENTATION",
    "Column",
    "ColumnData",
    "Columns",
    "Malformed",
    "Part",
    "Scan",
    "Tables",
    "columns",
    "scan",
    "split",
]

_WANTED = os.environ.get("OTELINGEST_CODEC", "")
if _WANTED not in ("", "native", "reference"):
    raise ImportError(f"OTELINGEST_CODEC must be native or reference, not {_WANTED!r:.40}")

IMPLEMENTATION = "reference"
"""Which one runs: `native` or `reference`."""

if _WANTED != "reference":
    try:
        from otelingest.codec._native import columns, scan, split
    except ImportError:
        if _WANTED == "native":
            raise
    else:
        IMPLEMENTATION = "native"
if IMPLEMENTATION == "reference":
    from otelingest.codec.reference import columns, scan
    from otelingest.codec.splitting import split
