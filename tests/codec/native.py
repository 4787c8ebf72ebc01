"""Frames columns as a Native block and lets a real ClickHouse engine read it."""

from __future__ import annotations

import json
from pathlib import Path

from otelingest.codec import Columns
from otelingest.codec.native_types import uvarint


def block(columns: Columns) -> bytes:
    """A Native block of protocol revision 0, as over HTTP."""
    parts = [uvarint(len(columns.columns)), uvarint(columns.rows)]
    for name, type_text, data in columns.columns:
        for text in (name, type_text):
            parts += [uvarint(len(text.encode())), text.encode()]
        parts.append(data)
    return b"".join(parts)


def rows_as_text(columns: Columns | list[Columns], folder: Path) -> list[str]:
    """Every row as JSONEachRow writes it, sorted. `folder` takes the block's file."""
    import chdb

    many = columns if isinstance(columns, list) else [columns]
    file = folder / "block.native"
    file.write_bytes(b"".join(map(block, many)))
    structure = ", ".join(f"`{name}` {type_text}" for name, type_text, _ in many[0].columns)
    answer = chdb.query(
        f"SELECT * FROM file('{file}', 'Native', '{quoted(structure)}') "
        "SETTINGS output_format_json_quote_64bit_integers=0, output_format_json_quote_denormals=1",
        "JSONEachRow",
    )
    return sorted(answer.bytes().decode("utf-8", "surrogateescape").splitlines())


def rows(columns: Columns | list[Columns], folder: Path) -> list[dict]:
    return [json.loads(line) for line in rows_as_text(columns, folder)]


def quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
