"""One span, log record or metric, and statements that run over it."""

from __future__ import annotations

from typing import Any

from otelingest.codec.any_values import entries_to_map, map_to_entries
from otelingest.codec.editing import edit
from otelingest.ottl.item import Item
from otelingest.ottl.programs import compile_condition, compile_statements
from otelingest.ottl.walking import visitor
from otelingest.pipeline.payload import Signal, request_class


def traces(**attributes: Any) -> Any:
    """A request of one span."""
    request: Any = request_class(Signal.TRACES)()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "svc"
    span = group.scope_spans.add().spans.add(name="chat", kind=3, trace_id=b"\1" * 16, span_id=b"\2" * 8)
    map_to_entries(attributes, span.attributes)
    return request


def span_of(request: Any) -> Any:
    return request.resource_spans[0].scope_spans[0].spans[0]


def run(request: Any, *statements: str, signal: str = "traces", context: str = "", conditions: Any = ()) -> list[str]:
    """Run statements; the texts of their errors."""
    errors: list[str] = []
    program = compile_statements(signal, statements, tuple(conditions), context)
    editor = edit(signal, request.SerializeToString(), messages=program.messages)
    program.run(editor, lambda what, text, error: errors.append(error))
    edited = editor.finish()
    request.Clear()
    request.MergeFromString(edited)
    return errors


def attributes_after(*statements: str, **attributes: Any) -> dict[str, Any]:
    """What a span's attributes become. No statement may fail."""
    request = traces(**attributes)
    assert run(request, *statements) == []
    return entries_to_map(span_of(request).attributes)


def value_of(expression: str, **attributes: Any) -> Any:
    """What an expression is worth for a span; its error as an exception."""
    request = traces(**attributes)
    errors = run(request, f'set(span.attributes["result"], {expression})')
    if errors:
        raise AssertionError(errors[0])
    return entries_to_map(span_of(request).attributes)["result"]


def holds(condition: str, request: Any) -> bool:
    found: list[bool] = []
    question = compile_condition("traces", condition)
    editor = edit("traces", request.SerializeToString(), messages=question.messages)
    visitor("span")(editor, Item(), lambda item: found.append(question.holds(item)))
    return found[0]
