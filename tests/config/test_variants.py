"""The verdicts of the Go collector (v0.161) on single keys of what we share with it: ours are the same.

Each variant gives one key of one component one unusual value; a `twin` does so with several keys of one, a `service`
with several of the service's section. What the Go collector said of it was recorded.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import structlog

from otelingest.cli import main
from tests.config.test_verdicts import comparable

_LINE = re.compile(r"\bline \d+: ")
"""Where Prometheus says that it is: upstream counts in a copy of the file."""
VARIANTS = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "data/config/variants.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("variant", VARIANTS, ids=[variant["name"] for variant in VARIANTS])
def test_variant(
    variant: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(variant["config"]))
    monkeypatch.setenv("NUM", "12")
    monkeypatch.setenv("TXT", "some text")
    monkeypatch.delenv("UNSET_V", raising=False)
    try:
        with pytest.raises(SystemExit) as ended:
            main(["validate", "--config", str(file)])
    finally:
        structlog.reset_defaults()
    printed = capsys.readouterr().err
    error = printed.partition("Error: ")[2]
    found, wanted = (comparable(_LINE.sub("", text)) for text in (error, variant["error"]))
    assert (ended.value.code, found) == (variant["exit"], wanted), printed
