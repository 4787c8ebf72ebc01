"""Secrets in what is no secret as a whole: passwords in URLs, options and map entries that are named as such."""

from __future__ import annotations

import re

_NAME = (
    r"(?:password|passwd|passphrase|secret|token|credential|authorization"
    r"|api[_-]?key|access[_-]?key|private[_-]?key)"
)
_USER = re.compile(r"((?:(?<=://)|^(?![A-Za-z][\w+.-]*://))[^/?#\s:@]*:)\S+(?=@)")
"""A user and a password, also one that makes the rest no URL. What looks like them is hidden rather than shown."""
_OPTION = re.compile(rf"([?&;][^=&#\s]*{_NAME}[^=&#\s]*=)[^&#\s]+", re.IGNORECASE)
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)


def without_passwords(text: str, instead: str = "xxxxx") -> str:
    """A URL or an address as it may be shown."""
    text = _USER.sub(lambda found: found[1] + instead, text)
    return _OPTION.sub(lambda found: found[1] + instead, text)


def names_secret(key: str) -> bool:
    """Whether an entry of that name, in a map of the user's own, holds a secret."""
    return _SECRET_NAME.search(key) is not None
