"""Resources are edited inside a request's bytes, and nothing else of it is touched."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelingest.codec.types import Malformed
from otelingest.codec.wire import length_delimited
from otelingest.pipeline.errors import Rejected
from otelingest.pipeline.payload import Context, Payload, Signal, request_class
from otelingest.processors import splice as module
from otelingest.processors.resource import ResourceProcessor
from otelingest.processors.splice import replace_resources
from tests.processors.support import FakeHost, Sink, make_env, make_settings, payload, spans

UPSERT = [{"key": "team", "action": "upsert", "value": "ml"}]


def make(actions: list[dict[str, Any]], sink: Sink, signal: Signal = Signal.TRACES) -> ResourceProcessor:
    settings = make_settings(ResourceProcessor, {"attributes": actions})
    return ResourceProcessor(settings, make_env("resource", signal), sink)


async def run(actions: list[dict[str, Any]], request: Payload) -> Payload:
    sink = Sink()
    processor = make(actions, sink, request.signal)
    await processor.start(FakeHost())
    await processor.consume(request)
    await processor.stop()
    (result,) = sink.payloads
    return result


def resources(result: Payload) -> list[dict[str, Any]]:
    message = result.message()
    groups = getattr(message, message.DESCRIPTOR.fields[0].name)
    return [{entry.key: entry.value.string_value for entry in group.resource.attributes} for group in groups]


async def test_the_bytes_of_the_spans_stay_as_they_are() -> None:
    # An unknown field and fields out of order: a decoder would move them.
    span = length_delimited(1, bytes(16)) + length_delimited(99, b"unknown") + length_delimited(5, b"name")
    scope = length_delimited(2, span) + length_delimited(1, length_delimited(1, b"scope"))
    resource = length_delimited(1, length_delimited(1, b"service.name"))
    group = length_delimited(3, b"schema") + length_delimited(2, scope) + length_delimited(1, resource)
    result = await run(UPSERT, Payload(Signal.TRACES, (length_delimited(1, group),), 1))
    (chunk,) = result.chunks
    assert length_delimited(2, scope) in chunk
    assert length_delimited(3, b"schema") in chunk
    assert resources(result) == [{"service.name": "", "team": "ml"}]
    assert result.items == 1


async def test_an_edit_that_changes_nothing_hands_on_the_very_payload() -> None:
    request = spans(2)
    assert await run([{"key": "absent", "action": "delete"}], request) is request


async def test_a_group_without_a_resource_gets_one_only_if_there_is_something_to_put_in() -> None:
    request = payload(Signal.TRACES, {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "s"}]}]}]})
    assert (await run([{"key": "x", "action": "update", "value": "y"}], request)).chunks == request.chunks
    assert resources(await run(UPSERT, request)) == [{"team": "ml"}]


@pytest.mark.parametrize("action", ["upsert", "update"])
@pytest.mark.parametrize("others", [0, 20])
async def test_a_value_from_the_token_leaves_none_of_the_senders_own(action: str, others: int) -> None:
    """However often the sender gives one: of several that are stored, ClickHouse may answer with any."""
    forged = [{"key": "project_id", "value": {"stringValue": text}} for text in ("one", "two", "three")]
    rest = [{"key": f"key.{number}", "value": {"stringValue": "x"}} for number in range(others)]
    attributes = [forged[0], *rest, *forged[1:]]
    request = payload(
        Signal.TRACES,
        {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"spans": [{"name": "s"}]}]}]},
    )
    request = Payload(request.signal, request.chunks, request.items, Context(auth={"project_id": "the token's"}))
    result = await run([{"key": "project_id", "action": action, "from_context": "auth.project_id"}], request)
    (group,) = result.message().resource_spans
    kept = [entry.value.string_value for entry in group.resource.attributes if entry.key == "project_id"]
    assert (kept, len(group.resource.attributes)) == (["the token's"], others + 1)


async def test_a_resource_in_two_pieces_is_one_resource() -> None:
    first = length_delimited(1, length_delimited(1, b"a"))
    second = length_delimited(1, length_delimited(1, b"b"))
    group = length_delimited(1, first) + length_delimited(3, b"url") + length_delimited(1, second)
    result = await run(UPSERT, Payload(Signal.TRACES, (length_delimited(1, group),), 0))
    assert resources(result) == [{"a": "", "b": "", "team": "ml"}]
    assert result.message().resource_spans[0].schema_url == "url"


async def test_every_chunk_and_every_group_is_edited() -> None:
    request = Payload.merge([spans(1, service="a"), spans(1, service="b")])
    result = await run(UPSERT, request)
    assert len(result.chunks) == 2
    assert resources(result) == [{"service.name": "a", "team": "ml"}, {"service.name": "b", "team": "ml"}]


@pytest.mark.parametrize("signal", list(Signal))
async def test_all_signals_have_their_resources_in_the_same_place(signal: Signal) -> None:
    name = {Signal.TRACES: "resourceSpans", Signal.METRICS: "resourceMetrics", Signal.LOGS: "resourceLogs"}[signal]
    request = payload(signal, {name: [{"resource": {"attributes": [{"key": "a", "value": {"stringValue": "1"}}]}}]})
    assert resources(await run(UPSERT, request)) == [{"a": "1", "team": "ml"}]


async def test_what_comes_from_the_request_is_not_mixed_up_between_requests() -> None:
    sink = Sink()
    processor = make([{"key": "tenant", "action": "upsert", "from_context": "metadata.X-Tenant"}], sink)
    for name in ("a", "b", "a"):
        await processor.consume(spans(1, context=Context(metadata={"x-tenant": (name,)})))
    await processor.consume(spans(1))
    assert [found[0].get("tenant") for found in map(resources, sink.payloads)] == ["a", "b", "a", None]


@pytest.mark.parametrize(
    ("auth", "expected"),
    [({"id": "p-1"}, "p-1"), ({"id": ["x", "y"]}, "x;y"), ({"id": 5}, None), ({"id": []}, None), ({}, None)],
)
async def test_attributes_of_an_authenticator_are_texts_or_lists_of_texts(auth: dict[str, Any], expected: Any) -> None:
    request = spans(1, context=Context(auth=auth))
    result = await run([{"key": "project_id", "action": "upsert", "from_context": "auth.id"}], request)
    assert resources(result)[0].get("project_id") == expected


async def test_only_so_many_edited_resources_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    processor = make(UPSERT, Sink())
    for number in range(10):
        await processor.consume(spans(1, service=str(number)))
    assert len(processor._memory) == 3
    await processor.consume(spans(1, service="x" * 10_000))
    assert len(processor._memory) == 3


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05\x0a\x01", b"\x0f", b"\x0a\x04\x0a\x02\x0a\x7f"])
async def test_bytes_that_are_no_request_are_refused_for_ever(data: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        await run(UPSERT, Payload(Signal.TRACES, (data,), 1))
    assert caught.value.code == 3


_TEXT = st.text(max_size=5)
_ATTRIBUTES = st.dictionaries(_TEXT, _TEXT, max_size=4)
_GROUPS = st.lists(st.tuples(_ATTRIBUTES, st.lists(_TEXT, max_size=3), _TEXT), max_size=4)


@given(_GROUPS, _TEXT, _TEXT)
def test_splicing_gives_what_decoding_and_encoding_gives(
    groups: list[tuple[dict[str, str], list[str], str]], key: str, value: str
) -> None:
    request = request_class(Signal.TRACES)()
    for attributes, names, url in groups:
        group = request.resource_spans.add(schema_url=url)
        for name, text in attributes.items():
            group.resource.attributes.add(key=name).value.string_value = text
        for name in names:
            group.scope_spans.add().spans.add(name=name)
    data = request.SerializeToString()
    for group in request.resource_spans:
        group.resource.attributes.add(key=key).value.string_value = value

    def add(encoded: bytes) -> bytes:
        resource: Any = type(request.resource_spans.add().resource).FromString(encoded)
        resource.attributes.add(key=key).value.string_value = value
        edited: bytes = resource.SerializeToString()
        return edited

    expected = request.SerializeToString()
    assert request_class(Signal.TRACES).FromString(replace_resources(data, add)) == request_class(
        Signal.TRACES
    ).FromString(expected)


@given(st.binary(max_size=60))
def test_no_bytes_make_splicing_fail_in_another_way_than_malformed(data: bytes) -> None:
    try:
        replace_resources(data, lambda resource: resource + b"\x0a\x00")
    except Malformed:
        return
