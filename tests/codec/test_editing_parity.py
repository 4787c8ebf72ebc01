"""The native editor reads what the readable one reads, makes of changes what it makes, and leaves the rest as it lay.

PARITY_CASES and OTELINGEST_NATIVE: as in `test_parity`; the editor's file is the one beside the codec's.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from random import Random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelingest.codec import Malformed, scan
from otelingest.codec.editing import Editor, MessageEditor
from otelingest.codec.messages import parse
from otelingest.codec.wire import length_delimited
from tests.codec.captures import all_requests
from tests.codec.random_requests import requests
from tests.codec.raw_requests import RawRequests, mutated
from tests.codec.test_scan import attribute, in_span

CASES = int(os.environ.get("PARITY_CASES", "400"))
SANITIZED = os.environ.get("OTELINGEST_NATIVE", "")
SETTINGS = settings(max_examples=min(CASES, 2000), deadline=None, suppress_health_check=list(HealthCheck))


def _native() -> ModuleType:
    if not SANITIZED:
        return pytest.importorskip("otelingest.codec._editing", reason="the native editor is not built")
    spec = importlib.util.spec_from_file_location(
        "otelingest.codec._editing", SANITIZED.replace("_native.", "_editing.")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


native = _native()

IDS = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
TEXTS = ("trace_state", "name", "severity_text", "event_name", "version", "schema_url", "message")
COUNTS = ("dropped_attributes_count", "dropped_events_count", "dropped_links_count", "flags")
TIMES = ("start_time_unix_nano", "end_time_unix_nano", "time_unix_nano", "observed_time_unix_nano")
ENUMS = ("kind", "severity_number", "code")
ITEM_FIELDS = {
    "traces": ["trace_state", "name", "start_time_unix_nano", "end_time_unix_nano", *IDS, *COUNTS, "kind"],
    "logs": [
        "time_unix_nano", "observed_time_unix_nano", "severity_number", "severity_text", "event_name",
        "dropped_attributes_count", "flags", "trace_id", "span_id",
    ],
}  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, -1, 2**63 - 1, -(2**63), 0.5, float("inf"), "", "text", "日本" * 40, b"", b"\0\1",
    [], {}, [1, None, [{"a": {}}]], {"a": 1, "": {"b": [2.5]}}, "x" * 300, Ellipsis, [1, Ellipsis, 2], {"a": Ellipsis},
]  # fmt: skip
NEW_KEYS = ["", "a", "new", "日"]


def exactly(data: bytes) -> Any:
    """In memory that ends where the data ends, so that the sanitizers see a read behind it."""
    return (ctypes.c_ubyte * len(data)).from_buffer_copy(data)


def fields_of(owner: Any, names: list[str]) -> list[Any]:
    return [getattr(owner, name) for name in names]


def shown(attributes: Any) -> list[Any]:
    keys = attributes.keys()
    return [keys, repr(attributes.to_map()), [repr(attributes.get(key)) for key in keys], len(attributes),
            attributes.get("no such"), all(key in attributes for key in keys)]  # fmt: skip


def everything(signal: str, editor: Editor) -> list[Any]:
    """All that an editor shows of a request."""
    seen: list[Any] = []
    while editor.next_resource_group():
        group = editor.resource_group
        seen += [group.schema_url, group.resource.dropped_attributes_count, *shown(editor.resource_attributes)]
        while editor.next_scope_group():
            scope = editor.scope_group
            seen += [scope.schema_url, *fields_of(scope.scope, ["name", "version", "dropped_attributes_count"])]
            seen += shown(editor.scope_attributes)
            while editor.next_item():
                seen += fields_of(editor.item, ITEM_FIELDS[signal])
                if signal == "traces":
                    seen += fields_of(editor.item.status, ["code", "message"])
                else:
                    seen += [repr(editor.body.get()), editor.body.text()]
                seen += shown(editor.attributes)
    return seen


class Changes:
    """Changes an editor as a seed says, and keeps what went wrong."""

    def __init__(self, seed: int, signal: str, often: float = 0.5) -> None:
        self.random = Random(seed)
        self.signal = signal
        self.often = often
        self.errors: list[str] = []

    def apply(self, editor: Editor) -> bytes:
        for _ in range(self.random.randint(1, 2)):
            while editor.next_resource_group():
                while editor.next_scope_group():
                    while editor.next_item():
                        self.item(editor)
                    if self.random.random() < self.often / 4:
                        self.attributes(editor.scope_attributes)
                        self.field(editor.scope_group, "schema_url")
                        self.field(editor.scope_group.scope, self.random.choice(["name", "version"]))
                    if self.random.random() < self.often / 8:
                        editor.drop_scope_group()
                if self.random.random() < self.often / 8:
                    editor.drop_resource_group()
            editor.rewind()
        return editor.finish()

    def item(self, editor: Editor) -> None:
        while self.random.random() < self.often:
            match self.random.randrange(6):
                case 0 | 1:
                    self.attributes(editor.attributes)
                case 2:
                    self.field(editor.item, self.random.choice(ITEM_FIELDS[self.signal]))
                case 3 if self.signal == "traces":
                    self.field(editor.item.status, self.random.choice(["code", "message"]))
                case 3:
                    self.attempt(editor.body.set, self.random.choice(VALUES))
                case 4:
                    self.attributes(editor.resource_attributes)
                    self.field(editor.resource_group.resource, "dropped_attributes_count")
                case _ if self.random.random() < 0.3:
                    editor.drop_item()
                    return

    def field(self, owner: Any, name: str) -> None:
        random = self.random
        if name in IDS:
            value: Any = random.choice([b"", random.randbytes(IDS[name])])
        elif name in TEXTS:
            value = random.choice(["", "text", "日本", "long" * 50])
        elif name in COUNTS:
            value = random.choice([0, 1, 2**32 - 1])
        elif name in TIMES:
            value = random.choice([0, 1, 2**64 - 1])
        else:
            assert name in ENUMS
            value = random.choice([0, 1, 3, -1, -(2**31)])
        setattr(owner, name, value)
        assert getattr(owner, name) == value

    def attributes(self, attributes: Any) -> None:
        random = self.random
        present = attributes.keys()
        keys = [*present, *NEW_KEYS]
        key, value = random.choice(keys), random.choice(VALUES)
        match random.randrange(9):
            case 0 | 1 | 2:
                if self.attempt(attributes.set, key, value):
                    assert repr(attributes.get(key)) == repr(value)
            case 3:
                attributes.delete(key)
                assert attributes.get(key) is None
            case 4:
                dropped = set(random.sample(keys, random.randint(0, len(keys))))
                known = {key: key in dropped for key in keys[::2]}
                if random.random() < 0.5:
                    attributes.drop(dropped.__contains__, known)
                else:
                    attributes.keep(lambda key: key not in dropped, {key: not answer for key, answer in known.items()})
            case 5:
                ending = random.choice(["", "'"])
                attributes.rename({key: key + ending for key in present})
            case 6:
                new = random.choice(["", "changed", None])
                attributes.change_texts(lambda text: text if new is None else text + new, random.choice([0, 1, 5, 200]))
            case 7:
                attributes.stringify()
            case _:
                self.attempt(attributes.replace, dict.fromkeys(random.sample(keys, 2), value))

    def attempt(self, change: Any, *arguments: Any) -> bool:
        try:
            change(*arguments)
        except ValueError as error:
            self.errors.append(f"{error} {getattr(error, 'holder', '')}")
            return False
        return True


def same(signal: str, data: bytes, seed: int) -> bool:
    """Check everything about one request; whether the native editor takes it."""
    editor = native.NativeEditor.of(signal, exactly(data) if SANITIZED else data)
    if editor is None:
        return False
    assert everything(signal, editor) == everything(signal, MessageEditor(signal, parse(signal, data)))
    if not SANITIZED:
        assert editor.finish() is data
    one, other = Changes(seed, signal), Changes(seed, signal)
    made = one.apply(native.NativeEditor.of(signal, exactly(data) if SANITIZED else data))
    expected = other.apply(MessageEditor(signal, parse(signal, data)))
    assert one.errors == other.errors
    assert canonical(signal, made) == canonical(signal, expected)
    return True


def canonical(signal: str, data: Any) -> bytes:
    made: bytes = parse(signal, bytes(data)).SerializeToString(deterministic=True)
    return made


def test_requests_of_random_bytes_in_the_schema() -> None:
    taken = 0
    for seed in range(CASES):
        signal, data = RawRequests(seed).request()
        if signal == "metrics":
            continue
        try:
            taken += same(signal, scan(signal, data).data, seed)
        except Malformed:
            continue
    assert taken > CASES // 20


@SETTINGS
@given(requests("traces") | requests("logs"), st.integers(0, 2**32))
def test_requests_in_which_every_field_may_be_set(made: tuple[str, Any], seed: int) -> None:
    signal, message = made
    same(signal, message.SerializeToString(), seed)


def test_recorded_requests() -> None:
    taken = [same(request.signal, request.data, seed) for seed, request in enumerate(all_requests())]
    assert sum(taken) == sum(request.signal != "metrics" for request in all_requests())


def test_hostile_bytes_are_survived() -> None:
    random = Random(7)
    recorded = [(r.signal, r.data) for r in all_requests() if r.signal != "metrics" and len(r.data) < 20_000]
    for seed in range(CASES):
        signal, data = random.choice(recorded)
        broken = mutated(random, data)
        editor = native.NativeEditor.of(signal, exactly(broken))
        if editor is not None:
            everything(signal, editor)
            Changes(seed, signal).apply(native.NativeEditor.of(signal, exactly(broken)))


def test_what_is_not_touched_keeps_its_bytes() -> None:
    """Unknown fields, long forms of numbers and an unusual order of fields are carried over."""
    odd = length_delimited(99, b"\1\2") + b"\x30\x83\x00" + attribute(b"\x0a\x01x") + length_delimited(5, b"name")
    touched = length_delimited(99, b"?") + length_delimited(5, b"old")
    for items in ([odd, touched], [touched, odd], [odd, touched, odd]):
        scope = b"".join(length_delimited(2, item) for item in items) + length_delimited(98, b"scope's own")
        group = length_delimited(2, scope) + length_delimited(97, b"group's own")
        data = length_delimited(1, group) + length_delimited(96, b"request's own")
        editor = native.NativeEditor.of("traces", data)
        while editor.next_resource_group():
            while editor.next_scope_group():
                while editor.next_item():
                    if editor.item.name == "old":
                        editor.item.name = "new"
        assert editor.finish() == data.replace(b"old", b"new")


@pytest.mark.parametrize(
    "span",
    [
        length_delimited(5, b"one") + length_delimited(5, b"two"),
        length_delimited(15, b"") + length_delimited(15, b"\x18\x01"),
        b"\x2d\0\0\0\0",
        length_delimited(9, length_delimited(1, b"k") + length_delimited(3, b"unknown")),
        attribute(b"\x0a\x01x\x0a\x01y"),
        b"\x0b\x0c",
    ],
    ids=["name twice", "status twice", "name as a number", "unknown beside a key", "two values", "a group"],
)
def test_unusual_requests_are_left_to_the_readable_one(span: bytes) -> None:
    assert native.NativeEditor.of("traces", in_span(span)) is None


def test_metrics_are_left_to_the_readable_one() -> None:
    assert native.NativeEditor.of("metrics", b"") is None
