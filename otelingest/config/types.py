"""The kinds of value that settings share: component ids, durations, secrets, sized integers, optional sections."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

from otelingest.config.values import Date


class Unreadable(ValueError):
    """Raised by a validator for what the collector refuses while it reads a value (before it checks settings).

    The message then names the key: `'transport' unsupported transport type "quic"`.

    places: where within the value it is wrong, and what is said there; none: it is wrong as a whole.
    """

    def __init__(self, text: str, places: Sequence[tuple[tuple[str | int, ...], str]] = ()) -> None:
        super().__init__(text)
        self.places = places


@dataclass(frozen=True)
class OptionalSection:
    """Marks a section that is off while its key is absent, and on (with defaults) when the key is there.

    `enabled: false` inside turns it off; what else is in it must be readable all the same. Upstream: `configoptional`.

    null: whether a key without a value turns it on.
    """

    null: bool = True


T = TypeVar("T")
Section = Annotated[T | None, OptionalSection()]
"""`grpc: Section[GrpcSettings] = None` is off by default; `= Field(default_factory=X)` is on by default."""
FilledSection = Annotated[T | None, OptionalSection(null=False)]
"""The same, but a key without a value leaves it as it is."""


@dataclass(frozen=True)
class GoType:
    """Marks a field with what messages call its type, where that is not plain; of a string it says more.

    zero: what a key without a value stands for. parse: how a text is read, where not as it is. number: what a number
    stands for, where upstream's type is one; then a reference is what its text means, as for other numbers.
    """

    name: str
    zero: str = ""
    parse: Callable[[str], str] = str
    number: Callable[[int], str] | None = None


@dataclass(frozen=True)
class TextStruct:
    """Marks a string that upstream keeps in a structure, which reads itself from a text.

    A reference to nothing leaves it empty, whatever its default. parse: how the text is read.
    """

    parse: Callable[[str], str] = str


@dataclass(frozen=True)
class Integer:
    """Marks an int that upstream keeps in so many bits. Larger numbers wrap, with a warning, as they do there."""

    bits: int = 64
    signed: bool = True
    go_name: str = "int"

    def wrap(self, number: int) -> int:
        number &= (1 << self.bits) - 1
        return number - (1 << self.bits) if self.signed and number >> (self.bits - 1) else number


Int32 = Annotated[int, Integer(32, True, "int32")]
Int64 = Annotated[int, Integer(64, True, "int64")]
Uint16 = Annotated[int, Integer(16, False, "uint16")]
Uint32 = Annotated[int, Integer(32, False, "uint32")]
Uint64 = Annotated[int, Integer(64, False, "uint64")]


@dataclass(frozen=True)
class BareNumber:
    """Marks a Duration whose bare numbers are not nanoseconds, as they are elsewhere, but so many of this unit."""

    unit: str


class MapList:
    """Marks a map that may also be written as a list of `name` and `value`."""


_SYMBOLS = frozenset("ZCS")
_TYPE = re.compile(r"[a-zA-Z][0-9a-zA-Z_]{0,62}\Z")
_NAME_LENGTH = 1024


class ComponentId(NamedTuple):
    """`type[/name]`, as components are named in the YAML file."""

    type: str
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> ComponentId:
        """Read an id; spaces around its parts do not count. Raises ValueError with the collector's text."""
        kind, slash, name = text.partition("/")
        kind, name = kind.strip(), name.strip()
        if not kind:
            raise Unreadable(f"in {go_quote(text)} id: the part before / should not be empty" if slash else _NO_ID)
        if slash:
            if not name:
                raise Unreadable(f"in {go_quote(text)} id: the part after / should not be empty")
            check_name(name)
        if not _TYPE.match(kind):
            raise Unreadable(f"in {go_quote(text)} id: invalid character(s) in type {go_quote(kind)}")
        return cls(kind, name)

    def __str__(self) -> str:
        return f"{self.type}/{self.name}" if self.name else self.type

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls.parse(_text(value)),
            serialization=core_schema.to_string_ser_schema(),
        )


_NO_ID = "id must not be empty"


def check_name(name: str) -> None:
    """Raise Unreadable unless `name` may stand after the slash of an id."""
    if len(name) > _NAME_LENGTH:
        raise Unreadable(
            f"in {go_quote(name)} id: name is longer than {_NAME_LENGTH} characters ({len(name)} characters)"
        )
    if any(unicodedata.category(character)[0] in _SYMBOLS for character in name):
        raise Unreadable(f"in {go_quote(name)} id: invalid character(s) in name {go_quote(name)}")


_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")
_LONGEST = (1 << 63) - 1


class Duration(int):
    """A length of time in nanoseconds, written as Go does: `200ms`, `1h30m`, `72h`. A bare number is nanoseconds.

    It prints as Go prints it: `1m0s`.
    """

    @property
    def seconds(self) -> float:
        return int(self) / 1e9

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read Go's notation. Raises ValueError with Go's text."""
        body = text[1:] if text[:1] in ("+", "-") else text
        if body == "0":
            return cls(0)
        if not body:
            raise Unreadable(f"time: invalid duration {go_quote(text)}")
        total = 0
        at = 0
        while at < len(body):
            part = _PART.match(body, at)
            if part is None or not (part[1] or (part[2] or ".") != "."):
                raise Unreadable(f"time: invalid duration {go_quote(text)}")
            if not part[3]:
                raise Unreadable(f"time: missing unit in duration {go_quote(text)}")
            if part[3] not in _UNITS:
                raise Unreadable(f"time: unknown unit {go_quote(part[3])} in duration {go_quote(text)}")
            total += int(Decimal((part[1] or "0") + (part[2] or "")) * _UNITS[part[3]])
            at = part.end()
        if total > _LONGEST:
            raise Unreadable(f"time: invalid duration {go_quote(text)}")
        return cls(-total if text[0] == "-" else total)

    def __str__(self) -> str:
        number = int(self)
        sign, number = ("-", -number) if number < 0 else ("", number)
        if number == 0:
            return "0s"
        for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
            if number < min(size * 1000, 10**9):
                return f"{sign}{_decimal(number, size)}{unit}"
        minutes, rest = divmod(number, _UNITS["m"])
        hours, minutes = divmod(minutes, 60)
        shown = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
        return f"{sign}{shown}{_decimal(rest, 10**9)}s"

    def __repr__(self) -> str:
        return f"Duration({str(self)!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: (
                value if isinstance(value, cls) else cls.parse(value) if isinstance(value, str) else cls(value)
            ),
            serialization=core_schema.to_string_ser_schema(),
        )


def _decimal(number: int, size: int) -> str:
    """`number / size` with as many digits after the point as it takes."""
    whole, rest = divmod(number, size)
    digits = str(rest).rjust(len(str(size)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if rest else str(whole)


REDACTED = "[REDACTED]"


class Secret(SecretStr):
    """Text that is shown as `[REDACTED]` wherever settings are printed. `get_secret_value()` is the text."""

    def _display(self) -> str:
        return REDACTED

    def __repr__(self) -> str:
        return f"Secret({REDACTED!r})"


Headers = Annotated[dict[str, Secret], MapList()]
"""Header names to values, which are secrets. A list of `name` and `value` is understood too."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unreadable(f"expected type 'string', got unconvertible type '{go_type(value)}'")
    return value


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def go_quote(text: str) -> str:
    """`text` in double quotes, with Go's escapes: as the collector's messages show it."""
    return '"' + "".join(_ESCAPES.get(c, c if c.isprintable() else f"\\u{ord(c):04x}") for c in text) + '"'


def go_type(value: Any) -> str:
    """What Go calls the type of a YAML value."""
    for kinds, name in _GO_TYPES:
        if isinstance(value, kinds):
            return name
    return "<nil>" if value is None else type(value).__name__


def go_kind(value: Any) -> str:
    """What Go calls the kind of a YAML value."""
    return {"map[string]interface {}": "map", "[]interface {}": "slice", "time.Time": "struct"}.get(
        go_type(value), go_type(value)
    )


def go_value(value: Any) -> str:
    """A YAML value as Go prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{' '.join(map(go_value, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_value(value[key])}' for key in sorted(value))}]"
    return str(value)


_GO_TYPES: tuple[tuple[Any, str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "float64"),
    (str, "string"),
    (dict, "map[string]interface {}"),
    ((list, tuple), "[]interface {}"),
    (Date, "time.Time"),
)
