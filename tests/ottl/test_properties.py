"""Random telemetry and random statements: nothing crashes, what is not touched stays, error modes decide."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelingest.codec.any_values import map_to_entries
from otelingest.ottl.errors import StatementError
from otelingest.ottl.programs import compile_statements
from otelingest.pipeline.errors import Refused
from otelingest.pipeline.payload import Payload, Signal, request_class
from otelingest.processors.transform import TransformProcessor
from tests.processors.support import Log, Sink, make_env, make_settings

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# ---- telemetry

KEYS = st.sampled_from(["a", "b", "c", "a.b", "", "日"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.sampled_from(['{"a": [1, {"b": null}]}', "[", "a=1 b=2", "1.5", "2026-11-21", "<a><b/></a>", "http://x/y?z"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=5)


@st.composite
def requests(draw: st.DrawFn) -> Any:
    request: Any = request_class(Signal.TRACES)()
    for _ in range(draw(st.integers(0, 2))):
        group = request.resource_spans.add(schema_url=draw(st.text(max_size=3)))
        map_to_entries(draw(ATTRIBUTES), group.resource.attributes)
        scope = group.scope_spans.add()
        map_to_entries(draw(ATTRIBUTES), scope.scope.attributes)
        for _ in range(draw(st.integers(0, 3))):
            span = scope.spans.add(
                name=draw(st.text(max_size=5)),
                kind=draw(st.integers(-1, 7)),
                trace_id=draw(st.binary(max_size=16)),
                start_time_unix_nano=draw(st.integers(0, 2**64 - 1)),
                trace_state=draw(st.text(max_size=5)),
            )
            map_to_entries(draw(ATTRIBUTES), span.attributes)
            for _ in range(draw(st.integers(0, 2))):
                map_to_entries(draw(ATTRIBUTES), span.events.add(name=draw(st.text(max_size=2))).attributes)
    return request


# ---- statements

QUOTED = st.sampled_from(['"a"', '"b"', '"c"', '"new"', '""', '"日"', '"x"'])
INDEX = st.one_of(QUOTED, st.sampled_from(["0", "1", "9"]), st.sampled_from(["span.name", "Len(span.name)"]))
MAPS = st.sampled_from(["span.attributes", "resource.attributes", "scope.attributes", "span.cache"])
FIELDS = st.sampled_from(
    [
        "span.name", "span.kind", "span.kind.string", "span.status.code", "span.status.message", "span.trace_id",
        "span.trace_id.string", "span.start_time", "span.end_time_unix_nano", 'span.trace_state["k"]', "span.events",
        "span.flags", "span.dropped_attributes_count", "resource.schema_url", "scope.name", "span.status",
    ]
)  # fmt: skip


@st.composite
def indexed(draw: st.DrawFn) -> str:
    first = draw(st.one_of(QUOTED, st.just("span.name")))
    return draw(MAPS) + f"[{first}]" + "".join(f"[{index}]" for index in draw(st.lists(INDEX, max_size=2)))


PATHS = st.one_of(indexed(), indexed(), FIELDS, MAPS)
LITERALS = st.sampled_from(
    ["nil", "true", "1", "-3", "2.5", '"text"', '"日本"', "0x0102", "[1, nil, \"a\"]", '{"k": {"n": 1}}', "[]",
     "SPAN_KIND_SERVER", "9223372036854775807"]
)  # fmt: skip
ONE_ARGUMENT = st.sampled_from(
    ["Int", "Double", "String", "Bool", "Len", "IsString", "IsMap", "IsEmpty", "ParseJSON", "SHA256", "FNV", "Hex",
     "ToLowerCase", "ToSnakeCase", "Keys", "Values", "Sort", "ParseKeyValue", "ParseXML", "URL", "Duration", "Year",
     "UnixNano", "Seconds", "TraceID", "IsValidLuhn", "Log", "Trim", "Base64Decode", "ParseSimplifiedXML", "Unix",
     "SliceToMap", "ToKeyValueString", "IsList", "Murmur3Hash", "XXH3", "UserAgent"]
)  # fmt: skip


def expressions() -> st.SearchStrategy[str]:
    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.tuples(ONE_ARGUMENT, inner).map(lambda parts: f"{parts[0]}({parts[1]})"),
            st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda parts: f"({' '.join(parts)})"),
            st.lists(inner, max_size=3).map(lambda parts: f'Concat([{", ".join(parts)}], "-")'),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"Coalesce([{', '.join(parts)}])"),
            st.lists(inner, max_size=3).map(lambda parts: f'Format("%v %5s|%d %x", [{", ".join(parts)}])'),
            st.tuples(inner, inner).map(lambda parts: f"Split({parts[0]}, {parts[1]})"),
            st.tuples(inner, inner).map(lambda parts: f"Index({parts[0]}, {parts[1]})"),
            st.tuples(inner, inner, inner).map(lambda parts: f"Substring({', '.join(parts)})"),
            st.tuples(inner, inner).map(lambda parts: f"IsMatch({parts[0]}, {parts[1]})"),
            inner.map(lambda part: f'ParseJSON({part})["a"][0]'),
            inner.map(lambda part: f"-({part})"),
        )

    return st.recursive(st.one_of(PATHS, PATHS, LITERALS), larger, max_leaves=4)


COMPARISONS = st.tuples(expressions(), st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), expressions()).map(" ".join)
CONDITIONS = st.recursive(
    COMPARISONS | st.sampled_from(["true", "false", "IsRootSpan()"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=3,
)
EDITORS = st.one_of(
    st.tuples(PATHS, expressions()).map(lambda parts: f"set({parts[0]}, {parts[1]})"),
    st.tuples(PATHS, expressions()).map(lambda parts: f"append({parts[0]}, {parts[1]})"),
    st.tuples(PATHS, expressions()).map(lambda parts: f"delete_key({parts[0]}, {parts[1]})"),
    st.tuples(PATHS, expressions()).map(lambda parts: f'merge_maps({parts[0]}, {parts[1]}, "upsert")'),
    st.tuples(PATHS, st.sampled_from(["flatten({})", "truncate_all({}, 3)", "stringify_all({})", "clear({})",
                                      'keep_keys({}, ["a", "日"])', 'delete_matching_keys({}, "^a")',
                                      "limit({}, 1, [])",
                                      'replace_pattern({}, "(.)", "<$1>")', 'replace_match({}, "*", "g")',
                                      'replace_all_patterns({}, "key", "a", "b")', "delete_index({}, 0)",
                                      'replace_all_patterns({}, "value", "[a-z]*", "")'])).map(
        lambda parts: parts[1].format(parts[0])),
)  # fmt: skip
STATEMENTS = st.lists(
    st.tuples(EDITORS, st.none() | CONDITIONS).map(lambda parts: parts[0] + (f" where {parts[1]}" if parts[1] else "")),
    min_size=1,
    max_size=4,
)


def compiles(statements: list[str]) -> bool:
    try:
        compile_statements("traces", tuple(statements), (), "span")
    except StatementError:
        return False
    return True


def processor(statements: list[str], mode: str, log: Log, sink: Sink) -> TransformProcessor:
    raw = {"error_mode": mode, "trace_statements": [{"context": "span", "statements": statements}]}
    return TransformProcessor(make_settings(TransformProcessor, raw), make_env("transform", log=log), sink)


@SETTINGS
@given(requests(), STATEMENTS)
async def test_error_modes_decide_what_an_error_does_and_nothing_else(request: Message, statements: list[str]) -> None:
    if not compiles(statements):
        return
    payload = Payload.of(Signal.TRACES, request)
    outcomes: dict[str, Any] = {}
    for mode in ("ignore", "silent", "propagate"):
        log, sink = Log(), Sink()
        try:
            await processor(statements, mode, log, sink).consume(payload)
            (made,) = sink.payloads
            assert made.items == payload.items
            outcomes[mode] = (made.message().SerializeToString(deterministic=True), log.messages("warning"))
        except Refused as error:
            outcomes[mode] = str(error)
    failed = bool(outcomes["ignore"][1])
    assert outcomes["ignore"][0] == outcomes["silent"][0]
    assert outcomes["silent"][1] == []
    assert isinstance(outcomes["propagate"], str) == failed
    if not failed:
        assert outcomes["propagate"] == outcomes["silent"]


TOUCHED = st.sampled_from(["span.name", 'span.attributes["a"]', "span.status.message", "resource.schema_url"])


@SETTINGS
@given(requests(), TOUCHED, LITERALS, CONDITIONS)
async def test_what_a_statement_does_not_name_comes_out_byte_for_byte(
    request: Any, target: str, value: str, condition: str
) -> None:
    statements = [f"set({target}, {value}) where {condition}"]
    if not compiles(statements):
        return
    sink = Sink()
    await processor(statements, "silent", Log(), sink).consume(Payload.of(Signal.TRACES, request))
    after = sink.payloads[0].message()
    for decoded in (request, after):
        _forget(decoded, target)
    assert after.SerializeToString(deterministic=True) == request.SerializeToString(deterministic=True)


def _forget(request: Any, target: str) -> None:
    for group in request.resource_spans:
        if target == "resource.schema_url":
            group.ClearField("schema_url")
        for scope in group.scope_spans:
            for span in scope.spans:
                if target == "span.name":
                    span.ClearField("name")
                elif target == "span.status.message":
                    span.ClearField("status")
                elif target == 'span.attributes["a"]':
                    kept = [entry for entry in span.attributes if entry.key != "a"]
                    del span.attributes[:]
                    span.attributes.extend(kept)
