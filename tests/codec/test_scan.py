"""What gets in, what is mended on the way, and what is refused with which words."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelingest.codec import Malformed, columns, scan
from otelingest.codec.mending import mend
from otelingest.codec.messages import SIGNALS, parse
from otelingest.codec.splitting import split
from otelingest.codec.values import value_text
from otelingest.codec.wire import MAX_LEVELS, length_delimited
from tests.codec.captures import CANONICAL, CAPTURES, all_requests, golden
from tests.codec.captures import requests as requests_of
from tests.codec.random_requests import requests

METRIC_KINDS = CANONICAL.keys() - {"traces", "logs"}
SPAN_ID = length_delimited(2, b"12345678")


def in_span(*fields: bytes) -> bytes:
    return length_delimited(1, length_delimited(2, length_delimited(2, b"".join(fields))))


def attribute(value: bytes, key: bytes = b"k") -> bytes:
    return length_delimited(9, length_delimited(1, key) + length_delimited(2, value))


def nested(depth: int, inner: bytes = b"\x18\x01", *, maps: bool = False) -> bytes:
    """An `AnyValue` in so many lists or maps."""
    value = inner
    for _ in range(depth):
        entry = length_delimited(1, b"n") + length_delimited(2, value) if maps else value
        value = length_delimited(6 if maps else 5, length_delimited(1, entry))
    return value


def spans(data: bytes) -> list:
    return [span for r in parse("traces", data).resource_spans for s in r.scope_spans for span in s.spans]


def test_recorded_requests_pass_unchanged():
    for request in all_requests():
        found = scan(request.signal, request.data)
        assert found == (found.items, request.data, 0, 0)
        assert mend(request.signal, request.data).data is not None


def test_an_item_is_what_becomes_a_row():
    for capture in CAPTURES:
        for signal, kinds in (("traces", ["traces"]), ("logs", ["logs"]), ("metrics", METRIC_KINDS)):
            found = sum(scan(signal, r.data).items for r in requests_of(capture) if r.signal == signal)
            refused_by_the_collector = (capture, signal) == ("js_http-json", "traces")
            assert found == sum(len(golden(capture, kind)) for kind in kinds) or refused_by_the_collector


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80", "unexpected EOF (offset 0)"),
        (in_span(SPAN_ID)[:-1], "unexpected EOF (resource_spans[0], offset 1)"),
        (b"\x08\x01", "proto: wrong wireType = 0 for field ResourceSpans (resource_spans[0], offset 0)"),
        (
            in_span(SPAN_ID) + in_span(SPAN_ID, b"\x28\x01"),
            "proto: wrong wireType = 0 for field Name (resource_spans[1].scope_spans[0].spans[0].name, offset 32)",
        ),
        (
            in_span(length_delimited(1, b"x" * 15)),
            "unmarshal: invalid TraceID length: 15, must be 16"
            " (resource_spans[0].scope_spans[0].spans[0].trace_id, offset 8)",
        ),
        (
            in_span(length_delimited(4, b"x" * 16)),
            "unmarshal: invalid SpanID length: 16, must be 8"
            " (resource_spans[0].scope_spans[0].spans[0].parent_span_id, offset 8)",
        ),
        (
            in_span(length_delimited(13, SPAN_ID) * 2 + length_delimited(13, length_delimited(2, b"1"))),
            "unmarshal: invalid SpanID length: 1, must be 8"
            " (resource_spans[0].scope_spans[0].spans[0].links[2].span_id, offset 34)",
        ),
        (b"\x00\x01", "proto: illegal tag 0 (wire type 0) (offset 0)"),
        (b"\x6f\x01", "proto: illegal wireType 7 (offset 1)"),
        (b"\x6c", "proto: unexpected end of group (offset 1)"),
        (b"\x6b\x08\x01", "unexpected EOF (offset 3)"),
        (b'{"resourceSpans":[]}', "the body looks like JSON: set Content-Type: application/json"),
        (b"\x1f\x8b\x08\x00\x00", "the body looks like gzip: set Content-Encoding: gzip"),
    ],
)
def test_what_cannot_be_read_is_refused_by_place(data, message):
    with pytest.raises(Malformed) as refused:
        scan("traces", data)
    assert message in str(refused.value)


def test_telemetry_of_another_signal_is_told_where_to_go():
    for request in all_requests():
        for other in SIGNALS:
            if other != request.signal:
                with pytest.raises(Malformed, match=f"these look like {request.signal}: send them to /v1/"):
                    scan(other, request.data)


def test_unknown_fields_and_other_spellings_of_the_same_pass_unchanged():
    zeros = in_span(SPAN_ID, length_delimited(5, b""), b"\x30\x00", b"\x50\x00")
    unknown = in_span(SPAN_ID, b"\x98\x06\x01") + b"\xfa\x01\x02hi"
    group = in_span(SPAN_ID) + b"\x6b\x08\x01\x6c"
    overlong = b"\x8a\x00" + in_span(SPAN_ID)[1:]
    kept = [zeros, unknown, overlong]
    assert [scan("traces", data) for data in kept] == [(1, data, 0, 0) for data in kept]
    assert scan("traces", group).items == 1


def test_strings_that_are_not_utf_8_are_replaced_and_counted():
    data = in_span(length_delimited(5, b"caf\xe9"), attribute(length_delimited(1, b"\xff\xfe"), b"\xc3(" + b"k" * 200))
    found = scan("traces", data)
    (span,) = spans(found.data)
    assert (found.items, found.replaced_strings, found.flattened_values) == (1, 3, 0)
    assert (span.name, span.attributes[0].key) == ("caf\ufffd", "\ufffd(" + "k" * 200)
    assert span.attributes[0].value.string_value == "\ufffd\ufffd"
    assert scan("traces", found.data) == (1, found.data, 0, 0)


def test_replaced_strings_deep_inside_lengthen_everything_around_them():
    value = nested(20, length_delimited(1, b"\xff" * 100), maps=True)
    found = scan("traces", in_span(attribute(value), attribute(b"\x18\x07", b"after")))
    (span,) = spans(found.data)
    assert found.replaced_strings == 1
    assert value_text(span.attributes[0].value).count("\ufffd") == 100
    assert span.attributes[1].value.int_value == 7


@pytest.mark.parametrize(("maps", "kept"), [(False, 47), (True, 31)])
def test_values_are_flattened_where_protobuf_would_give_up(maps, kept):
    assert scan("traces", in_span(attribute(nested(kept, maps=maps)))).flattened_values == 0
    text = '{"n":' * (kept + 1) + "1" + "}" * (kept + 1) if maps else "[" * (kept + 1) + "1" + "]" * (kept + 1)
    found = scan("traces", in_span(attribute(b"\x18\x01"), attribute(nested(kept + 1, maps=maps))))
    assert (found.items, found.flattened_values) == (1, 1)
    assert [value_text(a.value) for a in spans(found.data)[0].attributes] == ["1", text]


def test_flattened_values_are_stored_as_they_would_have_been():
    inner = nested(1, length_delimited(1, b'\xff<&>"\xe2\x80\xa8')) + b"\x80\x08\x01"
    found = scan("traces", in_span(attribute(nested(60, inner))))
    assert found[2:] == (1, 1)
    assert spans(found.data)[0].attributes[0].value.string_value == ("[" * 61 + '"\ufffd<&>\\"\\u2028"' + "]" * 61)
    nan = nested(60, b"\x21" + struct.pack("<d", float("nan")))
    assert spans(scan("traces", in_span(attribute(nan))).data)[0].attributes[0].value.string_value == ""


def test_a_value_too_deep_in_a_log_body_or_an_exemplar_is_flattened_too():
    log = length_delimited(1, length_delimited(2, length_delimited(2, length_delimited(5, nested(60)))))
    exemplar = length_delimited(7, length_delimited(2, nested(60)))
    point = length_delimited(1, length_delimited(5, exemplar))
    metric = length_delimited(1, length_delimited(2, length_delimited(2, length_delimited(5, point))))
    for signal, data in (("logs", log), ("metrics", metric)):
        found = scan(signal, data)
        assert found == (1, found.data, 0, 1)
        assert parse(signal, found.data)


@pytest.mark.parametrize("depth", [1000, 50_000])
def test_any_depth_is_taken(depth):
    """Were it not linear, the deeper one would take minutes."""
    found = scan("traces", in_span(attribute(quick_nested(depth))))
    assert (found.items, found.flattened_values) == (1, 1)
    assert len(spans(found.data)[0].attributes[0].value.string_value) == 2 * depth + 4


def quick_nested(depth: int) -> bytes:
    """`nested`, without copying the inside once a level."""
    heads, size = [], 4
    for _ in range(2 * depth):
        head = length_delimited(1, b"") if len(heads) % 2 == 0 else length_delimited(5, b"")
        length = _varint(size)
        heads.append(head[:1] + length)
        size += 1 + len(length)
    return b"".join(reversed(heads)) + b"\x0a\x02<>"


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes((number & 127 | 128,))
        number >>= 7
    return out + bytes((number,))


def test_malformed_insides_of_a_deep_value_are_refused():
    with pytest.raises(Malformed, match="wrong wireType"):
        scan("traces", in_span(attribute(nested(60, b"\x08\x01"))))
    with pytest.raises(Malformed, match="unexpected EOF"):
        scan("traces", in_span(attribute(nested(60, b"\x0a\x05abc"))))


def test_unknown_groups_however_deep_do_no_harm():
    for depth in (1, 60, 5000):
        data = in_span(SPAN_ID, b"\xe3\x07" * depth + b"\xe4\x07" * depth)
        assert scan("traces", data).items == 1


def test_messages_may_lie_as_deep_as_the_parser_allows():
    assert MAX_LEVELS == 100


@given(requests())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_request_that_protobuf_writes_passes_and_is_stored(request):
    signal, message = request
    data = message.SerializeToString()
    found = scan(signal, data)
    assert found.data == data
    made = columns(signal, [data], CANONICAL)
    assert sum(table.rows for table in made.values()) == found.items


CAPTURED = [(request.signal, request.data) for request in all_requests() if len(request.data) < 8000]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A recorded request with bytes changed, cut out, put in or repeated, perhaps taken for another signal."""
    signal, data = draw(st.sampled_from(CAPTURED))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        put = draw(st.one_of(st.binary(max_size=6), st.just(data[start:end] * 2)))
        data = data[:start] + put + data[end:]
    return draw(st.one_of(st.just(signal), st.sampled_from(SIGNALS))), data


@given(st.one_of(mutated(), st.tuples(st.sampled_from(SIGNALS), st.binary(max_size=60))))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_comes_is_either_refused_or_can_be_stored_and_cut(request):
    signal, data = request
    try:
        found = scan(signal, data)
    except Malformed:
        return
    again = scan(signal, found.data)
    assert again == (found.items, found.data, 0, 0)
    made = columns(signal, [found.data], CANONICAL)
    assert sum(table.rows for table in made.values()) == found.items
    parts = split(signal, found.data, 3)
    assert sum(part.items for part in parts) == found.items
    assert all(scan(signal, part.data).items == part.items <= 3 for part in parts)
