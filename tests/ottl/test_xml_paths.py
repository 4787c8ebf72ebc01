"""XML that is selected and changed by XPath, as the Go collector v0.161 does it; hostile documents are bounded."""

from __future__ import annotations

import json

import pytest

from otelingest.ottl.errors import StatementError
from otelingest.ottl.programs import compile_statements
from tests.ottl.support import run, traces, value_of

ITEMS = '<a x="1"><b>t1</b><b i="2">t2</b><c/></a>'
MIXED = "<a>text<b>1</b>more<!-- c --><![CDATA[cd]]></a>"


@pytest.mark.parametrize(
    ("call", "document", "rest", "expected"),
    [
        ("GetXML", ITEMS, '"//b"', '<b>t1</b><b i="2">t2</b>'),
        ("GetXML", ITEMS, '"//b[@i]/text()"', "t2"),
        ("GetXML", ITEMS, '"/a/@x"', "1"),
        ("GetXML", ITEMS, '"//b[last()]"', '<b i="2">t2</b>'),
        ("GetXML", ITEMS, '"count(//b)"', ""),
        ("RemoveXML", ITEMS, '"//@*"', "<a><b>t1</b><b>t2</b><c></c></a>"),
        ("RemoveXML", MIXED, '"//comment()"', "<a>text<b>1</b>more<![CDATA[cd]]></a>"),
        ("InsertXML", ITEMS, '"//c", "<d/>"', '<a x="1"><b>t1</b><b i="2">t2</b><c><d></d></c></a>'),
        ("ConvertAttributesToElementsXML", '<a x="1"/>', "", "<a><x>1</x></a>"),
        ("ConvertTextToElementsXML", "<a>t<b/></a>", "", "<a><value>t</value><b></b></a>"),
        ("ConvertTextToElementsXML", "<a>t<b/></a>", '"/a", "v"', "<a><v>t</v><b></b></a>"),
    ],
)
def test_what_becomes_of_documents(call: str, document: str, rest: str, expected: str) -> None:
    assert value_of(f"{call}({json.dumps(document)}{', ' if rest else ''}{rest})") == expected


@pytest.mark.parametrize("path", ["//[", "//b[", "nofunc(1)", "(" * 90 + "a"])
def test_a_path_that_is_none_is_refused_at_the_start(path: str) -> None:
    with pytest.raises(StatementError, match="invalid xpath"):
        compile_statements("traces", (f'set(span.name, GetXML("<a/>", "{path}"))',), (), "span")


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ('<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', "//a"),
        ("<a>" * 1000 + "</a>" * 1000, "//a"),
        ("<a>" * 200 + "</a>" * 200, "//a"),
        ("<r>" + "<a/>" * 3000 + "</r>", "//a[count(//a)>0]"),
        ("no document", "//a"),
    ],
)
def test_a_hostile_document_costs_an_error(document: str, path: str) -> None:
    request = traces(document=document)
    assert run(request, f'set(span.name, GetXML(span.attributes["document"], "{path}"))')
