"""How a YAML value becomes the type that a settings field has: the collector's rules, one small class for each.

Nothing is guessed: a quoted number is no integer, `yes` is no boolean. What is allowed: a null is the type's zero, a
number with a fraction is cut to an integer, and a string that stands for a list is split at its commas.
"""

from __future__ import annotations

import enum
import pathlib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, PlainValidator, SecretStr, WrapValidator

from otelingest.config.reading import fields_of, keys, read_nested
from otelingest.config.scalars import (
    Boolean,
    Choice,
    Real,
    Shape,
    Structure,
    Text,
    Time,
    Whole,
    mismatch,
    value_of,
)
from otelingest.config.spots import INVALID, Frame, Reading, Spot
from otelingest.config.types import (
    BareNumber,
    ComponentId,
    Duration,
    GoType,
    Integer,
    MapList,
    OptionalSection,
    Secret,
    TextStruct,
    go_kind,
    go_quote,
    go_type,
    go_value,
)
from otelingest.config.values import Expanded, Map, plain

_OWN_WAY = (BeforeValidator, PlainValidator, WrapValidator)


def _element(raw: Any, shape: Shape, spot: Spot) -> Any:
    """An item of a list or map. A null is the type's zero here too, a section's defaults."""
    if value_of(raw) is not None or isinstance(shape, Nested | Text):
        return shape.read(raw, spot)
    zero = shape.zero()
    return spot.fail("must not be null") if zero is INVALID else zero


class Sequenced:
    """A list. One string may stand for it: it is split at its commas."""

    def __init__(self, item: Shape, make: Any) -> None:
        self._item = item
        self._make = make
        # Upstream splits for lists of plain strings alone: not of secrets, or of ids.
        self._splits = isinstance(item, Text) and not isinstance(item, Structure) and item.go_name == "string"
        self.go_name = f"[]{item.go_name}"

    def zero(self) -> Any:
        return self._make(())

    def read(self, raw: Any, spot: Spot) -> Any:
        value = value_of(raw)
        if value is None:
            return self.zero()
        if isinstance(value, str) and self._splits:
            value = value.split(",") if value else []
        if isinstance(value, str | bytes | ComponentId) or not isinstance(value, Sequence | AbstractSet):
            return spot.fail(f"source data must be an array or slice, got {go_kind(value)}")
        items = [_element(item, self._item, spot.item(index)) for index, item in enumerate(value)]
        return INVALID if INVALID in items else self._make(items)


class Mapped:
    """A map with keys of the user's own."""

    def __init__(self, key: Shape, item: Shape, go_name: str = "") -> None:
        self._key = key
        self._item = item
        self.go_name = go_name or f"map[{key.go_name}]{item.go_name}"

    def zero(self) -> dict[Any, Any]:
        return {}

    def read(self, raw: Any, spot: Spot) -> Any:
        value = value_of(raw)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            return mismatch(self.go_name, value, spot)
        result = {}
        for key, item in value.items():
            at = spot.key(key)
            made = self._key.read(key, Spot(spot.frame, spot.name, at.path))
            if made in result and made is not INVALID:
                return spot.fail(f"duplicate name {go_quote(key)} after unmarshaling {made}")
            read = _element(item, self._item, at)
            if made is INVALID or read is INVALID:
                result[INVALID] = INVALID
            else:
                result[made] = read
        return INVALID if INVALID in result else result


class Pairs(Mapped):
    """A map that may also be written as a list of `name` and `value`, and that reads itself: `headers`."""

    def read(self, raw: Any, spot: Spot) -> Any:
        value = value_of(raw)
        if isinstance(value, list):
            return self._from_list(value, spot)
        if value is not None and not isinstance(value, dict):
            return spot.fail(f"source data must be an array or slice, got {go_kind(value)}")
        inner = spot.level()
        result = super().read(value, inner)
        return INVALID if spot.close(inner.frame) else result

    def _from_list(self, items: list[Any], spot: Spot) -> Any:
        pairs = [self._pair(item, spot.item(index)) for index, item in enumerate(items)]
        found = [pair for pair in pairs if isinstance(pair, tuple)]
        if len(found) < len(pairs):
            return INVALID
        names = [name for name, _ in found]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            spot.frame.reading.refuse(spot.path, f"duplicate keys in map-style list: [{' '.join(twice)}]")
        if "" in names:
            spot.warn("an entry without a name has no effect")
        return {name: value for name, value in found if name}

    def _pair(self, item: Any, spot: Spot) -> Any:
        """One entry of the list: its name and value."""
        entry = value_of(item)
        if entry is None:
            entry = {}
        if not isinstance(entry, dict):
            return spot.fail(f'expected a map or struct, got "{go_kind(entry)}"')
        unknown = sorted(set(entry) - {"name", "value"})
        if unknown and not spot.frame.loose:
            return spot.fail(f"has invalid keys: {', '.join(unknown)}")
        name, value = (
            shape.read(entry.get(key), Spot(spot.frame, f"{spot.name}.{key}", (*spot.path, key)))
            for key, shape in (("name", self._key), ("value", self._item))
        )
        return INVALID if INVALID in (name, value) else (name, value)


class Nested:
    """A section. A null is its defaults."""

    def __init__(self, cls: type[BaseModel]) -> None:
        self._cls = cls
        naming = getattr(cls, "naming", None)
        self.go_name = (naming and naming.type) or "map[string]interface {}"

    def zero(self) -> Any:
        return INVALID

    def read(self, raw: Any, spot: Spot) -> Any:
        value = value_of(raw)
        if isinstance(raw, Expanded) and value is None:
            return self.empty()
        return value if isinstance(value, self._cls) else read_nested(self._cls, value, spot, alone=False)

    def empty(self) -> Any:
        """What a reference to nothing stands for: as upstream, no default in it holds."""
        values = {}
        for name, _, shape in fields_of(self._cls).values():
            if isinstance(shape, Nested):
                values[name] = shape.empty()
            elif isinstance(shape, Optional):
                values[name] = None
            elif (zero := shape.zero()) is not INVALID:
                values[name] = zero
        return self._cls.model_construct(**values)


class Optional:
    """A section that is on when its key is there, and off when `enabled: false` is in it."""

    go_name = "map[string]interface {}"
    optional = True

    def __init__(self, cls: type[BaseModel], null: bool) -> None:
        self._cls = cls
        self._null = null

    def zero(self) -> Any:
        return INVALID

    def read(self, raw: Any, spot: Spot) -> Any:
        value = value_of(raw)
        if isinstance(value, self._cls):
            return value
        if raw is None and isinstance(spot.base, self._cls):
            return INVALID  # as it is by default
        if raw is None and not self._null:
            return None
        enabled = True
        if isinstance(value, dict) and "enabled" in value:
            enabled = value_of(value["enabled"])
            if not isinstance(enabled, bool):
                got = f"unexpected type {go_type(enabled)} for 'enabled': got '{go_value(plain(enabled))}'"
                return spot.fail(f"{got} value expected 'true' or 'false'")
            if "enabled" not in keys(self._cls):
                value = Map(((k, v) for k, v in value.items() if k != "enabled"), getattr(value, "at", None))
        return read_nested(self._cls, value, spot, alone=True) if enabled else self._off(value, spot)

    def _off(self, value: Any, spot: Spot) -> Any:
        """Read what does not count, and forget all about it but what cannot be read."""
        unheard = Frame(spot.frame.cls, Reading(), path=spot.path)
        result = read_nested(self._cls, value, Spot(unheard, spot.name, spot.path, spot.base), alone=True)
        spot.frame.failures += unheard.failures
        return INVALID if unheard.failures or result is INVALID else None


class Nullable:
    """Anything that may also be null."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.go_name = shape.go_name

    def zero(self) -> None:
        return None

    def read(self, raw: Any, spot: Spot) -> Any:
        return None if value_of(raw) is None else self._shape.read(raw, spot)


class AsWritten:
    """Whatever it is; pydantic or the class's own validator makes of it what it can."""

    go_name = "interface {}"

    def __init__(self, text: bool = False) -> None:
        self._text = text

    def zero(self) -> None:
        return None

    def read(self, raw: Any, spot: Spot) -> Any:
        return raw.text if self._text and isinstance(raw, Expanded) else plain(raw)


_SIMPLE: dict[Any, Shape] = {
    bool: Boolean(),
    float: Real(),
    str: Text(),
    ComponentId: Structure(ComponentId.parse, ComponentId("")),
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
        return _union(annotation, metadata, marks.get(OptionalSection))
    if TextStruct in marks:
        return Structure(marks[TextStruct].parse, "")
    if annotation is int:
        return Whole(marks.get(Integer, Integer()))
    if annotation is Duration:
        return Time(marks.get(BareNumber))
    if annotation in (str, Secret) and GoType in marks:
        mark = marks[GoType]
        return Text(mark.parse if annotation is str else Secret, mark.name, mark.zero, mark.number)
    if annotation is float and GoType in marks:
        return Real(marks[GoType].name)
    if isinstance(annotation, type) and annotation in _SIMPLE:
        return _SIMPLE[annotation]
    return _generic(annotation, marks) or _class(annotation)


def _union(annotation: Any, metadata: Iterable[Any], optional: OptionalSection | None) -> Shape:
    options = [option for option in get_args(annotation) if option is not types.NoneType]
    if len(options) != 1:
        return AsWritten(text=str in options)
    if optional is not None and isinstance(options[0], type) and issubclass(options[0], BaseModel):
        return Optional(options[0], optional.null)
    return Nullable(shape_of(options[0], metadata))


def _generic(annotation: Any, marks: Mapping[type[Any], Any]) -> Shape | None:
    origin, args = get_origin(annotation) or annotation, get_args(annotation)
    if origin is Literal:
        return Choice(args)
    if origin in _SEQUENCES and (origin is not tuple or (len(args) == 2 and args[1] is Ellipsis)):
        return Sequenced(shape_of(args[0]) if args else AsWritten(), _SEQUENCES[origin])
    if origin in (dict, Mapping):
        key, item = (shape_of(arg) for arg in args) if args else (Text(), AsWritten())
        return (Pairs if MapList in marks else Mapped)(key, item, marks[GoType].name if GoType in marks else "")
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
