"""Cross-origin requests: which answers a browser may read, by the `cors` section of an HTTP server."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from otelingest.config.settings import Naming, Settings

if TYPE_CHECKING:
    from otelingest.net.messages import Headers

_PREFLIGHT_VARY = ("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
_VARY = ("Vary", "Origin")
_ALWAYS_ALLOWED = frozenset({"accept", "content-type", "x-requested-with"})
_METHODS = frozenset({b"GET", b"POST", b"HEAD"})


class CorsSettings(Settings):
    """`cors` of an HTTP server."""

    naming: ClassVar[Naming] = Naming("confighttp.CORSConfig")

    allowed_origins: list[str] = Field(default_factory=list)
    """Origins whose pages may send; `*` stands for anything, within an origin too. None: no CORS headers at all."""
    allowed_headers: list[str] = Field(default_factory=list)
    """Request headers that such a page may set; `*` for any. Accept and Content-Type always may be."""
    exposed_headers: list[str] = Field(default_factory=list)
    """Response headers that such a page may read."""
    max_age: int = 0
    """For how many seconds a browser may remember the answer to a preflight request."""


class Cors:
    """The rules of one section, ready for use."""

    def __init__(self, settings: CorsSettings) -> None:
        patterns = [fnmatch.translate(_literal(origin.lower())) for origin in settings.allowed_origins]
        self._origins = re.compile("|".join(patterns))
        self._headers = _ALWAYS_ALLOWED | {header.lower() for header in settings.allowed_headers}
        self._exposed = ", ".join(settings.exposed_headers)
        self._max_age = settings.max_age

    @classmethod
    def of(cls, settings: CorsSettings | None) -> Cors | None:
        """None where the section is missing or names no origin."""
        return cls(settings) if settings is not None and settings.allowed_origins else None

    def answer_headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """What to add to the answer of an ordinary request."""
        origin = headers.get(b"origin")
        if origin is None:
            return (_VARY,)
        if not self._allows(origin):
            return (_VARY,)
        exposed = (("Access-Control-Expose-Headers", self._exposed),) if self._exposed else ()
        return (_VARY, *self._permission(origin), *exposed)

    @staticmethod
    def is_preflight(method: bytes, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a browser asks if it may send."""
        return method == b"OPTIONS" and b"access-control-request-method" in headers

    def preflight(self, headers: Mapping[bytes, bytes]) -> tuple[Headers, str | None]:
        """The headers of the 204 that answers it, and why it is refused (for the log), None when it is not."""
        refusal = (_PREFLIGHT_VARY,)
        origin = headers.get(b"origin", b"")
        if not self._allows(origin):
            return refusal, f"the origin {_shown(origin)} is not in cors.allowed_origins"
        method = headers.get(b"access-control-request-method", b"").upper()
        if method not in _METHODS:
            return refusal, f"the method {_shown(method)} is not allowed"
        asked = headers.get(b"access-control-request-headers", b"").decode("latin-1")
        names = [name for part in asked.split(",") if (name := part.strip().lower())]
        if "*" not in self._headers and not self._headers.issuperset(names):
            missing = sorted(set(names) - self._headers)
            return refusal, f"the headers {', '.join(missing)[:200]} are not in cors.allowed_headers"
        permission = [*refusal, *self._permission(origin), ("Access-Control-Allow-Methods", method.decode())]
        if names:
            permission.append(("Access-Control-Allow-Headers", ",".join(names)))
        if self._max_age:
            permission.append(("Access-Control-Max-Age", str(max(0, self._max_age))))
        return tuple(permission), None

    def _allows(self, origin: bytes) -> bool:
        return bool(origin) and self._origins.match(origin.decode("latin-1").lower()) is not None

    @staticmethod
    def _permission(origin: bytes) -> Headers:
        return (
            ("Access-Control-Allow-Origin", origin.decode("latin-1")),
            ("Access-Control-Allow-Credentials", "true"),
        )


def _literal(pattern: str) -> str:
    """A pattern in which only `*` is special."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _shown(value: bytes) -> str:
    return repr(value[:100].decode("latin-1"))
