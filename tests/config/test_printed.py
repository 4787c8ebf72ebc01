"""What the Go collector (v0.161) prints of configurations was recorded, letter by letter: we print the same.

Where it prints something else than we do on purpose (other defaults, secrets in URLs), there is no record.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from otelingest.cli import main
from otelingest.config.rendering import to_yaml

RECORDS = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "data/config/printed.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("record", RECORDS, ids=[f"{number}" for number in range(len(RECORDS))])
def test_a_recorded_print(record: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["print-config", "--validate=false", f"--config=yaml:{json.dumps(record['config'])}", *record["flags"]])
    printed = capsys.readouterr()
    error = printed.err.partition("Error: ")[2].rstrip("\n")
    assert (printed.out, error) == (record.get("printed", ""), record.get("error", ""))
    assert ended.value.code == (1 if error else 0)


def test_numbers_in_keys_are_sorted_by_their_size_and_before_letters() -> None:
    keys = ["a/b", "a/10", "a/9", "a", "a_b", "ab", "a/9b"]
    assert list(yaml.safe_load(to_yaml(dict.fromkeys(keys)))) == ["a", "a/9", "a/9b", "a/10", "a/b", "a_b", "ab"]


@pytest.mark.parametrize("key", ["x²", "x٣", "9" * 5000])
def test_keys_that_only_look_like_numbers_are_printed_too(key: str) -> None:
    assert key in to_yaml({key: 1, "a1": 2})


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("y", '"y"'),
        ("Off", '"Off"'),
        ("12", '"12"'),
        ("1:30", '"1:30"'),
        ("2020-01-02", '"2020-01-02"'),
        ("", '""'),
        ("a: b", "'a: b'"),
        ("12h", "12h"),
        ("a\nb", "|-\n    a\n    b"),
    ],
)
def test_text_that_others_would_take_for_something_else_is_quoted(text: str, written: str) -> None:
    assert to_yaml({"k": text}) == f"k: {written}\n"
