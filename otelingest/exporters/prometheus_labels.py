"""Settings that every exporter to Prometheus has: how names are made, and which attributes become labels."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator

from pydantic import Field

from otelingest.config.settings import Problem, Settings

IDENTITY = frozenset({"service.name", "service.namespace", "service.instance.id"})
"""Attributes of a resource that its `job` and `instance` are made of."""

STRATEGIES = {
    "UnderscoreEscapingWithSuffixes": (True, False),
    "UnderscoreEscapingWithoutSuffixes": (False, False),
    "NoUTF8EscapingWithSuffixes": (True, True),
    "NoTranslation": (False, True),
}
"""What `translation_strategy` means: whether there are suffixes, and whether any character may stay."""


class ResourceLabelSettings(Settings):
    """Which attributes of the resource become labels of every series."""

    included: list[str] = Field(default_factory=list)
    """Patterns (`*`, `?`) of the attributes to take; none, with `excluded` set: all that are not excluded."""
    excluded: list[str] = Field(default_factory=list)
    """Patterns of attributes to leave out, whatever `included` says."""
    enabled: bool = False
    """The older form of `included: ["*"]`; only in `resource_to_telemetry_conversion`."""
    exclude_service_attributes: bool = False
    """The older form of excluding what `job` and `instance` are made of; only in `resource_to_telemetry_conversion`."""

    @property
    def is_empty(self) -> bool:
        return not (self.included or self.excluded or self.enabled or self.exclude_service_attributes)

    def problems(self) -> Iterator[Problem]:
        if (self.enabled or self.exclude_service_attributes) and (self.included or self.excluded):
            yield (
                "cannot configure both legacy enabled/exclude_service_attributes and included/excluded patterns; "
                "enabled and exclude_service_attributes are deprecated"
            )

    def chooser(self) -> Callable[[str], bool]:
        """Whether an attribute becomes a label, by its key."""
        if not self.included and not self.excluded:
            left_out = IDENTITY if self.exclude_service_attributes else ()
            return lambda key: self.enabled and key not in left_out
        included, excluded = _patterns(self.included or ["*"]), _patterns(self.excluded)
        return lambda key: included(key) and not excluded(key)


def _patterns(patterns: list[str]) -> Callable[[str], bool]:
    """`*` and `?` alone have a meaning, brackets have none."""
    translated = [re.compile(fnmatch.translate(pattern.replace("[", "[[]"))) for pattern in patterns]
    return lambda key: any(pattern.match(key) for pattern in translated)


def chosen_resource_labels(constant: ResourceLabelSettings, converted: ResourceLabelSettings) -> ResourceLabelSettings:
    """Of `resource_constant_labels` and its older form, the one that counts."""
    return converted if constant.is_empty else constant


def resource_label_problems(constant: ResourceLabelSettings, converted: ResourceLabelSettings) -> Iterator[Problem]:
    """What does not fit together of `resource_constant_labels` and its older form."""
    if constant.enabled or constant.exclude_service_attributes:
        yield (
            "enabled and exclude_service_attributes are not supported under resource_constant_labels; "
            "use included and excluded instead"
        )
    elif not constant.is_empty and not converted.is_empty:
        yield (
            "cannot configure both resource_to_telemetry_conversion and resource_constant_labels; "
            "resource_to_telemetry_conversion is deprecated"
        )
