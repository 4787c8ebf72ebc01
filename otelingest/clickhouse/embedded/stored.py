"""Reads a data folder that no process serves, with the engine in this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from otelingest.clickhouse.embedded.engine import connect
from otelingest.clickhouse.embedded.errors import READONLY, EngineError, translate
from otelingest.clickhouse.embedded.formats import streams
from otelingest.clickhouse.embedded.process import locked_by
from otelingest.clickhouse.embedded.sql import Kind, parse, quote_name, quote_text
from otelingest.pipeline.errors import ConfigError


def read_stored(
    folder: Path, sql: str, database: str, output: str, settings: Mapping[str, str], sink: BinaryIO
) -> None:
    """Run one statement that only reads. Raises ConfigError."""
    os.environ.setdefault("TZ", "UTC")
    try:
        with _quiet_stderr():
            connection = connect(str(folder), {})
    except Exception as error:
        holder = locked_by(folder)
        if holder is not None:
            raise ConfigError(f"the data folder {folder} is in use by another process{holder}") from None
        raise ConfigError(f"cannot open {folder}: {str(error).partition(chr(10))[0]}") from None
    try:
        with contextlib.closing(connection):
            if database:
                connection.query(f"USE {quote_name(database)}", "Null")
            pairs = ", ".join(f"{name} = {quote_text(value)}" for name, value in settings.items())
            connection.query(f"SET {pairs}", "Null")
            connection.query("SET readonly = 2", "Null")
            statement = parse(sql.encode())
            if statement.kind is Kind.INSERT:
                raise EngineError(READONLY, "Cannot execute query in readonly mode.")
            chosen = statement.format or output
            if statement.kind is not Kind.QUERY or statement.totals or not streams(chosen):
                sink.write(connection.query(statement.text, chosen).bytes())
                return
            stream = connection.send_query(statement.text, chosen)
            while (piece := stream.fetch()) is not None:
                sink.write(piece.bytes())
    except (BrokenPipeError, ConfigError):
        raise
    except Exception as error:
        failure = translate(error)
        hint = " Stored data is opened for reading only: start the collector." if failure.code == READONLY else ""
        raise ConfigError(f"Code: {failure.code}. DB::Exception: {failure.message} ({failure.name}){hint}") from None


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """The engine prints why it cannot open a folder; that is told in one line of ours."""
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
