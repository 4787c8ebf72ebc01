"""Reads YAML as the Go collector does (go-yaml v3), and keeps the line and column of everything.

The scanner and parser are libyaml's, of which Go's are a translation. What is different from PyYAML's loaders: only
`true` and `false` are booleans, `0o17` and `017` are octal, dates are strings, a key may not stand twice in a mapping,
unknown tags are ignored, and of several documents the first one counts.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import math
import re
from typing import Any

import yaml

from otelingest.config.values import List, Map, Position

MAX_DEPTH = 200
MAX_VALUES = 1_000_000
"""Nesting, and values in one document with every alias counted in full: far above any configuration."""


def _parser() -> Any:
    """libyaml's parser, or PyYAML's own where it was installed without: slower, and its messages differ."""
    try:
        from yaml._yaml import CParser
    except ImportError:
        return yaml.Loader
    return CParser


_Parser = _parser()


class YamlError(ValueError):
    """Text that is no YAML. The message is Go's; `position` is where libyaml stopped, if it says so."""

    def __init__(self, text: str, position: Position | None = None) -> None:
        super().__init__(f"yaml: {text}")
        self.position = position


def read_yaml(text: str | bytes, source: str, *, lines: bool = True) -> Any:
    """The first document in the text: Maps, Lists, and scalars. Empty text is None. Raises YamlError.

    lines: whether positions tell line and column; else the source alone.
    """
    if isinstance(text, bytes):
        text = _decode(text)
    parser = _Builder(text.removeprefix("\ufeff"), source, lines)
    try:
        return parser.document()
    except yaml.MarkedYAMLError as error:
        raise _marked(error, source) from None
    except yaml.reader.ReaderError:
        raise YamlError("control characters are not allowed") from None


def _marked(error: yaml.MarkedYAMLError, source: str) -> YamlError:
    """Go's text for an error of libyaml's: it names the line of the context, counted from 0, before the problem's."""
    line = 0
    for mark in (error.context_mark, error.problem_mark):
        if mark is not None and mark.line and not line:
            line = mark.line + isinstance(error, yaml.scanner.ScannerError)
    mark = error.problem_mark or error.context_mark
    where = f"line {line}: " if line else ""
    position = Position(source, mark.line + 1, mark.column + 1) if mark else None
    return YamlError(f"{where}{error.problem or error.context}", position)


_LEADS = ((0x80, 0x00, 1), (0xE0, 0xC0, 2), (0xF0, 0xE0, 3), (0xF8, 0xF0, 4))
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def _decode(data: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding)
            except UnicodeDecodeError:
                raise YamlError("incomplete UTF-16 character") from None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        lead = data[error.start]
        width = next((width for mask, bits, width in _LEADS if lead & mask == bits), 0)
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        if not width:
            text = "invalid leading UTF-8 octet"
        elif error.start + width > len(data):
            text = "incomplete UTF-8 octet sequence"
        else:
            text = "invalid trailing UTF-8 octet"
        raise YamlError(text, Position("", line, column)) from None


class _Unfinished:
    """Stands for an anchor whose value is still being read."""


_UNFINISHED = _Unfinished()


class _Builder:
    """Turns libyaml's events into values."""

    def __init__(self, text: str, source: str, lines: bool) -> None:
        self._lines = lines
        self._events = _Parser(text)
        self._source = source
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0
        self._duplicates: list[str] = []

    def document(self) -> Any:
        self._next()  # the start of the stream
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            return None
        if event.version not in (None, (1, 1)):
            raise YamlError("found incompatible YAML document", self._at(event))
        value = self._value(self._next(), 0)
        if self._duplicates:
            raise YamlError("unmarshal errors:\n" + "\n".join(f"  {line}" for line in self._duplicates))
        return value

    def _next(self) -> Any:
        return self._events.get_event()

    def _at(self, event: Any) -> Position:
        mark = event.start_mark
        return Position(self._source, mark.line + 1, mark.column + 1) if self._lines else Position(self._source)

    def _value(self, event: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise YamlError(f"exceeded max depth of {MAX_DEPTH}", self._at(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._count
        self._spend(1, event)
        if event.anchor:
            self._anchors[event.anchor] = (_UNFINISHED, 0)
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(depth)
        else:
            value = self._mapping(depth)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise YamlError(f"unknown anchor '{event.anchor}' referenced", self._at(event))
        value, size = self._anchors[event.anchor]
        if value is _UNFINISHED:
            raise YamlError(f"anchor '{event.anchor}' value contains itself", self._at(event))
        self._spend(size, event)
        return value

    def _spend(self, values: int, event: Any) -> None:
        self._count += values
        if self._count > MAX_VALUES:
            raise YamlError("document contains excessive aliasing", self._at(event))

    def _sequence(self, depth: int) -> List:
        result = List()
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            result.at.append(self._at(event))
            result.append(self._value(event, depth + 1))
        return result

    def _mapping(self, depth: int) -> Map:
        result = Map()
        merged: list[Map] = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            is_merge = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and _is_plain(event)
            key = _key(self._value(event, depth + 1), self._at(event))
            value = self._value(self._next(), depth + 1)
            if is_merge:
                merged = _merged(value, self._at(event))
            elif key in result:
                first, again = result.at[key].line, self._at(event).line
                self._duplicates.append(f'line {again}: mapping key "{key}" already defined at line {first}')
            else:
                result.put(key, value, self._at(event))
        for source in merged:
            for key, value in source.items():
                if key not in result:
                    result.put(key, value, source.at.get(key))
        return result


def _merged(value: Any, position: Position) -> list[Map]:
    """What a merge key brings in, the most important first."""
    sources = value if isinstance(value, List) else [value]
    if not all(isinstance(source, Map) for source in sources):
        raise YamlError("map merge requires map or sequence of maps as the value", position)
    return list(sources)


def _key(value: Any, position: Position) -> str:
    if isinstance(value, Map | List):
        raise YamlError(f"line {position.line}: a map or list cannot be a key", position)
    return go_text(value)


def go_text(value: Any) -> str:
    """A scalar as Go prints it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "<nil>"
    if isinstance(value, float):
        return _go_float(value)
    return str(value)


def _go_float(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    return text.removesuffix(".0")


_PREFIX = "tag:yaml.org,2002:"
_RESOLVED = {_PREFIX + name for name in ("bool", "int", "float", "null", "timestamp")}
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1


def _is_plain(event: Any) -> bool:
    return event.style in (None, "") and event.tag is None


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.tag is None or event.tag == "!":
        return resolve(text) if event.style in (None, "") and event.tag is None else text
    if event.tag == _PREFIX + "binary":
        try:
            return base64.b64decode(text).decode("utf-8", "replace")
        except binascii.Error:
            raise YamlError("!!binary value contains invalid base64 data") from None
    return _tagged(text, event.tag.removeprefix(_PREFIX)) if event.tag in _RESOLVED else text


def _tagged(text: str, tag: str) -> Any:
    """A scalar with one of YAML's own tags, which must be true of it."""
    value = resolve(text)
    actual = "null" if value is None else {bool: "bool", int: "int", float: "float", str: "str"}[type(value)]
    if tag == "float" and actual == "int":
        return float(value)
    if tag != actual and tag != "timestamp":
        raise YamlError(f"cannot decode !!{actual} `{text}` as a !!{tag}")
    return value


def resolve(text: str) -> Any:
    """What a plain scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if not (text[0].isdigit() or text[0] in "+-."):
        return text
    digits = text.replace("_", "")
    if _INTEGER.match(digits):
        number = _integer(digits)
        if _LOWEST <= number <= _HIGHEST:
            return number
    if _FLOAT.match(digits) and not (text[0] == "." and "_" in text):
        return float(digits)
    return text


def _integer(digits: str) -> int:
    body = digits.lstrip("+-")
    number = int(body, 8) if len(body) > 1 and body[0] == "0" and body[1].isdigit() else int(body, 0)
    return -number if digits[0] == "-" else number
