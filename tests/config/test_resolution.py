"""What the Go collector (v0.161) makes of locations was recorded, value by value: we make the same of them.

A reference that is a whole value is recorded as what it means and as its text, a float and a date by their own texts.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from otelingest.config.failures import ConfigurationError
from otelingest.config.sources import resolve
from otelingest.config.values import Date, Expanded

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "data/config/resolution.jsonl").read_text("utf-8").splitlines()
]


def recorded(value: Any) -> Any:
    """A value in the way of the records."""
    if isinstance(value, Expanded):
        return {"$value": recorded(value.value), "$text": value.text}
    if isinstance(value, dict):
        return {key: recorded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [recorded(item) for item in value]
    if isinstance(value, Date):
        return {"$time": value.moment.isoformat().replace("+00:00", "Z")}
    if isinstance(value, float):
        return {
            "$float": f"{value:.17g}"
            if math.isfinite(value)
            else {"inf": "+Inf", "-inf": "-Inf"}.get(f"{value}", "NaN")
        }
    return value


@pytest.mark.parametrize("case", CASES, ids=[f"{number}" for number in range(len(CASES))])
def test_a_recorded_resolution(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in case.get("files", {}).items():
        if name.endswith("/"):
            Path(name).mkdir()
        else:
            Path(name).write_text(text, "utf-8", newline="")
    error, found, logged = None, None, set()
    try:
        resolved = resolve(case["locations"], environ=case.get("env", {}), append=case.get("append", False))
    except ConfigurationError as caught:
        error = str(caught).removeprefix("failed to get config: cannot resolve the configuration: ")
    else:
        found = recorded(resolved.values)
        logged = {f"{told.level.removesuffix('ing')} {told.shown}" for told in resolved.told}
    assert error == case.get("error")
    assert found == case.get("value")
    assert error or logged == set(case.get("logs", ()))
