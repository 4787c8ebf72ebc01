"""`${…}` in values: the collector's table of cases, and what it does with values that are references as a whole."""

from __future__ import annotations

import pytest

from otelingest.config.expansion import MAX_LENGTH
from otelingest.config.failures import ConfigurationError
from otelingest.config.sources import Sources, resolve
from otelingest.config.values import Expanded

ENVIRON = {
    "V": "V",
    "A": "1",
    "WHICH": "TARGET",
    "TARGET": "found",
    "EMPTY": "",
    "SECRET": "pa$$w${env:INNER}rd$",
    "INNER": "[in]",
    "ESCAPED": "$${V}",
    "LOOP": "x${env:LOOP}",
    "ITSELF": "${env:ITSELF}",
    "DOUBLE": "${env:DOUBLE}${env:DOUBLE}",
}


def expanded(text: str, environ: dict[str, str] | None = None) -> object:
    value = resolve([f"yaml:key: '{text}'"], environ=environ or ENVIRON).values["key"]
    return value.text if isinstance(value, Expanded) else value


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$$V", "$V"),
        ("$$$$V", "$$V"),
        ("$V", "$V"),
        ("text$$", "text$"),
        ("end$", "end$"),
        ("$$${V}", "$V"),
        ("$$$${V}", "$${V}"),
        ("$$${V} $$$${V}", "$V $$V"),
        ("some${V}text", "someVtext"),
        ("some$${V}text", "some${V}text"),
        ("$${ONE}$${TWO}", "${ONE}${TWO}"),
        ("$${env:${V}}", "${env:V}"),
        ("$${env:$${V}}", "${env:${V}}"),
        ("${env:UNDEFINED_KEY:-$${env:UNDEFINED_KEY}}", "${env:UNDEFINED_KEY:-${env:UNDEFINED_KEY}}"),
        ("${env:${env:WHICH}}", "found"),
        ("${env:A", "${env:A"),
        ("env:A}", "env:A}"),
        ("$${env:A} ${env:V}", "${env:A} V"),
        ("$${A} ${A}", "$1 1"),
        ("${env:NOPE:-b}", "b"),
        ("[${env:NOPE:-}]", "[]"),
        ("[${env:EMPTY:-fallback}]", "[]"),
        ("a-${env:NOPE}-b", "a--b"),
        ("${env:SECRET}", "pa$w[in]rd$"),
        ("${ESCAPED}", "${V}"),
        ("${env:A}00", "100"),
        ("${}", None),
    ],
)
def test_text_is_expanded_as_the_collector_does(text: str, result: str | None) -> None:
    if result is None:
        with pytest.raises(ConfigurationError, match='environment variable "" has invalid name'):
            expanded(text)
    else:
        assert expanded(text) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${V:-x}", 'invalid uri: "V:-x"'),
        ("${NAME:-x}", 'scheme "NAME" is not supported for uri "NAME:-x"'),
        ("${MY_NAME:-x}", 'invalid uri: "MY_NAME:-x"'),
        ("${env:MY-VAR}", 'environment variable "MY-VAR" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$'),
        ("${env:a$b}", "the uri \"env:a$b\" contains unsupported characters ('$')"),
        ("${1}", 'environment variable "1" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$'),
        ("${env:LOOP}", "too many recursive expansions"),
        ("${env:ITSELF}", "too many recursive expansions"),
        ("${env:DOUBLE}", "too many recursive expansions"),
        (
            "${file:missing.txt}",
            "unable to read the file file:missing.txt: open missing.txt: no such file or directory",
        ),
    ],
)
def test_what_cannot_be_expanded_is_told_in_the_collectors_words(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        expanded(text)
    assert str(caught.value) == f"failed to get config: cannot resolve the configuration: {message}"


def test_a_default_without_a_scheme_is_explained() -> None:
    with pytest.raises(ConfigurationError) as caught:
        expanded("${CH_ENDPOINT:-tcp://ch:9000}")
    assert "write ${env:CH_ENDPOINT:-tcp://ch:9000}" in caught.value.notes[0]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("123", 123),
        ("0123", 83),
        ("0xdeadbeef", 3735928559),
        ("true # comment", True),
        ("[a, b]", ["a", "b"]),
        ("{a: b}", {"a": "b"}),
        ("!!str 0123", "!!str 0123"),
        ('"0123"', '"0123"'),
        ('["a",', '["a",'),
        ("2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z07:00"),
        ("", None),
    ],
)
def test_a_whole_value_keeps_its_text_beside_its_meaning(text: str, meaning: object) -> None:
    value = resolve(["yaml:key: ${env:X}"], environ={"X": text}).values["key"]
    if isinstance(meaning, str):
        assert value == meaning
    else:
        assert value == Expanded(meaning, text)


def test_references_within_what_a_reference_brings_in_are_expanded() -> None:
    environ = {"X": "{a: '${env:Y}', b: [$$, '${env:Y}']}", "Y": "5"}
    value = resolve(["yaml:key: ${env:X}"], environ=environ).values["key"]
    assert value.value["a"] == Expanded(5, "5")
    assert value.value["b"] == ["$", Expanded(5, "5")]
    assert value.text == "{a: '5', b: [$, '5']}"


def test_unset_and_empty_variables_are_told_with_their_place() -> None:
    resolved = resolve(["yaml:a: ${env:NOPE}\nb: [x, '${env:EMPTY}']\nc: ${env:NOPE:-x}"], environ={"EMPTY": ""})
    assert [(told.level, told.text, told.fields["name"]) for told in resolved.told] == [
        ("warning", "Configuration references unset environment variable", "NOPE"),
        ("info", "Configuration references empty environment variable", "EMPTY"),
    ]
    assert [told.position and told.position[1:] for told in resolved.told] == [(1, 1), (2, 8)]


def test_a_value_cannot_grow_without_end() -> None:
    part = "y" * (MAX_LENGTH // 4)
    environ = {"A": "-${B}${B}${B}${B}${B}", "B": part}
    with pytest.raises(ConfigurationError, match="too many recursive expansions"):
        resolve(["yaml:key: ${env:A}"], environ=environ)


def test_keys_are_not_expanded() -> None:
    assert resolve(["yaml:{'${env:A}': 1}"], environ={"A": "x"}).values == {"${env:A}": 1}


def test_sources_do_not_read_what_has_no_scheme() -> None:
    with pytest.raises(ConfigurationError, match='scheme "s3" is not supported for uri "s3:bucket"'):
        Sources({}).retrieve("s3:bucket", None)
