"""A secret is in no message, no printed configuration and no representation, whichever component's setting it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otelingest.config.configuration import Registry
from otelingest.config.describe import Key, keys_of
from otelingest.config.failures import ConfigurationError
from otelingest.config.loader import load
from otelingest.config.rendering import plain_value, render
from otelingest.config.secrecy import names_secret
from otelingest.config.service import ServiceSettings
from otelingest.pipeline import registry

MARK = "geheim"
NO_SECRETS = {"wait_for_token_file", "token_url", "allowed_headers", "exposed_headers", "http_headers"}
"""Keys that are named like secrets and hold none, beside those of files; or what is not supported, and refused."""


def sections() -> Iterator[tuple[str, Any]]:
    """Every component's settings, ours and those of any other installed package."""
    for kind in registry.KINDS:
        for name in registry.names(kind):
            component = registry.load(kind, name)
            assert component is not None
            yield f"{kind[:-1]} {name}", component.Settings
    yield "service", ServiceSettings


SECTIONS = dict(sections())


def secrets_of(settings: Any) -> list[Key]:
    return [key for key in keys_of(settings) if key.type.rpartition(" ")[2] == "secret"]


@pytest.mark.parametrize("name", SECTIONS)
def test_what_is_named_like_a_secret_is_one(name: str) -> None:
    """Its type is what keeps it out of messages."""
    for key in keys_of(SECTIONS[name]):
        last = key.path.rpartition(".")[2].removesuffix("[]")
        held = key.type.rpartition(" ")[2]
        sounds = names_secret(last) or last.endswith(("headers", "headers_list", "_pem"))
        if sounds and last not in NO_SECRETS and not last.endswith("_file") and held != "section":
            assert held == "secret", f"{key.path} is a {key.type}"


def nested(path: str, value: Any) -> dict[str, Any]:
    """`a.b[].c` and a value as YAML has them."""
    for part in reversed(path.split(".")):
        value = {part[:-2]: [value]} if part.endswith("[]") else {part: value}
    return dict(value)


SHAPES = {"secret": lambda text: text, "list of secret": lambda text: [text], "map of secret": lambda text: {"x": text}}
WITH_SECRETS = [name for name, settings in SECTIONS.items() if secrets_of(settings)]


@pytest.mark.parametrize("name", WITH_SECRETS)
def test_its_value_is_not_shown(name: str) -> None:
    for key in secrets_of(SECTIONS[name]):
        settings = SECTIONS[name].model_validate(nested(key.path, SHAPES[key.type](MARK)))
        shown = json.dumps(plain_value(settings))
        assert "[REDACTED]" in shown, key.path
        assert MARK not in shown + repr(settings) + str(settings) + str([*settings.problems()]), key.path


def told(name: str, section: dict[str, Any], folder: Path) -> str:
    """All that loading a configuration with such a section says, and all that is printed of it."""
    kind, _, type = name.partition(" ")
    configuration = {"service": section} if not type else {f"{kind}s": {type: section}}
    file = folder / "c.yaml"
    file.write_text(json.dumps(configuration))
    installed = Registry(lambda kind, type: registry.load(kind, type), lambda kind: registry.names(kind))
    try:
        found = load([str(file)], installed)
    except ConfigurationError as error:
        return "\n".join([str(error), *error.notes])
    return render(found) + str(found) + str(found.told)


@pytest.mark.parametrize("name", WITH_SECRETS)
def test_a_value_of_the_wrong_shape_is_not_shown(name: str, tmp_path: Path) -> None:
    shapes: list[Any] = [[MARK], {"x": MARK}, MARK, [[MARK]], [{"name": "x", "value": [MARK]}], {"x": {"y": MARK}}]
    for key in secrets_of(SECTIONS[name]):
        for value in shapes:
            assert MARK not in told(name, nested(key.path, value), tmp_path), key.path
    assert MARK not in told(name, MARK, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("exporter clickhouse", {"endpoint": f"tcp://u:{MARK}@h:9000"}),
        ("exporter clickhouse", {"endpoint": f"http://h:8123?password={MARK}"}),
        ("exporter clickhouse", {"endpoint": f"u:{MARK}@h:9000"}),
        ("exporter clickhouse", {"endpoint": f"tcp://u:{MARK}/x@h:9000"}),
        ("exporter clickhouse", {"endpoint": "tcp://h:9000", "connection_params": {"password": MARK}}),
        *(
            (f"exporter otlp_{protocol}", {key: url})
            for protocol, key in (("http", "endpoint"), ("grpc", "endpoint"), ("http", "traces_endpoint"))
            for url in (
                f"http://u:{MARK}@h:port",
                f"http://u:{MARK}/x@h:4318",
                f"foo://u:{MARK}@h",
                f"u:{MARK}@h:4317",
                f"http://u:{MARK}@[::1",
                f"http://h:4318?token={MARK}",
            )
        ),
        ("exporter otlp_http", {"endpoint": "http://h", "proxy_url": f"http://u:{MARK}@h"}),
    ],
)
def test_a_password_in_a_url_is_not_shown(name: str, section: dict[str, Any], tmp_path: Path) -> None:
    assert MARK not in told(name, section, tmp_path)
