"""The documentation that is written from the code is current, and what it claims about differences is true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from otelingest.documentation import drop_in, pages

DOCS = Path(__file__).parent.parent / "docs"
PAGES = pages()
RECORDED = Path(__file__).parent / "data/config/verdicts.jsonl"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_what_the_settings_classes_say(name: str) -> None:
    assert (DOCS / "components" / name).read_text("utf-8") == PAGES[name], "run `make docs`"


def test_there_is_no_page_of_a_component_that_is_gone() -> None:
    assert {path.name for path in (DOCS / "components").iterdir()} == set(PAGES)


def test_every_key_has_a_meaning() -> None:
    without = [f"{name}: {row}" for name, text in PAGES.items() for row in re.findall(r"(?m)^\| `.*\|  \|$", text)]
    assert not without


def test_the_lists_of_components_are_current() -> None:
    text = (DOCS / "drop-in.md").read_text("utf-8")
    assert drop_in(text) == text, "run `make docs`"


def test_cases_that_differ_on_purpose_are_recorded_ones() -> None:
    """That they do differ, and no others, is what tests/config/test_verdicts.py shows."""
    recorded = {json.loads(line)["name"] for line in RECORDED.read_text("utf-8").splitlines()}
    named = re.findall(r"(?m)^\| `(\d{3}-[\w-]+)`", (DOCS / "drop-in.md").read_text("utf-8"))
    assert named
    assert {name for name in named if "-run-" not in name} <= recorded
