"""Relabeling, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.receivers.prometheus.relabeling import RelabelSettings, apply, compile_rules
from otelingest.receivers.prometheus.targets import BadTarget, make_target
from tests.receivers.prometheus.support import job_of

LABELS = {"a": "foo", "b": "bar", "c": "baz"}


def relabel(rule: dict[str, Any], labels: dict[str, str] | None = None) -> dict[str, str] | None:
    found = dict(LABELS if labels is None else labels)
    return found if apply(compile_rules([RelabelSettings.model_validate(rule)]), found) else None


@pytest.mark.parametrize(
    ("rule", "changed"),
    [
        ({"source_labels": ["a"], "regex": "f(.*)", "target_label": "d", "replacement": "ch$1-$1"}, {"d": "choo-oo"}),
        (
            {"source_labels": ["a", "b"], "regex": "f(.*);(.*)r", "target_label": "a", "replacement": "b${1}${2}m"},
            {"a": "boobam"},
        ),
        ({"source_labels": ["a"], "regex": "o", "target_label": "d"}, {}),
        (
            {"source_labels": ["a"], "regex": "(?P<x>f)oo", "target_label": "d", "replacement": "${x}$x$$$9"},
            {"d": "ff$"},
        ),
        ({"source_labels": ["a"], "regex": "f(oo)", "target_label": "l_$1", "replacement": "v"}, {"l_oo": "v"}),
        ({"source_labels": ["a"], "regex": "foo", "target_label": "b", "replacement": ""}, {"b": None}),
        ({"target_label": "d", "replacement": "constant"}, {"d": "constant"}),
        ({"source_labels": ["none"], "target_label": "d"}, {}),
        ({"source_labels": ["a"], "separator": "-", "target_label": "d"}, {"d": "foo"}),
        ({"source_labels": ["c"], "target_label": "d", "action": "hashmod", "modulus": 1000}, {"d": "976"}),
        ({"source_labels": ["a", "b"], "target_label": "d", "action": "Uppercase"}, {"d": "FOO;BAR"}),
        ({"source_labels": ["a"], "target_label": "d", "action": "lowercase"}, {"d": "foo"}),
        ({"regex": "(b|c)", "replacement": "bar_${1}", "action": "labelmap"}, {"bar_b": "bar", "bar_c": "baz"}),
        ({"regex": "b.*", "action": "labeldrop"}, {"b": None}),
        ({"regex": "a|b", "action": "labelkeep"}, {"c": None}),
        ({"source_labels": ["a"], "regex": "foo", "action": "keep"}, {}),
        ({"source_labels": ["a"], "regex": "fo", "action": "drop"}, {}),
        ({"source_labels": ["a"], "target_label": "a", "action": "keepequal"}, {}),
        ({"source_labels": ["a"], "target_label": "b", "action": "dropequal"}, {}),
    ],
)
def test_a_rule_changes_labels(rule: dict[str, Any], changed: dict[str, str | None]) -> None:
    assert relabel(rule) == {key: value for key, value in (LABELS | changed).items() if value is not None}


@pytest.mark.parametrize(
    "rule",
    [
        {"source_labels": ["a"], "regex": "fo", "action": "keep"},
        {"source_labels": ["a"], "regex": "f.*", "action": "drop"},
        {"source_labels": ["a"], "target_label": "b", "action": "keepequal"},
        {"source_labels": ["a"], "target_label": "a", "action": "dropequal"},
    ],
)
def test_a_rule_drops(rule: dict[str, Any]) -> None:
    assert relabel(rule) is None


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"action": "nothing"}, 'unknown relabel action "nothing"'),
        ({"regex": "(", "target_label": "a"}, 'invalid regex "("'),
        ({"action": "hashmod", "target_label": "a"}, "hashmod requires non-zero modulus"),
        ({"action": "replace"}, "replace action requires 'target_label' value"),
        ({"action": "lowercase", "target_label": "a", "replacement": "x"}, "'replacement' can not be set"),
        ({"action": "keepequal", "target_label": "a", "regex": "x"}, "keepequal action requires only"),
        ({"action": "labeldrop", "target_label": "a"}, "labeldrop action requires only 'regex'"),
    ],
)
def test_a_rule_that_makes_no_sense_is_told(rule: dict[str, Any], problem: str) -> None:
    assert problem in "".join(map(str, RelabelSettings.model_validate(rule).problems()))


def test_targets_are_relabeled_before_they_are_asked() -> None:
    rules = [
        {"source_labels": ["__address__"], "regex": "(.*):.*", "target_label": "host"},
        {"source_labels": ["__meta_path"], "target_label": "__metrics_path__"},
        {"source_labels": ["port"], "regex": "(.+)", "target_label": "__address__", "replacement": "other:$1"},
        {"target_label": "__param_q", "replacement": "first"},
        {"target_label": "__scrape_interval__", "replacement": "3s"},
        {"target_label": "__scheme__", "replacement": "https"},
    ]
    job = job_of(params={"q": ["x", "second"], "n": ["1"]}, scrape_timeout="2s", relabel_configs=rules)
    target = make_target(job, "api:80", {"__meta_path": "/m", "port": "9"})
    assert target is not None
    assert target.url == "https://other:9/m?n=1&q=first&q=second"
    assert (target.interval, target.timeout, target.scheme) == (3, 2, "http")
    assert dict(target.labels) == {"job": "job", "instance": "other:9", "host": "api", "port": "9"}


@pytest.mark.parametrize(
    ("address", "rule", "problem"),
    [
        ("http://a:1", {}, "is not a valid hostname"),
        ("", {}, "no address"),
        ("a:1", {"target_label": "__scrape_interval__", "replacement": "soon"}, "error parsing scrape interval"),
        ("a:1", {"target_label": "__scrape_interval__", "replacement": "1s"}, "scrape timeout cannot be 0 or greater"),
    ],
)
def test_a_target_that_cannot_be_scraped_is_told(address: str, rule: dict[str, Any], problem: str) -> None:
    job = job_of(relabel_configs=[rule] if rule else [])
    with pytest.raises(BadTarget) as error:
        make_target(job, address, {})
    assert problem in str(error.value)
