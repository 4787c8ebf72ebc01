"""What authenticators of JSON Web Tokens share: where a request has its token, and which tokens were right before."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from otelingest.net.auth import Unauthenticated

Attributes = Mapping[str, Any]

LONGEST_TOKEN = 16 * 1024
"""Characters of a token that is looked at: decoding takes time, and anybody can send one."""

_REMEMBERED = 1000
_LONGEST_REMEMBERED = 4096


def shown_token(headers: Mapping[str, Sequence[str]], attribute: str) -> str:
    """The second of the two words that the first header of that name consists of. Raises Unauthenticated.

    The first word is not looked at: upstream takes any scheme.
    """
    values = headers.get(attribute.lower()) or ()
    if not values:
        raise Unauthenticated("authentication didn't succeed")
    words = values[0].split(" ")
    if len(words) != 2:
        raise Unauthenticated("invalid authorization header format")
    return words[1]


class RightTokens:
    """Tokens that have been found right, until they expire: a client shows the same one with every request."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Attributes, float | None]] = OrderedDict()

    def get(self, token: str) -> Attributes | None:
        """The attributes of a token that has been added and has not expired."""
        found = self._known.get(token)
        if found is None:
            return None
        attributes, expires = found
        if expires is not None and time.time() >= expires:
            del self._known[token]
            return None
        self._known.move_to_end(token)
        return attributes

    def add(self, token: str, attributes: Attributes, expires: float | None) -> None:
        """expires: seconds since 1970; None for never."""
        if len(token) > _LONGEST_REMEMBERED:
            return
        self._known[token] = (attributes, expires)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def clear(self) -> None:
        """Forget all of them: the keys have changed."""
        self._known.clear()
