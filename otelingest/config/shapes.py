"""How a YAML value becomes the type that a settings field has: the collector's rules, one small class for each.

Nothing is guessed: a quoted number is no integer, `yes` is no boolean. What is allowed: a null is the type's zero, a
number with a fraction is cut to an integer, and a string that stands for a list is split at its commas.
"""

from __future__ import annotations

import enum
import math
import pathlib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, PlainValidator, SecretStr, WrapValidator

from otelingest.config.reading import INVALID, Spot, did_you_mean, keys, read_nested
from otelingest.config.types import (
    BareNumber,
    ComponentId,
    Duration,
    Integer,
    MapList,
    OptionalSection,
    Secret,
    Unreadable,
    go_type,
)
from otelingest.config.values import Expanded, Map, plain

_OWN_WAY = (BeforeValidator, PlainValidator, WrapValidator)


class Shape(Protocol):
    """How values of one type are read. `read` notes what is wrong at the spot, and answers INVALID then."""

    go_name: str

    def zero(self) -> Any:
        """What a null stands for, INVALID where the field's default is the better answer."""

    def read(self, raw: Any, spot: Spot) -> Any: ...


def _value(raw: Any) -> Any:
    return raw.value if isinstance(raw, Expanded) else raw


def _mismatch(expected: str, value: Any, spot: Spot) -> Any:
    return spot.fail(f"expected type '{expected}', got unconvertible type '{go_type(value)}'")


class Boolean:
    go_name = "bool"

    def zero(self) -> bool:
        return False

    def read(self, raw: Any, spot: Spot) -> Any:
        value = _value(raw)
        if value is None:
            return False
        return value if isinstance(value, bool) else _mismatch(self.go_name, value, spot)


class Whole:
    """An integer. Fractions are cut off and what is too large wraps, as upstream; both with a warning."""

    def __init__(self, kind: Integer) -> None:
        self._kind = kind
        self.go_name = kind.go_name

    def zero(self) -> int:
        return 0

    def read(self, raw: Any, spot: Spot) -> Any:
        value = _value(raw)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _mismatch(self.go_name, value, spot)
        if isinstance(value, float) and not math.isfinite(value):
            return _mismatch(self.go_name, value, spot)
        if value < 0 and not self._kind.signed:
            return spot.fail(f"cannot parse value as '{self.go_name}': {value} overflows uint")
        number = int(value)
        if number != value:
            spot.warn(f"{value} is cut to {number}")
        wrapped = self._kind.wrap(number)
        if wrapped != number:
            spot.warn(f"{number} does not fit {self._kind.bits} bits; {wrapped} is used")
        return wrapped


class Real:
    go_name = "float64"

    def zero(self) -> float:
        return 0.0

    def read(self, raw: Any, spot: Spot) -> Any:
        value = _value(raw)
        if value is None:
            return 0.0
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _mismatch(self.go_name, value, spot)
        return float(value)


class Text:
    """A string, or a type made of one. A reference gives it its text, unread: `0123` stays `0123`."""

    def __init__(self, make: Any = str, go_name: str = "string") -> None:
        self._make = make
        self.go_name = go_name

    def zero(self) -> Any:
        try:
            return self._make("")
        except ValueError:
            return INVALID

    def read(self, raw: Any, spot: Spot) -> Any:
        value = raw.text if isinstance(raw, Expanded) else raw
        if isinstance(self._make, type) and isinstance(value, self._make):
            return value
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is None:
            return self.zero()
        if not isinstance(value, str):
            return _mismatch(self.go_name, value, spot)
        try:
            return self._make(value)
        except ValueError as error:
            return spot.fail(str(error))


class Id(Text):
    """A component's id."""

    def __init__(self) -> None:
        super().__init__(ComponentId.parse)

    def zero(self) -> ComponentId:
        return ComponentId("")

    def read(self, raw: Any, spot: Spot) -> Any:
        return raw if isinstance(raw, ComponentId) else super().read(raw, spot)


class Choice:
    """One of several strings: a Literal or an Enum."""

    go_name = "string"

    def __init__(self, choices: Iterable[Any], make: Any = None) -> None:
        self._choices = list(choices)
        self._make = make

    def zero(self) -> Any:
        return "" if "" in self._choices and self._make is None else INVALID

    def read(self, raw: Any, spot: Spot) -> Any:
        value = raw.text if isinstance(raw, Expanded) and isinstance(self._choices[0], str) else _value(raw)
        if value is None:
            return self.zero()
        if value not in self._choices:
            if isinstance(self._choices[0], str) and not isinstance(value, str):
                return _mismatch(self.go_name, value, spot)
            known = ", ".join(repr(choice) for choice in self._choices)
            return spot.fail(
                f"unknown value {value!r}, must be one of: {known}", did_you_mean(str(value), map(str, self._choices))
            )
        return value if self._make is None or isinstance(value, self._make) else self._make(value)


class Time:
    """A duration: Go's notation, or a bare number of nanoseconds (of another unit where the field says so)."""

    go_name = "time.Duration"

    def __init__(self, bare: BareNumber | None) -> None:
        self._bare = bare

    def zero(self) -> Duration:
        return Duration(0)

    def read(self, raw: Any, spot: Spot) -> Any:
        value = _value(raw)
        if value is None or isinstance(value, Duration):
            return value or Duration(0)
        if isinstance(value, str):
            try:
                return Duration.parse(value)
            except Unreadable as error:
                return spot.fail(str(error).partition(' "')[0])  # without the value, which may be a secret put astray
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return _mismatch(self.go_name, value, spot)
        unit = self._bare.unit if self._bare else "ns"
        duration = Duration(int(value) * Duration.parse(f"1{unit}"))
        if duration:
            spot.warn(
                f"a bare number is taken for {'seconds' if unit == 's' else 'nanoseconds' if unit == 'ns' else unit}"
                f' ({duration}); write a unit, such as "{int(value)}s"'
            )
        return duration


def _element(raw: Any, shape: Shape, spot: Spot) -> Any:
    """An item of a list or map. A null is the type's zero here too, a section's defaults."""
    if _value(raw) is not None or isinstance(shape, Nested | Text):
        return shape.read(raw, spot)
    zero = shape.zero()
    return spot.fail("must not be null") if zero is INVALID else zero


class Sequenced:
    """A list. One string may stand for it: it is split at its commas."""

    def __init__(self, item: Shape, make: Any) -> None:
        self._item = item
        self._make = make
        self.go_name = f"[]{item.go_name}"

    def zero(self) -> Any:
        return self._make(())

    def read(self, raw: Any, spot: Spot) -> Any:
        value = _value(raw)
        if value is None:
            return self.zero()
        if isinstance(value, str) and isinstance(self._item, Text) and not isinstance(self._item, Id):
            value = value.split(",") if value else []
        if isinstance(value, str | bytes | ComponentId) or not isinstance(value, Sequence | AbstractSet):
            return spot.fail(f"source data must be an array or slice, got {_kind(value)}")
        items = [_element(item, self._item, spot.item(index)) for index, item in enumerate(value)]
        return INVALID if INVALID in items else self._make(items)


class Mapped:
    """A map with keys of the user's own."""

    def __init__(self, key: Shape, item: Shape) -> None:
        self._key = key
        self._item = item
        self.go_name = f"map[{key.go_name}]{item.go_name}"

    def zero(self) -> dict[Any, Any]:
        return {}

    def read(self, raw: Any, spot: Spot) -> Any:
        value = _value(raw)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            return _mismatch(self.go_name, value, spot)
        result = {}
        for key, item in value.items():
            at = spot.key(key)
            made = self._key.read(key, Spot(spot.frame, spot.name, at.path))
            read = _element(item, self._item, at)
            if made is INVALID or read is INVALID:
                result[INVALID] = INVALID
            else:
                result[made] = read
        return INVALID if INVALID in result else result


class Pairs(Mapped):
    """A map that may also be written as a list of `name` and `value`, and that reads itself: `headers`."""

    def read(self, raw: Any, spot: Spot) -> Any:
        value = _value(raw)
        inner = spot.level()
        if isinstance(value, list):
            value = self._from_list(value, inner)
        result = value if value is INVALID else super().read(value, inner)
        return INVALID if spot.close(inner.frame) else result

    def _from_list(self, items: list[Any], spot: Spot) -> Any:
        result = Map()
        for index, item in enumerate(items):
            entry = plain(item) if not isinstance(_value(item), dict) else _value(item)
            if not isinstance(entry, dict) or set(entry) - {"name", "value"} or "name" not in entry:
                return spot.item(index).fail("expected a map with the keys name and value")
            if str(plain(entry["name"])) in result:
                return spot.item(index).fail(f"duplicate name {str(plain(entry['name']))!r}")
            result[str(plain(entry["name"]))] = entry.get("value")
        return result


class Nested:
    """A section. A null is its defaults."""

    go_name = "map[string]interface {}"

    def __init__(self, cls: type[BaseModel]) -> None:
        self._cls = cls

    def zero(self) -> Any:
        return INVALID

    def read(self, raw: Any, spot: Spot) -> Any:
        value = _value(raw)
        return value if isinstance(value, self._cls) else read_nested(self._cls, value, spot, alone=False)


class Optional:
    """A section that is on when its key is there, and off when `enabled: false` is in it."""

    go_name = "map[string]interface {}"
    optional = True

    def __init__(self, cls: type[BaseModel]) -> None:
        self._cls = cls

    def zero(self) -> Any:
        return INVALID

    def read(self, raw: Any, spot: Spot) -> Any:
        value = _value(raw)
        if isinstance(value, self._cls):
            return value
        if isinstance(value, dict) and "enabled" in value:
            enabled = _value(value["enabled"])
            if not isinstance(enabled, bool):
                got = f"unexpected type {go_type(enabled)} for 'enabled': got '{enabled}'"
                return spot.fail(f"{got} value expected 'true' or 'false'")
            if not enabled:
                return None
            if "enabled" not in keys(self._cls):
                value = Map(((k, v) for k, v in value.items() if k != "enabled"), getattr(value, "at", None))
        return read_nested(self._cls, value, spot, alone=True)


class Nullable:
    """Anything that may also be null."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.go_name = shape.go_name

    def zero(self) -> None:
        return None

    def read(self, raw: Any, spot: Spot) -> Any:
        return None if _value(raw) is None else self._shape.read(raw, spot)


class AsWritten:
    """Whatever it is; pydantic or the class's own validator makes of it what it can."""

    go_name = "interface {}"

    def __init__(self, text: bool = False) -> None:
        self._text = text

    def zero(self) -> None:
        return None

    def read(self, raw: Any, spot: Spot) -> Any:
        return raw.text if self._text and isinstance(raw, Expanded) else plain(raw)


def _kind(value: Any) -> str:
    return "map" if isinstance(value, dict) else go_type(value)


_SIMPLE: dict[Any, Shape] = {
    bool: Boolean(),
    float: Real(),
    str: Text(),
    ComponentId: Id(),
    Secret: Text(Secret, "configopaque.String"),
    SecretStr: Text(SecretStr, "configopaque.String"),
    pathlib.Path: Text(pathlib.Path),
}
_SEQUENCES = {list: list, tuple: tuple, set: set, frozenset: frozenset, Sequence: list, AbstractSet: frozenset}


def as_written(annotation: Any, metadata: Iterable[Any]) -> Shape:
    """How to read a field whose class has a validator that wants the value before anyone else."""
    return AsWritten(text=str in (annotation, *get_args(annotation)))


def shape_of(annotation: Any, metadata: Iterable[Any] = ()) -> Shape:
    """How values of a field's type are read."""
    if get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        return shape_of(annotation, (*metadata, *inner))
    marks = {type(mark): mark for mark in metadata}
    if any(isinstance(mark, _OWN_WAY) for mark in marks.values()):
        return as_written(annotation, metadata)
    if get_origin(annotation) in (Union, types.UnionType):
        return _union(annotation, metadata, OptionalSection in marks)
    if annotation is int:
        return Whole(marks.get(Integer, Integer()))
    if annotation is Duration:
        return Time(marks.get(BareNumber))
    if isinstance(annotation, type) and annotation in _SIMPLE:
        return _SIMPLE[annotation]
    return _generic(annotation, MapList in marks) or _class(annotation)


def _union(annotation: Any, metadata: Iterable[Any], optional: bool) -> Shape:
    options = [option for option in get_args(annotation) if option is not types.NoneType]
    if len(options) != 1:
        return AsWritten(text=str in options)
    if optional and isinstance(options[0], type) and issubclass(options[0], BaseModel):
        return Optional(options[0])
    return Nullable(shape_of(options[0], metadata))


def _generic(annotation: Any, pairs: bool) -> Shape | None:
    origin, args = get_origin(annotation) or annotation, get_args(annotation)
    if origin is Literal:
        return Choice(args)
    if origin in _SEQUENCES and (origin is not tuple or (len(args) == 2 and args[1] is Ellipsis)):
        return Sequenced(shape_of(args[0]) if args else AsWritten(), _SEQUENCES[origin])
    if origin in (dict, Mapping):
        key, item = (shape_of(arg) for arg in args) if args else (Text(), AsWritten())
        return (Pairs if pairs else Mapped)(key, item)
    return None


def _class(annotation: Any) -> Shape:
    if (
        isinstance(annotation, type)
        and not isinstance(annotation, types.GenericAlias)
        and not typing.is_typeddict(annotation)
    ):
        if issubclass(annotation, BaseModel):
            return Nested(annotation)
        if issubclass(annotation, enum.Enum):
            return Choice([member.value for member in annotation], annotation)
        parse = getattr(annotation, "parse", None)
        if callable(parse):
            return Text(parse)
        if issubclass(annotation, str):
            return Text()
    return AsWritten()
