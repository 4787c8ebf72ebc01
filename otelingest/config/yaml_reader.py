"""Reads YAML as the Go collector does (go-yaml v3), and keeps the line and column of everything.

The scanner and parser are libyaml's, of which Go's are a translation. What is different from PyYAML's loaders: scalars
mean what they mean to Go, a key may not stand twice in a mapping, unknown tags are ignored, and of several documents
the first one counts.
"""

from __future__ import annotations

import codecs
from typing import Any

import yaml

from otelingest.config.types import go_quote
from otelingest.config.values import List, Map, Position
from otelingest.config.yaml_scalars import TAG, YamlError, go_syntax, go_text, scalar

MAX_DEPTH = 200
MAX_VALUES = 1_000_000
MAX_QUOTES = 1000
"""Nesting, values in one document with every alias counted in full, escaped quotes: far above any configuration."""


def _parser() -> Any:
    """libyaml's parser, or PyYAML's own where it was installed without: slower, and its messages differ."""
    try:
        from yaml._yaml import CParser
    except ImportError:
        return yaml.Loader
    return CParser


_Parser = _parser()


def read_yaml(text: str | bytes, source: str, *, lines: bool = True) -> Any:
    """The first document in the text: Maps, Lists, and scalars. Empty text is None. Raises YamlError.

    lines: whether positions tell line and column; else the source alone.
    """
    if isinstance(text, bytes):
        text = _decode(text)
    text = text.removeprefix("\ufeff")
    for _ in range(MAX_QUOTES):
        try:
            return _Builder(text, source, lines).document()
        except yaml.MarkedYAMLError as error:
            at = error.problem_mark.index if error.problem_mark else 0
            if error.problem != "found unknown escape character" or not text.startswith("\\'", at):
                raise _marked(_first(text, error), source) from None
            text = text[:at] + text[at + 1 :]  # Go knows this escape, libyaml does not
        except yaml.reader.ReaderError:
            raise YamlError("control characters are not allowed") from None
    raise YamlError("found too many escaped quotes")


LOOK_AHEAD = 3
"""Tokens that Go's parser has in view, the one that it is at and two more."""


def _first(text: str, error: yaml.MarkedYAMLError) -> yaml.MarkedYAMLError:
    """What Go finds wrong first. Its parser looks two tokens ahead, so what is no token there comes before."""
    if isinstance(error, yaml.parser.ParserError) and error.problem_mark:
        return _unscannable(text, error.problem_mark.index) or error
    return error


def _unscannable(text: str, index: int) -> yaml.MarkedYAMLError | None:
    """The error, if any, of scanning up to the second token behind the one that begins at the index."""
    scanner = _Parser(text)
    ahead = LOOK_AHEAD
    try:
        while ahead and (token := scanner.get_token()):
            ahead -= token.start_mark.index >= index and not isinstance(token, yaml.BlockEndToken)
    except yaml.MarkedYAMLError as error:
        return error
    return None


def _marked(error: yaml.MarkedYAMLError, source: str) -> YamlError:
    """Go's text for an error of libyaml's: it names the line of the context, counted from 0, before the problem's."""
    line = 0
    for mark in (error.context_mark, error.problem_mark):
        if mark is not None and mark.line and not line:
            line = mark.line + isinstance(error, yaml.scanner.ScannerError)
    mark = error.problem_mark or error.context_mark
    position = Position(source, mark.line + 1, mark.column + 1) if mark else None
    return YamlError(f"{_line(line)}{error.problem or error.context}", position)


def _line(line: int) -> str:
    return f"line {line}: " if line else ""


_LEADS = ((0x80, 0x00, 1), (0xE0, 0xC0, 2), (0xF0, 0xE0, 3), (0xF8, 0xF0, 4))
_SHORTEST = {2: b"\xc2", 3: b"\xe0\xa0", 4: b"\xf0\x90"}
"""By the number of octets that a character takes: below this it could do with fewer."""
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
        octets = data[error.start : error.start + width]
        if not width:
            text = "invalid leading UTF-8 octet"
        elif len(octets) < width:
            text = "incomplete UTF-8 octet sequence"
        elif any(octet & 0xC0 != 0x80 for octet in octets[1:]):
            text = "invalid trailing UTF-8 octet"
        elif octets < _SHORTEST[width]:
            text = "invalid length of a UTF-8 sequence"
        else:
            text = "invalid Unicode character"
        raise YamlError(text, Position("", line, column)) from None


class MixedMap(Map):
    """A document that is a mapping of which not every key is a string: upstream takes it for nothing."""

    __slots__ = ()


class _Unfinished:
    """Stands for an anchor whose value is still being read."""


_UNFINISHED = _Unfinished()


class _Builder:
    """Turns libyaml's events into values.

    Go builds nodes first and values then, so what is no YAML at all is told before values that are wrong, and of these
    the first one alone.
    """

    def __init__(self, text: str, source: str, lines: bool) -> None:
        self._text = text
        self._lines = lines
        self._events = _Parser(text)
        self._source = source
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0
        self._wrong: list[YamlError] = []
        self._duplicates: list[str] = []

    def document(self) -> Any:
        self._next()  # the start of the stream
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            return None
        if event.version not in (None, (1, 1)):
            raise YamlError(f"{_line(event.start_mark.line)}found incompatible YAML document", self._at(event))
        value = self._value(self._next(), 0)
        end = self._next()
        if end.end_mark.index < len(self._text) and (wrong := _unscannable(self._text, end.end_mark.index)):
            raise wrong
        if self._wrong:
            raise self._wrong[0]
        if self._duplicates:
            raise YamlError("unmarshal errors:\n" + "\n".join(f"  {line}" for line in self._duplicates))
        return value

    def _next(self) -> Any:
        return self._events.get_event()

    def _at(self, event: Any) -> Position:
        mark = event.start_mark
        return Position(self._source, mark.line + 1, mark.column + 1) if self._lines else Position(self._source)

    def _fail(self, text: str, event: Any) -> None:
        self._wrong.append(YamlError(text, self._at(event)))

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
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(depth)
        else:
            value = self._mapping(depth)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _scalar(self, event: Any) -> Any:
        try:
            return scalar(event.value, event.tag, plain=event.style in (None, ""))
        except YamlError as error:
            error.position = self._at(event)
            self._wrong.append(error)
            return None

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise YamlError(f"unknown anchor '{event.anchor}' referenced", self._at(event))
        value, size = self._anchors[event.anchor]
        if value is _UNFINISHED:
            self._fail(f"anchor '{event.anchor}' value contains itself", event)
        self._spend(size, event)
        return _copied(value)

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
        written: list[tuple[type[Any], str, int]] = []
        before = len(self._wrong), len(self._duplicates)
        mixed = False
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            text = getattr(event, "value", None) or getattr(event, "anchor", None) or ""
            written.append((type(event), text, event.start_mark.line + 1))
            key = self._value(event, depth + 1)
            value = self._value(self._next(), depth + 1)
            if _is_merge(event):
                merged = self._merged(value, event)
            else:
                mixed = mixed or not _is_string(event, key)
                result.put(self._key(key, event), value, self._at(event))
        for source in merged:
            for key, value in source.items():
                if key not in result:
                    result.put(key, value, source.at.get(key))
        if twice := _twice(written):
            # Nothing is read of such a mapping, so nothing that is in it can be wrong.
            del self._wrong[before[0] :], self._duplicates[before[1] :]
            self._duplicates += twice
        return MixedMap(result.items(), result.at) if mixed and not depth else result

    def _merged(self, value: Any, event: Any) -> list[Map]:
        """What a merge key brings in, the most important first."""
        sources = value if isinstance(value, List) else [value]
        if not all(isinstance(source, Map) for source in sources):
            self._fail("map merge requires map or sequence of maps as the value", event)
            return []
        return list(sources)

    def _key(self, value: Any, event: Any) -> str:
        if isinstance(value, Map | List):
            self._fail(f"invalid map key: {go_syntax(value)}", event)
            return ""
        return go_text(value)


def _copied(value: Any) -> Any:
    """The value by itself: what becomes of it is nothing to the place that it was written at."""
    if isinstance(value, Map):
        return Map(((key, _copied(item)) for key, item in value.items()), value.at)
    return List(map(_copied, value), value.at) if isinstance(value, List) else value


def _is_merge(event: Any) -> bool:
    if not isinstance(event, yaml.ScalarEvent) or event.value != "<<":
        return False
    return event.tag == TAG + "merge" or (event.tag in (None, "!") and event.style in (None, ""))


def _is_string(event: Any, key: Any) -> bool:
    """Whether Go's reader takes a key for a string."""
    tag = getattr(event, "tag", None)
    return isinstance(key, str) and tag in (None, "!", TAG + "str")


def _twice(keys: list[tuple[type[Any], str, int]]) -> list[str]:
    """Go's lines about keys that stand twice in a mapping. It compares what is written: `1` and `0x1` are two keys."""
    if len({key[:2] for key in keys}) == len(keys):
        return []
    pairs = ((one, other) for index, one in enumerate(keys) for other in keys[index + 1 :] if one[:2] == other[:2])
    return [
        f"line {again}: mapping key {go_quote(key)} already defined at line {first}"
        for (_, key, first), (_, _, again) in pairs
    ]
