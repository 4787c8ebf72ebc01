"""Python values to the bytes of ClickHouse's Native format, by the type of the column they go to.

An encoder is made from what the values mean (`Kind`) and the target's type. It knows a `prefix`, written once before a
column's data, and turns a list of values into `data`; the two joined are what follows name and type in a block.
Layout: `clickhouse/src/DataTypes/Serializations` of ClickHouse; every form here is checked against the real engine.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, chain
from typing import Any, NamedTuple, Protocol

_KEY_VERSION = (1).to_bytes(8, "little")
_ADDITIONAL_KEYS_AND_UPDATE = 0x600
_UINT_MAX = (1 << 64) - 1
_INT64_MAX = (1 << 63) - 1
_UINT32_MAX = (1 << 32) - 1
_SECONDS_END_OF_2299 = 10_413_791_999  # the last second that DateTime64 can show


class Kind(enum.Enum):
    """What the values of a column mean, whatever type they are written as.

    TEXT: str. TIME: nanoseconds since 1970, an int below 2**64. INTEGER: int, wrapped to the target's width.
    NUMBER: float. FLAG: bool. MAP: AttributeMap.
    """

    TEXT = "text"
    TIME = "time"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    MAP = "map"


class AttributeMap:
    """Sorted keys with their values as text; a key may repeat. Maps that many rows share are encoded once."""

    __slots__ = ("_packed", "keys", "values")

    def __init__(self, keys: tuple[str, ...], values: Sequence[str]) -> None:
        self.keys = keys
        self.values = values
        self._packed: bytes | None = None

    @property
    def packed_values(self) -> bytes:
        """The values as a String column's bytes."""
        if self._packed is None:
            self._packed = pack_strings(self.values)
        return self._packed


EMPTY_MAP = AttributeMap((), ())


class Encoder(Protocol):
    """Writes values of one kind as one type. `data` of no values is empty, also where a dictionary would stand."""

    @property
    def prefix(self) -> bytes: ...

    def data(self, values: Sequence[Any]) -> bytes: ...


class Type(NamedTuple):
    """A parsed type: `Map(String, String)` is `Type("Map", ("String", "String"))`."""

    name: str
    arguments: tuple[str, ...]


@lru_cache(maxsize=1024)
def parse_type(text: str) -> Type:
    """Take the outermost type apart. Raises ValueError where brackets do not match."""
    text = text.strip()
    name, bracket, rest = text.partition("(")
    if not bracket:
        return Type(name, ())
    if not rest.endswith(")"):
        raise ValueError(f"brackets do not match in type {text}")
    arguments, depth, quoted, start = [], 0, False, 0
    for place, character in enumerate(rest[:-1]):
        if character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "," and depth == 0:
            arguments.append(rest[start:place].strip())
            start = place + 1
    if depth or quoted:
        raise ValueError(f"brackets do not match in type {text}")
    return Type(name.strip(), (*arguments, rest[start:-1].strip()))


def encoder(kind: Kind, array: bool, type_text: str) -> Encoder:
    """The writer of values of a kind (lists of them if `array`) as a type. Raises ValueError when there is none."""
    parsed = parse_type(type_text)
    if array:
        if parsed.name != "Array" or len(parsed.arguments) != 1:
            raise ValueError(f"lists of {kind.value} cannot be written as {type_text}")
        return _Array(encoder(kind, False, parsed.arguments[0]))
    made = _nullable(kind, parsed) if parsed.name == "Nullable" else _scalar(kind, parsed)
    if made is None:
        raise ValueError(f"{kind.value} cannot be written as {type_text}")
    return made


def _nullable(kind: Kind, parsed: Type) -> Encoder | None:
    inner = parse_type(parsed.arguments[0]) if len(parsed.arguments) == 1 else None
    made = _scalar(kind, inner) if inner is not None and inner.name not in ("LowCardinality", "Map") else None
    return _Nullable(made) if made is not None else None


def _scalar(kind: Kind, parsed: Type) -> Encoder | None:
    name, arguments = parsed
    if kind is Kind.TEXT:
        return _TEXT_ENCODERS.get((name, *arguments))
    if kind is Kind.TIME:
        return _time_encoder(name, arguments)
    if kind is Kind.MAP:
        return _map_encoder(name, arguments)
    if name in _FLOATS and kind in (Kind.NUMBER, Kind.INTEGER):
        return _Float(_FLOATS[name])
    if name in _WIDTHS and kind in (Kind.INTEGER, Kind.FLAG):
        return _Integer(_WIDTHS[name])
    if name == "Bool" and kind is Kind.FLAG:
        return _Integer(1)
    return None


def _time_encoder(name: str, arguments: tuple[str, ...]) -> Encoder | None:
    if name in ("DateTime", "DateTime32") and len(arguments) <= 1:
        return _Seconds()
    if name == "DateTime64" and 1 <= len(arguments) <= 2 and arguments[0].isdigit() and int(arguments[0]) <= 9:
        return _Ticks(int(arguments[0]))
    return None


def _map_encoder(name: str, arguments: tuple[str, ...]) -> Encoder | None:
    if name != "Map" or len(arguments) != 2:
        return None
    keys, values = (_TEXT_ENCODERS.get(tuple(parse_type(a).name for a in _spine(argument))) for argument in arguments)
    return _Map(keys, values) if keys is not None and values is not None else None


def _spine(type_text: str) -> Iterable[str]:
    """`LowCardinality(String)`, `String`: a type and what it wraps."""
    yield type_text
    for argument in parse_type(type_text).arguments:
        yield from _spine(argument)


def uvarint(number: int) -> bytes:
    """An unsigned LEB128 number."""
    if number < 128:
        return _SMALL[number]
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_SMALL = [bytes((number,)) for number in range(128)]


def pack_strings(values: Iterable[str]) -> bytes:
    """A String column: each value's length in bytes, then its UTF-8."""
    parts: list[bytes] = []
    append = parts.append
    for value in values:
        data = value.encode()
        size = len(data)
        append(_SMALL[size] if size < 128 else uvarint(size))
        append(data)
    return b"".join(parts)


def _ends(lengths: Iterable[int], count: int) -> bytes:
    """The offsets of arrays: where each ends."""
    return struct.pack(f"<{count}Q", *accumulate(lengths))


class _String:
    prefix = b""

    def data(self, values: Sequence[str]) -> bytes:
        return pack_strings(values)


class _LowCardinality:
    """A dictionary and indexes into it, of the smallest width that fits. Key 0 is the empty string, as in engines."""

    prefix = _KEY_VERSION

    def data(self, values: Sequence[str]) -> bytes:
        if not values:
            return b""
        places: dict[str, int] = {"": 0}
        indexes = [places.setdefault(value, len(places)) for value in values]
        return self.dictionary(places) + self.indexes(places, indexes)

    @staticmethod
    def dictionary(places: dict[str, int]) -> bytes:
        return b"".join(
            (
                struct.pack("<QQ", _ADDITIONAL_KEYS_AND_UPDATE | _index_type(len(places)), len(places)),
                pack_strings(places),
            )
        )

    @staticmethod
    def indexes(places: dict[str, int], indexes: Sequence[int]) -> bytes:
        return struct.pack(f"<Q{len(indexes)}{'BHIQ'[_index_type(len(places))]}", len(indexes), *indexes)


def _index_type(keys: int) -> int:
    """0 to 3 for indexes of 8, 16, 32 or 64 bits."""
    return 0 if keys <= 1 << 8 else 1 if keys <= 1 << 16 else 2 if keys <= 1 << 32 else 3


class _Integer:
    prefix = b""

    def __init__(self, width: int) -> None:
        self._mask = (1 << 8 * width) - 1
        self._format = {1: "B", 2: "H", 4: "I", 8: "Q"}[width]

    def data(self, values: Sequence[int]) -> bytes:
        mask = self._mask
        return struct.pack(f"<{len(values)}{self._format}", *[value & mask for value in values])


class _Float:
    prefix = b""

    def __init__(self, code: str) -> None:
        self._format = code

    def data(self, values: Sequence[float]) -> bytes:
        try:
            return struct.pack(f"<{len(values)}{self._format}", *values)
        except OverflowError:  # beyond 32 bits
            return struct.pack(f"<{len(values)}{self._format}", *map(_float32, values))


def _float32(number: float) -> float:
    try:
        struct.pack("<f", number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    return number


class _Seconds:
    """DateTime: seconds in 32 bits; what lies after 2106 becomes its last second."""

    prefix = b""

    def data(self, values: Sequence[int]) -> bytes:
        return struct.pack(f"<{len(values)}I", *[min(value // 1_000_000_000, _UINT32_MAX) for value in values])


class _Ticks:
    """DateTime64: ticks of its precision in 64 bits, signed; what lies beyond the type's last instant becomes that."""

    prefix = b""

    def __init__(self, precision: int) -> None:
        self._divisor = 10 ** (9 - precision)
        self._last = min(_INT64_MAX, (_SECONDS_END_OF_2299 + 1) * 10**precision - 1)

    def data(self, values: Sequence[int]) -> bytes:
        divisor, last = self._divisor, self._last
        return struct.pack(f"<{len(values)}q", *[min(value // divisor, last) for value in values])


class _Nullable:
    """Never null: what is absent in OTLP has a default in ClickHouse's tables."""

    def __init__(self, inner: Encoder) -> None:
        self._inner = inner
        self.prefix = inner.prefix

    def data(self, values: Sequence[Any]) -> bytes:
        return bytes(len(values)) + self._inner.data(values)


class _Array:
    def __init__(self, inner: Encoder) -> None:
        self._inner = inner
        self.prefix = inner.prefix

    def data(self, values: Sequence[Sequence[Any]]) -> bytes:
        if not values:
            return b""
        flat = list(chain.from_iterable(values))
        ends = _ends(map(len, values), len(values))
        return ends + self._inner.data(flat) if flat else ends


class _Map:
    """Offsets, then all keys, then all values. Where no map has an entry, nothing follows the offsets."""

    def __init__(self, keys: Encoder, values: Encoder) -> None:
        self._keys = keys
        self._values = values
        self.prefix = keys.prefix + values.prefix

    def data(self, values: Sequence[AttributeMap]) -> bytes:
        if not values:
            return b""
        ends = _ends([len(entry.keys) for entry in values], len(values))
        if not any(entry.keys for entry in values):
            return ends
        return b"".join((ends, self._key_data(values), self._value_data(values)))

    def _key_data(self, maps: Sequence[AttributeMap]) -> bytes:
        if not isinstance(self._keys, _LowCardinality):
            return self._keys.data([key for entry in maps for key in entry.keys])
        places: dict[str, int] = {"": 0}
        known: dict[tuple[str, ...], list[int]] = {}  # rows of one origin have the same keys
        indexes: list[int] = []
        for entry in maps:
            row = known.get(entry.keys)
            if row is None:
                row = known[entry.keys] = [places.setdefault(key, len(places)) for key in entry.keys]
            indexes += row
        return self._keys.dictionary(places) + self._keys.indexes(places, indexes)

    def _value_data(self, maps: Sequence[AttributeMap]) -> bytes:
        if isinstance(self._values, _String):
            return b"".join([entry.packed_values for entry in maps])
        return self._values.data([value for entry in maps for value in entry.values])


_TEXT_ENCODERS: dict[tuple[str, ...], Encoder] = {
    ("String",): _String(),
    ("LowCardinality", "String"): _LowCardinality(),
}
_WIDTHS = {f"{sign}{8 * width}": width for sign in ("Int", "UInt") for width in (1, 2, 4, 8)}
_FLOATS = {"Float32": "f", "Float64": "d"}
