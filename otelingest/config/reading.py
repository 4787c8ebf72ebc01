"""Reads the values of a YAML section into a settings class, by the collector's rules of what fits what.

Everything wrong is collected, so that a user sees all of it at once: `Failure`s are values that cannot be read,
`refusals` are values that can, and that a validator of the class does not allow.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from otelingest.config.failures import Failure, Remark, level
from otelingest.config.types import Unreadable, go_kind
from otelingest.config.values import Expanded, Path


class _Invalid:
    """Stands for a value that could not be read."""


INVALID = _Invalid()


class Aborted(ValueError):
    """Ends pydantic's work on a section whose failures have been noted already."""


@dataclass
class Reading:
    """What is found while one component's section is read. Paths begin at the configuration's root."""

    warnings: list[Remark] = field(default_factory=list)
    refusals: dict[Path, list[str]] = field(default_factory=dict)
    incomplete: set[Path] = field(default_factory=set)

    def refuse(self, path: Path, text: str) -> None:
        self.refusals.setdefault(path, []).append(text)


@dataclass
class Frame:
    """One settings class being read from one section.

    name: the section's path within the nearest one that reads itself, which is what messages show.
    failures: where to note them: the list of that nearest one.
    base: what the section is laid over; its settings hold where the section says nothing.
    loose: whether unknown keys are accepted, here and in the sections in it that do not read themselves.
    rest: whether only what could be read is looked at once more.
    """

    cls: type[BaseModel]
    reading: Reading = field(default_factory=Reading)
    name: str = ""
    path: Path = ()
    failures: list[Failure] = field(default_factory=list)
    base: BaseModel | None = None
    type_name: str = ""
    joined: bool = True
    loose: bool = False
    entered: bool = False
    rest: bool = False
    values: dict[str, Any] = field(default_factory=dict)

    def fail(self, name: str, text: str, *remarks: Remark) -> None:
        self.failures.append(Failure(name, text, list(remarks)))


@dataclass(frozen=True)
class Spot:
    """The value being read: what messages call it, where it is, and what it is laid over."""

    frame: Frame
    name: str
    path: Path
    base: Any = None

    def fail(self, text: str, hint: str = "") -> _Invalid:
        self.frame.fail(self.name, text, Remark(self.path, f"'{_shown(self.path)}' {text}{hint}"))
        return INVALID

    def warn(self, text: str) -> None:
        self.frame.reading.warnings.append(Remark(self.path, f"{_shown(self.path)}: {text}"))

    def key(self, key: str) -> Spot:
        return Spot(self.frame, f"{self.name}[{key}]", (*self.path, key))

    def item(self, index: int) -> Spot:
        return Spot(self.frame, f"{self.name}[{index}]", (*self.path, index))

    def level(self) -> Spot:
        """The same value, read by itself: names in messages begin anew."""
        frame = Frame(self.frame.cls, self.frame.reading, path=self.path, loose=self.frame.loose)
        return Spot(frame, "", self.path, self.base)

    def close(self, inner: Frame, *, twice: bool = False) -> bool:
        """Pass on what a value that was read by itself has found; True if that was anything."""
        if inner.failures:
            children = inner.failures
            if twice and inner.joined:
                children = [Failure("", children=children)]
            self.frame.failures.append(Failure(self.name, children=children, joined=inner.joined))
        return bool(inner.failures)


def read(cls: type[BaseModel], raw: Any, frame: Frame) -> BaseModel | _Invalid:
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
    where = _shown(frame.path) or "the settings"
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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` if `word` is nearly one of the known ones, else nothing."""
    close = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


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
        frame.fail(name, text, *(Remark(at, f"'{_shown(at)}' {said}") for at, said in places))


def _shown(path: Path) -> str:
    return "::".join(map(str, path))


def failures_text(frame: Frame) -> str:
    """All that a frame found, in one text."""
    return level(frame.failures, frame.joined) if frame.failures else ""


class Found(NamedTuple):
    """Something that does not fit together: where, how messages spell the path below the component, and the message."""

    path: Path
    shown: str
    text: str


def problems(settings: BaseModel, reading: Reading, path: Path) -> Iterator[Found]:
    """What is wrong with settings that could be read, and that begin at `path`.

    A section's own problems come before those of the sections in it.
    """
    yield from _in_section(settings, reading, path, "", "")


def _in_section(section: BaseModel, reading: Reading, path: Path, shown: str, separator: str) -> Iterator[Found]:
    """separator: what stands between `shown` and what is below: `: ` after an optional section, else `::`."""
    for text in reading.refusals.get(path, ()):
        yield Found(path, shown, text)
    check = getattr(section, "problems", None)
    if check is not None and not any(below[: len(path)] == path for below in reading.incomplete):
        for problem in check():
            below, text = problem if isinstance(problem, tuple) else ("", problem)
            yield Found(path, _extend(shown, separator, below), text)
    for key, (name, _, shape) in fields_of(type(section)).items():
        value = getattr(section, name, None)
        embedded = _embedded(type(section), name)
        at, below = (*path, key), _extend(shown, separator, f"{embedded}::{key}" if embedded else key)
        if not isinstance(value, BaseModel):
            for text in reading.refusals.get(at, ()):
                yield Found(at, below, text)
        yield from _in_value(value, reading, at, below, ": " if getattr(shape, "optional", False) else "::")


@functools.cache
def _embedded(cls: type[BaseModel], name: str) -> str:
    """What stands before a field in paths: upstream's name for the class that `cls` has it from, if it embeds that."""
    owner = next(base for base in reversed(cls.__mro__) if name in inspect.get_annotations(base))
    said = getattr(owner, "naming", None)
    if owner is cls or not said or not said.embedded:
        return ""
    own = cls.__dict__.get("naming")
    return str(said.embedded if own is None or own.embedded is None else own.embedded)


def _in_value(value: Any, reading: Reading, path: Path, shown: str, separator: str) -> Iterator[Found]:
    """The sections that a field's value is or holds."""
    if isinstance(value, BaseModel):
        yield from _in_section(value, reading, path, shown, separator)
        return
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = ((str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, item in items:
        if isinstance(item, BaseModel):
            yield from _in_section(item, reading, (*path, key), _extend(shown, separator, str(key)), "::")


def _extend(shown: str, separator: str, below: str) -> str:
    return f"{shown}{separator}{below}" if shown and below else shown or below
