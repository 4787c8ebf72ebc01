"""What may be written under `processors.redaction`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, field_validator

from otelingest.config.settings import GoType, Problem, Secret, Settings, Unreadable
from otelingest.config.types import go_quote

_HASHES = ("sha1", "sha3", "md5", "hmac-sha256", "hmac-sha512")
_KEY_LENGTHS = {"hmac-sha256": 32, "hmac-sha512": 64}
_DATABASES = ("sql", "redis", "valkey", "memcached", "mongo", "opensearch", "es")


class DatabaseSettings(Settings):
    """One kind of database query."""

    enabled: bool = False
    """Not supported."""
    attributes: list[str] = Field(default_factory=list)
    """The attributes with queries."""


class DatabaseSanitizerSettings(Settings):
    """What upstream takes out of database queries: not supported."""

    sql: DatabaseSettings = Field(default_factory=DatabaseSettings)
    """SQL."""
    redis: DatabaseSettings = Field(default_factory=DatabaseSettings)
    """Redis."""
    valkey: DatabaseSettings = Field(default_factory=DatabaseSettings)
    """Valkey."""
    memcached: DatabaseSettings = Field(default_factory=DatabaseSettings)
    """Memcached."""
    mongo: DatabaseSettings = Field(default_factory=DatabaseSettings)
    """MongoDB."""
    opensearch: DatabaseSettings = Field(default_factory=DatabaseSettings)
    """OpenSearch."""
    es: DatabaseSettings = Field(default_factory=DatabaseSettings)
    """Elasticsearch."""
    sanitize_span_name: bool | None = None
    """Whether names of spans are changed too."""


class UrlSanitizerSettings(Settings):
    """What upstream takes out of URLs: not supported."""

    enabled: bool = False
    """Not supported."""
    attributes: list[str] = Field(default_factory=list)
    """The attributes with URLs."""
    sanitize_span_name: bool | None = None
    """Whether names of spans are changed too."""


class RedactionSettings(Settings):
    """What stays, what goes, and what is masked. All patterns are RE2; one that matches anywhere matches."""

    allow_all_keys: bool = False
    """Whether all attributes stay; else only those of `allowed_keys`."""
    allowed_keys: list[str] = Field(default_factory=list)
    """The attributes that stay."""
    blocked_key_patterns: list[str] = Field(default_factory=list)
    """Patterns of keys whose whole value is masked."""
    hash_function: Annotated[str, GoType("redactionprocessor.HashFunction")] = ""
    """What stands for what is masked: its hash (`sha1`, `sha3`, `md5`, `hmac-sha256`, `hmac-sha512`), else `****`."""
    hmac_key: Secret = Secret("")
    """The key for the `hmac-` ones: 32 bytes for hmac-sha256, 64 for hmac-sha512, or more."""
    ignored_keys: list[str] = Field(default_factory=list)
    """The attributes that are not looked at."""
    ignored_key_patterns: list[str] = Field(default_factory=list)
    """Patterns of keys that are not looked at."""
    redact_all_types: bool = False
    """Whether numbers, lists and others are looked at as text too; else only text is."""
    blocked_values: list[str] = Field(default_factory=list)
    """Patterns of what is masked within values."""
    allowed_values: list[str] = Field(default_factory=list)
    """Patterns of values in which nothing is masked."""
    summary: str = ""
    """What is added to attributes about what was done: `debug` (keys and numbers), `info` (numbers), else nothing."""
    db_sanitizer: DatabaseSanitizerSettings = Field(default_factory=DatabaseSanitizerSettings)
    """Database queries: not supported."""
    url_sanitizer: UrlSanitizerSettings = Field(default_factory=UrlSanitizerSettings)
    """URLs: not supported."""

    @field_validator("hash_function")
    @classmethod
    def _known_hash(cls, name: str) -> str:
        if name and name.lower() not in _HASHES:
            *some, last = _HASHES
            raise Unreadable(f"unknown HashFunction {name.lower()}, allowed functions are {', '.join(some)} and {last}")
        return name.lower()

    def problems(self) -> Iterator[Problem]:
        least = _KEY_LENGTHS.get(self.hash_function)
        length = len(self.hmac_key.get_secret_value().encode())
        if least and not length:
            yield f"hmac_key must not be empty when hash_function is {go_quote(self.hash_function)}"
        elif least and length < least:
            hash_function = go_quote(self.hash_function)
            yield f"hmac_key must be at least {least} bytes long for {hash_function}, got {length} bytes"
        if any(getattr(self.db_sanitizer, name).enabled for name in _DATABASES):
            yield "db_sanitizer is not supported (yet): mask what stands in queries with blocked_values"
        if self.url_sanitizer.enabled:
            yield "url_sanitizer is not supported (yet): mask what stands in URLs with blocked_values"
