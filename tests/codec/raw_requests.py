"""Requests as no client would write them: any field of any message in any order and number, on the wire.

Made from a seeded generator, without hypothesis: it makes many thousands a second, and a case is named by its seed.
"""

from __future__ import annotations

import struct
from random import Random

from otelingest.codec.messages import SIGNALS
from otelingest.codec.native_types import uvarint
from otelingest.codec.wire import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    Fields,
    Shape,
    WireField,
    length_delimited,
    schema,
    tag,
)

ODD = 0.001
"""How often a field is not as the schema has it."""
TWICE = 0.02
"""In how many messages fields that are not lists may come several times, and several kinds of a value too."""
_KINDS = {"opentelemetry.proto.common.v1.AnyValue": range(1, 9), "opentelemetry.proto.metrics.v1.Metric": range(5, 12)}
_DEEPEST = 14

_TEXTS = [
    b"", b"a", b"k", b"key", b"service.name", b"http.request.method", b"a" * 16, b"b" * 31, b"c" * 130, b"d" * 300,
    "é".encode(), "안녕하세요".encode(), "😀".encode(), "\u2028\u2029".encode(),
    "\U0010ffff\uffff\ud7ff\u0800".encode(),
    b'"\\/\b\f\n\r\t\0\x1f', b"0123456789abcdefg", b"x" * 15 + "ü".encode(), b"\xe2\x80", "…".encode(),
]  # fmt: skip
_VARINTS = [
    0,
    1,
    2,
    3,
    5,
    6,
    127,
    128,
    300,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32 + 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**64 - 2,
]
_DOUBLES = [
    0.0, -0.0, 1.0, -1.0, 0.1, 1e-6, 1e-7, 1.5e-5, 1e15, 2.0**53, 2.0**53 + 2, 1e16, 1e20, 1e21, 1.7976931348623157e308,
    5e-324, float("nan"), float("inf"), float("-inf"), 3.4028235e38, 3.4028235677973366e38, 123456.789,
]  # fmt: skip


class RawRequests:
    """One seed's requests."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def request(self) -> tuple[str, bytes]:
        signal = self.random.choice(SIGNALS)
        root, self._messages = schema(signal)
        return signal, self._outer(self._messages[root])

    def _outer(self, fields: Fields) -> bytes:
        """The request: nearly always with something in it."""
        return b"".join(self._field(1, fields[1], 0) for _ in range(self.random.choice([1, 1, 1, 2, 0]))) + self._rest(
            0
        )

    def _rest(self, level: int) -> bytes:
        return self._odd(level) if self.random.random() < ODD else b""

    def _message(self, fields: Fields, level: int) -> bytes:
        random = self.random
        few = level > 4
        count = random.choice([0, 0, 1, 1, 1, 2] if few else [1, 2, 3, 4, 6, 9])
        numbers = random.choices(list(fields), k=count)
        if level < 4 and 2 in fields and fields[2].repeated:
            numbers += [2] * random.choice([1, 1, 2])
        if random.random() > TWICE:
            numbers = self._without_repetition(fields, numbers)
        if random.random() < 0.5:
            numbers.sort()
        return b"".join(self._field(number, fields[number], level) for number in numbers)

    def _without_repetition(self, fields: Fields, numbers: list[int]) -> list[int]:
        kinds = next((range_ for name, range_ in _KINDS.items() if self._messages.get(name) is fields), range(0))
        kept: dict[object, int] = {}
        for place, number in enumerate(numbers):
            kept.setdefault(place if fields[number].repeated else "kind" if number in kinds else -number, number)
        return list(kept.values())

    def _field(self, number: int, field: WireField, level: int) -> bytes:
        random = self.random
        if random.random() < ODD:
            return self._odd(level, number)
        if field.shape is Shape.MESSAGE:
            if level >= _DEEPEST:
                return b""
            content = self._message(self._messages[field.message], level + 1)
            return length_delimited(number, content)
        if field.shape is Shape.STRING:
            return length_delimited(number, random.choice(_TEXTS[:-2] if random.random() > ODD else _TEXTS))
        if field.shape is Shape.BYTES:
            return length_delimited(number, self._bytes(field))
        if field.repeated and random.random() < 0.7:
            return length_delimited(number, b"".join(self._number(field) for _ in range(random.randrange(5))))
        return tag(number, field.wire_type) + self._number(field)

    def _bytes(self, field: WireField) -> bytes:
        random = self.random
        if not field.id_size:
            return random.choice([b"", b"\xff", b"\x00\x01", b"abc", bytes(range(50))])
        if random.random() < ODD:
            return random.randbytes(random.randrange(18))
        return random.choice([b"", bytes(field.id_size), random.randbytes(field.id_size)])

    def _number(self, field: WireField) -> bytes:
        random = self.random
        if field.wire_type == VARINT:
            return uvarint(random.choice(_VARINTS)) if random.random() < 0.8 else uvarint(random.randrange(2**64))
        if field.wire_type == FIXED32:
            return random.choice(_VARINTS[:12]).to_bytes(4, "little")
        if random.random() < 0.5:
            return struct.pack("<d", random.choice(_DOUBLES))
        return random.randbytes(8) if random.random() < 0.5 else random.choice(_VARINTS).to_bytes(8, "little")

    def _odd(self, level: int, number: int = 0) -> bytes:
        """An unknown field, a known one of another type, a group, or just bytes."""
        random = self.random
        number = number if number and random.random() < 0.4 else random.choice([4, 17, 31, 32, 99, 2**29 - 1, 2**29, 0])
        wire_type = random.randrange(8)
        content = {
            VARINT: random.choice([b"\x01", b"\x80\x00", b"\xff" * 9 + b"\x01", b"\xff" * 9 + b"\x7f", b"\xff" * 10]),
            FIXED64: bytes(8),
            FIXED32: bytes(4),
            LENGTH: random.choice(
                [b"\x02hi", b"\x82\x00hi", b"\x80\x80\x80\x80\x00", b"\xff\xff\xff\xff\x0f", b"\x7f"]
            ),
        }.get(wire_type, random.choice([b"", tag(number, 4), b"\x08\x01" + tag(number, 4)]))
        head = tag(number, wire_type)
        if random.random() < 0.2:
            head = bytes((*head[:-1], head[-1] | 0x80, 0))  # longer than need be
        return head + content


def mutated(random: Random, data: bytes) -> bytes:
    """Bytes changed, cut out, put in or repeated."""
    out = bytearray(data)
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(out) + 1)
        end = min(len(out), start + random.randrange(40))
        choice = random.randrange(5)
        if choice == 0:
            out[start:end] = b""
        elif choice == 1:
            out[start:start] = out[start:end]
        elif choice == 2:
            out[start:start] = random.randbytes(random.randrange(5))
        elif start < len(out):
            out[start] = random.choice([0, 1, 2, 8, 10, 18, 26, 127, 128, 255, random.randrange(256)])
    return bytes(out)
