"""bearertokenauth: who comes in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from otelingest.config.settings import ComponentId
from otelingest.extensions.bearertokenauth import BearerTokenAuth
from otelingest.net.auth import ServerAuthenticator, Unauthenticated
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import ConfigError
from tests.net.support import Log

WRONG = "provided authorization does not match expected scheme or token"


async def started(**keys: Any) -> BearerTokenAuth:
    settings = BearerTokenAuth.Settings.model_validate(keys)
    extension = BearerTokenAuth(settings, Env(ComponentId("bearertokenauth"), Log()))  # type: ignore[arg-type]
    await extension.start(None)  # type: ignore[arg-type]
    assert isinstance(extension, ServerAuthenticator)
    return extension


async def refusal(extension: BearerTokenAuth, *values: str, header: str = "authorization") -> str:
    with pytest.raises(Unauthenticated) as error:
        await extension.authenticate({header: values} if values else {})
    return str(error.value)


async def test_the_token_opens_and_nothing_else_does() -> None:
    extension = await started(token="t")
    assert await extension.authenticate({"authorization": ("Bearer t",)}) == {}
    for value in ("Bearer x", "bearer t", "t", "Bearer  t", "Bearer t ", "Basic t"):
        assert await refusal(extension, value) == WRONG
    missing = "missing or empty authorization header: Authorization"
    assert [await refusal(extension), await refusal(extension, "")] == [missing, missing]
    assert await refusal(extension, "Bearer x", "Bearer t") == WRONG  # the first one counts


async def test_scheme_and_header_can_be_chosen() -> None:
    extension = await started(token="t", scheme="", header="X-Api-Key")
    assert await extension.authenticate({"x-api-key": ("t",)}) == {}
    assert extension.challenge == "Bearer"
    assert (await started(token="t", scheme="Token")).challenge == "Token"


async def test_each_of_several_tokens_opens() -> None:
    extension = await started(tokens=["a", "b"])
    for token in ("a", "b"):
        await extension.authenticate({"authorization": (f"Bearer {token}",)})
    assert await refusal(extension, "Bearer c") == WRONG


async def test_a_changed_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otelingest.net.watched_file.LOOK_SECONDS", 0)
    file = tmp_path / "tokens"
    file.write_text("old\nolder\n\n")
    extension = await started(filename=str(file))
    await extension.authenticate({"authorization": ("Bearer older",)})
    assert await refusal(extension, "Bearer ") == WRONG  # an empty line is no token
    file.write_text("new")
    await extension.authenticate({"authorization": ("Bearer new",)})
    assert await refusal(extension, "Bearer old") == WRONG
    os.unlink(file)
    await extension.authenticate({"authorization": ("Bearer new",)})


async def test_a_missing_file_stops_the_start_unless_it_may_come_late(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    with pytest.raises(ConfigError, match=f"open {missing}: no such file or directory"):
        await started(filename=missing)
    retry = {"enabled": True, "max_retries": 2, "retry_interval": "1ms"}
    with pytest.raises(ConfigError):
        await started(filename=missing, file_retry=retry)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, "no bearer token provided"),
        ({"token": "a", "tokens": ["b"], "filename": "f"}, "either tokens or token should be provided, not both"),
    ],
)
def test_settings_that_do_not_fit_are_named(keys: dict[str, Any], text: str) -> None:
    assert list(BearerTokenAuth.Settings.model_validate(keys).problems()) == [text]


def test_tokens_do_not_show() -> None:
    assert "geheim" not in repr(BearerTokenAuth.Settings.model_validate({"token": "geheim", "tokens": ["geheim2"]}))


async def test_a_client_shows_the_first_token_and_follows_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await (await started(token="t")).credentials() == {"Authorization": "Bearer t"}
    assert await (await started(tokens=["a", "b"], scheme="", header="X-Key")).credentials() == {"X-Key": "a"}
    monkeypatch.setattr("otelingest.net.watched_file.LOOK_SECONDS", 0)
    file = tmp_path / "tokens"
    file.write_text("one\ntwo\n")
    extension = await started(filename=str(file))
    assert await extension.credentials() == {"Authorization": "Bearer one"}
    file.write_text("three")
    assert await extension.credentials() == {"Authorization": "Bearer three"}
