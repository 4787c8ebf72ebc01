"""The actions of the `resource` and `attributes` processors: insert, update, upsert, delete, hash, extract, convert.

An attribute list is a protobuf repeated field of `KeyValue`. Where a key stands in it twice, the first one is read, and
delete, hash and convert take all of them: a secret must not survive in the second. Setting a value leaves only that
one: which of several is stored first depends on everything around them, and a sender could make it its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otelingest.config.patterns import Pattern
from otelingest.config.settings import GoType, Settings
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.payload import Context
from otelingest.pipeline.senders import NOTHING, Needs
from otelingest.processors.attribute_values import CONVERSIONS, from_yaml, hash_in_place

Attributes = Any
"""A repeated field of `KeyValue`, which the caller owns."""
_ADDRESS, _VOUCHED, _HEADER = "client.address", "auth.", "metadata."
Apply = Callable[[Attributes, Context], None]
Source = Callable[[Attributes, Context], "Any | None"]


class ActionSettings(Settings):
    """One edit of an attribute."""

    key: str = ""
    """The attribute to act upon."""
    action: Annotated[str, GoType("attraction.Action")] = ""
    """`insert` (only if absent), `update` (only if present), `upsert`, `delete`, `hash`, `extract` or `convert`."""
    value: Any = None
    """The value to set: text, number, bool, list or map."""
    from_attribute: str = ""
    """The attribute whose value to set; nothing happens where it is missing and there is no `default_value`."""
    from_context: str = ""
    """What to set from the request: `metadata.<header>`, `auth.<attribute>` or `client.address`."""
    default_value: Any = None
    """What to set when the other source has nothing."""
    pattern: str = ""
    """For `delete` and `hash`: a regular expression for keys. For `extract`: one with named groups, for the value."""
    converted_type: str = ""
    """For `convert`: `int`, `double` or `string`."""


class Actions:
    """A list of actions, checked and ready to run."""

    def __init__(self, settings: Sequence[ActionSettings]) -> None:
        """Raises ConfigError with the collector's text for the first action that makes no sense."""
        self._apply = [_compile(index, action) for index, action in enumerate(settings)]
        self.context_sources: tuple[str, ...] = tuple(a.from_context for a in settings if a.from_context)
        """The `from_context` of every action: all that the outcome depends on beside the attributes."""

    @property
    def needs(self) -> Needs:
        """What of a request's sender the outcome depends on."""
        found = NOTHING
        for name in self.context_sources:
            if name == _ADDRESS:
                found |= Needs(peer=True)
            elif name.startswith(_VOUCHED):
                found |= Needs(attributes=frozenset({name.removeprefix(_VOUCHED)}))
            else:
                found |= Needs(metadata=frozenset({name.removeprefix(_HEADER).lower()}))
        return found

    def apply(self, attributes: Attributes, context: Context) -> None:
        """Run every action in order on an attribute list."""
        for action in self._apply:
            action(attributes, context)


def from_context(name: str, context: Context) -> str | None:
    """What `from_context: name` stands for in a request; None when there is nothing of that name.

    Several values are joined with `;`. A name without a prefix is a header, as it was in older versions.
    """
    if name == _ADDRESS:
        return context.peer
    if name.startswith(_VOUCHED):
        value = context.auth.get(name.removeprefix(_VOUCHED))
        if isinstance(value, str):
            return value
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            return None
        return ";".join(value) if value else None
    values = context.metadata.get(name.removeprefix(_HEADER).lower())
    return ";".join(values) if values else None


def find(attributes: Attributes, key: str) -> Any | None:
    """The value of the first attribute of that key."""
    for entry in attributes:
        if entry.key == key:
            return entry.value
    return None


# ---- what the actions do


def _set(attributes: Attributes, key: str, value: Any) -> None:
    """Give a key a copy of a value, wherever the value itself stands, and no other value beside it."""
    copy = AnyValue()
    copy.CopyFrom(value)
    places = [place for place, entry in enumerate(attributes) if entry.key == key]
    if not places:
        attributes.add(key=key, value=copy)
        return
    attributes[places[0]].value.CopyFrom(copy)
    for place in reversed(places[1:]):
        del attributes[place]


def _insert(key: str, source: Source) -> Apply:
    def apply(attributes: Attributes, context: Context) -> None:
        value = source(attributes, context)
        if value is not None and find(attributes, key) is None:
            _set(attributes, key, value)

    return apply


def _update(key: str, source: Source) -> Apply:
    def apply(attributes: Attributes, context: Context) -> None:
        value = source(attributes, context)
        if value is not None and find(attributes, key) is not None:
            _set(attributes, key, value)

    return apply


def _upsert(key: str, source: Source) -> Apply:
    def apply(attributes: Attributes, context: Context) -> None:
        value = source(attributes, context)
        if value is not None:
            _set(attributes, key, value)

    return apply


_SETTERS: Mapping[str, Callable[[str, Source], Apply]] = {"insert": _insert, "update": _update, "upsert": _upsert}


def _delete(key: str, pattern: Pattern | None) -> Apply:
    def apply(attributes: Attributes, context: Context) -> None:
        for index in reversed(range(len(attributes))):
            name = attributes[index].key
            if (key and name == key) or (pattern is not None and pattern.matches(name)):
                del attributes[index]

    return apply


def _hash(key: str, pattern: Pattern | None) -> Apply:
    def apply(attributes: Attributes, context: Context) -> None:
        for entry in attributes:
            if key and entry.key == key:
                hash_in_place(entry.value)
            if pattern is not None and pattern.matches(entry.key):  # a key that is matched too is hashed twice
                hash_in_place(entry.value)

    return apply


def _extract(key: str, pattern: Pattern) -> Apply:
    def apply(attributes: Attributes, context: Context) -> None:
        value = find(attributes, key)
        if value is None or value.WhichOneof("value") != "string_value":
            return
        for name, text in (pattern.named_groups(value.string_value) or {}).items():
            _set(attributes, name, AnyValue(string_value=text))

    return apply


def _convert(key: str, converted_type: str) -> Apply:
    convert = CONVERSIONS[converted_type]

    def apply(attributes: Attributes, context: Context) -> None:
        for entry in attributes:
            if entry.key == key:
                convert(entry.value)

    return apply


# ---- from settings to actions


@dataclass(frozen=True)
class _Rule:
    """Which fields an action kind has no use for, in the order in which they are complained about."""

    compile: Callable[[ActionSettings], Apply]
    unused: Sequence[tuple[Callable[[ActionSettings], bool], str]]


def _compile(index: int, action: ActionSettings) -> Apply:
    kind = action.action.lower()
    rule = _RULES.get(kind)
    if not action.key:
        if kind not in ("delete", "hash"):
            raise ConfigError(f'error creating AttrProc due to missing required field "key" at the {index}-th action')
        if not action.pattern:
            raise ConfigError(
                'error creating AttrProc due to missing required field (at least one of "key" and "pattern" have to '
                f"be used) at the {index}-th action"
            )
    try:
        if rule is None:
            raise ValueError(f' due to unsupported action "{kind}"')
        for is_set, complaint in rule.unused:
            if is_set(action):
                raise ValueError(f'. Action "{kind}" does not use {complaint}')
        return rule.compile(action)
    except ValueError as error:
        where = f'error with key "{action.key}" ({index}-th action)'
        raise ConfigError(f"{where}: error creating AttrProc{error}") from None


def _compile_setter(action: ActionSettings) -> Apply:
    sources = [action.value is not None, bool(action.from_attribute), bool(action.from_context)]
    if not any(sources) and action.default_value is None:
        raise ValueError(
            '. Either field "value", "from_attribute", "from_context", or "default_value" must be specified'
        )
    if sum(sources) > 1:
        raise ValueError(" due to multiple value sources being set")
    for is_set, complaint in _UNUSED_BY_SETTERS:
        if is_set(action):
            raise ValueError(f'. Action "{action.action.lower()}" does not use {complaint}')
    return _SETTERS[action.action.lower()](action.key, _source(action))


def _source(action: ActionSettings) -> Source:
    """Where the value to set comes from."""
    default = None if action.default_value is None else _constant(action.default_value, " due to invalid default value")
    if action.value is not None:
        value = _constant(action.value, " due to invalid value")
        return lambda attributes, context: value
    if action.from_attribute:
        name = action.from_attribute

        def attribute(attributes: Attributes, context: Context) -> Any | None:
            found = find(attributes, name)
            return default if found is None else found

        return attribute
    if action.from_context:
        wanted = action.from_context

        def request(attributes: Attributes, context: Context) -> Any | None:
            text = from_context(wanted, context)
            return default if text is None else AnyValue(string_value=text)

        return request
    return lambda attributes, context: default


def _constant(raw: Any, complaint: str) -> AnyValue:
    try:
        return from_yaml(raw)
    except ValueError as error:
        raise ValueError(f"{complaint}: {error}") from None


def _pattern(text: str) -> Pattern:
    try:
        return Pattern(text)
    except ValueError as error:
        raise ValueError(f'. Field "pattern" has invalid pattern: "{text}" ({error})') from None


def _compile_extract(action: ActionSettings) -> Apply:
    if not action.pattern:
        raise ValueError(' due to missing required field "pattern" for action "extract"')
    if action.converted_type:
        raise ValueError('. Action "extract" does not use the "converted_type" field. This must not be specified')
    pattern = _pattern(action.pattern)
    if not pattern.group_names:
        raise ValueError('. Field "pattern" contains no named matcher groups')
    if None in pattern.group_names:
        raise ValueError('. Field "pattern" contains at least one unnamed matcher group')
    return _extract(action.key, pattern)


def _compile_convert(action: ActionSettings) -> Apply:
    if not action.converted_type:
        raise ValueError(' due to missing required field "converted_type" for action "convert"')
    if action.converted_type not in CONVERSIONS:
        raise ValueError(
            f' due to invalid value "{action.converted_type}" in field "converted_type" for action "convert"'
        )
    return _convert(action.key, action.converted_type)


def _by_keys(make: Callable[[str, Pattern | None], Apply]) -> Callable[[ActionSettings], Apply]:
    return lambda action: make(action.key, _pattern(action.pattern) if action.pattern else None)


def _has_value(action: ActionSettings) -> bool:
    return action.value is not None or bool(action.from_attribute)


def _has_source(action: ActionSettings) -> bool:
    return _has_value(action) or bool(action.from_context)


def _has_pattern(action: ActionSettings) -> bool:
    return bool(action.pattern)


def _has_type(action: ActionSettings) -> bool:
    return bool(action.converted_type)


_NO_TYPE = (_has_type, 'the "converted_type" field. This must not be specified')
_UNUSED_BY_SETTERS = ((_has_pattern, 'the "pattern" field. This must not be specified'), _NO_TYPE)
_UNUSED_BY_KEYS = ((_has_value, '"value" or "from_attribute" field. These must not be specified'), _NO_TYPE)
_UNUSED_BY_EXTRACT = ((_has_source, "a value source field. These must not be specified"),)
_UNUSED_BY_CONVERT = (
    (_has_source, 'value sources or "pattern" field. These must not be specified'),
    (_has_pattern, 'value sources or "pattern" field. These must not be specified'),
)

_RULES: Mapping[str, _Rule] = {
    "insert": _Rule(_compile_setter, ()),
    "update": _Rule(_compile_setter, ()),
    "upsert": _Rule(_compile_setter, ()),
    "delete": _Rule(_by_keys(_delete), _UNUSED_BY_KEYS),
    "hash": _Rule(_by_keys(_hash), _UNUSED_BY_KEYS),
    "extract": _Rule(_compile_extract, _UNUSED_BY_EXTRACT),
    "convert": _Rule(_compile_convert, _UNUSED_BY_CONVERT),
}
