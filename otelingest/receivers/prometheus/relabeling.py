"""Relabeling: the rules by which Prometheus changes labels, and drops targets and series."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from otelingest.config.patterns import Match, Pattern
from otelingest.config.settings import GoType, Naming, Problem, Settings, Uint64

DEFAULT_REGEX, DEFAULT_REPLACEMENT = "(.*)", "$1"
_ACTIONS = (
    *("replace", "keep", "drop", "keepequal", "dropequal", "hashmod"),
    *("labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase"),
)
_WANT_TARGET = frozenset({"replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"})
_REFERENCE = re.compile(rb"\$(?:\$|(\w+)|\{(\w+)\})")
_MOST = 2**64


class RelabelSettings(Settings):
    """One rule of `relabel_configs` or `metric_relabel_configs`."""

    naming: ClassVar[Naming] = Naming("relabel.plain")

    source_labels: Annotated[list[str], GoType("model.LabelNames")] = Field(default_factory=list)
    """The labels whose values, joined, are looked at."""
    separator: str = ";"
    """What joins them."""
    regex: str = DEFAULT_REGEX
    """What they must match, as a whole; for labelmap, labeldrop and labelkeep: what the labels' names must match."""
    modulus: Uint64 = 0
    """For hashmod: by what the hash is divided."""
    target_label: str = ""
    """The label that is set (or, for keepequal and dropequal, compared)."""
    replacement: str = DEFAULT_REPLACEMENT
    """What it is set to; `$1` stands for a group of the regex (in YAML: `$$1`)."""
    action: str = "replace"
    """replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep, lowercase or uppercase."""

    def problems(self) -> Iterator[Problem]:
        action = self.action.lower()
        if not action:
            yield "relabel action cannot be empty"
            return
        if action not in _ACTIONS:
            yield f'unknown relabel action "{self.action}"'
            return
        try:
            anchored(self.regex)
        except ValueError as error:
            yield f'invalid regex "{self.regex}": {error}'
        if action == "hashmod" and self.modulus <= 0:
            yield "relabel configuration for hashmod requires non-zero modulus"
        if action in _WANT_TARGET and not self.target_label:
            yield f"relabel configuration for {action} action requires 'target_label' value"
        others = self.separator != ";" or self.modulus or self.replacement != DEFAULT_REPLACEMENT
        if action in ("lowercase", "uppercase") and self.replacement != DEFAULT_REPLACEMENT:
            yield f"'replacement' can not be set for {action} action"
        if action in ("keepequal", "dropequal") and (others or self.regex != DEFAULT_REGEX):
            yield f"{action} action requires only 'source_labels' and `target_label`, and no other fields"
        if action in ("labeldrop", "labelkeep") and (others or self.source_labels or self.target_label):
            yield f"{action} action requires only 'regex', and no other fields"


def anchored(regex: str) -> Pattern:
    """Raises ValueError."""
    return Pattern(f"^(?s:{regex})$")


Labels = dict[str, str]
Rule = Callable[[Labels], bool]
"""Changes labels in place. False: whoever they belong to is dropped. A label that is "" is none."""


def compile_rules(settings: Sequence[RelabelSettings]) -> Sequence[Rule]:
    return [_ACTION[each.action.lower()](each) for each in settings]


def apply(rules: Sequence[Rule], labels: Labels) -> bool:
    """Change labels by the rules in order, until one drops them."""
    return all(rule(labels) for rule in rules)


def _set(labels: Labels, name: str, value: str) -> None:
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)


def _source(settings: RelabelSettings) -> Callable[[Labels], str]:
    names, separator = settings.source_labels, settings.separator
    if len(names) == 1:
        (name,) = names
        return lambda labels: labels.get(name, "")
    return lambda labels: separator.join([labels.get(name, "") for name in names])


def _replace(settings: RelabelSettings) -> Rule:
    source, pattern = _source(settings), anchored(settings.regex)
    target, replacement = _template(settings.target_label), _template(settings.replacement)

    def rule(labels: Labels) -> bool:
        match = next(pattern.all_matches(source(labels).encode("utf-8", "replace")), None)
        if match is not None:
            name = target(match)
            if name:
                _set(labels, name, replacement(match))
        return True

    return rule


def _template(text: str) -> Callable[[Match], str]:
    """`$1`, `${1}` and `${name}` as Go's `Expand` has them; a group that there is not is empty."""
    data = text.encode("utf-8", "replace")
    if b"$" not in data:
        return lambda match: text

    def expand(match: Match) -> str:
        def group(reference: re.Match[bytes]) -> bytes:
            name = reference[1] or reference[2]
            if name is None:
                return b"$"
            return match.group(int(name) if name.isdigit() else name.decode()).encode("utf-8", "replace")

        return _REFERENCE.sub(group, data).decode("utf-8", "replace")

    return expand


def _keep(settings: RelabelSettings) -> Rule:
    source, pattern = _source(settings), anchored(settings.regex)
    return lambda labels: pattern.matches(source(labels))


def _drop(settings: RelabelSettings) -> Rule:
    source, pattern = _source(settings), anchored(settings.regex)
    return lambda labels: not pattern.matches(source(labels))


def _keep_equal(settings: RelabelSettings) -> Rule:
    source = _source(settings)
    return lambda labels: labels.get(settings.target_label, "") == source(labels)


def _drop_equal(settings: RelabelSettings) -> Rule:
    source = _source(settings)
    return lambda labels: labels.get(settings.target_label, "") != source(labels)


def _setting(settings: RelabelSettings, make: Callable[[str], str]) -> Rule:
    source = _source(settings)

    def rule(labels: Labels) -> bool:
        _set(labels, settings.target_label, make(source(labels)))
        return True

    return rule


def _hash(settings: RelabelSettings) -> Rule:
    def number(text: str) -> str:
        digest = hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).digest()
        return str(int.from_bytes(digest[8:]) % min(settings.modulus, _MOST))

    return _setting(settings, number)


def _map(settings: RelabelSettings) -> Rule:
    pattern, replacement = anchored(settings.regex), _template(settings.replacement)

    def rule(labels: Labels) -> bool:
        for name, value in list(labels.items()):
            match = next(pattern.all_matches(name.encode("utf-8", "replace")), None)
            if match is not None:
                _set(labels, replacement(match), value)
        return True

    return rule


def _without(settings: RelabelSettings, matching: bool) -> Rule:
    pattern = anchored(settings.regex)

    def rule(labels: Labels) -> bool:
        for name in [name for name in labels if pattern.matches(name) is matching]:
            del labels[name]
        return True

    return rule


_ACTION: dict[str, Callable[[RelabelSettings], Rule]] = {
    "replace": _replace,
    "keep": _keep,
    "drop": _drop,
    "keepequal": _keep_equal,
    "dropequal": _drop_equal,
    "hashmod": _hash,
    "labelmap": _map,
    "labeldrop": lambda settings: _without(settings, True),
    "labelkeep": lambda settings: _without(settings, False),
    "lowercase": lambda settings: _setting(settings, str.lower),
    "uppercase": lambda settings: _setting(settings, str.upper),
}
