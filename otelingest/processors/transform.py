"""The `transform` processor: runs OTTL statements over spans, metrics and log records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, ClassVar

from google.protobuf.message import DecodeError
from pydantic import Field, field_validator, model_validator

from otelingest import codec
from otelingest.codec.attributes import Attributes
from otelingest.codec.editing import edit
from otelingest.codec.types import Malformed
from otelingest.config.settings import GoType, Naming, Problem, Settings
from otelingest.ottl.errors import StatementError
from otelingest.ottl.item import Item
from otelingest.ottl.programs import OnError, Program, check_profile_statements, compile_statements
from otelingest.pipeline.component import Consumer, Env, Processor
from otelingest.pipeline.errors import ConfigError, Partial, Refused, Rejected
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.ottl_settings import ErrorMode, GroupSettings, grouped, known_error_mode
from otelingest.processors.splice import replace_resources

_LISTS = {
    Signal.TRACES: "trace_statements",
    Signal.METRICS: "metric_statements",
    Signal.LOGS: "log_statements",
}
_LARGE = 1 << 16
"""Bytes from which a request is worked on in a thread, so that others are served meanwhile."""


class StatementGroupSettings(GroupSettings):
    """Statements that run in one context, and share a cache for each item."""

    context: Annotated[str, GoType("common.ContextID")] = ""
    """What they run for: `span`, `log`…; where none is given, what their paths begin with says it."""
    conditions: list[str] = Field(default_factory=list)
    """They run for items for which one of these holds; for all where there is none."""
    statements: list[str] = Field(default_factory=list)
    """What to do, in this order."""
    shared_cache: bool = False
    """Whether groups share their cache; not supported."""


class TransformSettings(Settings):
    """Statements by signal. A list holds plain statements, or groups of them."""

    naming: ClassVar[Naming] = Naming(embedding=True)

    error_mode: ErrorMode = "ignore"
    """What follows from an error: `ignore` logs it and goes on, `silent` goes on, `propagate` refuses the request."""
    flatten_data: bool = False
    """Whether every log record gets a resource and scope of its own; not supported."""
    trace_statements: list[StatementGroupSettings] = Field(default_factory=list)
    """For spans, their events, scopes and resources."""
    metric_statements: list[StatementGroupSettings] = Field(default_factory=list)
    """For metrics, data points, scopes and resources."""
    log_statements: list[StatementGroupSettings] = Field(default_factory=list)
    """For log records, scopes and resources."""
    profile_statements: list[StatementGroupSettings] = Field(default_factory=list)
    """For profiles, of which there are none here: without effect."""

    @model_validator(mode="before")
    @classmethod
    def _group(cls, data: Any) -> Any:
        return grouped(data, (*_LISTS.values(), "profile_statements"), "statements")

    @field_validator("error_mode")
    @classmethod
    def _known_mode(cls, value: str) -> str:
        return known_error_mode(value)

    def problems(self) -> Iterator[Problem]:
        if self.flatten_data:
            yield "'flatten_data' requires the 'transform.flatten.logs' feature gate to be enabled"
        problems: list[str] = []
        for signal, name in _LISTS.items():
            for group in getattr(self, name):
                if group.shared_cache:
                    problems.append("shared_cache is not supported yet")
                try:
                    compiled(signal, group)
                except StatementError as error:
                    problems.append(str(error))
        for group in self.profile_statements:
            try:
                check_profile_statements(tuple(group.statements), tuple(group.conditions), group.context)
            except StatementError as error:
                problems.append(str(error))
        if problems:
            yield "; ".join(problems)

    def groups(self, signal: Signal) -> Sequence[StatementGroupSettings]:
        groups: list[StatementGroupSettings] = getattr(self, _LISTS[signal])
        return [group for group in groups if group.statements]


def compiled(signal: Signal, group: StatementGroupSettings) -> Program:
    """Raises StatementError."""
    return compile_statements(signal, tuple(group.statements), tuple(group.conditions), group.context)


class _Failed(Exception):
    """An error that ends the work on a request."""


class _Resource:
    """Shows a resource of which nothing else is decoded, as an editor of a request would."""

    def __init__(self, encoded: bytes) -> None:
        from opentelemetry.proto.resource.v1.resource_pb2 import Resource

        self.resource: Any = Resource.FromString(encoded)
        self.resource_group = self
        self.resource_attributes = Attributes()
        self.resource_attributes.bind(self.resource)


class TransformProcessor(Processor[TransformSettings]):
    """Edits requests by every group of statements, one after another.

    Where the statements only look at resources, these alone are decoded.
    """

    Settings = TransformSettings

    def __init__(self, settings: TransformSettings, env: Env, next: Consumer) -> None:
        """Raises ConfigError for statements that cannot be used."""
        super().__init__(settings, env, next)
        (self._signal,) = env.signals
        try:
            self._programs = [
                (compiled(self._signal, group), self._on_error(group.error_mode or settings.error_mode or "ignore"))
                for group in settings.groups(self._signal)
            ]
        except StatementError as error:
            raise ConfigError(str(error)) from None
        if settings.profile_statements:
            self.log.warning("statements for profiles have no effect: there are no pipelines for profiles")
        only_resources = all(program.only_resources for program, _ in self._programs)
        self._messages = any(program.messages for program, _ in self._programs)
        self._work: Callable[[Payload], Payload] = self._splice if only_resources else self._transform

    async def consume(self, payload: Payload) -> Partial | None:
        if not self._programs:
            return await self.next.consume(payload)
        try:
            changed = self._work(payload) if payload.size < _LARGE else await asyncio.to_thread(self._work, payload)
        except _Failed as error:
            self.log.error(f"failed processing {self._signal}", error=str(error))
            raise Refused(str(error)) from error
        except (DecodeError, Malformed) as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        return await self.next.consume(changed)

    def _transform(self, payload: Payload) -> Payload:
        chunks = tuple(map(self._edited, payload.chunks))
        items = payload.items
        if self._signal is Signal.METRICS:  # data points may have been made
            items = sum(codec.scan(self._signal, chunk).items for chunk in chunks)
        return Payload(payload.signal, chunks, items, payload.context)

    def _edited(self, chunk: bytes) -> bytes:
        editor = edit(self._signal, chunk, messages=self._messages)
        for number, (program, on_error) in enumerate(self._programs):
            if number:
                editor.rewind()
            program.run(editor, on_error)
        return editor.finish()

    def _splice(self, payload: Payload) -> Payload:
        runs = [program.for_item(on_error) for program, on_error in self._programs]
        item = Item()

        def edited(encoded: bytes) -> bytes:
            shown = _Resource(encoded)
            item.to_resource(shown)
            for run in runs:
                run(item)
            made: bytes = shown.resource.SerializeToString()
            return made

        chunks = tuple(replace_resources(chunk, edited) for chunk in payload.chunks)
        return Payload(payload.signal, chunks, payload.items, payload.context)

    def _on_error(self, mode: str) -> OnError:
        def propagate(what: str, text: str, error: str) -> None:
            raise _Failed(f"{what}: {text}, {error}")

        def ignore(what: str, text: str, error: str) -> None:
            name = "statement" if what.endswith("statement") else "condition"
            self.log.warning(what, error=error, **{name: text})

        def silent(what: str, text: str, error: str) -> None:
            pass

        return {"propagate": propagate, "ignore": ignore, "silent": silent}[mode]
