"""basicauth: who comes in, and whom we say to be."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from otelingest.config.settings import ComponentId
from otelingest.extensions import basicauth
from otelingest.extensions.basicauth import BasicAuth
from otelingest.net.auth import AuthSettings, ClientAuthenticator, ServerAuthenticator, Unauthenticated, resolve
from otelingest.net.auth import resolve_client as resolve_for_client
from otelingest.pipeline.component import Env
from otelingest.pipeline.errors import ConfigError
from tests.exporters.otlp.support import Host
from tests.net.support import Log

HASHES = {
    "bcrypt": "$2y$05$nC6nErr9XZJuMJ57WyCob.EuZEjylDt2KaHfbfOtyb.EgL1I2jCVa",
    "apr1": "$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00",
    "sha": "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
    "plain": "password",
}


def made(**keys: Any) -> BasicAuth:
    settings = BasicAuth.Settings.model_validate(keys)
    return BasicAuth(settings, Env(ComponentId("basicauth"), Log()))  # type: ignore[arg-type]


async def started(**keys: Any) -> BasicAuth:
    extension = made(**keys)
    await extension.start(Host())
    return extension


def header(user: str, password: str) -> dict[str, tuple[str, ...]]:
    return {"authorization": ("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode(),)}


async def refusal(extension: BasicAuth, headers: dict[str, tuple[str, ...]]) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await extension.authenticate(headers)
    return str(caught.value)


@pytest.mark.parametrize("kind", sorted(HASHES))
async def test_the_right_password_opens_whatever_it_is_hashed_with(kind: str) -> None:
    extension = await started(htpasswd={"inline": f"someone:x\nuser:{HASHES[kind]}\n"})
    found = await extension.authenticate(header("user", "password"))
    assert found == {"username": "user", "raw": base64.b64encode(b"user:password").decode()}
    for user, password in (("user", "Password"), ("user", ""), ("other", "password"), ("user", HASHES[kind] + "x")):
        assert await refusal(extension, header(user, password)) == "invalid credentials"
    await extension.stop()


async def test_a_password_may_have_a_colon() -> None:
    extension = await started(htpasswd={"inline": "user:a:b"})
    await extension.authenticate(header("user", "a:b"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "no basic auth provided"),
        ("", "no basic auth provided"),
        ("Bearer x", "invalid authorization scheme prefix"),
        ("Basic", "invalid authorization scheme prefix"),
        ("Basic !!!", "invalid authorization format"),
        ("Basic dXNlcg==", "invalid authorization format"),
        ("Basic " + "A" * 100_000, "invalid authorization format"),
    ],
)
async def test_what_is_no_such_header_is_said(value: str | None, message: str) -> None:
    extension = await started(htpasswd={"inline": "user:x"})
    assert await refusal(extension, {} if value is None else {"authorization": (value,)}) == message


@pytest.mark.parametrize("hashed", ["$2y$05$broken", "$apr1$", "{SHA}!!", "$2y$99$nC6nErr9XZJuMJ57WyCob.", "$5$x"])
async def test_a_broken_hash_opens_to_nobody(hashed: str) -> None:
    extension = await started(htpasswd={"inline": f"user:{hashed}"})
    assert await refusal(extension, header("user", "password")) == "invalid credentials"


async def test_odd_passwords_are_wrong_and_nothing_more() -> None:
    extension = await started(htpasswd={"inline": f"user:{HASHES['bcrypt']}"})
    for password in (b"a\0b", b"\xff\xfe", b"p" * 4000):
        encoded = base64.b64encode(b"user:" + password).decode()
        assert await refusal(extension, {"authorization": (f"Basic {encoded}",)}) == "invalid credentials"


async def test_a_slow_hash_is_computed_once_for_a_client_that_keeps_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    import bcrypt

    slow = bcrypt.hashpw(b"password", bcrypt.gensalt(4)).decode()
    extension = await started(htpasswd={"inline": f"user:{slow}"})
    await extension.authenticate(header("user", "password"))

    def refuse(*_: object) -> bool:
        raise AssertionError("computed again")

    monkeypatch.setattr(basicauth._Users, "_verify", refuse)
    for _ in range(100):
        await extension.authenticate(header("user", "password"))


async def test_guessing_does_not_hold_up_the_loop() -> None:
    import bcrypt

    slow = bcrypt.hashpw(b"password", bcrypt.gensalt(11)).decode()
    extension = await started(htpasswd={"inline": f"user:{slow}"})
    guesses = [asyncio.create_task(refusal(extension, header("user", str(n)))) for n in range(3)]
    turns = 0
    while not all(guess.done() for guess in guesses):
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 20


async def test_a_changed_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otelingest.net.watched_file.LOOK_SECONDS", 0)
    file = tmp_path / "users"
    file.write_text("# people\nold:x\n")
    extension = await started(htpasswd={"file": str(file), "inline": "always:y"})
    await extension.authenticate(header("old", "x"))
    file.write_text("new:changed\n")
    await extension.authenticate(header("new", "changed"))
    await extension.authenticate(header("always", "y"))
    assert await refusal(extension, header("old", "x")) == "invalid credentials"
    file.unlink()
    await extension.authenticate(header("new", "changed"))
    assert "Cannot read a file of credentials; the old ones stay" in extension.log.messages("warning")


async def test_a_missing_file_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="open /nowhere/users: no such file"):
        await started(htpasswd={"file": "/nowhere/users"})


async def test_without_any_source_it_does_not_start_and_without_users_nobody_comes_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no credential source provided"):
        await started(htpasswd={})
    file = tmp_path / "users"
    file.write_text("# nobody yet\n")
    extension = await started(htpasswd={"file": str(file)})
    assert await refusal(extension, header("user", "")) == "invalid credentials"
    assert "There is no user yet: nobody comes in" in extension.log.messages("warning")


async def test_a_client_needs_what_its_files_are_to_hold(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for keys in ({"username_file": str(empty)}, {"password_file": str(empty)}):
        with pytest.raises(ConfigError, match=f"open {empty}: the file is empty"):
            await started(client_auth=keys)
    with pytest.raises(ConfigError, match="a user's name must not have a colon in it"):
        await started(client_auth={"username": "a:b", "password": "c"})


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({}, "no credential source provided"),
        (
            {"htpasswd": {"inline": "a:b"}, "client_auth": {"username": "u"}},
            "only one of `htpasswd` or `client_auth` can be specified",
        ),
    ],
)
def test_one_use_must_be_chosen(keys: dict[str, Any], problem: str) -> None:
    assert list(BasicAuth.Settings.model_validate(keys).problems()) == [problem]


async def test_a_client_shows_user_and_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extension = await started(client_auth={"username": "u", "password": "p"})
    assert await extension.credentials() == {"Authorization": header("u", "p")["authorization"][0]}
    monkeypatch.setattr("otelingest.net.watched_file.LOOK_SECONDS", 0)
    file = tmp_path / "password"
    file.write_text("first\n")
    extension = await started(client_auth={"username": "u", "password_file": str(file)})
    assert await extension.credentials() == {"Authorization": header("u", "first")["authorization"][0]}
    file.write_text("second")
    assert await extension.credentials() == {"Authorization": header("u", "second")["authorization"][0]}


async def test_it_serves_only_the_use_that_it_is_configured_for() -> None:
    server = await started(htpasswd={"inline": "user:x"})
    client = await started(client_auth={"username": "u", "password": "p"})
    auth = AuthSettings(authenticator="basicauth")
    assert isinstance(server, ServerAuthenticator)
    assert isinstance(client, ClientAuthenticator)
    assert resolve(auth, Host({"basicauth": server})) is server
    assert resolve_for_client(auth, Host({"basicauth": client}), "HTTP") is client
    with pytest.raises(ConfigError, match="configured for a client"):
        resolve(auth, Host({"basicauth": client}))
    with pytest.raises(ConfigError, match="configured for a server"):
        resolve_for_client(auth, Host({"basicauth": server}), "HTTP")


def test_no_secret_is_printed() -> None:
    for keys in ({"client_auth": {"username": "u", "password": "geheim"}}, {"htpasswd": {"inline": "u:geheim"}}):
        settings = BasicAuth.Settings.model_validate(keys)
        assert "geheim" not in repr(settings) + str(settings)
