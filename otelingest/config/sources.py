"""Where configurations come from: files, environment variables, literal YAML, HTTP; and how several become one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from otelingest.config.download import MAX_BYTES, download, without_password
from otelingest.config.expansion import Retrieved, expand
from otelingest.config.failures import ConfigurationError
from otelingest.config.merging import leaves, merge, spell_out, spell_out_root
from otelingest.config.types import go_quote, go_type
from otelingest.config.values import Map, Position
from otelingest.config.yaml_reader import MixedMap, read_yaml
from otelingest.config.yaml_scalars import YamlError

_LOCATION = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)\Z", re.DOTALL)
_DRIVE = re.compile(r"[A-z]:")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_YAML_PATH = re.compile(r"[\w/.:-]+(?=:\s)")


@dataclass(frozen=True)
class Told:
    """Something to log once there is a logger."""

    level: str
    text: str
    fields: Mapping[str, object]
    position: Position | None = None

    @property
    def shown(self) -> str:
        """It in one line."""
        return " ".join((self.text, *map(str, self.fields.values())))


@dataclass
class Resolved:
    """One configuration out of all locations, with nothing left to replace in it."""

    values: Map
    told: list[Told] = field(default_factory=list)


@dataclass
class _Content:
    """What a location holds, before it is known whether it is a configuration or one value."""

    value: object
    text: str
    error: YamlError | None = None


class Override(str):
    """A location that `--set` stands for; `label` is what messages call it."""

    __slots__ = ("label",)
    label: str


def set_location(text: str) -> Override:
    """What `--set text` stands for as a location. Raises ValueError."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError("missing equal sign")
    location = Override(f"yaml:{key.replace('.', '::').strip()}: {value.strip()}")
    location.label = f"--set {key.strip()}"
    return location


def resolve(locations: Sequence[str], *, environ: Mapping[str, str] = os.environ, append: bool = False) -> Resolved:
    """Read every location, lay each over the ones before it, and replace all references.

    append: lists of extensions, receivers and exporters are added to instead of replaced.
    Raises ConfigurationError with the collector's texts.
    """
    parsed = [_parse_location(location) for location in locations]
    sources = Sources(environ)
    result = Map()
    try:
        for (scheme, opaque), location in zip(parsed, locations, strict=True):
            merge(result, sources.configuration(scheme, opaque, location), append=append)
        for leaf in leaves(result):
            key, position = leaf.steps[-1]
            leaf.holder[key] = expand(leaf.holder[key], sources.retrieve, position)
    except ConfigurationError as error:
        text = f"failed to get config: cannot resolve the configuration: {error}"
        raise ConfigurationError(text, error.notes) from error
    return Resolved(spell_out(result), sources.told)


def _parse_location(location: str) -> tuple[str, str]:
    if _DRIVE.match(location) or ":" not in location:
        return "file", location
    match = _LOCATION.match(location)
    if match is None:
        raise ConfigurationError(f"invalid uri: {go_quote(location)}")
    if match[1] not in SCHEMES:
        raise ConfigurationError(f"unsupported scheme on URI {go_quote(location)}")
    return match[1], match[2]


_Read = Callable[["Sources", str, Position | None, str], _Content]
"""Reads a location of one scheme: what stands after the scheme, where it is named, and what messages call it."""


class Sources:
    """Reads locations, for configurations and for references, and remembers what there is to log."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.told: list[Told] = []

    def configuration(self, scheme: str, opaque: str, location: str) -> Map:
        """A location that holds a configuration."""
        source = _label(location)
        try:
            content = SCHEMES[scheme](self, opaque, Position(source), source)
        except ConfigurationError as error:
            raise ConfigurationError(f"cannot retrieve the configuration: {error}", error.notes) from error
        if content.value is None:
            return Map()
        if isinstance(content.value, Map):
            return spell_out_root(content.value)
        text = f"retrieved value (type={go_type(content.value)}) cannot be used as a Conf"
        if content.error is None:
            raise ConfigurationError(text)
        note = f"{content.error.position or source}: {content.error}"
        if content.error.position and not content.error.position.source:
            note = f"{content.error.position._replace(source=source)}: {content.error}"
        raise ConfigurationError(
            f"{text}: assuming string type since contents are not valid YAML: {content.error}", [note]
        )

    def retrieve(self, uri: str, position: Position | None) -> Retrieved:
        """What a reference names."""
        match = _LOCATION.match(uri)
        try:
            if match is None:
                raise ConfigurationError(f"invalid uri: {go_quote(uri)}")
            if "$" in match[2]:
                raise ConfigurationError(f"the uri {go_quote(uri)} contains unsupported characters ('$')")
            if match[1] not in SCHEMES:
                raise ConfigurationError(f"scheme {go_quote(match[1])} is not supported for uri {go_quote(uri)}")
            content = SCHEMES[match[1]](self, match[2], position, _label(uri))
        except ConfigurationError as error:
            hint = _default_hint(uri)
            raise ConfigurationError(str(error), [f"{position}: {error}{hint}"] if position or hint else ()) from error
        return Retrieved(content.value, content.text)

    def tell(self, level: str, text: str, position: Position | None, **fields: object) -> None:
        self.told.append(Told(level, text, fields, position))


def _default_hint(uri: str) -> str:
    """A default needs the scheme, and the collector's message does not say so."""
    name, default, _ = uri.partition(":-")
    return f"; a default needs the scheme: write ${{env:{uri}}}" if default and _NAME.match(name) else ""


def _label(location: str) -> str:
    """What messages call a location: without what may be secret in it."""
    if isinstance(location, Override):
        return location.label
    scheme, opaque = _parse_location(location)
    if scheme == "file":
        return opaque
    if scheme == "env":
        return f"env:{opaque.partition(':-')[0]}"
    if scheme == "yaml":
        path = _YAML_PATH.match(opaque)
        return f"yaml:{path[0]}" if path else "yaml:…"
    return without_password(location)


def _content(data: str | bytes, source: str, *, lines: bool = True) -> _Content:
    """Text as YAML; as a string when it is none, or a string of YAML's. lines: whether it has lines to tell of."""
    text = data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")
    try:
        value = read_yaml(data, source, lines=lines)
    except YamlError as error:
        return _Content(text, text, error)
    unusable = next((name for name, is_of in _UNUSABLE.items() if is_of(value)), None)
    if unusable:
        raise ConfigurationError(
            f"unsupported type={unusable} for retrieved config, ensure that values are wrapped in quotes"
        )
    return _Content(text if isinstance(value, str) else value, text)


_UNUSABLE: dict[str, Callable[[object], bool]] = {
    "map[interface {}]interface {}": lambda value: isinstance(value, MixedMap),
    "uint64": lambda value: isinstance(value, int) and value >= 1 << 63,
}
"""What upstream does not take for the whole of a location, by the names of its types."""


def _read_file(sources: Sources, path: str, position: Position | None, label: str) -> _Content:
    clean = re.sub("^//+", "/", os.path.normpath(path))
    doing = "open"
    try:
        descriptor = os.open(clean, os.O_RDONLY)
        doing = "read"
        with open(descriptor, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigurationError(f"unable to read the file file:{path}: {doing} {clean}: {reason}") from error
    except ValueError as error:  # a NUL in the name
        raise ConfigurationError(f"unable to read the file file:{path}: open {clean}: invalid argument") from error
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"unable to read the file file:{path}: it is larger than {MAX_BYTES} bytes")
    return _content(data, label)


def _read_environment(sources: Sources, opaque: str, position: Position | None, label: str) -> _Content:
    name, separator, default = opaque.partition(":-")
    if not _NAME.match(name):
        raise ConfigurationError(
            f"environment variable {go_quote(name)} has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$"
        )
    value = sources.environ.get(name)
    if value is None and separator and not default:
        return _Content("", "")  # and not null, which no value at all would be
    if value is None:
        if not separator:
            sources.tell("warning", "Configuration references unset environment variable", position, name=name)
        value = default
    elif not value:
        sources.tell("info", "Configuration references empty environment variable", position, name=name)
    return _content(value, label, lines="\n" in value)


def _read_literal(sources: Sources, text: str, position: Position | None, label: str) -> _Content:
    return _content(text, label, lines="\n" in text)


def _read_http(scheme: str) -> _Read:
    def read(sources: Sources, opaque: str, position: Position | None, label: str) -> _Content:
        uri = f"{scheme}:{opaque}"
        return _content(download(uri), label)

    return read


SCHEMES: dict[str, _Read] = {
    "env": _read_environment,
    "file": _read_file,
    "http": _read_http("http"),
    "https": _read_http("https"),
    "yaml": _read_literal,
}
