"""Names: what OpenTelemetry's become in Prometheus."""

from __future__ import annotations

import pytest

from otelingest.prometheus.escaping import escape
from otelingest.prometheus.names import BadName, Kind, label_name, metric_name, ucum_unit


@pytest.mark.parametrize(
    ("name", "unit", "kind", "made"),
    [
        ("http.server.duration", "s", "histogram", "http_server_duration_seconds"),
        ("system.io", "By", "counter", "system_io_bytes_total"),
        ("network_transmitted_bytes_total", "By", "counter", "network_transmitted_bytes_total"),
        ("a__b..c", "", "gauge", "a_b_c"),
        ("hw.fan.speed_ratio", "1", "gauge", "hw_fan_speed_ratio"),
        ("objects", "1", "counter", "objects_total"),
        ("objects", "1", "unknown", "objects"),
        ("total.objects", "{object}", "counter", "objects_total"),
        ("limit", "m/s", "gauge", "limit_meters_per_second"),
        ("rate", "{objects}/s", "gauge", "rate_per_second"),
        ("scanned", "{scanned}/{returned}", "gauge", "scanned"),
        ("temperature", "°F", "gauge", "temperature_F"),
        ("weird", "+=.:,!* & #", "gauge", "weird_:_"),
        ("spaces", "  By\t", "gauge", "spaces_bytes"),
        ("1st", "", "gauge", "_1st"),
        ("a:b", "%", "gauge", "a:b_percent"),
    ],
)
def test_units_and_types_are_appended_once(name: str, unit: str, kind: Kind, made: str) -> None:
    assert metric_name(name, unit, kind, suffixes=True, utf8=False) == made


@pytest.mark.parametrize(
    ("suffixes", "utf8", "made"),
    [
        (True, False, "my-ns_a_b_bytes_per_second_total"),
        (False, False, "my_ns_a_b_"),
        (True, True, "my-ns_a.b__bytes_per_second_total"),
        (False, True, "my-ns_a.b_"),
    ],
)
def test_a_strategy_escapes_and_appends_or_not(suffixes: bool, utf8: bool, made: str) -> None:
    assert metric_name("a.b_", "By/s", "counter", namespace="my-ns", suffixes=suffixes, utf8=utf8) == made


@pytest.mark.parametrize("name", ["", "...", "__"])
def test_a_name_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(BadName):
        metric_name(name, "", "gauge", suffixes=True, utf8=False)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("http.method", "http_method"),
        ("123x", "key_123x"),
        ("_x", "key_x"),
        ("a..b__c", "a_b_c"),
        ("__reserved__", "__reserved__"),
        ("é", "key_"),
        ("a:b", "a_b"),
    ],
)
def test_labels(name: str, made: str) -> None:
    assert label_name(name, utf8=False) == made
    assert label_name(name, utf8=True) == name


@pytest.mark.parametrize(
    ("words", "unit"),
    [("seconds", "s"), ("bytes_per_second", "By/s"), ("ratio", "1"), ("", ""), ("cakes", "cakes"), ("x_per_", "x")],
)
def test_units_back(words: str, unit: str) -> None:
    assert ucum_unit(words) == unit


@pytest.mark.parametrize(
    ("escaping", "made"),
    [
        ("underscores", "mysystem_prod_west_cpu_load"),
        ("dots", "mysystem_dot_prod_dot_west_dot_cpu__load"),
        ("values", "U__mysystem_2e_prod_2e_west_2e_cpu__load"),
        ("allow-utf-8", "mysystem.prod.west.cpu_load"),
    ],
)
def test_escaping_for_readers_of_old(escaping: str, made: str) -> None:
    assert escape("mysystem.prod.west.cpu_load", escaping) == made
    assert escape("http_requests:sum", escaping) == "http_requests:sum"
