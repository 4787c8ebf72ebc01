"""The settings of `embedded_clickhouse`, and its life as a component."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from pydantic import ValidationError

from otelingest.config.describe import descriptions
from otelingest.config.settings import ComponentId
from otelingest.extensions.embedded_clickhouse import EmbeddedClickHouse, EmbeddedClickHouseSettings
from otelingest.pipeline.component import Env
from otelingest.pipeline.registry import load

MIB = 1 << 20


def _made(**settings: Any) -> EmbeddedClickHouse:
    env = Env(ComponentId("embedded_clickhouse"), structlog.get_logger())
    return EmbeddedClickHouse(EmbeddedClickHouseSettings(**settings), env)


def test_it_is_registered_under_its_name() -> None:
    assert load("extensions", "embedded_clickhouse") is EmbeddedClickHouse


def test_it_needs_no_settings() -> None:
    settings = _made().server.settings
    assert (settings.http_endpoint, settings.tcp_endpoint) == ("localhost:8123", "localhost:9000")
    assert settings.path == "./data/clickhouse"
    assert settings.max_memory >= 512 * MIB


def test_memory_is_given_in_mib() -> None:
    assert _made(max_memory_mib=1000).server.settings.max_memory == 1000 * MIB


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": ""}, "path must be specified"),
        ({"max_memory_mib": 100}, "max_memory_mib must be at least 512"),
        ({"max_memory_mib": -1}, "greater than or equal to 0"),
        ({"max_request_body_size": 0}, "greater than 0"),
        ({"http_port": 8123}, "http_port"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EmbeddedClickHouseSettings(**settings)


def test_the_password_is_not_shown() -> None:
    assert "secret-word" not in repr(_made(password="secret-word").settings)


def test_every_setting_is_described() -> None:
    assert set(descriptions(EmbeddedClickHouseSettings)) == set(EmbeddedClickHouseSettings.model_fields)


async def test_it_runs_from_start_to_stop(tmp_path: Path) -> None:
    made = _made(path=str(tmp_path), http_endpoint="localhost:0", tcp_endpoint="localhost:0", max_memory_mib=1024)
    host: Any = SimpleNamespace(stop_deadline=None)
    assert made.http_url == ""
    await made.start(host)
    try:
        assert made.http_url.startswith("http://127.0.0.1:")
        assert made.tcp_url.startswith("tcp://127.0.0.1:")
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(made.http_url + "/?query=SELECT+1").read())
        assert answer == b"1\n"
    finally:
        host.stop_deadline = asyncio.get_running_loop().time() + 5
        await made.stop()
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(urllib.request.urlopen, made.http_url)


async def test_it_may_be_stopped_without_a_start(tmp_path: Path) -> None:
    await _made(path=str(tmp_path)).stop()
