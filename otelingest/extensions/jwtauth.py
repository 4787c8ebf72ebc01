"""`jwtauth`: lets in who shows a JSON Web Token that is signed with a secret we know, as AgentOps' collector does.

The token's claims become attributes of the sender: `from_context: auth.project_id` is then the project that whoever
signed the token has named, whatever the sender says of itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import Field

from otelingest.config.settings import Naming, Problem, Secret, Settings
from otelingest.net.auth import Unauthenticated
from otelingest.net.tokens import LONGEST_TOKEN, Attributes, RightTokens, shown_token
from otelingest.pipeline.component import Env, Extension, Host
from otelingest.pipeline.errors import ConfigError

ALGORITHMS = ("HS256", "HS384", "HS512")
"""All that a shared secret can verify. A public key taken for a secret, and `none`, must open nothing."""

_OPTIONS: Any = {
    "verify_exp": True,
    "verify_nbf": True,
    **dict.fromkeys(("verify_iat", "verify_aud", "verify_iss", "verify_sub", "verify_jti"), False),
}
_SHORT = 32
"""Bytes below which a secret can be guessed from a token."""


class JwtAuthSettings(Settings):
    """The secret that tokens must be signed with."""

    naming: ClassVar[Naming] = Naming("jwtauthextension.Config")

    attribute: str = "authorization"
    """The header that holds the token, behind a word such as `Bearer`."""
    secret: Secret = Secret("")
    """The secret of the signature, which is HS256, HS384 or HS512."""
    required_claims: list[str] = Field(default_factory=list)
    """Claims without which a token is refused; their values must be text, or lists of texts, and not empty."""

    def problems(self) -> Iterator[Problem]:
        if not self.secret.get_secret_value():
            yield "no jwt secret provided for the JWT configuration"


class JwtAuth(Extension[JwtAuthSettings]):
    """A `ServerAuthenticator`. `exp` and `nbf` are heeded where a token has them; `aud` and `iss` are not looked at."""

    Settings = JwtAuthSettings

    def __init__(self, settings: JwtAuthSettings, env: Env) -> None:
        super().__init__(settings, env)
        self._attribute = settings.attribute or "authorization"
        self._secret = settings.secret.get_secret_value().encode()
        self._right = RightTokens()

    async def start(self, host: Host) -> None:
        """Raises ConfigError for a secret that is a public key."""
        import jwt

        warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)
        try:
            jwt.get_algorithm_by_name("HS256").prepare_key(self._secret)
        except jwt.InvalidKeyError:
            raise ConfigError(
                "secret: this is a public key or a certificate, not a secret that is shared with whoever signs the "
                "tokens; the oidc extension verifies tokens with public keys"
            ) from None
        if len(self._secret) < _SHORT:
            self.log.warning("The secret of JSON Web Tokens is short enough to be guessed", at_least_bytes=_SHORT)

    async def authenticate(self, headers: Mapping[str, Sequence[str]]) -> Attributes:
        """The claims of the token. Raises Unauthenticated."""
        token = shown_token(headers, self._attribute)
        claims = self._right.get(token)
        if claims is None:
            claims = self._verify(token)
            self._right.add(token, claims, claims.get("exp"))
        return claims

    def _verify(self, token: str) -> Attributes:
        import jwt

        if len(token) > LONGEST_TOKEN:
            raise _unparsed(f"token is malformed: it is longer than {LONGEST_TOKEN} characters")
        try:
            claims = jwt.decode(token, self._secret, algorithms=ALGORITHMS, options=_OPTIONS)
        except jwt.ExpiredSignatureError:
            raise _unparsed("token has invalid claims: token is expired") from None
        except jwt.ImmatureSignatureError:
            raise _unparsed("token has invalid claims: token is not valid yet") from None
        except jwt.InvalidSignatureError:
            raise _unparsed("token signature is invalid: signature is invalid") from None
        except jwt.InvalidAlgorithmError:
            raise _unparsed(
                f"token is unverifiable: error while executing keyfunc: unexpected signing method: {_algorithm(token)}"
            ) from None
        except (jwt.PyJWTError, TypeError, ValueError, ArithmeticError, RecursionError):
            raise _unparsed(_malformation(token)) from None
        for name in ("exp", "nbf"):
            value = claims.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise _unparsed(f"token has invalid claims: {name} is invalid")
        for name in self.settings.required_claims:
            if not _is_text(claims.get(name)):
                raise Unauthenticated(f"the JWT is invalid: it lacks the claim {name}")
        return MappingProxyType(claims)


def _unparsed(reason: str) -> Unauthenticated:
    return Unauthenticated(f"failed to parse token: {reason}")


def _algorithm(token: str) -> str:
    """The signing method that a token names, as far as it is one."""
    import jwt

    name = jwt.get_unverified_header(token).get("alg")
    return name if isinstance(name, str) and name.isascii() and name.isalnum() and len(name) <= 20 else "unknown"


def _malformation(token: str) -> str:
    parts = token.count(".") + 1
    if parts != 3:
        return "token is malformed: token contains an invalid number of segments"
    return "token is malformed: it cannot be decoded"


def _is_text(value: Any) -> bool:
    """Whether a claim's value is one that `from_context` can give to an attribute."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, str) and item for item in value)
    return isinstance(value, str) and bool(value)
