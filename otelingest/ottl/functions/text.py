"""Converters of text. Positions and lengths count bytes, as in Go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.expressions import Expression
from otelingest.ottl.functions.kinds import (
    ANYTHINGS,
    INT,
    STRING,
    TEXTS_OF_ANY,
    WRITTEN_BOOL,
    WRITTEN_STRING,
)
from otelingest.ottl.functions.printing import sprintf
from otelingest.ottl.functions.registry import building, converter
from otelingest.ottl.item import Item
from otelingest.ottl.values import bounded

_CONTINUATION = 0xC0
_CONTINUES = 0x80


def cut(data: bytes, start: int, end: int, *, safe: bool) -> str:
    """`data[start:end]` as text. safe: without the characters that would be cut in two; else those become U+FFFD."""
    if safe:
        while start < end and start < len(data) and data[start] & _CONTINUATION == _CONTINUES:
            start += 1
        while end > start and end < len(data) and data[end] & _CONTINUATION == _CONTINUES:
            end -= 1
    return data[start:end].decode("utf-8", "replace")


@converter("Concat", ("vals", TEXTS_OF_ANY), ("delimiter", STRING))
def _concat(texts: list[str | None], delimiter: str) -> str:
    return bounded(delimiter.join(["<nil>" if text is None else text for text in texts]))


@converter("Substring", ("target", STRING), ("start", INT), ("length", INT), ("utf8_safe", WRITTEN_BOOL, False))
def _substring(text: str, start: int, length: int, safe: bool) -> str:
    if start < 0:
        raise OttlError(f"invalid start for substring function, {start} cannot be negative")
    if length <= 0:
        raise OttlError(f"invalid length for substring function, {length} cannot be negative or zero")
    data = text.encode("utf-8", "replace")
    if start + length > len(data):
        raise OttlError(
            f"invalid range for substring function, start({start})+length({length}) cannot be greater than the length "
            f"of target string({len(data)})"
        )
    return cut(data, start, start + length, safe=safe)


@converter("Trim", ("target", STRING), ("replacement", WRITTEN_STRING, " "))
def _trim(text: str, characters: str) -> str:
    return text.strip(characters) if characters else text


@converter("TrimPrefix", ("target", STRING), ("prefix", STRING))
def _trim_prefix(text: str, prefix: str) -> str:
    return text.removeprefix(prefix)


@converter("TrimSuffix", ("target", STRING), ("suffix", STRING))
def _trim_suffix(text: str, suffix: str) -> str:
    return text.removesuffix(suffix)


@converter("HasPrefix", ("target", STRING), ("prefix", STRING))
def _has_prefix(text: str, prefix: str) -> bool:
    return text.startswith(prefix)


@converter("HasSuffix", ("target", STRING), ("suffix", STRING))
def _has_suffix(text: str, suffix: str) -> bool:
    return text.endswith(suffix)


@converter("Format", ("format", WRITTEN_STRING), ("vals", ANYTHINGS))
def _format(form: str, values: list[Any]) -> str:
    return sprintf(form, values)


# ---- cases


def _upper(text: str) -> str:
    """Character by character, as Go does it: `ß` stays."""
    if text.isascii():
        return text.upper()
    return "".join([upper if len(upper := character.upper()) == 1 else character for character in text])


def _lower(text: str) -> str:
    if text.isascii():
        return text.lower()
    return "".join([lower if len(lower := character.lower()) == 1 else character for character in text])


_SEPARATORS = " _-."


def _kind(character: str) -> str:
    """`A`, `a` or `0` for a letter or digit of ASCII; nothing for anything else."""
    if not character.isascii():
        return ""
    return "A" if character.isupper() else "a" if character.islower() else "0" if character.isdigit() else ""


_WORD_ENDS = frozenset({("A", "a"), ("A", "0"), ("a", "A"), ("a", "0"), ("0", "A"), ("0", "a")})


def _snake(text: str) -> str:
    """`HelloWorld-2x` to `hello_world_2_x`: words begin at capitals, and at and behind digits."""
    text = text.strip()
    out: list[str] = []
    kinds = ["", *map(_kind, text), ""]
    for before, kind, following, character in zip(kinds, kinds[1:], kinds[2:], text, strict=False):
        if (kind, following) in _WORD_ENDS:
            if kind == "A" and following == "a" and before == "A":
                out.append("_")
            out.append(character.lower())
            if kind != "A" or following == "0":
                out.append("_")
        else:
            out.append("_" if character in _SEPARATORS else character.lower() if kind else character)
    return "".join(out)


def _camel(text: str) -> str:
    """`my_metric.name` to `MyMetricName`. What is neither letter nor digit of ASCII is left out."""
    text = text.strip()
    out: list[str] = []
    upper, before = True, ""
    for character in "id" if text == "ID" else text:
        kind = _kind(character)
        if kind == "0":
            out.append(character)
        elif kind:
            follows_capital = before == "A" and kind == "A"
            out.append(character.upper() if upper else character.lower() if follows_capital else character)
        upper = kind == "0" or character in _SEPARATORS
        before = kind
    return "".join(out)


_CASES: dict[str, Callable[[str], str]] = {"lower": _lower, "upper": _upper, "snake": _snake, "camel": _camel}


@building("ConvertCase", ("target", STRING), ("to_case", WRITTEN_STRING))
def _convert_case(target: Expression, case: str) -> Callable[[Item], Any]:
    if case not in _CASES:
        raise StatementError(f"invalid case: {case}, allowed cases are: lower, upper, snake, camel")
    get, convert = target.get, _CASES[case]
    return lambda item: convert(get(item))


converter("ToLowerCase", ("target", STRING))(_lower)
converter("ToUpperCase", ("target", STRING))(_upper)
converter("ToSnakeCase", ("target", STRING))(_snake)
converter("ToCamelCase", ("target", STRING))(_camel)
