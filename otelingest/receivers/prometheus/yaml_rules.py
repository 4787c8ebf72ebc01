"""How Prometheus reads its configuration: by its YAML library's rules, which are not the collector's.

Any scalar is a text, a text is never split, a null leaves a key at its default, and what does not fit is told as
`cannot unmarshal !!str `x` into uint`. Upstream counts lines in a copy that nobody sees; ours are those of the file.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from otelingest.config.settings import GoType, Integer, Secret, Unreadable
from otelingest.config.spots import did_you_mean
from otelingest.config.values import List, Map, Path, meant, position_of

_TRUE = frozenset(("y", "Y", "yes", "on"))
_FALSE = frozenset(("n", "N", "no", "off"))
_MOST = 1 << 64
_SHOWN = 10
_NOTHING = object()
_FAILED = "prometheus receiver: failed to unmarshal yaml to prometheus config object: "


def fitted(cls: type[BaseModel], section: Any) -> Any:
    """A section with its values as the fields' types. Raises Unreadable with all that Prometheus refuses."""
    section = meant(section)
    if not isinstance(section, dict):
        return section
    reading = _Reading(section)
    result = reading.section(cls, section, ())
    reading.tell()
    return result


@dataclass
class _Reading:
    root: dict[str, Any]
    unfit: list[tuple[Path, str]] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)

    def tell(self) -> None:
        """Raises Unreadable with all that was found."""
        lines = [text for _, text in self.refused]
        if self.unfit:
            lines += ["yaml: unmarshal errors:", *(f"  {self._line(path)}{text}" for path, text in self.unfit)]
        if lines:
            raise Unreadable(_FAILED + "\n".join(lines), [*self.refused, *self.unfit])

    def section(self, cls: type[BaseModel], raw: dict[str, Any], path: Path) -> Map:
        result = Map((), getattr(raw, "at", None))
        fields = {info.alias or name: info for name, info in cls.model_fields.items()}
        for key, value in raw.items():
            if key not in fields:
                meant = did_you_mean(key, fields)
                self.unfit.append(((*path, key), f"field {key} not found in type {_name(cls)}{meant}"))
            elif value is not None:
                info: FieldInfo = fields[key]
                result[key] = self.value(info.annotation, info.metadata, value, (*path, key))
        return result

    def value(self, annotation: Any, metadata: Sequence[Any], value: Any, path: Path) -> Any:
        annotation, metadata = _bare(annotation, metadata)
        marks = {type(mark): mark for mark in metadata}
        name = marks[GoType].name if GoType in marks else ""
        origin = get_origin(annotation) or annotation
        if annotation is Any:
            return value
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return (
                self.section(annotation, value, path)
                if isinstance(value, dict)
                else self._wrong(value, annotation, path)
            )
        if origin in (list, Sequence):
            return self._list(_argument(annotation, 0), name, value, path)
        if origin in (dict, Mapping):
            return self._map(_argument(annotation, 1), name, value, path)
        if annotation is bool:
            if isinstance(value, str) and value in _TRUE | _FALSE:
                return value in _TRUE
            return value if isinstance(value, bool) else self._wrong(value, "bool", path)
        if Integer in marks:
            return self._number(marks[Integer].go_name, value, path)
        if isinstance(value, dict | list):
            return self._wrong(value, name or "string", path)
        text = text_of(value)
        parsers = [mark.func for mark in metadata if isinstance(mark, BeforeValidator)]
        try:
            for parse in (*parsers, *([annotation.parse] if hasattr(annotation, "parse") else [])):
                parse(text)
        except Unreadable as error:
            self.refused.append((path, str(error)))
        return text

    def _list(self, item: Any, name: str, value: Any, path: Path) -> Any:
        if not isinstance(value, list):
            return self._wrong(value, name or f"[]{_text_name(item)}", path)
        items = [
            (None if _is_section(item) else "") if each is None else self.value(item, (), each, (*path, index))
            for index, each in enumerate(value)
        ]
        return List(items, getattr(value, "at", ()))

    def _map(self, item: Any, name: str, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._wrong(value, name or f"map[string]{_text_name(item)}", path)
        items = (
            (key, "" if item is str else each) if each is None else (key, self.value(item, (), each, (*path, key)))
            for key, each in value.items()
        )
        return Map(((str(key), each) for key, each in items), getattr(value, "at", None))

    def _number(self, name: str, value: Any, path: Path) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._wrong(value, name, path)
        if value >= _MOST or (isinstance(value, int) and value < 0):
            return self._wrong(value, name, path)
        return int(value) % _MOST

    def _wrong(self, value: Any, into: str | type[BaseModel], path: Path) -> Any:
        kind = next(name for kinds, name in _TAGS if isinstance(value, kinds))
        shown = ""
        secret = not isinstance(into, str) and _holds_secret(into)
        if secret and kind == "str":  # what was to be in it may have been written in its place
            shown = " `...`"
        elif kind not in ("seq", "map"):
            text = text_of(value)
            shown = f" `{text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...'}`"
        into = into if isinstance(into, str) else _name(into)
        self.unfit.append((path, f"cannot unmarshal !!{kind}{shown} into {into}"))
        return _NOTHING

    def _line(self, path: Path) -> str:
        position = position_of(self.root, path)
        return f"line {position.line}: " if position is not None and position.line else ""


_TAGS: tuple[tuple[Any, str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "float"),
    (list, "seq"),
    (dict, "map"),
    (object, "str"),
)


def text_of(value: Any) -> str:
    """A scalar as YAML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _bare(annotation: Any, metadata: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *inner = get_args(annotation)
            metadata = (*metadata, *inner)
        elif get_origin(annotation) in (Union, types.UnionType):
            annotation = next(option for option in get_args(annotation) if option is not types.NoneType)
        else:
            return annotation, metadata


def _argument(annotation: Any, index: int) -> Any:
    arguments = get_args(annotation)
    return arguments[index] if arguments else Any


def _is_section(annotation: Any) -> bool:
    annotation, _ = _bare(annotation, ())
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _name(cls: type[BaseModel]) -> str:
    return str(getattr(cls, "naming").type)  # noqa: B009


def _text_name(annotation: Any) -> str:
    bare, metadata = _bare(annotation, ())
    if get_origin(bare) is list:
        return f"[]{_text_name(_argument(bare, 0))}"
    return next((mark.name for mark in metadata if isinstance(mark, GoType)), "string")


def _holds_secret(cls: type[BaseModel]) -> bool:
    return any(_bare(info.annotation, ())[0] is Secret for info in cls.model_fields.values())
