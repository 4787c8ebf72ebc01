"""Which implementation runs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

BUILT = importlib.util.find_spec("otelingest.codec._native") is not None
SHOW = (
    "from otelingest import codec; from otelingest.codec.otlp_json import decode;"
    " decode('logs', b'{\"resourceLogs\":[]}'); print(codec.IMPLEMENTATION, codec.scan.__module__)"
)


def shown(wanted: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OTELINGEST_CODEC": wanted}
    return subprocess.run([sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=False)


def test_the_native_one_runs_where_it_is_built_and_nobody_says_otherwise():
    expected = "native otelingest.codec._native" if BUILT else "reference otelingest.codec.scanning"
    assert shown("").stdout.strip() == expected


def test_the_readable_one_runs_on_demand():
    assert shown("reference").stdout.strip() == "reference otelingest.codec.scanning"


@pytest.mark.skipif(not BUILT, reason="the native implementation is not built")
def test_the_native_one_runs_on_demand():
    assert shown("native").stdout.strip() == "native otelingest.codec._native"


def test_an_unknown_one_is_refused():
    refused = shown("nativ")
    assert refused.returncode
    assert "OTELINGEST_CODEC must be native or reference, not 'nativ'" in refused.stderr
