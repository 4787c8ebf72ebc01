"""Prints a configuration as it is in effect: with every default, sorted, and without secrets unless asked for."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from otelingest.config.configuration import KINDS, Configuration
from otelingest.config.reading import keys
from otelingest.config.types import REDACTED, Duration
from otelingest.config.values import Expanded
from otelingest.config.yaml_reader import resolve


def render(configuration: Configuration, *, format: str = "yaml", redacted: bool = True) -> str:
    """The configuration as YAML (durations as `1m0s`) or JSON (durations in nanoseconds)."""
    show = _Plain(redacted, as_text=format == "yaml")
    tree: dict[str, Any] = {
        kind: {str(id): show(settings) for id, settings in configuration.of(kind).items()} for kind in KINDS
    }
    tree["service"] = show(configuration.service)
    if format == "json":
        return json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return to_yaml(tree)


class _Plain:
    """Turns settings into plain values."""

    def __init__(self, redacted: bool, as_text: bool) -> None:
        self._redacted = redacted
        self._as_text = as_text

    def __call__(self, value: Any) -> Any:
        for kinds, convert in self._kinds():
            if isinstance(value, kinds):
                return convert(value)
        return value if value is None or isinstance(value, bool | int | float | str) else str(value)

    def _kinds(self) -> tuple[tuple[Any, Callable[[Any], Any]], ...]:
        return (
            (BaseModel, self._settings),
            (SecretStr, self._secret),
            (Duration, lambda value: str(value) if self._as_text else int(value)),
            (Expanded, lambda value: self(value.value)),
            (enum.Enum, lambda value: value.value),
            (float, lambda value: int(value) if value.is_integer() else value),
            (dict, self._map),
            ((set, frozenset), lambda value: sorted(map(str, value))),
            (list, lambda value: [self(item) for item in value]),
            (tuple, lambda value: str(value) if hasattr(value, "_fields") else [self(item) for item in value]),
        )

    def _secret(self, value: SecretStr) -> str:
        text = value.get_secret_value()
        return REDACTED if text and self._redacted else text

    def _settings(self, value: BaseModel) -> dict[str, Any]:
        names = (name for name in type(value).model_fields)
        return {key: self(getattr(value, name, None)) for key, name in zip(keys(type(value)), names, strict=True)}

    def _map(self, value: dict[Any, Any]) -> Any:
        if value and all(isinstance(item, SecretStr) for item in value.values()):
            return [{"name": str(name), "value": self(item)} for name, item in sorted(value.items())]
        return {str(key): self(item) for key, item in value.items()}


class _Dumper(yaml.SafeDumper):
    """Writes YAML as Go does: four spaces, lists indented, double quotes round what would not be a string."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        self.indents.append(self.indent)
        if self.indent is None:
            self.indent = 0
        elif self.sequence_context and not flow:
            self.indent += 2  # past the "- "
        else:
            self.indent = self.best_indent * (self.indent // self.best_indent + 1)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif not isinstance(resolve(text), str) or text in ("y", "n", "yes", "no", "on", "off"):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)


def to_yaml(tree: Any, *, sort: bool = True) -> str:
    """Plain values as YAML text."""
    return str(
        yaml.dump(
            tree,
            Dumper=_Dumper,
            default_flow_style=False,
            indent=4,
            width=1 << 16,
            allow_unicode=True,
            sort_keys=sort,
        )
    )
