"""The `span` processor: makes names of spans from attributes, attributes from names, and sets the status."""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal
from typing import Any

from google.protobuf.message import DecodeError
from pydantic import Field

from otelingest.config.patterns import Pattern
from otelingest.config.settings import Settings
from otelingest.pipeline.component import Consumer, Env, Processor
from otelingest.pipeline.errors import ConfigError, Partial, Rejected
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.attribute_actions import find
from otelingest.processors.matching import MatchSettings, compile_match

_LARGE = 1 << 16
"""Bytes from which a request is worked on in a thread, so that others are served meanwhile."""
_CODES = {"Unset": 0, "Ok": 1, "Error": 2}
_REFUSED = 'error creating "span" processor: '


class ToAttributesSettings(Settings):
    """How attributes are made from a name."""

    rules: list[str] = Field(default_factory=list)
    """Patterns with named groups; what a group finds in the name becomes the attribute of that name."""
    break_after_match: bool = False
    """Whether only the first pattern that matches is applied."""
    keep_original_name: bool = False
    """Whether the name stays; else `{group}` stands in it for what a group has found."""


class NameSettings(Settings):
    """The span's name."""

    from_attributes: list[str] = Field(default_factory=list)
    """The attributes whose values, joined, become the name; where one is missing, the name stays."""
    separator: str = ""
    """What stands between them."""
    to_attributes: ToAttributesSettings | None = None
    """How attributes are made from the name."""


class StatusSettings(Settings):
    """The status that spans are given."""

    code: str = ""
    """`Ok`, `Error` or `Unset`."""
    description: str = ""
    """The message; for `Error` only."""


class SpanSettings(Settings):
    """What is changed, and of which spans."""

    include: MatchSettings | None = None
    """Only spans that match are touched."""
    exclude: MatchSettings | None = None
    """Spans that match are left alone."""
    name: NameSettings = Field(default_factory=NameSettings)
    """The span's name."""
    status: StatusSettings | None = None
    """The status that spans are given."""


class SpanProcessor(Processor[SpanSettings]):
    """Decodes a request, edits the spans that match, and hands it on."""

    Settings = SpanSettings
    signals = frozenset({Signal.TRACES})

    def __init__(self, settings: SpanSettings, env: Env, next: Consumer) -> None:
        """Raises ConfigError, with the collector's texts, for settings that do nothing or make no sense."""
        super().__init__(settings, env, next)
        to_attributes = settings.name.to_attributes
        self._name = settings.name
        self._to = to_attributes if to_attributes is not None and to_attributes.rules else None
        self._status = settings.status
        _check(settings)
        self._matches = compile_match(Signal.TRACES, settings.include, settings.exclude)
        self._rules = [_rule(text) for text in (self._to.rules if self._to is not None else ())]

    async def consume(self, payload: Payload) -> Partial | None:
        try:
            work = self._edited
            edited = work(payload) if payload.size < _LARGE else await asyncio.to_thread(work, payload)
        except DecodeError as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        return await self.next.consume(edited)

    def _edited(self, payload: Payload) -> Payload:
        message = payload.message()
        for group in message.resource_spans:
            for scope in group.scope_spans:
                for span in scope.spans:
                    if self._matches is None or self._matches(span, scope.scope, group.resource):
                        self._edit(span)
        return Payload.of(payload.signal, message, payload.context)

    def _edit(self, span: Any) -> None:
        self._name_from_attributes(span)
        if self._to is not None and span.name:
            self._attributes_from_name(span, self._to)
        if self._status is not None:
            span.status.code = _CODES[self._status.code]
            span.status.message = self._status.description

    def _name_from_attributes(self, span: Any) -> None:
        if not self._name.from_attributes:
            return
        values = [find(span.attributes, key) for key in self._name.from_attributes]
        if all(value is not None for value in values):
            span.name = self._name.separator.join(map(_text, values))

    def _attributes_from_name(self, span: Any, settings: ToAttributesSettings) -> None:
        for pattern in self._rules:
            name = span.name.encode("utf-8", "replace")
            match = next(pattern.all_matches(name), None)
            if match is None:
                continue
            parts = []
            kept = 0
            for number, group in enumerate(pattern.group_names, 1):
                _put(span.attributes, group or "", match.group(number))
                start, end = match.span(number)
                if start < kept:  # it took no part, or stands in the group before it
                    continue
                parts += [name[kept:start], f"{{{group or ''}}}".encode()]
                kept = end
            parts.append(name[kept:])
            if not settings.keep_original_name:
                span.name = b"".join(parts).decode("utf-8", "replace")
            if settings.break_after_match:
                return


def _check(settings: SpanSettings) -> None:
    status, to_attributes = settings.status, settings.name.to_attributes
    if not settings.name.from_attributes and not (to_attributes and to_attributes.rules) and status is None:
        raise ConfigError(
            f'{_REFUSED}either "from_attributes" or "to_attributes" must be specified in "name:" or "setStatus" must '
            "be specified"
        )
    if status is not None and status.code not in _CODES:
        raise ConfigError(f'{_REFUSED}"status" must have specified "code" as "Ok" or "Error" or "Unset"')
    if status is not None and status.description and status.code != "Error":
        raise ConfigError(f'{_REFUSED}"description" can be specified only for "code" "Error"')


def _rule(text: str) -> Pattern:
    try:
        return Pattern(text)
    except ValueError as error:
        raise ConfigError(f"invalid regexp pattern {text} ({error})") from None


def _put(attributes: Any, key: str, text: str) -> None:
    known = find(attributes, key)
    (known if known is not None else attributes.add(key=key).value).string_value = text


def _text(value: Any) -> str:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return str(value.string_value)
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "int_value":
        return str(value.int_value)
    return _decimal(value.double_value) if kind == "double_value" else "<unknown-attribute-type>"


def _decimal(number: float) -> str:
    """A double as Go writes it without an exponent."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else f"{'+' if number > 0 else '-'}Inf"
    return f"{Decimal(repr(number)):f}".removesuffix(".0")
