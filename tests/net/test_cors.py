"""CORS: who gets which headers."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.net.cors import Cors, CorsSettings
from tests.net.support import ask, request

ORIGINS = {"allowed_origins": ["https://app.example.com", "https://*.example.org"]}


def preflight(origin: str, headers: str = "") -> bytes:
    asked = {"access_control_request_headers": headers} if headers else {}
    return request(method="OPTIONS", path="/", origin=origin, access_control_request_method="POST", **asked)


@pytest.mark.parametrize("origin", ["https://app.example.com", "https://a.b.example.org", "HTTPS://APP.example.com"])
async def test_an_allowed_origin_may_send(serve: Any, origin: str) -> None:
    answer = await ask((await serve(cors=ORIGINS | {"max_age": 60})).address, preflight(origin, "content-type"))
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-max-age"] == "60"
    assert answer.headers["access-control-allow-headers"] == "content-type"


@pytest.mark.parametrize(
    "origin", ["https://evil.com", "null", "https://app.example.com.evil.com", "https://example.org"]
)
async def test_another_origin_gets_nothing_and_the_log_says_why(serve: Any, origin: str) -> None:
    running = await serve(cors=ORIGINS)
    answer = await ask(running.address, preflight(origin))
    assert answer.status == 204
    assert "access-control-allow-origin" not in answer.headers
    assert "refused by cors" in running.log.messages("warning")[0]


async def test_content_type_is_always_allowed_and_unknown_headers_are_not(serve: Any) -> None:
    address = (await serve(cors=ORIGINS | {"allowed_headers": ["X-Team"]})).address
    good = await ask(address, preflight("https://app.example.com", "Content-Type, X-Team"))
    assert good.headers["access-control-allow-headers"] == "content-type,x-team"
    bad = await ask(address, preflight("https://app.example.com", "authorization"))
    assert "access-control-allow-origin" not in bad.headers


async def test_ordinary_answers_carry_the_permission_too(serve: Any) -> None:
    address = (await serve(cors=ORIGINS | {"exposed_headers": ["X-A", "X-B"]})).address
    answer = await ask(address, request(path="/nowhere", origin="https://app.example.com"))
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert answer.headers["access-control-expose-headers"] == "X-A, X-B"
    assert answer.headers["vary"] == "Origin"
    other = await ask(address, request(path="/nowhere", origin="https://evil.com"))
    assert "access-control-allow-origin" not in other.headers


async def test_a_preflight_needs_no_token(serve: Any) -> None:
    class Nobody:
        async def authenticate(self, headers: Any) -> Any:
            raise AssertionError("not asked")

    running = await serve(cors=ORIGINS, authenticator=Nobody())
    assert (await ask(running.address, preflight("https://app.example.com"))).status == 204


@pytest.mark.parametrize("settings", [None, CorsSettings()])
def test_without_origins_there_is_no_cors(settings: CorsSettings | None) -> None:
    assert Cors.of(settings) is None


def test_only_the_star_is_special_in_an_origin() -> None:
    cors = Cors(CorsSettings(allowed_origins=["https://a.?[x].com"]))
    assert not cors._allows(b"https://a.bx.com")
    assert cors._allows(b"https://a.?[x].com")
