"""bearertokenauth: who comes in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
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


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not look():
            await asyncio.sleep(0.002)


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


async def test_a_file_that_is_being_written_or_is_gone_leaves_the_old_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otelingest.net.watched_file.LOOK_SECONDS", 0)
    file = tmp_path / "tokens"
    file.write_text("old")
    extension = await started(filename=str(file))
    file.write_text("\n")
    await extension.authenticate({"authorization": ("Bearer old",)})
    file.write_text("new")
    await extension.authenticate({"authorization": ("Bearer new",)})
    assert "new" not in str(extension.log.lines)  # type: ignore[attr-defined]


async def test_a_line_holds_a_token_and_perhaps_a_remark(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("one  for Anna\n\ttwo\tfor Bert\n\n")
    extension = await started(filename=str(file))
    for token in ("one", "two"):
        await extension.authenticate({"authorization": (f"Bearer {token}",)})
    assert await refusal(extension, "Bearer one  for Anna") == WRONG


@pytest.mark.parametrize("content", [None, " \n"])
async def test_a_file_without_tokens_stops_the_start_unless_it_may_come_late(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "tokens"
    why = "no such file or directory" if content is None else "the file is empty"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=f"open {file}: {why}"):
        await started(filename=str(file))
    retry = {"enabled": True, "max_retries": 2, "interval": "1ms"}
    with pytest.raises(ConfigError):
        await started(filename=str(file), retry_on_failure=retry, wait_for_token_file=True)
    extension = await started(filename=str(file), retry_on_failure=retry | {"max_retries": 0})
    assert await refusal(extension, "Bearer late") == WRONG
    file.write_text("late")
    await until(lambda: bool(extension._values))
    await extension.authenticate({"authorization": ("Bearer late",)})
    await extension.stop()


async def test_tries_that_are_used_up_are_said(tmp_path: Path) -> None:
    retry = {"enabled": True, "max_retries": 2, "interval": "1ms"}
    extension = await started(filename=str(tmp_path / "none"), retry_on_failure=retry)
    log: Any = extension.log
    await until(lambda: "failed to start token resolver" in log.messages("error"))
    assert log.messages("warning") == ["retrying to read credentials file"] * 2
    assert await refusal(extension, "Bearer x") == WRONG
    waiting = await started(filename=str(tmp_path / "none"), retry_on_failure=retry | {"interval": "1h"})
    await waiting.stop()
    assert waiting._looking is not None
    assert waiting._looking.cancelled()


async def test_of_tokens_file_and_token_the_first_one_counts(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("in-the-file")
    many = await started(tokens=["one"], filename=str(file))
    await many.authenticate({"authorization": ("Bearer one",)})
    assert await refusal(many, "Bearer in-the-file") == WRONG
    one = await started(token="one", filename=str(file))
    await one.authenticate({"authorization": ("Bearer in-the-file",)})
    assert await refusal(one, "Bearer one") == WRONG
    for extension in (many, one):
        assert len(extension.log.messages("warning")) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, "no bearer token provided"),
        ({"token": "a", "tokens": ["b"], "filename": "f"}, "either tokens or token should be provided, not both"),
        ({"token": "a", "retry_on_failure": {"enabled": True, "interval": "1s"}}, "requires filename to be set"),
        ({"token": "a", "wait_for_token_file": True}, "requires filename to be set"),
        ({"filename": "f", "wait_for_token_file": True}, "wait_for_token_file requires retry_on_failure to be enabled"),
    ],
)
def test_settings_that_do_not_fit_are_named(keys: dict[str, Any], text: str) -> None:
    assert list(BearerTokenAuth.Settings.model_validate(keys).problems()) == [text]


@pytest.mark.parametrize(
    ("retry", "text"),
    [
        ({"max_retries": -1}, "retry_on_failure.max_retries must be greater or equal to 0"),
        ({"interval": "0s"}, "retry_on_failure.interval must be greater than 0"),
    ],
)
def test_retries_that_cannot_be_are_told(retry: dict[str, Any], text: str) -> None:
    keys = {"filename": "f", "retry_on_failure": {"enabled": True} | retry}
    (problem,) = BearerTokenAuth.Settings.model_validate(keys).problems()
    assert problem == f"{text} when retry_on_failure.enabled is true"


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
