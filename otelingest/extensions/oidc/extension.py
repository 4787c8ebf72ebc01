"""The authenticator: finds the provider that a token says it is of, which then verifies it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from otelingest.config.types import go_quote
from otelingest.extensions.oidc.provider import Provider
from otelingest.extensions.oidc.settings import OidcSettings
from otelingest.net.auth import Unauthenticated
from otelingest.net.tokens import LONGEST_TOKEN, Attributes, shown_token
from otelingest.pipeline.component import Env, Extension, Host
from otelingest.pipeline.errors import ConfigError


class Oidc(Extension[OidcSettings]):
    """A `ServerAuthenticator`. The sender has the attributes `subject`, `membership`, `raw` and `claims.<name>`."""

    Settings = OidcSettings

    def __init__(self, settings: OidcSettings, env: Env) -> None:
        super().__init__(settings, env)
        self._attribute = settings.attribute or "authorization"
        self._providers = {one.issuer_url: Provider(one, self.log) for one in settings.all_providers()}

    async def start(self, host: Host) -> None:
        """Find the providers' keys. Raises ConfigError."""
        problems = []
        for provider in self._providers.values():
            try:
                await provider.start()
            except ConfigError as error:
                problems.append(str(error))
        if problems:
            text = "; ".join(problems)
            raise ConfigError(f"failed to get configuration from at least one configured auth server: {text}")
        if not self._providers:
            self.log.warning("No provider is configured: nobody comes in")

    async def authenticate(self, headers: Mapping[str, Sequence[str]]) -> Attributes:
        """Who the token says the sender is. Raises Unauthenticated, and Refused while keys are not to be had."""
        token = shown_token(headers, self._attribute)
        if len(token) > LONGEST_TOKEN:
            raise Unauthenticated(f"failed to parse the token: it is longer than {LONGEST_TOKEN} characters")
        return await self._provider(token).verify(token)

    def _provider(self, token: str) -> Provider:
        import jwt

        if len(self._providers) == 1:
            return next(iter(self._providers.values()))
        try:
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss", "")
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthenticated("failed to parse the token: oidc: malformed jws") from None
        found = self._providers.get(issuer) if isinstance(issuer, str) else None
        if found is None:
            shown = go_quote(issuer[:200]) if isinstance(issuer, str) else '""'
            raise Unauthenticated(
                f"failed to resolve OIDC provider for the issuer {shown}: no OIDC provider configured for the issuer"
            )
        return found
