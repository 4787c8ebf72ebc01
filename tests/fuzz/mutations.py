"""Ways to spoil bytes: blindly, and with some knowledge of what they are. All chance comes from the Random given."""

from __future__ import annotations

import copy
import functools
import gzip
import json
import random
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any

Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]
LARGEST = 256 * 1024
_ODD_BYTES = (0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x12, 0x22, 0x5C, 0x0D)
_ODD_JSON = (
    b"null", b"true", b"-0", b"1e400", b"9223372036854775808", b"-1", b"0.1", b'""', b"[]", b"{}", b'"\\ud800"',
    b"18446744073709551616",
    b'"\xff"', b"NaN", b'"NaN"', b"[[[[[[[[", b"]", b"}", b"{", b",", b":", b'"AAAA"', b'"1"', b"\xef\xbb\xbf",
)  # fmt: skip
_ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 3, "3", 1.5, 1e308, 2**63, 2**64, -(2**70), "", "x", "\ud800", "\x00", "9" * 400, "NaN",
    "Infinity", [], {}, [[]], {"": 0}, {"intValue": "1"}, {"arrayValue": {"values": [{}]}}, "AAAA=",
    "5b8efff798038103d269b633813fc60c",
)  # fmt: skip
_JSON_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null|[][{},:]')
_ODD_HEADERS = (
    b"Transfer-Encoding: chunked", b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Content-Length: 0",
    b"Expect: 100-continue", b"Connection: close", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
    b"Content-Encoding: gzip, gzip", b"Content-Encoding: zstd", b"Content-Encoding: snappy", b"Content-Encoding: lz4",
    b"Content-Type: application/json; charset=utf-16", b"Host:", b"X: " + b"a" * 70_000, b": empty", b"a\x00b: c",
    b"Transfer-Encoding: gzip, chunked", b" folded: x", b"Content-Type: application/grpc",
)  # fmt: skip


def flip(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    if not data:
        return b"\x01"
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
    return bytes(out)


def set_byte(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    out = bytearray(data or b"\0")
    out[chance.randrange(len(out))] = chance.choice(_ODD_BYTES)
    return bytes(out)


def cut(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return data[: chance.randint(0, len(data))]


def remove(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    start = chance.randint(0, len(data))
    return data[:start] + data[start + chance.randint(1, 32) :]


def insert(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.randbytes(chance.choice((1, 2, 8, 64))) + data[at:]


def repeat(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    start = chance.randint(0, len(data))
    piece = data[start : start + chance.choice((1, 4, 32, 256))]
    return data[:start] + piece * chance.choice((2, 10, 200)) + data[start:]


def splice(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = chance.choice(others)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def nest(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Wrap bytes in fields over and over: protobuf's way to go deep."""
    out = data[:2000]
    tag = chance.choice((b"\x0a", b"\x12", b"\x2a", b"\x32", b"\x0b"))
    for _ in range(chance.choice((3, 40, 120, 1000))):
        out = tag + _varint(len(out)) + out
    return out


def json_token(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Replace, drop, double or wrap one token of a JSON text."""
    tokens = list(_JSON_TOKEN.finditer(data))
    if not tokens:
        return data + chance.choice(_ODD_JSON)
    token = chance.choice(tokens)
    depth = chance.choice((1, 30, 500, 20_000))
    new = chance.choice(
        (chance.choice(_ODD_JSON), b"", token[0] * 2, b"[" * depth + token[0] + b"]" * depth, chance.choice(tokens)[0])
    )
    return data[: token.start()] + new + data[token.end() :]


def json_value(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Replace, drop or double one value of a JSON text, which stays one."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return json_token(chance, data, others)
    places: list[tuple[Any, Any]] = []
    todo = [tree] if isinstance(tree, dict | list) else []
    while todo:
        node = todo.pop()
        items = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
        places += [(node, key) for key, _ in items]
        todo += [value for _, value in items if isinstance(value, dict | list)]
    for _ in range(chance.choice((1, 1, 3, 20))):
        if not places:
            break
        node, key = chance.choice(places)
        other, other_key = chance.choice(places)
        new = copy.deepcopy(chance.choice((*_ODD_VALUES, other.get(other_key) if isinstance(other, dict) else None)))
        if isinstance(node, list):
            node[min(key, len(node)) : key + 1] = chance.choice(([new], [], [new] * 50))
        elif chance.random() < 0.1:
            node.pop(key, None)
        else:
            node[chance.choice((key, key, key, other_key if isinstance(other_key, str) else key))] = new
    try:
        return json.dumps(tree, separators=(",", ":")).encode()
    except (ValueError, RecursionError):  # a value has come into itself
        return data


def header(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Add, drop or double a line of an HTTP head."""
    head, blank, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    at = chance.randrange(len(lines))
    odd = chance.choice(_ODD_HEADERS)
    lines[at : at + 1] = chance.choice(([odd], [lines[at], odd], [lines[at]] * chance.choice((2, 2000)), []))
    return chance.choice((b"\r\n", b"\r\n", b"\n", b"\r")).join(lines) + blank + body


def compressed(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Compress in odd ways: several members, a bomb, a stream without its end."""
    squeezed = gzip.compress(data, 1, mtime=0)
    return chance.choice(
        (
            squeezed * chance.choice((2, 50)),
            gzip.compress(squeezed, mtime=0),
            _bomb(chance.choice((1 << 20, 1 << 25))),
            squeezed[: -chance.randint(1, 12)],
            squeezed + chance.randbytes(20),
            zlib.compress(data),
        )
    )


BLIND: tuple[Mutation, ...] = (flip, flip, set_byte, cut, remove, insert, repeat, splice)


def mutate(chance: random.Random, corpus: Sequence[bytes], mutations: Sequence[Mutation]) -> bytes:
    """One of the corpus, spoilt once or a few times."""
    data = chance.choice(corpus)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        data = chance.choice(mutations)(chance, data, corpus)[:LARGEST]
    return data


@functools.cache
def _bomb(size: int) -> bytes:
    return gzip.compress(bytes(size), 9, mtime=0)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
