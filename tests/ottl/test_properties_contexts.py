"""Random telemetry of every signal, and random statements in every context: nothing crashes, error modes decide, and
what only looks leaves every byte as it was.

PROPERTY_CASES: examples of each test, 20 unless it says otherwise.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelingest.ottl.contexts import BY_SIGNAL, CONTEXTS
from otelingest.ottl.errors import StatementError
from otelingest.ottl.programs import compile_statements
from otelingest.pipeline.errors import Refused
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.transform import TransformProcessor
from tests.codec.random_requests import requests
from tests.processors.support import Log, Sink, make_env, make_settings

CASES = int(os.environ.get("PROPERTY_CASES", "20"))
SETTINGS = settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EVERYWHERE = [(signal, context) for signal, contexts in BY_SIGNAL.items() for context in contexts]
VALUES = [
    *("nil", "true", "-3", "2.5", '"text"', "[1, nil]", '{"k": {"n": 1}}', "9223372036854775807", "0x0102"),
    *("TraceID(0x0102030405060708090a0b0c0d0e0f10)", 'Duration("1h")', "UnixSeconds(5)"),
]
EDITORS = [
    *("set({path}, {value})", "append({path}, {value})", "clear({path})", "flatten({path})", "limit({path}, 1, [])"),
    *('delete_key({path}, "a")', 'merge_maps({path}, {value}, "upsert")', "truncate_all({path}, 3)"),
    'replace_pattern({path}, "(.)", "<$1>")',
]
OF_METRICS = [
    *("convert_sum_to_gauge()", 'convert_gauge_to_sum("delta", true)', "extract_sum_metric(true)", "copy_metric()"),
    *("extract_count_metric(false)", 'aggregate_on_attributes("mean")', 'aggregate_on_attributes("sum", ["a"])'),
    *(
        'aggregate_on_attribute_value("median", "a", ["b"], "c")',
        "extract_percentile_metric(99.0)",
        "scale_metric(2.5)",
    ),
    *(f'convert_exponential_histogram_to_histogram("{way}", [0.0, 1.5])' for way in ("upper", "uniform", "random")),
    'convert_summary_count_val_to_sum("delta", true)',
]
OF_POINTS = ["merge_histogram_buckets(1.5)", 'merge_histogram_buckets(2, "limit_buckets")']


@st.composite
def paths(draw: st.DrawFn, context: str) -> str:
    """A path that may be written in a context, with keys behind it or without."""
    name = draw(st.sampled_from(sorted(set(CONTEXTS[context].prefixes) - {"instrumentation_scope"})))
    field = draw(st.sampled_from([*sorted(CONTEXTS[context].prefixes[name]), "cache"]))
    keys = draw(st.lists(st.sampled_from(['["a"]', "[0]", '["k"]']), max_size=2))
    return f"{name}.{field}{''.join(keys)}"


def expressions(context: str) -> st.SearchStrategy[str]:
    plain = st.one_of(paths(context), st.sampled_from(VALUES))
    called = st.sampled_from(["String", "Len", "IsList", "Int", "Double", "Concat"])
    return plain | st.tuples(called, plain).map(
        lambda parts: f'Concat([{parts[1]}], "-")' if parts[0] == "Concat" else f"{parts[0]}({parts[1]})"
    )


@st.composite
def statements(draw: st.DrawFn, context: str) -> str:
    own = {"metric": OF_METRICS, "datapoint": OF_POINTS}.get(context, [])
    template = draw(st.sampled_from([*EDITORS, *own]))
    statement = (
        template.format(path=draw(paths(context)), value=draw(expressions(context))) if "{p" in template else template
    )
    condition = f"{draw(expressions(context))} {draw(st.sampled_from(['==', '!=', '<']))} {draw(expressions(context))}"
    return f"{statement} where {condition}" if draw(st.booleans()) else statement


def compiles(signal: str, context: str, statement: str) -> bool:
    try:
        compile_statements(signal, (statement,), (), context)
    except StatementError:
        return False
    return True


def run(signal: str, context: str, statement: str, mode: str, payload: Payload) -> tuple[bytes, bool] | None:
    """What comes out, and whether an error was told; None when the request was refused."""
    kind = {"traces": "trace", "metrics": "metric", "logs": "log"}[signal]
    raw = {"error_mode": mode, f"{kind}_statements": [{"context": context, "statements": [statement]}]}
    log, sink = Log(), Sink()
    processor = TransformProcessor(make_settings(TransformProcessor, raw), make_env("transform", log=log), sink)
    try:
        asyncio.run(processor.consume(payload))
    except Refused:
        return None
    made = b"".join(chunk for one in sink.payloads for chunk in one.chunks)
    return made, bool(log.messages("warning"))


@pytest.mark.parametrize(("signal", "context"), EVERYWHERE)
def test_an_error_is_told_or_refuses_and_is_the_same_in_every_mode(signal: str, context: str) -> None:
    @SETTINGS
    @given(requests(signal), statements(context))
    def check(request: tuple[str, Any], statement: str) -> None:
        if not compiles(signal, context, statement) or '"random"' in statement:
            return
        payload = Payload.of(Signal(signal), request[1])
        told = run(signal, context, statement, "ignore", payload)
        quiet = run(signal, context, statement, "silent", payload)
        refused = run(signal, context, statement, "propagate", payload)
        assert told is not None
        assert quiet is not None
        assert told[0] == quiet[0]
        assert not quiet[1]
        assert (refused is None) == told[1]

    check()


@pytest.mark.parametrize(("signal", "context"), EVERYWHERE)
def test_what_only_looks_leaves_every_byte_as_it_was(signal: str, context: str) -> None:
    @SETTINGS
    @given(requests(signal), expressions(context))
    def check(request: tuple[str, Any], expression: str) -> None:
        statement = f'set({context}.cache["seen"], {expression})'
        if not compiles(signal, context, statement):
            return
        payload = Payload.of(Signal(signal), request[1])
        came_out = run(signal, context, statement, "silent", payload)
        assert came_out is not None
        assert came_out[0] == b"".join(payload.chunks)

    check()
