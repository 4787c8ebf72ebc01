"""Whose tokens are taken, and what of them is kept."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from otelingest.config.settings import Naming, Problem, Settings
from otelingest.config.types import go_quote
from otelingest.extensions.oidc.keys import NoKeys, read_key_file


class ProviderSettings(Settings):
    """One provider."""

    naming: ClassVar[Naming] = Naming("oidcauthextension.ProviderCfg")

    issuer_url: str = ""
    """The provider's URL, which its tokens have as `iss`."""
    audience: str = ""
    """Whom a token must be meant for (`aud`)."""
    ignore_audience: bool = False
    """Take tokens that are meant for anybody."""
    ignore_issuer: bool = False
    """Take tokens of any `iss` that are signed with this provider's keys. Only with one provider."""
    issuer_ca_path: str = ""
    """File with the authority that has signed the provider's certificate."""
    username_claim: str = ""
    """The claim that names the sender; `sub` without it."""
    groups_claim: str = ""
    """The claim that names the sender's groups."""
    public_keys_file: str = ""
    """File with the provider's keys, as a JSON Web Key Set. It is read again when it changes."""

    def problems(self) -> Iterator[Problem]:
        """The first thing that is wrong, as upstream; the settings around tell of it once more."""
        yield from itertools.islice(self.complaints(), 1)

    def complaints(self) -> Iterator[str]:
        if not self.audience and not self.ignore_audience:
            yield "no Audience provided for the OIDC configuration"
            return
        if not self.issuer_url:
            yield "no IssuerURL provided for the OIDC configuration"
            return
        if self.public_keys_file:
            try:
                read_key_file(self.public_keys_file)
            except NoKeys as error:
                yield f"invalid public_keys_file {go_quote(self.public_keys_file)}: {error}"


class OidcSettings(Settings):
    """The providers, of which a token's `iss` chooses one."""

    naming: ClassVar[Naming] = Naming("oidcauthextension.Config")

    attribute: str = "authorization"
    """The header that holds the token, behind a word such as `Bearer`."""
    issuer_url: str = ""
    """As in `providers`: an older way to name one."""
    audience: str = ""
    """As in `providers`."""
    ignore_audience: bool = False
    """As in `providers`."""
    issuer_ca_path: str = ""
    """As in `providers`."""
    username_claim: str = ""
    """As in `providers`."""
    groups_claim: str = ""
    """As in `providers`."""
    providers: list[ProviderSettings] = Field(default_factory=list)
    """Whose tokens are taken."""

    def all_providers(self) -> list[ProviderSettings]:
        """Those of `providers`, and before them the one that is named in the older way."""
        shared = ("issuer_url", "audience", "ignore_audience", "issuer_ca_path", "username_claim", "groups_claim")
        older = {name: getattr(self, name) for name in shared}
        if not any(older.values()):
            return self.providers
        return [ProviderSettings.model_construct(**older), *self.providers]

    def problems(self) -> Iterator[Problem]:
        providers = self.all_providers()
        seen: set[str] = set()
        found: list[str] = []
        for provider in providers:
            if len(providers) > 1 and provider.ignore_issuer:
                found.append("ignore_issuer cannot be true when multiple providers are configured")
            if provider.issuer_url in seen:
                found.append(f"duplicate issuer URL found: {provider.issuer_url}")
                continue
            seen.add(provider.issuer_url)
            found += provider.complaints()
        if found:
            yield "; ".join(found)
