"""A value of any depth as the JSON text it is stored as, straight from its bytes and without recursion."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from otelingest.codec.values import NoJson, bool_text, json_bytes, json_double, json_string
from otelingest.codec.wire import FIXED64, LENGTH, VARINT, Broken, read_tag, read_varint, value_end

_STRING, _BOOL, _INT, _DOUBLE, _ARRAY, _MAP, _BYTES, _STRING_INDEX = range(1, 9)
_ANY_VALUE = {
    _STRING: LENGTH,
    _BOOL: VARINT,
    _INT: VARINT,
    _DOUBLE: FIXED64,
    _ARRAY: LENGTH,
    _MAP: LENGTH,
    _BYTES: LENGTH,
    _STRING_INDEX: VARINT,
}
_LIST = {1: LENGTH}
_KEY, _VALUE = 1, 2
_KEY_VALUE = {_KEY: LENGTH, _VALUE: LENGTH}

Pieces = list[tuple[int, int]]
"""Where a message's bytes start and end. Protobuf merges a message that comes several times: the bytes of all count."""


def flat_text(data: bytes, start: int, end: int) -> tuple[str, int]:
    """The text of the `AnyValue` that lies between two offsets, and how many of its strings were not UTF-8."""
    flattener = _Flattener(data)
    try:
        return flattener.text([(start, end)]), flattener.replaced_strings
    except NoJson:
        return "", flattener.replaced_strings


class _Flattener:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.replaced_strings = 0

    def text(self, value: Pieces) -> str:
        """Depth first, with the lists and maps that are open on a stack of their own."""
        out: list[str] = []
        stack: list[Iterator[str | Pieces]] = [iter((value,))]
        while stack:
            for item in stack[-1]:
                shown = item if isinstance(item, str) else self._value(item)
                if not isinstance(shown, str):
                    stack.append(shown)
                    break
                out.append(shown)
            else:
                stack.pop()
        return "".join(out)

    def _fields(self, pieces: Pieces, wire_types: dict[int, int]) -> Iterator[tuple[int, int, int]]:
        """Number, start and end of every known field."""
        for piece_start, end in pieces:
            position = piece_start
            while position < end:
                number, wire_type, behind = read_tag(self.data, position, end)
                if wire_types.get(number, wire_type) != wire_type:
                    raise Broken(f"proto: wrong wireType = {wire_type} for field {number} of a value", position)
                start, position = value_end(self.data, behind, end, wire_type, number)
                if number in wire_types:
                    yield number, start, position

    def _value(self, pieces: Pieces) -> str | Iterator[str | Pieces]:
        """The last of several kinds counts."""
        kind, content = 0, Pieces()
        for number, start, end in self._fields(pieces, _ANY_VALUE):
            if number != kind or number not in (_ARRAY, _MAP):
                content = []
            kind = number
            content.append((start, end))
        if kind == _ARRAY:
            return self._list(content)
        if kind == _MAP:
            return self._map(content)
        return _SCALARS[kind](self, *content[0]) if kind in _SCALARS else "null"

    def _list(self, pieces: Pieces) -> Iterator[str | Pieces]:
        separator = "["
        for _, start, end in self._fields(pieces, _LIST):
            yield separator
            yield [(start, end)]
            separator = ","
        yield "[]" if separator == "[" else "]"

    def _map(self, pieces: Pieces) -> Iterator[str | Pieces]:
        entries: dict[str, Pieces] = {}
        for _, start, end in self._fields(pieces, _LIST):
            key, value = "", Pieces()
            for number, field_start, field_end in self._fields([(start, end)], _KEY_VALUE):
                if number == _KEY:
                    key = self._decode(field_start, field_end)
                else:
                    value.append((field_start, field_end))
            entries[key] = value
        separator = "{"
        for key in sorted(entries):
            yield f"{separator}{json_string(key)}:"
            yield entries[key]
            separator = ","
        yield "{}" if separator == "{" else "}"

    def _decode(self, start: int, end: int) -> str:
        raw = self.data[start:end]
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.replaced_strings += 1
            return raw.decode("utf-8", "replace")

    def _string(self, start: int, end: int) -> str:
        return json_string(self._decode(start, end))

    def _integer(self, start: int, end: int) -> str:
        number, _ = read_varint(self.data, start, end)
        return str(number - (1 << 64) if number >> 63 else number)

    def _bool(self, start: int, end: int) -> str:
        return bool_text(read_varint(self.data, start, end)[0] != 0)

    def _double(self, start: int, _: int) -> str:
        return json_double(struct.unpack_from("<d", self.data, start)[0])

    def _bytes(self, start: int, end: int) -> str:
        return json_bytes(self.data[start:end])


_SCALARS: dict[int, Callable[[_Flattener, int, int], str]] = {
    _STRING: _Flattener._string,
    _BOOL: _Flattener._bool,
    _INT: _Flattener._integer,
    _DOUBLE: _Flattener._double,
    _BYTES: _Flattener._bytes,
}
