"""What settings classes say about themselves, for the reference documentation: keys, types, defaults and meanings.

(pydantic can collect the sentences when a class is made; reading all sources at every start takes too long for that.)
"""

from __future__ import annotations

import ast
import enum
import functools
import inspect
import json
import pathlib
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from otelingest.config.rendering import plain_value
from otelingest.config.settings import ComponentId, Duration
from otelingest.config.types import OptionalSection

_NAMES: tuple[tuple[type[Any], str], ...] = (
    (bool, "boolean"),
    (Duration, "duration"),
    (int, "integer"),
    (float, "number"),
    (ComponentId, "component id"),
    (SecretStr, "secret"),
    (str, "string"),
    (pathlib.Path, "path"),
)


class Key(NamedTuple):
    """One key: its path below the component, the kind of its value, its default as YAML has it, what it is for."""

    path: str
    type: str
    default: str
    meaning: str


def keys_of(cls: type[BaseModel]) -> list[Key]:
    """Every key of a section and of the sections in it, in the order in which they are written."""
    return list(_keys(cls, "", (), None))


def _keys(
    cls: type[BaseModel], path: str, around: tuple[type[BaseModel], ...], base: BaseModel | None
) -> Iterator[Key]:
    """base: the section as it is by default, when it is there by default."""
    meanings = descriptions(cls)
    for name, info in cls.model_fields.items():
        key = f"{path}{info.alias or name}"
        meaning = " ".join(meanings.get(name, "").split())
        section, suffix = _section(info.annotation)
        if section is None:
            default = _shown(getattr(base, name)) if base is not None else _default(info)
            yield Key(key, _type(info.annotation), default, meaning)
            continue
        off = _is_off(info)
        optional = any(isinstance(mark, OptionalSection) for mark in info.metadata) or off
        yield Key(f"{key}{suffix}", "section", "absent" if off and optional else "", meaning)
        if section not in (*around, cls):
            inner = getattr(base, name) if base is not None else _made(info)
            here = inner if isinstance(inner, section) else None
            yield from _keys(section, f"{key}{suffix}.", (*around, cls), here)


def _section(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The settings class that a field is, or is a list or map of, and what stands for the index in paths."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        options = [option for option in args if option is not types.NoneType]
        return _section(options[0]) if len(options) == 1 else (None, "")
    if isinstance(annotation, type) and not args and issubclass(annotation, BaseModel):
        return annotation, ""
    if origin is typing.Annotated:
        return _section(args[0])
    if origin in (list, tuple, Sequence, dict, Mapping) and args:
        section, suffix = _section(args[-1] if origin in (dict, Mapping) else args[0])
        return section, f"{'.<name>' if origin in (dict, Mapping) else '[]'}{suffix}"
    return None, ""


def _type(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _type(args[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(option) for option in args if option is not types.NoneType))
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in args)
    if origin in (list, tuple, set, frozenset, Sequence):
        return f"list of {_type(args[0])}" if args and args[0] is not Any else "list"
    if origin in (dict, Mapping):
        return f"map of {_type(args[1])}" if args and args[1] is not Any else "map"
    if annotation is Any:
        return "anything"
    if isinstance(annotation, type):
        if issubclass(annotation, enum.Enum):
            return " or ".join(f"`{member.value}`" for member in annotation)
        return next((name for known, name in _NAMES if issubclass(annotation, known)), "string")
    return "anything"


def _is_off(info: FieldInfo) -> bool:
    return not info.is_required() and _made(info) is None


def _made(info: FieldInfo) -> Any:
    """A field's default; None for a field that has none."""
    return None if info.is_required() else info.get_default(call_default_factory=True, validated_data={})


def _default(info: FieldInfo) -> str:
    return "required" if info.is_required() else _shown(_made(info))


def _shown(value: Any) -> str:
    plain = plain_value(value)
    return "" if plain is None or plain == "" else json.dumps(plain, ensure_ascii=False)


@functools.cache
def descriptions(cls: type[BaseModel]) -> dict[str, str]:
    """The sentence below each field of a class and of those it is derived from, by the field's name."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= _of_class(base)
    return {name: text for name, text in found.items() if name in cls.model_fields}


def _of_class(cls: type[BaseModel]) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            value = text.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[field.target.id] = inspect.cleandoc(value.value)
    return found
