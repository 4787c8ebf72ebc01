"""What actions do to attribute lists, which items they are applied to, and what is refused at the start."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import pytest

from otelingest.config.patterns import Pattern
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.payload import EMPTY_CONTEXT, Signal
from otelingest.processors.attribute_actions import Actions, ActionSettings
from otelingest.processors.attribute_values import from_yaml, same, to_double, to_int
from otelingest.processors.attributes import AttributesProcessor
from tests.processors.support import Log, Sink, make_env, make_settings, payload, spans


def apply(*actions: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    """Attributes after some actions, as keyword arguments in and a dict out."""
    return dict(apply_to_pairs(list(attributes.items()), *actions))


def apply_to_pairs(pairs: list[tuple[str, Any]], *actions: dict[str, Any]) -> list[tuple[str, Any]]:
    holder = from_yaml({}).kvlist_value
    for key, value in pairs:
        holder.values.add(key=key, value=from_yaml(value))
    Actions([ActionSettings.model_validate(action) for action in actions]).apply(holder.values, EMPTY_CONTEXT)
    return [(entry.key, plain(entry.value)) for entry in holder.values]


def plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {entry.key: plain(entry.value) for entry in value.kvlist_value.values}
    return getattr(value, kind)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# ---- actions


def test_deleting_takes_every_occurrence_of_a_key() -> None:
    pairs = [("secret", "1"), ("a", "2"), ("secret", "3")]
    assert apply_to_pairs(pairs, {"key": "secret", "action": "delete"}) == [("a", "2")]


def test_hashing_takes_every_occurrence_of_a_key() -> None:
    pairs = [("secret", "1"), ("secret", "2")]
    hashed = apply_to_pairs(pairs, {"key": "secret", "action": "hash"})
    assert hashed == [("secret", sha256(b"1")), ("secret", sha256(b"2"))]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hello", sha256(b"hello")),
        ("ключ", sha256("ключ".encode())),
        (True, sha256(b"\x01")),
        (42, sha256(struct.pack("<q", 42))),
        (1.5, sha256(struct.pack("<d", 1.5))),
        ("", sha256(b"")),
        (["a"], ""),
        ({"a": 1}, ""),
        (b"x", ""),
        (None, ""),
    ],
)
def test_hashes_are_of_a_values_bytes(value: Any, expected: str) -> None:
    assert apply({"key": "k", "action": "hash"}, k=value) == {"k": expected}


def test_a_key_that_its_pattern_matches_too_is_hashed_twice() -> None:
    once = sha256(b"v")
    assert apply({"key": "k", "pattern": "^k$", "action": "hash"}, k="v") == {"k": sha256(once.encode())}


def test_a_copied_list_is_a_copy() -> None:
    after = apply(
        {"key": "b", "from_attribute": "a", "action": "insert"}, {"key": "a", "action": "delete"}, a=["x", {"y": 1}]
    )
    assert after == {"b": ["x", {"y": 1}]}


def test_an_attribute_can_be_set_from_itself() -> None:
    assert apply({"key": "a", "from_attribute": "a", "action": "upsert"}, a=[1]) == {"a": [1]}


def test_an_action_does_not_share_its_value_between_items() -> None:
    settings = [ActionSettings.model_validate({"key": "a", "value": "x", "action": "upsert"})]
    settings += [ActionSettings.model_validate({"key": "a", "action": "hash"})]
    actions = Actions(settings)
    for _ in range(2):
        holder = from_yaml({}).kvlist_value
        actions.apply(holder.values, EMPTY_CONTEXT)
        assert holder.values[0].value.string_value == sha256(b"x")


def test_a_default_alone_is_a_value() -> None:
    assert apply({"key": "a", "default_value": 5, "action": "insert"}) == {"a": 5}


def test_extract_leaves_groups_that_took_no_part_empty() -> None:
    action = {"key": "k", "pattern": "(?P<a>x)|(?<b>y)", "action": "extract"}
    assert apply(action, k="y") == {"k": "y", "a": "", "b": "y"}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42), ("+3", 3), ("-7", -7), ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None), ("1_000", None), (" 5", None), ("٣", None), ("", None), ("9" * 5000, None),
    ],
)  # fmt: skip
def test_texts_become_integers_as_in_go(text: str, number: int | None) -> None:
    value = from_yaml(text)
    to_int(value)
    assert plain(value) == (text if number is None else number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e3", 1000.0), ("1_000", 1000.0), (".5", 0.5), ("5.", 5.0), ("0x1p4", 16.0), ("Inf", float("inf")),
        ("-infinity", float("-inf")), ("0x1f", None), ("1e400", None), (" 5", None), ("1e", None), ("٣", None),
        ("1" * 5000, None),
    ],
)  # fmt: skip
def test_texts_become_doubles_as_in_go(text: str, number: float | None) -> None:
    value = from_yaml(text)
    to_double(value)
    assert plain(value) == (text if number is None else number)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e30, -1e30])
def test_doubles_that_no_integer_can_hold_stay_doubles(number: float) -> None:
    value = from_yaml(number)
    to_int(value)
    assert value.WhichOneof("value") == "double_value"


# ---- values


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, 1, True), (1, 1.0, False), (1, True, False), ("1", 1, False), (None, None, True),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True), ({"a": 1}, {"a": 1, "b": 2}, False), ([1, 2], [2, 1], False),
    ],
)  # fmt: skip
def test_values_are_the_same_if_their_types_are(left: Any, right: Any, equal: bool) -> None:
    assert same(from_yaml(left), from_yaml(right)) is equal


# ---- what is refused


@pytest.mark.parametrize(
    ("action", "complaint"),
    [
        ({"key": "a"}, ' due to unsupported action ""'),
        ({"key": "a", "action": "Nonsense"}, ' due to unsupported action "nonsense"'),
        (
            {"key": "a", "action": "insert", "value": 1, "pattern": "x"},
            '. Action "insert" does not use the "pattern" field. This must not be specified',
        ),
        (
            {"key": "a", "action": "hash", "converted_type": "int"},
            '. Action "hash" does not use the "converted_type" field. This must not be specified',
        ),
        (
            {"key": "a", "action": "extract", "pattern": "(?P<x>.)", "value": 1},
            '. Action "extract" does not use a value source field. These must not be specified',
        ),
        (
            {"key": "a", "action": "extract", "pattern": "(?P<x>.)", "converted_type": "int"},
            '. Action "extract" does not use the "converted_type" field. This must not be specified',
        ),
        (
            {"key": "a", "action": "extract", "pattern": "(?P<x>.)(.)"},
            '. Field "pattern" contains at least one unnamed matcher group',
        ),
        ({"key": "a", "action": "extract", "pattern": "("}, '. Field "pattern" has invalid pattern: "("'),
        ({"action": "delete", "pattern": "a(?=b)"}, '. Field "pattern" has invalid pattern: "a(?=b)"'),
        (
            {"key": "a", "action": "convert", "converted_type": "int", "pattern": "x"},
            '. Action "convert" does not use value sources or "pattern" field. These must not be specified',
        ),
        ({"key": "a", "action": "insert", "value": 2**70}, " due to invalid value"),
        ({"key": "a", "action": "insert", "default_value": 2**70}, " due to invalid default value"),
    ],
)
def test_actions_that_make_no_sense_are_refused_with_the_collectors_words(
    action: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        apply({"key": "fine", "action": "delete"}, action)
    key = action.get("key", "")
    assert str(caught.value).startswith(f'error with key "{key}" (1-th action): error creating AttrProc{complaint}')


@pytest.mark.parametrize(
    ("signal", "section", "complaint"),
    [
        ("traces", {"services": ["a"]}, "error creating service name filters: unrecognized match_type: ''"),
        ("traces", {"match_type": "strict", "metric_names": ["a"]}, "metric_names should not be specified for trace"),
        (
            "traces",
            {"match_type": "strict", "span_kinds": ["CLIENT"]},
            "span_kinds string must match one of the standard span kinds when match_type=strict: [SPAN_KIND_CLIENT ",
        ),
        (
            "traces",
            {"match_type": "regexp", "attributes": [{"key": "n", "value": 500}]},
            'error creating attribute filters: match_type=regexp for "n" only supports Str, but found Int',
        ),
        (
            "traces",
            {"match_type": "strict", "resources": [{"value": 1}]},
            "error creating resource filters: can't have",
        ),
        ("traces", {"match_type": "regexp", "libraries": [{"name": "("}]}, "error creating library name filters: "),
        (
            "logs",
            {"match_type": "strict"},
            'at least one of "attributes", "libraries", "span_kinds", "resources", "log',
        ),
        ("metrics", {"match_type": "expr", "metric_names": ["a"]}, "unrecognized match_type: 'expr'"),
    ],
)
def test_properties_that_make_no_sense_are_refused(signal: str, section: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(Signal(signal), {"include": section}, Sink())
    assert complaint in str(caught.value)


# ---- the processor

TAG = [{"key": "tagged", "action": "upsert", "value": True}]


def make(signal: Signal, settings: dict[str, Any], sink: Sink, log: Log | None = None) -> AttributesProcessor:
    made = make_settings(AttributesProcessor, {"actions": TAG, **settings})
    return AttributesProcessor(made, make_env("attributes", signal, log), sink)


async def test_the_payload_that_came_in_is_left_alone() -> None:
    sink, request = Sink(), spans(2)
    before = request.chunks
    await make(Signal.TRACES, {}, sink).consume(request)
    assert request.chunks == before
    assert sink.payloads[0].chunks != before
    assert (sink.payloads[0].items, sink.payloads[0].context) == (2, request.context)


async def test_severity_numbers_from_a_least_one_on_and_undefined_ones() -> None:
    records = [{"severityNumber": number} for number in (0, 9, 13, 17)]
    request = payload(Signal.LOGS, {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})
    tagged = []
    for undefined in (False, True):
        sink = Sink()
        section = {"match_type": "strict", "log_severity_number": {"min": 13, "match_undefined": undefined}}
        await make(Signal.LOGS, {"include": section}, sink).consume(request)
        (group,) = sink.payloads[0].message().resource_logs
        tagged.append([bool(record.attributes) for record in group.scope_logs[0].log_records])
    assert tagged == [[False, False, True, True], [True, False, True, True]]


async def test_a_span_without_a_service_name_has_a_name_of_its_own() -> None:
    sink = Sink()
    request = payload(Signal.TRACES, {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "s"}]}]}]})
    section = {"match_type": "strict", "services": ["<nil-service-name>"]}
    await make(Signal.TRACES, {"include": section}, sink).consume(request)
    assert sink.payloads[0].message().resource_spans[0].scope_spans[0].spans[0].attributes


def test_properties_without_effect_on_metrics_are_told() -> None:
    log = Log()
    section = {"match_type": "strict", "metric_names": ["a"], "resources": [{"key": "k"}]}
    make(Signal.METRICS, {"include": section}, Sink(), log)
    ((level, _, fields),) = log.lines
    assert (level, fields) == ("warning", {"section": "include", "properties": ["resources"]})


# ---- patterns


def test_no_text_makes_a_pattern_run_away() -> None:
    pattern = Pattern("^(a+)+$")
    assert not pattern.matches("a" * 100_000 + "b")  # a backtracking engine would not come back


def test_patterns_are_gos() -> None:
    assert Pattern(r"\z").matches("")  # Python spells it \Z
    assert not Pattern("a.b").matches("a\nb")
    assert Pattern("(?i)KEY").matches("a key")
