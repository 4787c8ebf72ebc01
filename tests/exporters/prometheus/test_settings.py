"""What may be written under `exporters.prometheus`, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from otelingest.exporters.prometheus.settings import PrometheusExporterSettings


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"translation_strategy": "Some"}, "invalid translation_strategy: Some"),
        ({"resource_constant_labels": {"enabled": True}}, "are not supported under resource_constant_labels"),
        (
            {"resource_constant_labels": {"included": ["a"]}, "resource_to_telemetry_conversion": {"enabled": True}},
            "cannot configure both resource_to_telemetry_conversion and resource_constant_labels",
        ),
    ],
)
def test_what_does_not_fit_together_is_told(section: dict[str, Any], problem: str) -> None:
    assert problem in "".join(map(str, PrometheusExporterSettings.model_validate(section).problems()))


def test_the_older_suffix_setting_is_named_as_without_effect() -> None:
    settings = PrometheusExporterSettings.model_validate({"add_metric_suffixes": False})
    assert settings.suffixes
    assert list(settings.without_effect()) == [
        "add_metric_suffixes: as upstream since v0.161; use translation_strategy"
    ]
