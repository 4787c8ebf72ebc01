"""JSON Web Tokens at the receiver's two doors: only the right one comes in, and its project comes with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio
import jwt
import pytest

from otelingest.config.settings import ComponentId
from otelingest.extensions.jwtauth import JwtAuth
from otelingest.net.status import Code
from otelingest.pipeline.component import Env
from otelingest.processors.attribute_actions import from_context
from tests.net.support import Log, ask, request
from tests.support.otlp import TRACE_METHOD, traces

SECRET = "a-secret-that-is-long-enough-to-be-one"
CLAIMS: dict[str, Any] = {"aud": "authenticated", "project_id": "the-token's", "api_key": "k"}
FRESH = {"exp": int(time.time()) + 3600}
REFUSED = {
    "none": ("", "authentication didn't succeed"),
    "expired": (
        jwt.encode(CLAIMS | {"exp": int(time.time()) - 1}, SECRET, "HS256"),
        "failed to parse token: token has invalid claims: token is expired",
    ),
    "wrong key": (
        jwt.encode(CLAIMS | FRESH, "another-secret-that-is-long-enough-too", "HS256"),
        "failed to parse token: token signature is invalid: signature is invalid",
    ),
    "no algorithm": (
        jwt.encode(CLAIMS | FRESH, "", "none"),
        "failed to parse token: token is unverifiable: error while executing keyfunc: unexpected signing method: none",
    ),
    "a claim is missing": (
        jwt.encode(FRESH, SECRET, "HS256"),
        "the JWT is invalid: it lacks the claim project_id",
    ),
}


async def authenticator() -> JwtAuth:
    settings = JwtAuth.Settings.model_validate({"secret": SECRET, "required_claims": ["project_id"]})
    extension = JwtAuth(settings, Env(ComponentId("jwtauth"), Log()))  # type: ignore[arg-type]
    await extension.start(None)  # type: ignore[arg-type]
    return extension


async def call(target: str, metadata: Mapping[str, str]) -> bytes:
    async with grpc.aio.insecure_channel(target) as channel:
        answer: bytes = await channel.unary_unary(TRACE_METHOD)(traces(1), metadata=tuple(metadata.items()), timeout=5)
        return answer


@pytest.fixture
async def running(receive: Any) -> Any:
    auth = {"auth": {"authenticator": "jwtauth"}}
    return await receive(http=auth, grpc=auth, extensions={"jwtauth": await authenticator()})


@pytest.mark.parametrize("kind", sorted(REFUSED))
async def test_every_other_token_is_refused_by_http_and_grpc(running: Any, kind: str) -> None:
    token, message = REFUSED[kind]
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answer = await ask(running.http, request(traces(1), content_type="application/json", **headers))
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.body == f'{{"code":{Code.UNAUTHENTICATED},"message":"{message}"}}'.encode()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(running.grpc, headers)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, message)
    assert running.sink.payloads == []
    said = [values["reason"] for level, _, values in running.log.lines if level == "warning"]
    assert said == [message, message]
    assert not token or token not in str(running.log.lines)


async def test_the_right_token_comes_in_with_its_claims(running: Any) -> None:
    token = jwt.encode(CLAIMS | FRESH, SECRET, "HS256")
    answer = await ask(
        running.http,
        request(traces(1), content_type="application/x-protobuf", authorization=f"Bearer {token}"),
    )
    assert answer.status == 200
    await call(running.grpc, {"authorization": f"Bearer {token}"})
    contexts = [payload.context for payload in running.sink.payloads]
    assert [from_context("auth.project_id", context) for context in contexts] == ["the-token's"] * 2
    assert [from_context("client.address", context) for context in contexts] == ["127.0.0.1"] * 2
    assert [from_context("metadata.authorization", context) for context in contexts] == [None, None]


async def test_with_metadata_the_headers_are_there_too(receive: Any) -> None:
    section = {"auth": {"authenticator": "jwtauth"}, "include_metadata": True}
    running = await receive(http=section, grpc=section, extensions={"jwtauth": await authenticator()})
    token = jwt.encode(CLAIMS | FRESH, SECRET, "HS256")
    shown = {"authorization": f"Bearer {token}", "x-team": "t"}
    await ask(running.http, request(traces(1), content_type="application/x-protobuf", **shown))
    await call(running.grpc, shown)
    contexts = [payload.context for payload in running.sink.payloads]
    for name in ("metadata.x-team", "x-team", "metadata.X-Team"):
        assert [from_context(name, context) for context in contexts] == ["t", "t"]
