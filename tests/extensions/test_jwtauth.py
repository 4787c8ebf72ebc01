"""jwtauth: which tokens open, and what they say of their sender."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest

from otelingest.config.settings import ComponentId
from otelingest.extensions.jwtauth import JwtAuth
from otelingest.net.auth import ServerAuthenticator, Unauthenticated
from otelingest.net.tokens import LONGEST_TOKEN
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import ConfigError
from tests.net.support import Log

SECRET = "a-secret-that-is-long-enough-to-be-one"
CLAIMS = {"project_id": "p-1", "api_key": "k", "aud": "authenticated", "dev": True, "roles": ["a", "b"]}
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
-----END PUBLIC KEY-----"""


async def started(**keys: Any) -> JwtAuth:
    settings = JwtAuth.Settings.model_validate({"secret": SECRET} | keys)
    extension = JwtAuth(settings, Env(ComponentId("jwtauth"), Log()))  # type: ignore[arg-type]
    await extension.start(None)  # type: ignore[arg-type]
    assert isinstance(extension, ServerAuthenticator)
    return extension


def token(secret: str | bytes = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode(CLAIMS | {"exp": int(time.time()) + 3600} | claims, secret, algorithm)


def by_hand(header: Any, claims: Any, signature: str = "") -> str:
    """A token that no library would make."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)]
    return ".".join([*parts, signature])


def shown(value: str, scheme: str = "Bearer", header: str = "authorization") -> dict[str, tuple[str, ...]]:
    return {header: (f"{scheme} {value}",)}


async def refusal(extension: JwtAuth, headers: dict[str, tuple[str, ...]]) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await extension.authenticate(headers)
    return str(caught.value)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_right_token_opens_and_its_claims_are_the_senders_attributes(algorithm: str) -> None:
    extension = await started()
    found = await extension.authenticate(shown(token(algorithm=algorithm, exp=4_000_000_000)))
    assert found == CLAIMS | {"exp": 4_000_000_000}
    again = await extension.authenticate(shown(token(algorithm=algorithm, exp=4_000_000_000)))
    assert again is found  # what was right once is not computed again


async def test_any_scheme_will_do_and_the_header_can_be_chosen() -> None:
    await (await started()).authenticate(shown(token(), scheme="Foo"))
    extension = await started(attribute="X-Token")
    await extension.authenticate(shown(token(), header="x-token"))
    assert await refusal(extension, shown(token())) == "authentication didn't succeed"


NEVER = "failed to parse token: token "
METHOD = f"{NEVER}is unverifiable: error while executing keyfunc: unexpected signing method: "
NO_SIGNATURE = f"{NEVER}signature is invalid: signature is invalid"
INVALID = f"{NEVER}has invalid claims: "


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (token("another-secret-that-is-long-enough-too"), NO_SIGNATURE),
        (token()[:-2], f"{NEVER}is malformed: it cannot be decoded"),
        (token(exp=int(time.time()) - 1), f"{INVALID}token is expired"),
        (token(nbf=int(time.time()) + 1800), f"{INVALID}token is not valid yet"),
        (token(algorithm="none", secret=""), f"{METHOD}none"),
        (by_hand({"alg": "none"}, CLAIMS), f"{METHOD}none"),
        (by_hand({"alg": "NONE"}, CLAIMS), f"{METHOD}NONE"),
        (by_hand({"alg": "RS256"}, CLAIMS, "c2ln"), f"{METHOD}RS256"),
        (by_hand({"alg": ["HS256"]}, CLAIMS, "c2ln"), f"{METHOD}unknown"),
        (by_hand({"alg": "HS256\r\nx: y"}, CLAIMS, "c2ln"), f"{METHOD}unknown"),
        (by_hand({}, CLAIMS, "c2ln"), f"{METHOD}unknown"),
        (by_hand({"alg": "HS256", "crit": ["x"]}, CLAIMS, "c2ln"), f"{NEVER}is malformed: it cannot be decoded"),
        (by_hand([], CLAIMS, "c2ln"), f"{NEVER}is malformed: it cannot be decoded"),
        (
            base64.urlsafe_b64encode(b"[" * 9000).decode() + ".e30.c2ln",
            f"{NEVER}is malformed: it cannot be decoded",
        ),
        ("a.b", f"{NEVER}is malformed: token contains an invalid number of segments"),
        ("", f"{NEVER}is malformed: token contains an invalid number of segments"),
        ("ü.ü.ü", f"{NEVER}is malformed: it cannot be decoded"),
        ("a" * (LONGEST_TOKEN + 1), f"{NEVER}is malformed: it is longer than 16384 characters"),
        (jwt.encode({"exp": "4000000000"}, SECRET, "HS256"), f"{INVALID}exp is invalid"),
        (jwt.encode({"exp": float("inf")}, SECRET, "HS256"), f"{NEVER}is malformed: it cannot be decoded"),
        (jwt.encode({"exp": None}, SECRET, "HS256"), f"{NEVER}is malformed: it cannot be decoded"),
    ],
)
async def test_no_other_token_opens(value: str, message: str) -> None:
    extension = await started()
    assert await refusal(extension, shown(value)) == message


async def test_a_public_key_is_no_secret() -> None:
    """Or whoever has the public key could sign with it."""
    with pytest.raises(ConfigError, match="this is a public key or a certificate"):
        await started(secret=PUBLIC_KEY)


@pytest.mark.parametrize("value", ["", "Bearer", "x", "Bearer  x", " Bearer x", "Bearer x y"])
async def test_a_header_has_two_words(value: str) -> None:
    extension = await started()
    assert await refusal(extension, {"authorization": (value,)}) == "invalid authorization header format"
    assert await refusal(extension, {}) == "authentication didn't succeed"
    assert await refusal(extension, {"authorization": (value, f"Bearer {token()}")}) != ""  # the first one counts


async def test_a_remembered_token_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    extension = await started()
    value = token(exp=int(time.time()) + 60)
    await extension.authenticate(shown(value))
    now = time.time()
    monkeypatch.setattr("otelingest.net.tokens.time.time", lambda: now + 61)
    assert extension._right.get(value) is None


async def test_neither_exp_nor_aud_nor_iss_nor_sub_is_needed_or_looked_at() -> None:
    extension = await started()
    claims = {"iss": "anyone", "sub": 2, "jti": 3, "iat": 9_999_999_999}
    assert await extension.authenticate(shown(jwt.encode(claims, SECRET, "HS256"))) == claims


@pytest.mark.parametrize("value", [None, "", 5, True, [], [""], ["a", 1], {"a": "b"}])
async def test_a_claim_can_be_required_and_must_be_text(value: Any) -> None:
    extension = await started(required_claims=["project_id"])
    await extension.authenticate(shown(token()))
    claims = {} if value is None else {"project_id": value}
    lacking = jwt.encode(claims, SECRET, "HS256")
    assert await refusal(extension, shown(lacking)) == "the JWT is invalid: it lacks the claim project_id"
    await (await started()).authenticate(shown(lacking))


async def test_a_short_secret_works_with_a_warning() -> None:
    extension = await started(secret="geheim")
    await extension.authenticate(shown(jwt.encode(CLAIMS, "geheim", "HS256")))
    assert extension.log.lines == [  # type: ignore[attr-defined]
        ("warning", "The secret of JSON Web Tokens is short enough to be guessed", {"at_least_bytes": 32})
    ]


def test_a_secret_is_needed_and_not_shown() -> None:
    problems = list(JwtAuth.Settings.model_validate({}).problems())
    assert problems == ["no jwt secret provided for the JWT configuration"]
    assert SECRET not in repr(JwtAuth.Settings.model_validate({"secret": SECRET}))
