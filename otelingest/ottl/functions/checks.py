"""Converters that ask what a value is."""

from __future__ import annotations

from typing import Any

from otelingest.ottl.functions.kinds import A_BOOL, A_FLOAT, A_MAP, A_STRING, AN_INT, ANY
from otelingest.ottl.functions.registry import converter
from otelingest.ottl.values import Duration, Opaque, Time


@converter("IsString", ("target", A_STRING))
def _is_string(value: Any) -> bool:
    return type(value) is str


@converter("IsInt", ("target", AN_INT))
def _is_int(value: Any) -> bool:
    return type(value) is int


@converter("IsDouble", ("target", A_FLOAT))
def _is_double(value: Any) -> bool:
    return type(value) is float


@converter("IsBool", ("target", A_BOOL))
def _is_bool(value: Any) -> bool:
    return type(value) is bool


@converter("IsMap", ("target", A_MAP))
def _is_map(value: Any) -> bool:
    return type(value) is dict


@converter("IsList", ("target", ANY))
def _is_list(value: Any) -> bool:
    return type(value) is list or (isinstance(value, Opaque) and value.go_type.endswith(("Slice", "[]uint64")))


@converter("IsEmpty", ("target", ANY))
def _is_empty(value: Any) -> bool:
    if isinstance(value, bytes):
        return not any(value)
    if isinstance(value, Opaque):
        return hasattr(value.content, "__len__") and not len(value.content)
    if isinstance(value, Time):
        return value.nanoseconds == 0
    if isinstance(value, Duration):
        return value.nanoseconds == 0
    return not value
