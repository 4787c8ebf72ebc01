"""Converters that calculate."""

from __future__ import annotations

import math

from otelingest.codec.values import double_text
from otelingest.config.types import go_quote
from otelingest.ottl.errors import OttlError
from otelingest.ottl.functions.kinds import DOUBLE_OF_ANY, TEXT_OF_ANY
from otelingest.ottl.functions.registry import converter

_DIGITS = "0123456789"


@converter("Log", ("target", DOUBLE_OF_ANY))
def _log(number: float | None) -> float:
    if number is None:
        raise OttlError("invalid input: <nil>")
    if number <= 0:
        raise OttlError(f"invalid input: expected number greater than zero but got {double_text(number)}")
    return math.log(number)


@converter("IsValidLuhn", ("target", TEXT_OF_ANY))
def _is_valid_luhn(text: str | None) -> bool:
    """The check digit of credit cards."""
    if text is None:
        raise OttlError("invalid type: <nil>")
    total = 0
    for position, character in enumerate(reversed(text)):
        if character not in _DIGITS:
            raise OttlError(f"strconv.Atoi: parsing {go_quote(character)}: invalid syntax")
        digit = int(character) * (1 + position % 2)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0
