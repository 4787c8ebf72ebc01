"""Hypothesis strategies: OTLP requests of every shape, as protobuf messages."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otelingest.codec.messages import SIGNALS, request_class

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
IDS = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}

_NUMBERS = {
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_STRING: TEXT,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=6),
}


def values(max_leaves: int = 8, *, finite: bool = False) -> st.SearchStrategy[AnyValue]:
    """`AnyValue`s, nested."""
    floats = st.floats(allow_nan=not finite, allow_infinity=not finite)
    leaves = st.one_of(
        st.just(AnyValue()),
        TEXT.map(lambda value: AnyValue(string_value=value)),
        st.booleans().map(lambda value: AnyValue(bool_value=value)),
        st.integers(-(2**63), 2**63 - 1).map(lambda value: AnyValue(int_value=value)),
        floats.map(lambda value: AnyValue(double_value=value)),
        st.binary(max_size=6).map(lambda value: AnyValue(bytes_value=value)),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map(_array),
            st.lists(st.tuples(TEXT, inner), max_size=4).map(_map),
        ),
        max_leaves=max_leaves,
    )


def _array(elements: list[AnyValue]) -> AnyValue:
    made = AnyValue()
    made.array_value.SetInParent()
    made.array_value.values.extend(elements)
    return made


def _map(entries: list[tuple[str, AnyValue]]) -> AnyValue:
    made = AnyValue()
    made.kvlist_value.SetInParent()
    for key, value in entries:
        made.kvlist_value.values.add(key=key, value=value)
    return made


@st.composite
def requests(draw: st.DrawFn, signal: str | None = None) -> tuple[str, Any]:
    """A signal and a request in which every field of every message may be set."""
    signal = signal or draw(st.sampled_from(SIGNALS))
    message = request_class(signal)()
    _fill(draw, message)
    return signal, message


def _fill(draw: st.DrawFn, message: Any) -> None:
    if message.DESCRIPTOR.name == "AnyValue":
        message.CopyFrom(draw(values(4)))
        return
    for field in message.DESCRIPTOR.fields:
        chosen = draw(st.integers(0, 3))
        if field.is_repeated:
            for _ in range(min(chosen, 2)):
                _add(draw, getattr(message, field.name), field)
        elif chosen >= 2:
            if field.message_type is not None:
                getattr(message, field.name).SetInParent()
                _fill(draw, getattr(message, field.name))
            else:
                setattr(message, field.name, draw(_scalar(field)))


def _add(draw: st.DrawFn, elements: Any, field: FieldDescriptor) -> None:
    if field.message_type is not None:
        _fill(draw, elements.add())
    else:
        elements.append(draw(_scalar(field)))


def _scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.integers(0, 7)
    if field.name in IDS:
        return st.one_of(st.just(b""), st.binary(min_size=IDS[field.name], max_size=IDS[field.name]))
    return _NUMBERS[field.type]
