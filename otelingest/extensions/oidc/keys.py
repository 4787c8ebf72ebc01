"""Public keys that sign tokens: read from a JSON Web Key Set, each with the algorithms that it may be used with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otelingest.net.listen import reason

MOST_KEYS = 100
SIZE_LIMIT = 1 << 20

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ALGORITHMS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("RSA", ""): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""By a key's type and curve. A shared secret (`oct`) is none: a public document must not hold one."""
ALGORITHMS = frozenset(name for names in _ALGORITHMS.values() for name in names)


class NoKeys(Exception):
    """A key set that cannot be read, or has no key that is of use here."""


@dataclass(frozen=True, slots=True)
class Key:
    """One public key. id: "" where the set gives none."""

    id: str
    key: Any
    algorithms: tuple[str, ...]


def parse_keys(text: str | bytes) -> tuple[Key, ...]:
    """The keys of a set that can verify tokens; the others are left out. Raises NoKeys."""
    try:
        document = json.loads(text)
        entries = document["keys"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise NoKeys("failed to parse JWKS: it is no JSON object with a list of keys") from None
    entries = entries[:MOST_KEYS] if isinstance(entries, list) else []
    keys = tuple(key for entry in entries if (key := _key(entry)) is not None)
    if not keys:
        raise NoKeys("file contains no supported keys (supported types are RSA, ECDSA, and ED25519)")
    return keys


def read_key_file(path: str) -> tuple[Key, ...]:
    """Raises NoKeys."""
    try:
        with open(path, "rb") as file:
            return parse_keys(file.read(SIZE_LIMIT))
    except OSError as error:
        raise NoKeys(f"could not read file: open {path}: {reason(error)}") from None


def _key(entry: Any) -> Key | None:
    import jwt

    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    kind, curve = str(entry.get("kty")), str(entry.get("crv"))
    known = _ALGORITHMS.get((kind, "" if kind == "RSA" else curve))
    if known is None:
        return None
    own = entry.get("alg")
    try:
        key = jwt.PyJWK(entry, known[0]).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    public = key.public_key() if hasattr(key, "public_key") else key  # someone has published the private one
    name = entry.get("kid")
    return Key(name if isinstance(name, str) else "", public, (own,) if own in known else known)


def candidates(keys: Sequence[Key], id: Any, algorithm: Any) -> list[Key]:
    """The keys that may have signed a token of that header."""
    fitting = [key for key in keys if algorithm in key.algorithms]
    return [key for key in fitting if key.id == id] if isinstance(id, str) and id else fitting
