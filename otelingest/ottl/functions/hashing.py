"""Converters that make hashes and identifiers, and base64."""

from __future__ import annotations

import base64
import codecs
import hashlib
import os
import time
import uuid
from collections.abc import Callable
from typing import Any

from otelingest.ottl.errors import OttlError
from otelingest.ottl.functions.kinds import ANY, STRING, base64_decoded
from otelingest.ottl.functions.registry import converter
from otelingest.ottl.values import go_type, wrap

_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_MASK = 0xFFFFFFFFFFFFFFFF


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


@converter("MD5", ("target", STRING))
def _md5(text: str) -> str:
    return hashlib.md5(_encoded(text), usedforsecurity=False).hexdigest()


@converter("SHA1", ("target", STRING))
def _sha1(text: str) -> str:
    return hashlib.sha1(_encoded(text), usedforsecurity=False).hexdigest()


@converter("SHA256", ("target", STRING))
def _sha256(text: str) -> str:
    return hashlib.sha256(_encoded(text)).hexdigest()


@converter("SHA512", ("target", STRING))
def _sha512(text: str) -> str:
    return hashlib.sha512(_encoded(text)).hexdigest()


@converter("FNV", ("target", STRING))
def _fnv(text: str) -> int:
    """FNV-1a with 64 bits, as a signed number."""
    number = _FNV_OFFSET
    for byte in _encoded(text):
        number = ((number ^ byte) * _FNV_PRIME) & _MASK
    return wrap(number)


@converter("XXH3", ("target", STRING))
def _xxh3(text: str) -> str:
    import xxhash

    return str(xxhash.xxh3_64_hexdigest(_encoded(text)))


@converter("XXH128", ("target", STRING))
def _xxh128(text: str) -> str:
    import xxhash

    return str(xxhash.xxh3_128_hexdigest(_encoded(text)))


@converter("Murmur3Hash", ("target", STRING))
def _murmur3(text: str) -> str:
    import mmh3

    return int(mmh3.hash(_encoded(text), signed=False)).to_bytes(4, "little").hex()


@converter("Murmur3Hash128", ("target", STRING))
def _murmur3_128(text: str) -> str:
    import mmh3

    return bytes(mmh3.hash_bytes(_encoded(text))).hex()


@converter("UUID", pure=False)
def _uuid() -> str:
    return str(uuid.uuid4())


@converter("UUIDv7", pure=False)
def _uuid7() -> str:
    """48 bits of milliseconds, then chance, as RFC 9562 lays it out."""
    number = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | (0x7 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=number & ((1 << 128) - 1)))


# ---- base64 and character sets

_BASE64: dict[str, tuple[Callable[[bytes], bytes], bool]] = {
    "base64": (base64.b64encode, True),
    "base64-raw": (base64.b64encode, False),
    "base64-url": (base64.urlsafe_b64encode, True),
    "base64-raw-url": (base64.urlsafe_b64encode, False),
}
_NO_CHARACTER_SETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})


@converter("Base64Encode", ("target", STRING), ("variant", STRING, "base64"))
def _base64_encode(text: str, variant: str) -> str:
    if variant not in _BASE64:
        raise OttlError(f"unsupported base64 variant: {variant[:100]}")
    encode, padded = _BASE64[variant]
    made = encode(_encoded(text)).decode("ascii")
    return made if padded else made.rstrip("=")


@converter("Decode", ("target", ANY), ("encoding", STRING))
def _decode(data: Any, encoding: str) -> str:
    if type(data) is str:
        data = _encoded(data)
    if type(data) is not bytes:
        raise OttlError(f"unsupported type provided to Decode function: {go_type(data)}")
    if encoding in _BASE64:
        text = data.decode("latin-1")
        decoded = base64_decoded(text, url="url" in encoding, padded="raw" not in encoding)
        return decoded.decode("utf-8", "replace")
    try:
        found = codecs.lookup(encoding[:64])
    except (LookupError, ValueError):
        found = None
    if found is None or not getattr(found, "_is_text_encoding", True) or found.name in _NO_CHARACTER_SETS:
        raise OttlError(f"unsupported encoding '{encoding[:64]}'")
    return str(data.decode(found.name, "replace"))
