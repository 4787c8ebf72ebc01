"""Thresholds and randomness of OpenTelemetry's consistent probability sampling, as whole numbers of 56 bits.

An item is kept when its threshold is not above its randomness. (Specification: "TraceState: Probability Sampling".)
"""

from __future__ import annotations

import math
import re
import struct

ONE = 1 << 56
DIGITS = 14
LEAST = 1 / ONE
"""The smallest probability."""
ALWAYS, NEVER = 0, ONE
MOST_RANDOM = ONE - 1
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]+", re.ASCII)


class Unreadable(Exception):
    """A threshold or a randomness that is none."""


def float32(number: float) -> float:
    """The nearest number of 32 bits: upstream keeps percentages in these."""
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:
        return math.copysign(math.inf, number)


def threshold_of(probability: float, precision: int) -> int | None:
    """The threshold of a probability, rounded to so many hexadecimal digits; None out of [2**-56, 1]."""
    if not LEAST <= probability <= 1:
        return None
    if probability == 1:
        return ALWAYS
    # Near both ends, where digits begin with a row of 0 or f, there are as many more.
    leading = (int(math.frexp(part)[1] / -4) for part in (probability, 1 - probability))
    digits = min(DIGITS, precision + max(leading))
    threshold = ONE - _rounded(probability * ONE)
    shift = 4 * (DIGITS - digits)
    if shift:
        threshold = (threshold + (1 << (shift - 1))) >> shift << shift
    return threshold


def _rounded(number: float) -> int:
    below = math.floor(number)
    return below + (number - below >= 0.5)


def probability_of(threshold: int) -> float:
    return float(ONE - threshold) / float(ONE)


def write_threshold(threshold: int) -> str:
    """In hexadecimal, without zeros at the end; "" for one that nothing passes."""
    if threshold == ALWAYS:
        return "0"
    return "" if threshold >= NEVER else f"{threshold:014x}".rstrip("0")


def read_threshold(text: str) -> int:
    """Raises Unreadable."""
    if len(text) > DIGITS:
        raise Unreadable("t-value exceeds 14 hex digits")
    if not text:
        raise Unreadable("t-value is empty")
    return _number(text) << (4 * (DIGITS - len(text)))


def write_randomness(randomness: int) -> str:
    return f"{randomness:014x}"


def read_randomness(text: str) -> int:
    """Raises Unreadable."""
    if len(text) != DIGITS:
        raise Unreadable("r-value must have 14 hex digits")
    return _number(text)


def _number(text: str) -> int:
    if not _HEXADECIMAL.fullmatch(text):
        raise Unreadable(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text, 16)


def of_trace_id(trace_id: bytes) -> int:
    """The randomness in a trace's id: its last 7 bytes."""
    return int.from_bytes(trace_id[-7:], "big")


def of_hash(data: bytes, seed: int) -> int:
    """The randomness that mode `hash_seed` makes: of its first 14 bits depends what is kept, as it always has."""
    hashed = 0x811C9DC5
    for byte in seed.to_bytes(4, "little") + data:
        hashed = ((hashed ^ byte) * 0x01000193) & 0xFFFFFFFF
    low = hashed & 0x3FFF
    unused = hashed >> 18
    mixed = unused ^ (unused << 10)
    return ((0x3FFF - low) << 42) | (mixed << 14) | low


def of_percentage_by_hash(percentage: float) -> int:
    """The threshold of a percentage in mode `hash_seed`: in steps of 1/16384, downwards, computed in 32 bits."""
    kept = int(float32(float32(percentage) * float32(0x4000 / 100)))
    return NEVER if kept == 0 else (0x4000 - kept) << 42
