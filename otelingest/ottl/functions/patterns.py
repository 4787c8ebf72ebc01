"""Editors and converters that search: `replace_pattern` and its kin, `IsMatch`, `ExtractPatterns`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from otelingest.codec.any_values import LARGEST
from otelingest.codec.editing import AttributesOf
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.expressions import Accessor, Expression
from otelingest.ottl.functions.editors import Edit, editing
from otelingest.ottl.functions.grok import Grok
from otelingest.ottl.functions.kinds import (
    CONVERTER,
    STRING,
    TARGET,
    TEXT_OF_ANY,
    WRITTEN_BOOL,
    WRITTEN_STRING,
    WRITTEN_STRINGS,
)
from otelingest.ottl.functions.regexps import (
    LONGEST,
    expansion,
    formatted,
    glob_of,
    pattern_of,
    with_function,
)
from otelingest.ottl.functions.registry import building, editor
from otelingest.ottl.item import Item

Get = Callable[[Item], Any]
Change = Callable[[Item, str], str]
"""A text for an item as it is to be; the same object where nothing changes."""
Converter = Callable[[Any], Any] | None

_REGEXP = (
    ("regex_pattern", STRING),
    ("replacement", STRING),
    ("function", CONVERTER, None),
    ("replacement_format", STRING, None),
)
_GLOB = (("pattern", STRING), *_REGEXP[1:])


def _by_pattern(
    name: str, pattern: Expression, replacement: Expression, function: Converter, form: Expression | None
) -> Change:
    pattern_for = pattern_of(name, pattern)
    if replacement.constant and form is None:
        expand = with_function(expansion(replacement.value), function, None)
        return lambda item, text: pattern_for(item).replaced(text, expand, LARGEST)
    template = replacement.get
    shape = (lambda item: None) if form is None else form.get
    return lambda item, text: pattern_for(item).replaced(
        text, with_function(expansion(template(item)), function, shape(item)), LARGEST
    )


def _by_glob(pattern: Expression, replacement: Expression, function: Converter, form: Expression | None) -> Change:
    glob_for, new = glob_of(pattern), replacement.get

    def change(item: Item, text: str) -> str:
        if not glob_for(item).matches(text):
            return text
        value = new(item)
        return value if function is None else formatted(function(value), None if form is None else form.get(item))

    return change


def _change_one(target: Accessor, change: Change) -> Edit:
    """Change what a path leads to, if it is a text."""
    get, put = target.get, target.set

    def run(item: Item) -> None:
        text = get(item)
        if type(text) is str:
            new = change(item, text)
            if new is not text:
                put(item, new)

    return run


def _change_values(target: Accessor, change: Change) -> Edit:
    """Change every value of a map that is a text."""

    def edit(item: Item, attributes: AttributesOf) -> None:
        attributes.change_texts(lambda text: change(item, text))

    return editing(target.map, edit)


def _change_keys(target: Accessor, change: Change) -> Edit:
    """Change the keys of a map; of keys that become the same, the last counts."""

    def edit(item: Item, attributes: AttributesOf) -> None:
        keys = attributes.keys()
        new = {key: change(item, key) for key in keys}
        if all(new[key] is key for key in keys):
            return
        last = {name: key for key, name in new.items()}
        attributes.keep(lambda key: last[new[key]] == key)
        attributes.rename(new)

    return editing(target.map, edit)


@editor("replace_pattern", ("target", TARGET), *_REGEXP)
def _replace_pattern(target: Accessor, *arguments: Any) -> Edit:
    return _change_one(target, _by_pattern("replace_pattern", *arguments))


@editor("replace_all_patterns", ("target", TARGET), ("mode", WRITTEN_STRING), *_REGEXP)
def _replace_all_patterns(target: Accessor, mode: str, *arguments: Any) -> Edit:
    if mode not in ("key", "value"):
        raise StatementError(f"invalid mode {mode}, must be either 'key' or 'value'")
    change = _by_pattern("replace_all_patterns", *arguments)
    return _change_values(target, change) if mode == "value" else _change_keys(target, change)


@editor("replace_match", ("target", TARGET), *_GLOB)
def _replace_match(target: Accessor, *arguments: Any) -> Edit:
    return _change_one(target, _by_glob(*arguments))


@editor("replace_all_matches", ("target", TARGET), *_GLOB)
def _replace_all_matches(target: Accessor, *arguments: Any) -> Edit:
    return _change_values(target, _by_glob(*arguments))


@building("IsMatch", ("target", TEXT_OF_ANY), ("pattern", STRING))
def _is_match(target: Expression, pattern: Expression) -> Get:
    get = target.get
    pattern_for = pattern_of("IsMatch", pattern)
    if pattern.constant:
        matches = pattern_for(Item()).matches

        def fixed(item: Item) -> bool:
            text = get(item)
            return text is not None and matches(text)

        return fixed

    def test(item: Item) -> bool:
        text = get(item)
        return text is not None and pattern_for(item).matches(text)

    return test


@building("ExtractPatterns", ("target", STRING), ("pattern", STRING))
def _extract_patterns(target: Expression, pattern: Expression) -> Get:
    get = target.get
    pattern_for = pattern_of("ExtractPatterns", pattern)

    def extract(item: Item) -> dict[str, Any]:
        found = pattern_for(item)
        if not any(found.group_names):
            raise OttlError("at least 1 named capture group must be supplied in the given regex")
        return dict(found.named_groups(get(item)) or {})

    return extract


@building(
    "ExtractGrokPatterns",
    ("target", STRING),
    ("pattern", STRING),
    ("named_captures_only", WRITTEN_BOOL, False),
    ("pattern_definitions", WRITTEN_STRINGS, None),
)
def _extract_grok(target: Expression, pattern: Expression, named_only: bool, definitions: list[str] | None) -> Get:
    get = target.get
    if pattern.constant:
        grok = Grok(pattern.value, definitions or [], named_only=named_only)
        return lambda item: grok.extract(get(item))
    Grok("", definitions or [], named_only=False)
    text = pattern.get

    @functools.lru_cache(maxsize=64)
    def of_data(text: str) -> Grok:
        if len(text) > LONGEST:
            raise OttlError(f"the pattern supplied to ExtractGrokPatterns is longer than {LONGEST} characters")
        try:
            return Grok(text, definitions or [], named_only=named_only)
        except StatementError as error:
            raise OttlError(str(error)) from None

    return lambda item: of_data(text(item)).extract(get(item))
