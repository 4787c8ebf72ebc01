"""Reads the values of a YAML section into a settings class, by the collector's rules of what fits what.

Everything wrong is collected, so that a user sees all of it at once: `Failure`s are values that cannot be read,
`refusals` are values that can, and that a validator of the class does not allow.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from otelingest.config.failures import Remark, level
from otelingest.config.spots import INVALID, Aborted, Frame, Invalid, Spot, did_you_mean, shown
from otelingest.config.types import Unreadable, go_kind
from otelingest.config.values import Expanded, Path


def read(cls: type[BaseModel], raw: Any, frame: Frame) -> BaseModel | Invalid:
    """Read a section. What is wrong is noted in the frame; then the result is as much of it as there is, unchecked."""
    _complete(cls, set())
    try:
        return cls.model_validate(raw, context=frame)
    except ValidationError as error:
        if _note(error, frame):
            _check_rest(cls, frame)
    if not frame.entered:
        return INVALID
    try:
        return cls.model_construct(**_by_name(cls, frame.values))
    except Exception:  # a default factory of the class needs what is missing
        return INVALID


def _complete(cls: type[BaseModel], begun: set[type[BaseModel]]) -> None:
    """Build the validators of a class and of the sections in it, the innermost first.

    Left to itself pydantic builds those of a section once more for every class that has it.
    """
    if cls.__pydantic_complete__ or cls in begun:
        return
    begun.add(cls)
    for entry in cls.model_fields.values():
        for section in _sections(entry.annotation):
            _complete(section, begun)
    cls.model_rebuild()


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The classes of sections that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def read_nested(cls: type[BaseModel], raw: Any, spot: Spot, *, alone: bool) -> Any:
    """Read a section within a section. alone: it reads itself, so that names in messages begin anew."""
    naming = getattr(cls, "naming", None)
    if naming and naming.alone and not alone:
        value = raw.value if isinstance(raw, Expanded) else raw
        if value is not None and not isinstance(value, dict):
            return spot.fail(f'expected a map or struct, got "{go_kind(value)}"')
        alone = True
    base = spot.base if isinstance(spot.base, cls) else None
    frame = Frame(
        cls,
        spot.frame.reading,
        name="" if alone else spot.name,
        path=spot.path,
        failures=[] if alone else spot.frame.failures,
        base=base,
        loose=not alone and spot.frame.loose,
    )
    before = len(frame.failures)
    result = read(cls, raw, frame)
    failed = len(frame.failures) > before
    if alone:
        spot.close(frame, twice=bool(naming and naming.embedding))
    if failed:
        frame.reading.incomplete.add(spot.path)
    return result


def read_fields(cls: type[BaseModel], raw: Any, frame: Frame) -> dict[str, Any]:
    """The values for a class's fields from a section, as the types that the fields have."""
    raw = raw.value if isinstance(raw, Expanded) else raw
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        frame.joined = bool(frame.name)
        text = f'expected a map or struct, got "{go_kind(raw)}"'
        frame.fail(frame.name, text, Remark(frame.path, text))
        return {}
    frame.loose = frame.loose or bool(getattr(cls, "loose", False))
    fields = fields_of(cls)
    for key, (name, info, shape) in fields.items():
        if key in raw:
            spot = Spot(
                frame, f"{frame.name}.{key}" if frame.name else key, (*frame.path, key), _default(info, frame, name)
            )
            value = shape.read(raw[key], spot)
            if value is not INVALID:
                frame.values[key] = value
        elif frame.base is not None and name in frame.base.model_fields_set:
            frame.values[key] = getattr(frame.base, name)
    _unknown_keys([key for key in raw if key not in fields], fields, frame)
    return frame.values


def _unknown_keys(unknown: list[str], fields: Iterable[str], frame: Frame) -> None:
    if not unknown:
        return
    where = shown(frame.path) or "the settings"
    remarks = [
        Remark((*frame.path, key), f'unknown key "{key}" in {where}{did_you_mean(key, fields)}')
        for key in sorted(unknown)
    ]
    if frame.loose:
        frame.reading.warnings += remarks
        return
    naming = getattr(frame.cls, "naming", None)
    name = frame.name or frame.type_name or (naming.type if naming else "")
    frame.fail(name, f"has invalid keys: {', '.join(sorted(unknown))}", *remarks)


@functools.cache
def fields_of(cls: type[BaseModel]) -> dict[str, tuple[str, FieldInfo, Any]]:
    """The fields of a class by their key in YAML: name, pydantic's description, and how their values are read."""
    from otelingest.config.shapes import as_written, shape_of

    own_way = {
        name
        for decorator in cls.__pydantic_decorators__.field_validators.values()
        if decorator.info.mode in ("before", "plain", "wrap")
        for name in decorator.info.fields
    }
    return {
        info.alias or name: (name, info, (as_written if name in own_way else shape_of)(info.annotation, info.metadata))
        for name, info in cls.model_fields.items()
    }


def keys(cls: type[BaseModel]) -> list[str]:
    """The keys that a class knows."""
    return list(fields_of(cls))


def _default(info: FieldInfo, frame: Frame, name: str) -> Any:
    if frame.base is not None:
        return getattr(frame.base, name, None)
    try:
        return info.get_default(call_default_factory=True, validated_data={})
    except Exception:  # a factory that needs the other fields
        return None


def _by_name(cls: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    fields = fields_of(cls)
    return {fields[key][0]: value for key, value in values.items()}


def _note(error: ValidationError, frame: Frame) -> bool:
    """Sort what pydantic found into failures and refusals. True if it did not come to looking at the values."""
    aborted = False
    for found in error.errors(include_url=False, include_input=False):
        cause = found.get("ctx", {}).get("error")
        loc = tuple(step for step in found["loc"])
        if isinstance(cause, Aborted):
            aborted = True
            continue
        if loc:
            frame.reading.incomplete.add(frame.path)
        if isinstance(cause, Unreadable):
            frame.joined = frame.joined and bool(loc or frame.name)
            _note_unreadable(cause, loc, frame)
        elif cause is not None:
            frame.reading.refuse(frame.path, str(cause))
        else:
            frame.reading.refuse((*frame.path, *loc), found["msg"].replace("Input should be", "must be", 1))
    return aborted


def _check_rest(cls: type[BaseModel], frame: Frame) -> None:
    """Look at the values that could be read beside those that could not: what their validators refuse is told too."""
    frame.rest = True
    values = {key: value for key, value in frame.values.items() if not _holds_sections(value)}
    try:
        cls.model_validate(values, context=frame)
    except ValidationError as error:
        for found in error.errors(include_url=False, include_input=False):
            cause = found.get("ctx", {}).get("error")
            if found["loc"] and isinstance(cause, Unreadable):
                _note_unreadable(cause, found["loc"], frame)
    except Exception:  # a validator of the whole section needs what is missing
        return


def _holds_sections(value: Any) -> bool:
    """Whether it is, or holds, sections: these have been looked at by themselves."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else (value,)
    return any(isinstance(item, BaseModel) for item in items)


def _note_unreadable(cause: Unreadable, loc: Path, frame: Frame) -> None:
    path = (*frame.path, *loc)
    text = str(cause)
    name = ".".join([*([frame.name] if frame.name else []), *map(str, loc)])
    if not any(failure.name == name and failure.text == text for failure in frame.failures):
        places = [((*path, *below), said) for below, said in cause.places] or [(path, text)]
        frame.fail(name, text, *(Remark(at, f"'{shown(at)}' {said}") for at, said in places))


def failures_text(frame: Frame) -> str:
    """All that a frame found, in one text."""
    return level(frame.failures, frame.joined) if frame.failures else ""
