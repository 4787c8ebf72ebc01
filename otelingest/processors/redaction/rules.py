"""What is done with a key, a text and a value, by the settings."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from otelingest.config.patterns import Match, Pattern
from otelingest.pipeline.errors import ConfigError
from otelingest.processors.redaction.settings import RedactionSettings

REDACTED, MASKED, ALLOWED, IGNORED = "redacted", "masked", "allowed", "ignored"
_OWN_KEYS = (
    *("redaction.redacted.keys", "redaction.redacted.count", "redaction.masked.keys", "redaction.masked.count"),
    "redaction.ignored.count",
)
_WHOLE = ".*"


class Rules:
    """The settings, ready to be applied. Raises ConfigError for a pattern that is none."""

    def __init__(self, settings: RedactionSettings) -> None:
        self.all_types = settings.redact_all_types
        self._allowed_keys = None if settings.allow_all_keys else {*settings.allowed_keys, *_OWN_KEYS}
        self._ignored_keys = frozenset(settings.ignored_keys)
        self._ignored = _patterns("ignore keys", settings.ignored_key_patterns)
        self._blocked_values = _patterns("block", settings.blocked_values)
        self._blocked_keys = _patterns("block keys", settings.blocked_key_patterns)
        self._allowed_values = _patterns("allow", settings.allowed_values)
        self._whole = Pattern(_WHOLE)
        self._stand_in = _stand_in(settings)

    def ignores_key(self, key: str) -> bool:
        return key in self._ignored_keys or any(pattern.matches(key) for pattern in self._ignored)

    def removes_key(self, key: str) -> bool:
        return self._allowed_keys is not None and key not in self._allowed_keys

    def masks_key(self, key: str) -> bool:
        return any(pattern.matches(key) for pattern in self._blocked_keys)

    def allows_value(self, text: str) -> bool:
        return any(pattern.matches(text) for pattern in self._allowed_values)

    def masked_whole(self, text: str) -> str:
        """A stand-in for every line of it."""
        return self._whole.replaced(text, self._stand_in)

    def masked(self, text: str) -> str:
        """The text with a stand-in for all that is blocked."""
        for pattern in self._blocked_values:
            text = pattern.replaced(text, self._stand_in)
        return text


def _patterns(what: str, texts: Sequence[str]) -> list[Pattern]:
    try:
        return [Pattern(text) for text in texts]
    except ValueError as error:
        raise ConfigError(
            f"error creating a redaction processor: failed to process {what} list: error compiling regex in list: "
            f"error parsing regexp: {error}"
        ) from None


def _stand_in(settings: RedactionSettings) -> Callable[[Match], str]:
    name, key = settings.hash_function, settings.hmac_key.get_secret_value().encode()
    if not name:
        return lambda match: "****"
    digest: Callable[[bytes], str]
    if name.startswith("hmac-"):
        algorithm = name.removeprefix("hmac-")

        def digest(data: bytes) -> str:
            return hmac.new(key, data, algorithm).hexdigest()

    else:
        algorithm = {"sha3": "sha3_256"}.get(name, name)

        def digest(data: bytes) -> str:
            return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()

    return lambda match: digest(match.group(0).encode("utf-8", "replace"))
