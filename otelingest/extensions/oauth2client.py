"""`oauth2client`: shows a token that it gets, and gets anew before it expires, from an OAuth 2.0 token endpoint."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar
from urllib.parse import quote_plus

from pydantic import Field

from otelingest.config.secrecy import without_passwords
from otelingest.config.settings import Duration, GoType, Naming, Problem, Secret, Settings
from otelingest.config.types import go_quote
from otelingest.net.asking import Reply, Unanswered, ask
from otelingest.net.listen import reason
from otelingest.net.tls import ClientTlsSettings
from otelingest.pipeline.component import Env, Extension, Host
from otelingest.pipeline.errors import ConfigError, Refused

CLIENT_CREDENTIALS = "client_credentials"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SIGNATURES = ("RS256", "RS384", "RS512")
_ASSERTION_SECONDS = 3600
_CREDENTIAL_LIMIT = 64 * 1024


class OAuth2ClientSettings(Settings):
    """The token endpoint, and who we are there."""

    naming: ClassVar[Naming] = Naming("oauth2clientauthextension.Config")

    client_id: str = ""
    """Who we are."""
    client_id_file: str = ""
    """A file with that, which wins. It is read for each new token."""
    client_secret: Secret = Secret("")
    """What proves it."""
    client_secret_file: str = ""
    """A file with that, which wins. It is read for each new token."""
    client_certificate_key_id: str = ""
    """For `jwt-bearer`: the key's id (`kid`)."""
    client_certificate_key: Secret = Secret("")
    """For `jwt-bearer`: the RSA key to sign with, as PEM."""
    client_certificate_key_file: str = ""
    """A file with that, which wins. It is read for each new token."""
    grant_type: str = ""
    """`client_credentials` (the default) or `urn:ietf:params:oauth:grant-type:jwt-bearer`."""
    signature_algorithm: str = ""
    """For `jwt-bearer`: RS256 (the default), RS384 or RS512."""
    iss: str = ""
    """For `jwt-bearer`: who signs; `client_id` without it."""
    audience: str = ""
    """For `jwt-bearer`: for whom; `token_url` without it."""
    claims: dict[str, Any] = Field(default_factory=dict)
    """For `jwt-bearer`: further claims."""
    endpoint_params: Annotated[dict[str, list[str]], GoType("url.Values")] = Field(default_factory=dict)
    """Further parameters for the token endpoint, with the values of each."""
    token_url: str = ""
    """The token endpoint."""
    scopes: list[str] = Field(default_factory=list)
    """What the token is to allow."""
    tls: ClientTlsSettings = Field(default_factory=ClientTlsSettings)
    """TLS towards the token endpoint."""
    timeout: Duration = Duration(0)
    """How long the token endpoint may take; 0: as long as the exporter's attempt."""
    expiry_buffer: Duration = Duration.parse("5m")
    """How long before its end a token is exchanged for a new one."""

    def problems(self) -> Iterator[Problem]:
        secret, key = self.client_secret.get_secret_value(), self.client_certificate_key.get_secret_value()
        if not self.client_id and not self.client_id_file:
            yield "no ClientID provided in the OAuth2 exporter configuration"
        elif self.grant_type == JWT_BEARER and not key and not self.client_certificate_key_file:
            yield "no ClientCertificateKey provided in the OAuth2 exporter configuration"
        elif self.grant_type != JWT_BEARER and not secret and not self.client_secret_file:
            yield "no ClientSecret provided in OAuth Client Credentials configuration"
        elif not self.token_url:
            yield "no TokenURL provided in OAuth Client Credentials configuration"


class OAuth2Client(Extension[OAuth2ClientSettings]):
    """A `ClientAuthenticator`."""

    Settings = OAuth2ClientSettings

    def __init__(self, settings: OAuth2ClientSettings, env: Env) -> None:
        super().__init__(settings, env)
        self._tls: ssl.SSLContext | None = None
        self._asking = asyncio.Lock()
        self._shown = ""
        self._until = 0.0
        self._in_body = False

    async def start(self, host: Host) -> None:
        """Asks nobody yet. Raises ConfigError."""
        settings = self.settings
        if settings.grant_type not in ("", CLIENT_CREDENTIALS, JWT_BEARER):
            raise ConfigError(f"unknown grant type {go_quote(settings.grant_type)}")
        if settings.signature_algorithm and settings.signature_algorithm not in _SIGNATURES:
            raise ConfigError("invalid signature algorithm")
        if settings.token_url.startswith("https:"):
            self._tls = settings.tls.context()

    async def credentials(self) -> Mapping[str, str]:
        """The header with a token that is good for a while. Raises Refused while there is none to be had."""
        async with self._asking:
            if not self._shown or time.monotonic() >= self._until:
                try:
                    await self._renew()
                except Unanswered as error:
                    where = go_quote(without_passwords(self.settings.token_url))
                    text = f"failed to get security token from token endpoint (endpoint {where}): {error}"
                    raise Refused(text) from None
        return {"Authorization": self._shown}

    async def _renew(self) -> None:
        form = self._assertion() if self.settings.grant_type == JWT_BEARER else self._client_credentials()
        reply = await self._ask(form)
        if reply.status in (400, 401) and self.settings.grant_type != JWT_BEARER:
            # There are two ways to show who we are, and servers that know only one of them.
            self._in_body = not self._in_body
            other = await self._ask(self._client_credentials())
            if other.status == 200:
                reply = other
            else:
                self._in_body = not self._in_body
        answer = _read(reply)
        kind = answer.get("token_type")
        scheme = "Bearer" if not isinstance(kind, str) or kind.lower() in ("", "bearer") else kind
        self._shown = f"{scheme} {answer['access_token']}"
        self._until = time.monotonic() + self._good_for(answer.get("expires_in"))

    async def _ask(self, form: tuple[list[tuple[str, str]], dict[str, str]]) -> Reply:
        seconds = self.settings.timeout.seconds or None
        return await ask(self.settings.token_url, form=form[0], headers=form[1], tls=self._tls, seconds=seconds)

    def _client_credentials(self) -> tuple[list[tuple[str, str]], dict[str, str]]:
        """The form and the headers of a request."""
        id = self._credential("client_id")
        secret = self._credential("client_secret")
        form = [("grant_type", CLIENT_CREDENTIALS), *self._parameters()]
        if self._in_body:
            return [*form, ("client_id", id), ("client_secret", secret)], {}
        pair = f"{quote_plus(id)}:{quote_plus(secret)}"
        return form, {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    def _assertion(self) -> tuple[list[tuple[str, str]], dict[str, str]]:
        import jwt

        settings = self.settings
        id, now = self._credential("client_id"), int(time.time())
        claims = {
            "iss": settings.iss or id,
            "sub": id,
            "aud": settings.audience or settings.token_url,
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
            "jti": uuid.uuid4().hex,
        }
        if settings.scopes:
            claims["scope"] = " ".join(settings.scopes)
        named = {"kid": settings.client_certificate_key_id} if settings.client_certificate_key_id else None
        try:
            signed = jwt.encode(
                claims | settings.claims,
                self._credential("client_certificate_key"),
                settings.signature_algorithm or "RS256",
                headers=named,
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            raise Unanswered("client_certificate_key: this is no RSA key in PEM that one can sign with") from None
        return [("grant_type", JWT_BEARER), ("assertion", signed), *self._parameters()], {}

    def _parameters(self) -> Iterator[tuple[str, str]]:
        if self.settings.scopes:
            yield "scope", " ".join(self.settings.scopes)
        for name, values in self.settings.endpoint_params.items():
            for value in values:
                yield name, value

    def _credential(self, name: str) -> str:
        """What a setting or its file says. Raises Unanswered."""
        path: str = getattr(self.settings, f"{name}_file")
        value = getattr(self.settings, name)
        if not path:
            return str(value.get_secret_value()) if isinstance(value, Secret) else str(value)
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read(_CREDENTIAL_LIMIT).strip()
        except OSError as error:
            raise Unanswered(f"failed to read credentials file {go_quote(path)}: {reason(error)}") from None
        if not text:
            raise Unanswered(f"empty credentials file {go_quote(path)}")
        return text

    def _good_for(self, expires_in: Any) -> float:
        """Seconds for which a token is shown. One that lives shorter than the buffer is shown for half of its life."""
        try:
            seconds = float(expires_in)
        except (TypeError, ValueError):
            return float("inf")
        if seconds <= 0:
            return float("inf")
        buffer = self.settings.expiry_buffer.seconds
        return seconds - buffer if seconds > buffer else seconds / 2


def _read(reply: Reply) -> dict[str, Any]:
    """The answer of a token endpoint. Raises Unanswered; of what it says only the error's code is shown."""
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise Unanswered(f"answered with {reply.status} and no JSON object")
    token, error = answer.get("access_token"), answer.get("error")
    if reply.status != 200 or error:
        named = f" {go_quote(error[:100])}" if isinstance(error, str) else ""
        raise Unanswered(f"answered with {reply.status}{named}")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise Unanswered("the answer has no access_token")
    return answer
