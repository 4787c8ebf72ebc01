"""oidc: tokens of a provider on loopback, and of keys in a file."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from otelingest.config.settings import ComponentId
from otelingest.extensions.oidc import Oidc
from otelingest.extensions.oidc.keys import NoKeys, parse_keys
from otelingest.net.auth import ServerAuthenticator, Unauthenticated
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import ConfigError, Refused
from tests.net.support import TLS, Log

RSA, OTHER_RSA = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)
EC, ED = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
VERIFY = "failed to verify token: "
NO_SIGNATURE = f"{VERIFY}failed to verify signature: failed to verify id token signature"


def jwk(key: Any, id: str = "", **more: Any) -> dict[str, Any]:
    """The public half of a key as a JSON Web Key."""
    name = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256"}
    algorithm = next((known for kind, known in name.items() if isinstance(key, kind)), "EdDSA")
    text = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key())
    return json.loads(text) | ({"kid": id} if id else {}) | more


class IdentityProvider:
    """An OpenID Connect provider, as far as somebody needs one who only verifies."""

    def __init__(self) -> None:
        self.keys = [jwk(RSA, "one")]
        self.metadata: dict[str, Any] = {}
        self.asked: list[str] = []
        self.broken: web.Response | None = None
        self.url = ""

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}"
        self.metadata |= {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.broken is not None:
            return self.broken
        found = {"/.well-known/openid-configuration": self.metadata, "/keys": {"keys": self.keys}}
        return web.json_response(found[request.path])

    def token(self, key: Any = RSA, algorithm: str = "RS256", id: str = "one", **claims: Any) -> str:
        known = {"iss": self.url, "aud": "us", "sub": "someone", "exp": int(time.time()) + 60}
        return jwt.encode(known | claims, key, algorithm, headers={"kid": id} if id else {})


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    made = IdentityProvider()
    await made.start()
    yield made
    await made.stop()


async def started(**keys: Any) -> Oidc:
    settings = Oidc.Settings.model_validate(keys)
    assert list(settings.problems()) == []
    extension = Oidc(settings, Env(ComponentId("oidc"), Log()))  # type: ignore[arg-type]
    await extension.start(None)  # type: ignore[arg-type]
    assert isinstance(extension, ServerAuthenticator)
    return extension


def shown(token: str) -> dict[str, tuple[str, ...]]:
    return {"authorization": (f"Bearer {token}",)}


async def refusal(extension: Oidc, token: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await extension.authenticate(shown(token))
    assert token not in str(caught.value)
    return str(caught.value)


async def test_a_token_of_the_provider_opens_and_says_who_it_is(provider: IdentityProvider) -> None:
    extension = await started(issuer_url=provider.url, audience="us")
    token = provider.token(tenant="t")
    found = await extension.authenticate(shown(token))
    assert (found["subject"], found["membership"], found["raw"]) == ("someone", [], token)
    assert (found["claims.tenant"], found["claims.aud"]) == ("t", "us")
    assert "tenant" not in found
    for _ in range(3):
        await extension.authenticate(shown(provider.token()))
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_user_and_groups_come_from_the_claims_that_are_named(provider: IdentityProvider) -> None:
    named = {"issuer_url": provider.url, "audience": "us", "username_claim": "email", "groups_claim": "roles"}
    extension = await started(providers=[named])
    found = await extension.authenticate(shown(provider.token(email="a@b", roles=["x", 1])))
    assert (found["subject"], found["membership"]) == ("a@b", ["x", "1"])
    found = await extension.authenticate(shown(provider.token(email="a@b", roles="x")))
    assert found["membership"] == ["x"]
    without = "failed to get subject from claims in the token: "
    assert (await refusal(extension, provider.token(roles=[]))).startswith(f"{without}username claim")
    assert (await refusal(extension, provider.token(email=1, roles=[]))).startswith(f"{without}the username")
    assert (await refusal(extension, provider.token(email="a"))).startswith("failed to get groups from claims")


async def test_no_other_token_opens(provider: IdentityProvider) -> None:
    extension = await started(issuer_url=provider.url, audience="us")
    public = json.dumps(jwk(RSA))
    cases = {
        provider.token(OTHER_RSA): NO_SIGNATURE,
        provider.token(OTHER_RSA, id=""): NO_SIGNATURE,
        provider.token(exp=int(time.time()) - 1): f"{VERIFY}oidc: token is expired",
        provider.token(exp=None): f"{VERIFY}oidc: token has no expiry",
        provider.token(nbf=int(time.time()) + 400): f"{VERIFY}oidc: current time before the nbf (not before) time",
        provider.token(aud="them"): f"{VERIFY}oidc: token has another audience",
        provider.token(aud=None): f"{VERIFY}oidc: token has another audience",
        provider.token(iss="http://else"): f"{VERIFY}oidc: id token issued by a different provider",
        "a.b.c": f"{VERIFY}oidc: malformed jwt",
        "a" * 20_000: "failed to parse the token: it is longer than 16384 characters",
    }
    for token, message in cases.items():
        assert await refusal(extension, token) == message
    # Signed with what everybody knows, or with nothing.
    for key, algorithm in ((public.encode().ljust(64), "HS256"), ("", "none")):
        try:
            token = provider.token(key, algorithm)
        except jwt.InvalidKeyError:
            token = provider.token("x" * 64, algorithm)
        assert "unsupported algorithm" in await refusal(extension, token)
    await extension.authenticate(shown(provider.token(nbf=int(time.time()) + 60)))  # clocks differ
    await extension.authenticate(shown(provider.token(aud=["them", "us"])))


async def test_what_is_to_be_ignored_is(provider: IdentityProvider) -> None:
    one = {"issuer_url": provider.url, "ignore_audience": True, "ignore_issuer": True}
    extension = await started(providers=[one])
    await extension.authenticate(shown(provider.token(aud="them", iss="http://else")))


async def test_a_new_key_is_looked_up_and_not_too_often(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    extension = await started(issuer_url=provider.url, audience="us")
    await extension.authenticate(shown(provider.token()))
    provider.keys = [jwk(OTHER_RSA, "two")]
    rotated = provider.token(OTHER_RSA, id="two")
    for number in range(20):
        assert await refusal(extension, provider.token(OTHER_RSA, id=f"unknown {number}")) == NO_SIGNATURE
    assert provider.asked.count("/keys") == 1  # it has just been asked
    monkeypatch.setattr("otelingest.extensions.oidc.provider.REFRESH_SECONDS", 0)
    await extension.authenticate(shown(rotated))
    assert provider.asked.count("/keys") == 2
    assert await refusal(extension, provider.token()) == NO_SIGNATURE  # the old key is gone


async def test_while_keys_are_not_to_be_had_clients_are_told_to_wait(provider: IdentityProvider) -> None:
    """A client that is told that it may not send gives its data up."""
    extension = await started(issuer_url=provider.url, audience="us")
    provider.broken = web.Response(status=503)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await extension.authenticate(shown(provider.token()))
        assert refused.value.retry_after == 1.0
    assert provider.asked.count("/keys") == 1


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (web.Response(status=500), "answered with 500"),
        (web.Response(text="[" * 10_000), "the answer is no JSON object"),
        (web.Response(text="[]"), "the answer is no JSON object"),
        (web.Response(text='{"issuer": "http://else"}'), "issuer did not match"),
        (web.Response(body=b" " * ((1 << 20) + 1)), "the answer is larger than"),
    ],
)
async def test_a_provider_that_makes_no_sense_stops_the_start(
    provider: IdentityProvider, broken: web.Response, message: str
) -> None:
    provider.broken = broken
    with pytest.raises(ConfigError, match=message):
        await started(issuer_url=provider.url, audience="us")


async def test_a_provider_that_is_away_stops_the_start() -> None:
    text = 'failed to create OIDC provider for "http://127.0.0.1:1": GET "http://127.0.0.1:1/.well-known/openid-con'
    with pytest.raises(ConfigError) as caught:
        await started(issuer_url="http://127.0.0.1:1", audience="us")
    assert text in str(caught.value)
    assert "connection refused" in str(caught.value)


async def test_the_providers_certificate_is_checked_against_an_authority_of_ones_own(tmp_path: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    secure = IdentityProvider()
    await secure.start(tls)
    keys = {"issuer_url": secure.url, "audience": "us"}
    extension = await started(**keys, issuer_ca_path=str(TLS / "ca.pem"))
    await extension.authenticate(shown(secure.token()))
    with pytest.raises(ConfigError, match="failed to verify certificate"):
        await started(**keys)
    for path, why in ((tmp_path / "none", "no such file or directory"), (TLS / "server.key", "no certificate in it")):
        with pytest.raises(ConfigError, match=f'could not read the CA file "{path}": {why}'):
            await started(**keys, issuer_ca_path=str(path))
    await secure.stop()


async def test_of_several_providers_the_tokens_issuer_chooses_one(provider: IdentityProvider) -> None:
    other = IdentityProvider()
    await other.start()
    other.keys = [jwk(EC, "e")]
    urls = (provider.url, other.url)
    extension = await started(providers=[{"issuer_url": url, "audience": "us"} for url in urls])
    await extension.authenticate(shown(provider.token()))
    await extension.authenticate(shown(other.token(EC, "ES256", "e")))
    assert await refusal(extension, provider.token(iss=other.url)) == NO_SIGNATURE
    unknown = await refusal(extension, provider.token(iss="http://nobody"))
    assert unknown == (
        'failed to resolve OIDC provider for the issuer "http://nobody": no OIDC provider configured for the issuer'
    )
    assert await refusal(extension, "a.b.c") == "failed to parse the token: oidc: malformed jws"
    await other.stop()


async def test_keys_can_be_in_a_file_which_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otelingest.net.watched_file.LOOK_SECONDS", 0)
    issuer = IdentityProvider()
    issuer.url = "https://issuer.example"
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [jwk(RSA), jwk(EC, "e"), jwk(ED, "d")]}))
    extension = await started(providers=[{"issuer_url": issuer.url, "audience": "us", "public_keys_file": str(file)}])
    for key, algorithm, id in ((RSA, "RS256", ""), (RSA, "PS512", ""), (EC, "ES256", "e"), (ED, "EdDSA", "d")):
        await extension.authenticate(shown(issuer.token(key, algorithm, id)))
    assert await refusal(extension, issuer.token(OTHER_RSA, id="")) == NO_SIGNATURE
    remembered = issuer.token(id="")
    await extension.authenticate(shown(remembered))
    file.write_text(json.dumps({"keys": [jwk(OTHER_RSA)]}))
    await extension.authenticate(shown(issuer.token(OTHER_RSA, id="")))
    assert await refusal(extension, remembered) == NO_SIGNATURE
    file.write_text("{}")
    await extension.authenticate(shown(issuer.token(OTHER_RSA, id="")))
    assert "failed to reload JWKS file" in extension.log.messages("error")  # type: ignore[attr-defined]


def test_keys_that_must_not_verify_are_left_out() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}
    odd: list[Any] = [secret, {}, 5, {"kty": []}, {"kty": "RSA", "n": 5}, jwk(RSA, use="enc"), {"kty": "EC", "crv": {}}]
    (key,) = parse_keys(json.dumps({"keys": [*odd, jwk(RSA, "one", alg="RS512")]}))
    assert (key.id, key.algorithms) == ("one", ("RS512",))
    private = jwt.get_algorithm_by_name("RS256").to_jwk(RSA)
    assert isinstance(parse_keys(f'{{"keys": [{private}]}}')[0].key, rsa.RSAPublicKey)
    for text in ("", "[]", "{}", '{"keys": 5}', json.dumps({"keys": odd}), "[" * 10_000):
        with pytest.raises(NoKeys):
            parse_keys(text)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"issuer_url": "http://h"}, "no Audience provided for the OIDC configuration"),
        ({"providers": [{"audience": "a"}]}, "no IssuerURL provided for the OIDC configuration"),
        (
            {"issuer_url": "http://h", "audience": "a", "providers": [{"issuer_url": "http://h", "audience": "a"}]},
            "duplicate issuer URL found: http://h",
        ),
        (
            {
                "providers": [
                    {"issuer_url": "http://h", "audience": "a", "ignore_issuer": True},
                    {"issuer_url": "http://i", "audience": "a"},
                ]
            },
            "ignore_issuer cannot be true when multiple providers are configured",
        ),
        (
            {"providers": [{"issuer_url": "http://h", "audience": "a", "public_keys_file": "/nowhere"}]},
            'invalid public_keys_file "/nowhere": could not read file: open /nowhere: no such file or directory',
        ),
    ],
)
def test_settings_that_do_not_fit_are_named(keys: dict[str, Any], text: str) -> None:
    assert list(Oidc.Settings.model_validate(keys).problems()) == [text]
