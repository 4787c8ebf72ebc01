"""OTLP protobuf to OTLP/JSON, as the specification writes it.

Ids in hexadecimal, 64-bit integers as text, enumerations as numbers, names in camelCase, and defaults left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from otelingest.codec.messages import parse
from otelingest.codec.values import base64_text

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

_IDS = frozenset({"trace_id", "span_id", "parent_span_id"})
Shower = Callable[[Any], Any]


def encode_json(signal: str, request: Any) -> bytes:
    """A request (its bytes, or its message) as a JSON document. Raises protobuf's DecodeError."""
    message = parse(signal, request) if isinstance(request, bytes) else request
    return orjson.dumps(_object(message))


def _object(message: Any) -> dict[str, Any]:
    """The fields that are set."""
    table = _table(message.DESCRIPTOR)
    return {table[field.number][0]: table[field.number][1](value) for field, value in message.ListFields()}


@cache
def _table(descriptor: Descriptor) -> dict[int, tuple[str, Shower]]:
    return {field.number: (field.camelcase_name, _shower(field)) for field in descriptor.fields}


def _shower(field: FieldDescriptor) -> Shower:
    one = _single(field)
    if not field.is_repeated:
        return one
    return lambda values: [one(value) for value in values]


def _single(field: FieldDescriptor) -> Shower:
    if field.message_type is not None:
        return _object
    if field.type == field.TYPE_BYTES:
        return bytes.hex if field.name in _IDS else base64_text
    if field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
        return str
    if field.cpp_type == field.CPPTYPE_DOUBLE:
        return _double
    return lambda value: value


def _double(number: float) -> float | str:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
