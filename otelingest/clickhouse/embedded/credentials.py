"""The one user that the embedded ClickHouse knows. The engine itself has no users."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from otelingest.clickhouse.embedded.errors import AUTHENTICATION_FAILED, EngineError


@dataclass(frozen=True, slots=True)
class Credentials:
    """User and password, as the settings give them; the password may be empty."""

    user: str
    password: str

    def check(self, user: str, password: str) -> None:
        """Raise EngineError unless they are right. Takes a time that tells nothing."""
        same_user = hmac.compare_digest(_bytes(user), _bytes(self.user))
        if not hmac.compare_digest(_bytes(password), _bytes(self.password)) or not same_user:
            shown = user.encode("utf-8", "replace").decode()
            raise EngineError(
                AUTHENTICATION_FAILED,
                f"{shown}: Authentication failed: password is incorrect, or there is no user with such name.",
            )


def _bytes(text: str) -> bytes:
    """What came over the wire, be it UTF-8 or not."""
    return text.encode("utf-8", "surrogateescape")


def from_request(headers: Mapping[str, str], parameters: Mapping[str, str]) -> tuple[str, str]:
    """User and password of an HTTP request: X-ClickHouse headers, Basic, or URL parameters."""
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", "default"), headers.get("X-ClickHouse-Key", "")
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(token.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user or "default", password
    return parameters.get("user") or "default", parameters.get("password", "")
