"""Turns an INSERT with data beside it into an INSERT that reads the data from a file.

The engine's own streaming insert hides errors of the table (constraints, partitions, views); an INSERT … SELECT raises
them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from otelingest.clickhouse.embedded.errors import EngineError
from otelingest.clickhouse.embedded.sql import Insert, quote_name, quote_text

_NO_SUCH_COLUMN_IN_TABLE = 16
_COMPUTED = ("MATERIALIZED", "ALIAS")
_ONLY_IF_NAMED = ("EPHEMERAL",)


@dataclass(frozen=True, slots=True)
class InsertColumn:
    """A column that the data fills. `default` is the expression that stands in where the data lacks it, or ""."""

    name: str
    type: str
    default: str

    def declaration(self, with_default: bool) -> str:
        """As in a table's definition."""
        text = f"{quote_name(self.name)} {self.type}"
        return f"{text} DEFAULT {self.default}" if self.default and with_default else text


@dataclass(frozen=True, slots=True)
class InsertPlan:
    """An INSERT with the columns it fills, in the statement's order."""

    insert: Insert
    columns: tuple[InsertColumn, ...]

    @classmethod
    def of(cls, insert: Insert, described: Sequence[Sequence[str]]) -> InsertPlan:
        """described: rows of `DESCRIBE TABLE` (name, type, kind of default, its expression, …). Raises EngineError."""
        known = {row[0]: row for row in described}
        if insert.columns is None:
            names = [
                row[0] for row in described if row[2] not in _COMPUTED + _ONLY_IF_NAMED and row[0] not in insert.all_but
            ]
        else:
            names = list(insert.columns)
        for name in names:
            if name not in known or known[name][2] in _COMPUTED:
                raise EngineError(
                    _NO_SUCH_COLUMN_IN_TABLE,
                    f"No such column {name} in table {insert.target} to insert into.",
                    "NO_SUCH_COLUMN_IN_TABLE",
                )
        rows = [known[name] for name in names]
        return cls(insert, tuple(InsertColumn(r[0], r[1], r[3] if r[2] == "DEFAULT" else "") for r in rows))

    @property
    def has_defaults(self) -> bool:
        """Whether any column's default is an expression."""
        return any(column.default for column in self.columns)

    def in_format(self, name: str) -> InsertPlan:
        """The same with data in another format than the statement says."""
        return replace(self, insert=replace(self.insert, format=name))

    @property
    def header(self) -> list[tuple[str, str]]:
        """Names and types that a client is to send."""
        return [(column.name, column.type) for column in self.columns]

    def sql(self, path: str, default_format: str, *, defaults: bool = True) -> str:
        """The statement that reads the data from `path`. Without `defaults` what the data lacks is 0 or empty."""
        names = ", ".join(quote_name(column.name) for column in self.columns)
        structure = ", ".join(column.declaration(defaults) for column in self.columns)
        settings = f" SETTINGS {self.insert.settings}" if self.insert.settings else ""
        source = ", ".join(map(quote_text, (path, self.insert.format or default_format, structure)))
        return f"INSERT INTO {self.insert.target} ({names}){settings} SELECT {names} FROM file({source})"  # noqa: S608
