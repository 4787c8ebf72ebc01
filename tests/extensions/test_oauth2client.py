"""oauth2client: a token from a token endpoint on loopback, shown to servers until shortly before it expires."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from otelingest.config.settings import ComponentId
from otelingest.extensions.oauth2client import JWT_BEARER, OAuth2Client
from otelingest.net.auth import ClientAuthenticator
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import ConfigError, Refused
from tests.net.support import Log


class TokenEndpoint:
    """Gives a new token each time. basic: whether it reads Authorization, else the form."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, list[str]], str]] = []
        self.basic = True
        self.expires_in: Any = 3600
        self.answer: web.Response | None = None
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/token", self._answer)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/token"

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        shown = request.headers.get("Authorization", "")
        self.requests.append(({key: [str(value) for value in form.getall(key)] for key in form}, shown))
        await asyncio.sleep(0.01)
        if self.answer is not None:
            return web.Response(status=self.answer.status, body=self.answer.body)
        pair = base64.b64encode(b"me+%26+you:s%2Fecret").decode()
        right = shown == f"Basic {pair}" if self.basic else form.get("client_secret") == "s/ecret"
        if not right and "assertion" not in form:
            return web.json_response({"error": "invalid_client", "error_description": "s/ecret"}, status=401)
        token = {"access_token": f"token-{len(self.requests)}", "token_type": "bearer", "expires_in": self.expires_in}
        return web.json_response(token)


@pytest.fixture
async def endpoint() -> AsyncIterator[TokenEndpoint]:
    made = TokenEndpoint()
    await made.start()
    yield made
    await made.runner.cleanup()


async def started(url: str, **keys: Any) -> OAuth2Client:
    known = {"client_id": "me & you", "client_secret": "s/ecret", "token_url": url}
    settings = OAuth2Client.Settings.model_validate(known | keys)
    assert list(settings.problems()) == []
    extension = OAuth2Client(settings, Env(ComponentId("oauth2client"), Log()))  # type: ignore[arg-type]
    await extension.start(None)  # type: ignore[arg-type]
    assert isinstance(extension, ClientAuthenticator)
    return extension


async def test_one_token_is_got_and_shown_by_all(endpoint: TokenEndpoint) -> None:
    extension = await started(endpoint.url, scopes=["a", "b"], endpoint_params={"audience": "x", "more": ["1", "2"]})
    shown = await asyncio.gather(*(extension.credentials() for _ in range(20)))
    assert shown == [{"Authorization": "Bearer token-1"}] * 20
    ((form, _),) = endpoint.requests
    assert form == {"grant_type": ["client_credentials"], "scope": ["a b"], "audience": ["x"], "more": ["1", "2"]}


async def test_a_server_that_wants_the_secret_in_the_form_gets_it_there(endpoint: TokenEndpoint) -> None:
    endpoint.basic, endpoint.expires_in = False, 1
    extension = await started(endpoint.url, expiry_buffer="0s")
    assert await extension.credentials() == {"Authorization": "Bearer token-2"}
    extension._until = 0
    assert await extension.credentials() == {"Authorization": "Bearer token-3"}  # without trying the other way again


async def test_a_token_is_renewed_before_it_expires(endpoint: TokenEndpoint) -> None:
    extension = await started(endpoint.url)
    for expires_in, expected in ((3600, 3300), ("3600", 3300), (100, 50), (None, float("inf")), (0, float("inf"))):
        assert extension._good_for(expires_in) == expected
    await extension.credentials()
    extension._until = 0
    assert await extension.credentials() == {"Authorization": "Bearer token-2"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (web.Response(status=401, text='{"error": "no", "error_description": "s/ecret"}'), 'answered with 401 "no"'),
        (web.Response(status=500, text="s/ecret"), "answered with 500 and no JSON object"),
        (web.Response(text="[]"), "answered with 200 and no JSON object"),
        (web.Response(text="{}"), "the answer has no access_token"),
        (web.Response(text=json.dumps({"access_token": "a\r\nx: y"})), "the answer has no access_token"),
        (web.Response(body=b" " * ((1 << 20) + 1)), "the answer is larger than"),
    ],
)
async def test_without_a_token_it_is_tried_later(endpoint: TokenEndpoint, answer: web.Response, message: str) -> None:
    endpoint.answer = answer
    extension = await started(endpoint.url)
    with pytest.raises(Refused) as refused:
        await extension.credentials()
    text = str(refused.value)
    assert text.startswith(f'failed to get security token from token endpoint (endpoint "{endpoint.url}"): ')
    assert message in text
    assert "s/ecret" not in text
    endpoint.answer = None
    assert (await extension.credentials())["Authorization"].startswith("Bearer token-")


async def test_an_endpoint_that_is_away_is_tried_later() -> None:
    extension = await started("http://127.0.0.1:1/token?key_secret=geheim")
    with pytest.raises(Refused, match="connection refused") as refused:
        await extension.credentials()
    assert "geheim" not in str(refused.value)


async def test_files_win_and_are_read_for_each_token(endpoint: TokenEndpoint, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    extension = await started(endpoint.url, client_secret="wrong", client_secret_file=str(file))
    for content, why in ((None, "no such file or directory"), ("\n", "empty credentials file")):
        if content is not None:
            file.write_text(content)
        with pytest.raises(Refused, match=why):
            await extension.credentials()
    file.write_text("s/ecret\n")
    await extension.credentials()


async def test_an_assertion_can_take_the_secrets_place(endpoint: TokenEndpoint) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    keys = {"grant_type": JWT_BEARER, "client_secret": "", "client_certificate_key_id": "k"}
    extension = await started(endpoint.url, client_certificate_key=pem, claims={"tenant": "t"}, **keys)
    await extension.credentials()
    ((form, shown),) = endpoint.requests
    assert (form["grant_type"], shown) == ([JWT_BEARER], "")
    (assertion,) = form["assertion"]
    assert jwt.get_unverified_header(assertion)["kid"] == "k"
    claims = jwt.decode(assertion, key.public_key(), algorithms=["RS256"], audience=endpoint.url)
    assert (claims["iss"], claims["sub"], claims["tenant"]) == ("me & you", "me & you", "t")
    broken = await started(endpoint.url, client_certificate_key="geheim", **keys)
    with pytest.raises(Refused, match="no RSA key") as refused:
        await broken.credentials()
    assert "geheim" not in str(refused.value)


async def test_what_nobody_knows_stops_the_start() -> None:
    with pytest.raises(ConfigError, match='unknown grant type "password"'):
        await started("http://h", grant_type="password")
    with pytest.raises(ConfigError, match="invalid signature algorithm"):
        await started("http://h", signature_algorithm="HS256")


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, "no ClientID provided in the OAuth2 exporter configuration"),
        ({"client_id": "a"}, "no ClientSecret provided in OAuth Client Credentials configuration"),
        (
            {"client_id": "a", "grant_type": JWT_BEARER},
            "no ClientCertificateKey provided in the OAuth2 exporter configuration",
        ),
        (
            {"client_id": "a", "client_secret": "b"},
            "no TokenURL provided in OAuth Client Credentials configuration",
        ),
    ],
)
def test_settings_that_do_not_fit_are_named(keys: dict[str, str], text: str) -> None:
    assert list(OAuth2Client.Settings.model_validate(keys).problems()) == [text]


async def test_a_user_in_the_url_gives_way_to_the_clients_own_proof(endpoint: TokenEndpoint) -> None:
    extension = await started(endpoint.url.replace("//", "//someone:else@"))
    assert await extension.credentials() == {"Authorization": "Bearer token-1"}
