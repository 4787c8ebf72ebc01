"""Walks Native blocks to find where they end, and writes the small ones that the engine does not.

An uncompressed block carries no length: its end is known only after every column has been walked by its type. Strings
are the only type whose walk costs something for every value (about 60 ns each).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Generator, Iterator, Sequence

from otelingest.clickhouse.embedded.errors import CANNOT_READ_ALL_DATA, NOT_IMPLEMENTED, EngineError
from otelingest.clickhouse.primitives import string, varint

NAME_LIMIT = 1 << 16
COLUMNS_LIMIT = 1 << 16

_WIDTHS = {
    1: ("UInt8", "Int8", "Bool", "Enum8", "Nothing"),
    2: ("UInt16", "Int16", "Enum16", "Date", "BFloat16"),
    4: ("UInt32", "Int32", "Float32", "Date32", "DateTime", "IPv4", "Decimal32", "Time"),
    8: ("UInt64", "Int64", "Float64", "DateTime64", "Decimal64", "Time64"),
    16: ("UInt128", "Int128", "UUID", "IPv6", "Decimal128", "Point"),
    32: ("UInt256", "Int256", "Decimal256"),
}
_FIXED = {name: width for width, names in _WIDTHS.items() for name in names}
_GEO = {
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}
_DECIMAL_WIDTHS = ((9, 4), (18, 8), (38, 16), (76, 32))
_PIECE = re.compile(r"'(?:[^'\\]++|\\.)*+'|`(?:[^`\\]++|\\.)*+`|[(),]|[^'`(),]+", re.S)
_DEPTH_LIMIT = 64


def header_block(columns: Sequence[tuple[str, str]]) -> bytes:
    """A block of no rows: names and types."""
    head = [varint(len(columns)), b"\x00"]
    return b"".join([*head, *(string(name) + string(kind) for name, kind in columns)])


class Column:
    """How a column's bytes lie: first the prefixes of its type (`prefix` bytes), then its data.

    children: the types inside. width: bytes a value, for `fixed`.
    """

    __slots__ = ("children", "kind", "prefix", "width")

    def __init__(self, kind: str, children: Sequence[Column] = (), width: int = 0) -> None:
        self.kind = kind
        self.children = tuple(children)
        self.width = width
        self.prefix: int = (8 if kind == "dictionary" else 0) + sum(child.prefix for child in self.children)


def parse_type(text: str, depth: int = 0) -> Column:
    """Read a type's name. Raises EngineError for types whose layout is not walked here (JSON, Variant, Dynamic, …)."""
    name, arguments = _split_type(text)
    if depth > _DEPTH_LIMIT:
        raise EngineError(NOT_IMPLEMENTED, "The type is nested too deeply.")

    def inner(argument: str) -> Column:
        return parse_type(argument, depth + 1)

    if name == "String":
        return Column("string")
    if name in _FIXED or name.startswith("Interval"):
        return Column("fixed", width=_FIXED.get(name, 8))
    if name in _GEO:
        return inner(_GEO[name])
    if name == "FixedString" and arguments and arguments[0].isdecimal():
        return Column("fixed", width=int(arguments[0]))
    if name == "Decimal" and arguments and arguments[0].isdecimal():
        return Column("fixed", width=next((w for digits, w in _DECIMAL_WIDTHS if int(arguments[0]) <= digits), 32))
    if name == "SimpleAggregateFunction" and len(arguments) == 2:
        return inner(arguments[1])
    if name == "Nullable" and len(arguments) == 1:
        return Column("nullable", [inner(arguments[0])])
    if name == "LowCardinality" and len(arguments) == 1:
        key = inner(arguments[0])
        return Column("dictionary", [key.children[0] if key.kind == "nullable" else key])
    if name == "Array" and len(arguments) == 1:
        return Column("array", [inner(arguments[0])])
    if name == "Map" and len(arguments) == 2:
        return Column("array", [Column("tuple", [inner(argument) for argument in arguments])])
    if name in ("Tuple", "Nested") and arguments:
        tuple_ = Column("tuple", [inner(_unnamed(argument)) for argument in arguments])
        return tuple_ if name == "Tuple" else Column("array", [tuple_])
    raise EngineError(
        NOT_IMPLEMENTED,
        f"The embedded ClickHouse cannot read uncompressed blocks with the type {text} over the native protocol; "
        "turn on compression, or use HTTP.",
    )


def _split_type(text: str) -> tuple[str, list[str]]:
    """`Map(K, V)` → `Map`, [`K`, `V`]."""
    name, bracket, rest = text.strip().partition("(")
    if not bracket:
        return name, []
    arguments, current, depth = [], "", 1
    for piece in _PIECE.findall(rest):
        depth += (piece == "(") - (piece == ")")
        if depth == 0:
            break
        if piece == "," and depth == 1:
            arguments.append(current.strip())
            current = ""
        else:
            current += piece
    arguments.append(current.strip())
    return name.strip(), arguments


_NAMED = re.compile(r"(?:`(?:[^`\\]++|\\.)*+`|[A-Za-z_][A-Za-z0-9_.]*)\s+(?=[A-Za-z])", re.S)


def _unnamed(argument: str) -> str:
    """A tuple's element without its name."""
    return _NAMED.sub("", argument, count=1)


Steps = Generator[None, None, None]
"""Runs until it needs more data, and ends at the end of what it walks."""


class BlockWalker:
    """Finds the end of one block (without BlockInfo) in data that comes in pieces.

    `feed` takes a piece and returns how many of its bytes belong to the block; `done` tells whether that was its end.
    After the end `columns`, `rows` say what the block is.
    """

    def __init__(self) -> None:
        self.columns: list[tuple[str, str]] = []
        self.rows = 0
        self.done = False
        self._data: bytes = b""
        self._at = 0
        self._steps = self._block()

    def feed(self, data: bytes) -> int:
        """Walk on. Raises EngineError for what is no block."""
        kept = self._data[self._at :]
        self._at = max(0, self._at - len(self._data))
        self._data = kept + data if kept else data
        try:
            next(self._steps)
        except StopIteration:
            self.done = True
            return self._at - len(kept)
        return len(data)

    def _bytes(self, size: int) -> Generator[None, None, bytes]:
        while self._at + size > len(self._data):
            yield
        self._at += size
        return self._data[self._at - size : self._at]

    def _uint64(self) -> Generator[None, None, int]:
        raw = yield from self._bytes(8)
        number: int = struct.unpack("<Q", raw)[0]
        return number

    def _varint(self) -> Generator[None, None, int]:
        number = 0
        for shift in range(0, 70, 7):
            byte = (yield from self._bytes(1))[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
        raise EngineError(CANNOT_READ_ALL_DATA, "A number in the block is too long.")

    def _string(self) -> Generator[None, None, str]:
        size = yield from self._varint()
        if size > NAME_LIMIT:
            raise EngineError(CANNOT_READ_ALL_DATA, "A name in the block is too long.")
        return (yield from self._bytes(size)).decode("utf-8", "replace")

    def _block(self) -> Steps:
        columns = yield from self._varint()
        self.rows = yield from self._varint()
        if columns > COLUMNS_LIMIT:
            raise EngineError(CANNOT_READ_ALL_DATA, "The block has too many columns.")
        for _ in range(columns):
            name = yield from self._string()
            kind = yield from self._string()
            self.columns.append((name, kind))
            if self.rows:
                column = parse_type(kind)
                yield from self._skip(column.prefix)
                yield from self._walk(column, self.rows)
        yield from self._arrive()

    def _skip(self, size: int) -> Steps:
        # What lies beyond the data at hand is waited for by whoever reads next.
        self._at += size
        return
        yield

    def _arrive(self) -> Steps:
        while self._at > len(self._data):
            yield

    def _walk(self, column: Column, rows: int) -> Steps:
        if rows == 0:
            return
        if column.kind == "fixed":
            self._at += rows * column.width
        elif column.kind == "string":
            yield from self._strings(rows)
        elif column.kind == "nullable":
            self._at += rows
            yield from self._walk(column.children[0], rows)
        elif column.kind == "tuple":
            for child in column.children:
                yield from self._walk(child, rows)
        elif column.kind == "array":
            self._at += 8 * (rows - 1)
            total = yield from self._uint64()
            yield from self._walk(column.children[0], total)
        else:
            yield from self._dictionary(column.children[0])

    def _dictionary(self, keys: Column) -> Steps:
        flags = yield from self._uint64()
        yield from self._walk(keys, (yield from self._uint64()))
        rows = yield from self._uint64()
        self._at += rows << (flags & 3)

    def _strings(self, count: int) -> Steps:
        """The one loop that runs for every value. It reads until the data ends in front of a length, or inside one."""
        while True:
            data, at = self._data, self._at
            try:
                while count:
                    size = data[at]
                    if size < 0x80:
                        at += size + 1
                    else:
                        size, ended = _long_varint(data, at)
                        at = ended + size
                    count -= 1
            except IndexError:
                self._at = at
                yield
                continue
            self._at = at
            return


def _long_varint(data: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise EngineError(CANNOT_READ_ALL_DATA, "A string in the block is too long.")


def cut_blocks(data: bytes) -> Iterator[tuple[bytes, BlockWalker]]:
    """The blocks that lie end to end in `data`, each with what the walk found out."""
    at = 0
    while at < len(data):
        walker = BlockWalker()
        rest = data[at:] if at else data
        size = walker.feed(rest)
        if not walker.done:
            raise EngineError(CANNOT_READ_ALL_DATA, "The block is cut short.")
        yield rest[:size], walker
        at += size
