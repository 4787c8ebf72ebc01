"""One provider: where its keys are, which tokens are its own, and what of them is kept."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Sequence
from typing import Any

from otelingest.config.secrecy import without_passwords
from otelingest.config.types import go_quote
from otelingest.extensions.oidc.keys import ALGORITHMS, Key, NoKeys, candidates, parse_keys
from otelingest.extensions.oidc.settings import ProviderSettings
from otelingest.net.asking import Unanswered, ask
from otelingest.net.auth import Unauthenticated
from otelingest.net.listen import reason
from otelingest.net.tokens import Attributes, RightTokens
from otelingest.net.watched_file import WatchedFile
from otelingest.pipeline.errors import ConfigError, Refused

REFRESH_SECONDS = 10.0
"""How soon keys are asked for again: anybody can send tokens whose key is not known."""
_NOT_BEFORE_LEEWAY = 300.0
_DISCOVERY = "/.well-known/openid-configuration"


class Provider:
    """`start`, then `verify`."""

    def __init__(self, settings: ProviderSettings, log: Any) -> None:
        self.settings = settings
        self._log = log
        self._right = RightTokens()
        self._keys: Sequence[Key] = ()
        self._algorithms: frozenset[str] = ALGORITHMS
        self._file: WatchedFile | None = None
        self._tls: ssl.SSLContext | None = None
        self._keys_url = ""
        self._asked = 0.0
        self._asking = asyncio.Lock()

    async def start(self) -> None:
        """Read the keys, or find out where they are. Raises ConfigError."""
        settings = self.settings
        if settings.public_keys_file:
            self._file = WatchedFile(settings.public_keys_file, self._log)
            try:
                self._keys = parse_keys(self._file.read())
            except (OSError, NoKeys) as error:
                why = reason(error) if isinstance(error, OSError) else error
                raise ConfigError(f"failed to load JWKS file {go_quote(settings.public_keys_file)}: {why}") from None
            return
        if settings.issuer_ca_path:
            self._tls = _trusting(settings.issuer_ca_path)
        try:
            await self._discover()
        except (Unanswered, NoKeys) as error:
            where = go_quote(without_passwords(settings.issuer_url))
            raise ConfigError(f"failed to create OIDC provider for {where}: {error}") from None

    async def _discover(self) -> None:
        issuer = self.settings.issuer_url
        found = await self._document(issuer.rstrip("/") + _DISCOVERY)
        if found.get("issuer") != issuer:
            said = go_quote(str(found.get("issuer"))[:200])
            raise NoKeys(f"oidc: issuer did not match the one that the provider names, {said}")
        url = found.get("jwks_uri")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise NoKeys("its configuration names no jwks_uri")
        self._keys_url = url
        named = found.get("id_token_signing_alg_values_supported")
        if isinstance(named, list):
            self._algorithms = ALGORITHMS & {name for name in named if isinstance(name, str)} or ALGORITHMS

    async def _document(self, url: str) -> dict[str, Any]:
        reply = await ask(url, tls=self._tls)
        if reply.status != 200:
            raise Unanswered(f'GET "{without_passwords(url)}": answered with {reply.status}')
        try:
            found = json.loads(reply.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise NoKeys(f'GET "{without_passwords(url)}": the answer is no JSON object')
        return found

    async def verify(self, token: str) -> Attributes:
        """The attributes of whoever shows a token. Raises Unauthenticated, and Refused while there are no keys."""
        self._follow_file()
        found = self._right.get(token)
        if found is None:
            claims = await self._claims(token)
            found = self._attributes(token, claims)
            self._right.add(token, found, claims["exp"])
        return found

    async def _claims(self, token: str) -> dict[str, Any]:
        import jwt

        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _unverified("oidc: malformed jwt") from None
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            known = ", ".join(sorted(self._algorithms))
            raise _unverified(f"oidc: id token signed with unsupported algorithm, expected one of {known}")
        fitting = candidates(self._keys, header.get("kid"), algorithm)
        if not fitting and self._keys_url and await self._look_for_keys():
            fitting = candidates(self._keys, header.get("kid"), algorithm)
        for key in fitting:
            try:
                return self._decoded(token, key, algorithm)
            except jwt.InvalidSignatureError:
                continue
        raise _unverified("failed to verify signature: failed to verify id token signature")

    def _decoded(self, token: str, key: Key, algorithm: str) -> dict[str, Any]:
        """The claims of a token that is signed with a key. Raises jwt.InvalidSignatureError, Unauthenticated."""
        import jwt

        settings = self.settings
        options: Any = {
            "require": ["exp"],
            "verify_aud": not settings.ignore_audience,
            "verify_iss": not settings.ignore_issuer,
            **dict.fromkeys(("verify_nbf", "verify_iat", "verify_sub", "verify_jti"), False),
        }
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                options=options,
                audience=None if settings.ignore_audience else settings.audience,
                issuer=None if settings.ignore_issuer else settings.issuer_url,
            )
        except jwt.InvalidSignatureError:
            raise
        except jwt.InvalidIssuerError:
            raise _unverified("oidc: id token issued by a different provider") from None
        except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError) as error:
            missing = isinstance(error, jwt.MissingRequiredClaimError) and error.claim == "exp"
            raise _unverified("oidc: token has no expiry" if missing else "oidc: token has another audience") from None
        except jwt.ExpiredSignatureError:
            raise _unverified("oidc: token is expired") from None
        except (jwt.PyJWTError, TypeError, ValueError, ArithmeticError, RecursionError):
            raise _unverified("oidc: malformed jwt") from None
        if not _is_number(claims["exp"]):
            raise _unverified("oidc: malformed jwt")
        not_before: Any = claims.get("nbf")
        if _is_number(not_before) and not_before > time.time() + _NOT_BEFORE_LEEWAY:
            raise _unverified("oidc: current time before the nbf (not before) time")
        return claims

    def _attributes(self, token: str, claims: dict[str, Any]) -> Attributes:
        settings = self.settings
        subject: Any = claims.get("sub", "")
        if settings.username_claim:
            if settings.username_claim not in claims:
                raise _without_subject("username claim from the OIDC configuration not found on the token")
            subject = claims[settings.username_claim]
            if not isinstance(subject, str):
                raise _without_subject("the username returned by the OIDC provider isn't a regular string")
        groups: Any = []
        if settings.groups_claim:
            if settings.groups_claim not in claims:
                raise Unauthenticated(
                    "failed to get groups from claims in the token: groups claim from the OIDC configuration not found "
                    "on the token returned by the OIDC provider"
                )
            groups = claims[settings.groups_claim]
        several = groups if isinstance(groups, list) else []
        membership = [groups] if isinstance(groups, str) else [str(group) for group in several]
        named = {f"claims.{name}": value for name, value in claims.items()}
        return {"subject": subject, "membership": membership, "raw": token} | named

    async def _look_for_keys(self) -> bool:
        """Ask for the keys, unless that was done a moment ago. Raises Refused when they are not to be had."""
        before = self._keys
        async with self._asking:
            if self._keys is not before:
                return True
            if time.monotonic() - self._asked < REFRESH_SECONDS and self._asked:
                if self._keys:
                    return False
                raise Refused("the keys of the OIDC provider are not to be had", retry_after=1.0)
            self._asked = time.monotonic()
            try:
                keys = parse_keys(json.dumps(await self._document(self._keys_url)))
            except (Unanswered, NoKeys) as error:
                self._log.warning(
                    "Cannot get the keys of an OIDC provider", url=without_passwords(self._keys_url), error=str(error)
                )
                if self._keys:
                    return False
                raise Refused("the keys of the OIDC provider are not to be had", retry_after=1.0) from None
            self._use(keys)
        return True

    def _follow_file(self) -> None:
        text = self._file.changed() if self._file is not None else None
        if text is None:
            return
        try:
            self._use(parse_keys(text))
        except NoKeys as error:
            file = self.settings.public_keys_file
            self._log.error("failed to reload JWKS file", file=file, error=str(error))

    def _use(self, keys: Sequence[Key]) -> None:
        self._keys = keys
        self._right.clear()


def _unverified(why: str) -> Unauthenticated:
    return Unauthenticated(f"failed to verify token: {why}")


def _without_subject(why: str) -> Unauthenticated:
    return Unauthenticated(f"failed to get subject from claims in the token: {why}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _trusting(path: str) -> ssl.SSLContext:
    """TLS that trusts the authorities of one file. Raises ConfigError."""
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:  # also what it says of a file that holds no certificate
        why = "no certificate in it" if isinstance(error, ssl.SSLError) else reason(error)
        raise ConfigError(f"could not read the CA file {go_quote(path)}: {why}") from None
