"""YAML as Go reads it, with positions."""

from __future__ import annotations

import math

import pytest

from otelingest.config.values import Map, Position, position_of
from otelingest.config.yaml_reader import read_yaml
from otelingest.config.yaml_scalars import YamlError, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("9" * 5000, "9" * 5000),
        ("yes", "yes"),
        ("on", "on"),
        ("y", "y"),
        ("tRue", "tRue"),
        ("~", None),
        ("NULL", None),
        ("nULL", "nULL"),
        ("12", 12),
        ("+12", 12),
        ("-12", -12),
        ("1_000", 1000),
        ("0x2000", 8192),
        ("0b101", 5),
        ("0o200", 128),
        ("0100", 64),
        ("089", 89.0),
        ("18446744073709551615", 18446744073709551615),
        ("18446744073709551616", 18446744073709551616.0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("1:30", "1:30"),
        ("1_000ms", "1_000ms"),
        ("0x", "0x"),
        ("-", "-"),
        ("1e", "1e"),
        ("=", "="),
    ],
)
def test_plain_scalars_mean_what_go_takes_them_for(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'12'", "12"),
        ('"true"', "true"),
        ("!secret localhost:4317", "localhost:4317"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("!!float 3", 3.0),
        ("!!binary aGk=", "hi"),
        ("! 12", 12),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("", None),
        ("# nothing", None),
        ("a: 1\n---\nb: [", {"a": 1}),
        ("\ufeffa: 1", {"a": 1}),
        ('["it\\\'s", "\\\'\\\'x", "\\\\"]', ["it's", "''x", "\\"]),
        ("{1: a, true: b, ~: c, 1.5: d}", {"1": "a", "true": "b", "<nil>": "c", "1.5": "d"}),
        ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
    ],
)
def test_documents(text: str, value: object) -> None:
    assert read_yaml(text, "f") == value


def test_anchors_and_merge_keys() -> None:
    text = """
    base: &base {a: 1, b: 2}
    more: &more {b: 3, c: 4}
    one: {<<: *base, a: 9}
    two: {<<: [*base, *more], d: 5}
    """
    value = read_yaml(text, "f")
    assert value["one"] == {"a": 9, "b": 2}
    assert value["two"] == {"a": 1, "b": 2, "c": 4, "d": 5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", 'yaml: unmarshal errors:\n  line 3: mapping key "a" already defined at line 1'),
        ("a:\n  b:\n    c: [x]\n   d: 1", "yaml: line 1: did not find expected key"),
        ("exporters: [a\n", "yaml: line 1: did not find expected ',' or ']'"),
        ("a: *b", "yaml: unknown anchor 'b' referenced"),
        ("a: &a [*a]", "yaml: anchor 'a' value contains itself"),
        ("%YAML 1.2\n---\na: 1", "yaml: found incompatible YAML document"),
        ("!!int abc", "yaml: cannot decode !!str `abc` as a !!int"),
        ("<<: 5", "yaml: map merge requires map or sequence of maps as the value"),
        ("a: \x01", "yaml: control characters are not allowed"),
        ("? [a]\n: b", 'yaml: invalid map key: []interface {}{"a"}'),
        ("a: {{ .Values.a }}", 'yaml: invalid map key: map[string]interface {}{".Values.a":interface {}(nil)}'),
        (b"a: caf\xe9", "yaml: incomplete UTF-8 octet sequence"),
        (b"a: caf\xe9 and more", "yaml: invalid trailing UTF-8 octet"),
        (b"a: \xff and more", "yaml: invalid leading UTF-8 octet"),
        ("[" * 5000, "yaml: exceeded max depth of 200"),
    ],
)
def test_errors_have_gos_texts(text: str | bytes, message: str) -> None:
    with pytest.raises(YamlError) as caught:
        read_yaml(text, "f")
    assert str(caught.value) == message


def test_utf_16_with_a_byte_order_mark_is_read() -> None:
    assert read_yaml("a: é".encode("utf-16"), "f") == {"a": "é"}


def test_aliases_cannot_blow_a_document_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(YamlError, match="document contains excessive aliasing"):
        read_yaml("\n".join(lines), "f")


def test_every_key_and_item_knows_where_it_stands() -> None:
    value = read_yaml("a:\n  - x\n  - b: 1\n    cc: 2\n", "f.yaml")
    assert isinstance(value, Map)
    assert position_of(value, ("a",)) == Position("f.yaml", 1, 1)
    assert position_of(value, ("a", 1, "cc")) == Position("f.yaml", 4, 5)
    assert position_of(value, ("a", 1, "absent")) == Position("f.yaml", 3, 5)
    assert str(position_of(value, ("a", 0))) == "f.yaml:2:5"


def test_the_position_of_an_error_is_where_it_shows() -> None:
    with pytest.raises(YamlError) as caught:
        read_yaml("a:\n  b:\n    c: [x]\n   d: 1", "f.yaml")
    assert caught.value.position == Position("f.yaml", 4, 4)
