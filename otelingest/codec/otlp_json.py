"""OTLP/JSON to OTLP protobuf and back. After the receiver there is one form of telemetry: protobuf bytes.

The wire format is written directly, so that a request costs no protobuf objects (and ids, which OTLP writes in
hexadecimal, are not taken for base64).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from otelingest.codec import IMPLEMENTATION
from otelingest.codec.json_fields import Notes, request_writer
from otelingest.codec.json_output import encode_json
from otelingest.codec.json_values import WrongJson
from otelingest.codec.messages import CONTAINERS, SIGNALS
from otelingest.codec.types import Malformed

__all__ = ["Decoded", "decode", "decode_reference", "encode_json"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Decoded:
    """A request in protobuf's wire format, to be scanned like any other.

    replaced_strings: places that were not UTF-8, or half of a surrogate pair, and are U+FFFD now.
    kept_as_double: integers beyond 64 bits (JavaScript writes `1e+300` for one).
    problems: what was odd and has cost something or may have, a sentence each; at most ten.
    """

    data: bytes
    replaced_strings: int = 0
    kept_as_double: int = 0
    problems: tuple[str, ...] = ()


def decode(signal: str, body: bytes | bytearray | memoryview) -> Decoded:
    """Read one OTLP/JSON document. Raises Malformed, naming the field.

    As the collector reads it: names in camelCase or snake_case, unknown ones ignored, 64-bit integers as text or
    numbers, enumerations by number or full name, ids in hexadecimal of either case. More kindly: null is absent, base64
    of both alphabets with or without padding, whole numbers in any notation, integers beyond 64 bits as doubles, byte
    order marks, bytes that are not UTF-8. Less kindly: nothing may follow the document.
    """
    data = _decode_plain(signal, body)
    return Decoded(data) if data is not None else decode_reference(signal, body)


def _native_decode() -> Callable[[str, bytes | bytearray | memoryview], bytes | None]:
    """The fast way for documents in which nothing is wrong or unusual. None means that it takes a closer look."""
    if IMPLEMENTATION != "native":
        return lambda signal, body: None
    from otelingest.codec._native import decode_json

    return decode_json


_decode_plain = _native_decode()


def decode_reference(signal: str, body: bytes | bytearray | memoryview) -> Decoded:
    """`decode`, of any document and without native code."""
    notes = Notes()
    document = _document(body, notes)
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise Malformed("an OTLP/JSON request is one object: {…}")
    _check_names(signal, document, notes)
    try:
        data = request_writer(signal)(document, notes, 0)
    except WrongJson as error:
        raise Malformed(str(error)) from None
    return Decoded(data, notes.replaced_strings, notes.kept_as_double, tuple(notes.problems))


def _document(body: bytes | bytearray | memoryview, notes: Notes) -> Any:
    """orjson first; where it refuses, the slower parser that can be told to be tolerant."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raw = bytes(body).removeprefix(_BYTE_ORDER_MARK)
    text = raw.decode("utf-8", "replace")
    try:
        document = json.loads(text, parse_float=_finite)
    except RecursionError:
        raise Malformed("invalid JSON: lists and objects are nested too deep") from None
    except ValueError as error:
        raise Malformed(f"invalid JSON: {error}") from None
    notes.replaced_strings += text.count(_REPLACEMENT) - raw.count(_REPLACEMENT.encode())
    return document


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is out of range")
    return number


def _check_names(signal: str, document: dict[str, Any], notes: Notes) -> None:
    """Whether the document holds the signal at all, or another one, or its name in a spelling of its own."""
    own = _top_names(signal)
    if own & document.keys():
        return
    for other in SIGNALS:
        if _top_names(other) & document.keys():
            raise Malformed(f"these look like {other}: send them to /v1/{other}")
    for name in document:
        if name.replace("_", "").lower() in {spelling.lower() for spelling in own}:
            known = " or ".join(sorted(own))
            notes.problem(f"unknown field {name!r:.40} ignored, with all that is in it: {known} is known")


def _top_names(signal: str) -> set[str]:
    """`resourceSpans`, `resource_spans`."""
    snake = CONTAINERS[signal][0]
    first, second = snake.split("_")
    return {snake, first + second.capitalize()}
