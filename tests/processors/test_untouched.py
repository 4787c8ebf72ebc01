"""Whatever comes in, what a processor was not told to change comes out byte by byte as it was, and nothing crashes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelingest import codec
from otelingest.codec.messages import CONTAINERS
from otelingest.pipeline.errors import Rejected
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.attributes import AttributesProcessor
from otelingest.processors.python import PythonProcessor
from otelingest.processors.resource import ResourceProcessor
from tests.codec.random_requests import requests
from tests.codec.raw_requests import RawRequests, mutated
from tests.processors.support import FakeHost, Sink, make_env, make_settings

MINE = "mine"
"""The key that actions are about, which no random request has but for those in which it is put."""
ACTIONS: list[dict[str, Any]] = [
    {"key": MINE, "action": "insert", "value": "new"},
    {"key": MINE, "action": "update", "value": 5},
    {"key": MINE, "action": "upsert", "value": [1, "a"]},
    {"key": MINE, "action": "upsert", "from_attribute": "none", "default_value": {"k": 1.5}},
    {"key": MINE, "action": "delete"},
    {"key": MINE, "action": "hash"},
    {"action": "delete", "pattern": f"^{MINE}$"},
    {"action": "hash", "pattern": f"^{MINE}$"},
    {"key": MINE, "action": "extract", "pattern": f"(?P<{MINE}>.)"},
    {"key": MINE, "action": "convert", "converted_type": "string"},
]
FUNCTION = f"""
def process(item, resource, scope):
    for place in (resource, scope, *(item.data_points if hasattr(item, "data_points") else [item])):
        if place.attributes.pop("{MINE}", None) is None:
            place.attributes["{MINE}"] = [1, {{"a": b"b"}}]
"""

actions = st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=4)


async def through(kind: type[Any], raw: dict[str, Any], request: Payload) -> Payload | None:
    sink = Sink()
    processor = kind(make_settings(kind, raw), make_env(f"{kind.__name__[:-9].lower()}", request.signal), sink)
    await processor.start(FakeHost())
    try:
        await processor.consume(request)
    finally:
        await processor.stop()
    return sink.payloads[0] if sink.payloads else None


def without_mine(message: Any) -> bytes:
    """A message's bytes but for the attributes of that key, wherever."""
    _strip(message)
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def _strip(message: Any) -> None:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if not field.is_repeated:
            _strip(value)
            continue
        for place in reversed(range(len(value))):
            if field.name == "attributes" and value[place].key == MINE:
                del value[place]
            else:
                _strip(value[place])


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("python") / "mine.py"
    file.write_text(FUNCTION)
    return file


def _with_mine(message: Any, signal: str, number: int) -> None:
    """Put the key into some attributes, and see to it that there is something everywhere that it may be put into."""
    groups, scopes, items = CONTAINERS[signal]
    for place, group in enumerate(getattr(message, groups)):
        group.resource.SetInParent()
        if (place + number) % 2:
            group.resource.attributes.add(key=MINE).value.string_value = "text"
        for scope in getattr(group, scopes):
            scope.scope.SetInParent()
            for item in getattr(scope, items):
                if signal != "metrics" and number % 3:
                    item.attributes.add(key=MINE).value.int_value = number


@given(requests(), actions, st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_actions_change_the_attributes_that_they_name(
    request: tuple[str, Any], actions: list[dict[str, Any]], number: int
) -> None:
    name, message = request
    _with_mine(message, name, number)
    payload = Payload.of(Signal(name), message)
    expected = without_mine(message)
    for kind, key in ((ResourceProcessor, "attributes"), (AttributesProcessor, "actions")):
        result = asyncio.run(through(kind, {key: actions}, payload))
        assert result is not None
        assert without_mine(result.message()) == expected
        assert result.items == payload.items


@given(requests(), actions)
@settings(max_examples=40, deadline=None)
def test_a_resource_is_edited_and_what_it_stands_before_keeps_its_bytes(
    request: tuple[str, Any], actions: list[dict[str, Any]]
) -> None:
    name, message = request
    result = asyncio.run(through(ResourceProcessor, {"attributes": actions}, Payload.of(Signal(name), message)))
    assert result is not None
    (chunk,) = result.chunks
    for group in getattr(message, CONTAINERS[name][0]):
        for scope in getattr(group, CONTAINERS[name][1]):
            assert scope.SerializeToString() in chunk


@given(requests(), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_a_function_changes_what_it_changes(function: Path, request: tuple[str, Any], number: int) -> None:
    name, message = request
    _with_mine(message, name, number)
    payload = Payload.of(Signal(name), message)
    result = asyncio.run(through(PythonProcessor, {"path": str(function)}, payload))
    assert result is not None
    assert without_mine(result.message()) == without_mine(message)


@given(requests(), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_what_a_function_does_not_drop_keeps_its_bytes_and_order(
    tmp_path_factory: pytest.TempPathFactory, request: tuple[str, Any], phase: int
) -> None:
    name, message = request
    file = tmp_path_factory.mktemp("drop") / "mine.py"
    file.write_text(f"seen = iter(range(10**6))\ndef process(item): return next(seen) % 4 != {phase}\n")
    result = asyncio.run(through(PythonProcessor, {"path": str(file)}, Payload.of(Signal(name), message)))
    before = _items(name, message)
    kept = [data for place, data in enumerate(before) if place % 4 != phase]
    if result is None:
        assert not kept
    else:
        assert _items(name, result.message()) == kept


def _items(name: str, message: Any) -> list[bytes]:
    groups, scopes, items = CONTAINERS[name]
    return [
        item.SerializeToString(deterministic=True)
        for group in getattr(message, groups)
        for scope in getattr(group, scopes)
        for item in getattr(scope, items)
    ]


def test_bytes_that_a_receiver_lets_pass_crash_nothing(function: Path) -> None:
    """Fields out of order, unknown, of another type, cut or repeated: whatever `scan` takes."""
    taken = 0

    async def run() -> None:
        nonlocal taken
        for seed in range(150):
            made = RawRequests(seed)
            name, data = made.request()
            data = data if seed % 3 else mutated(made.random, data)
            try:
                scan = codec.scan(name, data)
            except codec.Malformed:
                continue
            taken += 1
            request = Payload(Signal(name), (scan.data,), scan.items)
            for kind, raw in (
                (ResourceProcessor, {"attributes": ACTIONS}),
                (AttributesProcessor, {"actions": ACTIONS}),
                (PythonProcessor, {"path": str(function)}),
            ):
                result = await through(kind, raw, request)
                assert result is not None
                assert result.items == request.items

    asyncio.run(run())
    assert taken > 50


def test_bytes_that_none_lets_pass_are_rejected(function: Path) -> None:
    async def run() -> None:
        for kind, raw in (
            (ResourceProcessor, {"attributes": ACTIONS}),
            (AttributesProcessor, {"actions": ACTIONS}),
            (PythonProcessor, {"path": str(function)}),
        ):
            with pytest.raises(Rejected):
                await through(kind, raw, Payload(Signal.TRACES, (b"\x0a\x05\x0a\x01",), 1))

    asyncio.run(run())
