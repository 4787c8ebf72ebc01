"""Regular expressions and globs as arguments: compiled at the start where they are written out, and Go's replacing."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from otelingest.config.patterns import Pattern
from otelingest.config.types import go_quote
from otelingest.ottl.errors import OttlError, StatementError
from otelingest.ottl.expressions import Expression
from otelingest.ottl.item import Item

LONGEST = 4096
"""Characters of a pattern that comes with the data; those of the configuration may be longer."""

_GO_WORDS = (
    (r"missing \]: (.*)", "missing closing ]: `{}`"),
    (r"missing \): (.*)", "missing closing ): `{}`"),
    (r"unexpected \): (.*)", "unexpected ): `{}`"),
    (r"no argument for repetition operator: (.*)", "missing argument to repetition operator: `{}`"),
    (r"bad repetition operator: (.*)", "invalid nested repetition operator: `{}`"),
    (r"invalid repetition size: (.*)", "invalid repeat count: `{}`"),
    (r"invalid perl operator: (.*)", "invalid or unsupported Perl syntax: `{}`"),
    (r"invalid (.*?): (.*)", None),
    (r"trailing \\.*", "trailing backslash at end of expression: ``"),
)


def _in_go_words(reason: str) -> str:
    """RE2's reason as Go's own RE2 puts it."""
    for pattern, words in _GO_WORDS:
        match = re.fullmatch(pattern, reason, re.DOTALL)
        if match:
            return f"invalid {match[1]}: `{match[2]}`" if words is None else words.format(*match.groups())
    return reason


def compiled(function: str, text: str) -> Pattern:
    """Raises OttlError, naming the function and the pattern."""
    try:
        return Pattern(text)
    except ValueError as error:
        raise OttlError(
            f"the regex pattern supplied to {function} '{go_quote(text)}' is not a valid pattern: "
            f"error parsing regexp: {_in_go_words(str(error))}"
        ) from None


def pattern_of(function: str, pattern: Expression) -> Callable[[Item], Pattern]:
    """The pattern for an item. Raises StatementError for one that is written out and none."""
    if pattern.constant:
        try:
            fixed = compiled(function, pattern.value)
        except OttlError as error:
            raise StatementError(str(error)) from None
        return lambda item: fixed
    get = pattern.get

    @functools.lru_cache(maxsize=64)
    def of_data(text: str) -> Pattern:
        if len(text) > LONGEST:
            raise OttlError(f"the regex pattern supplied to {function} is longer than {LONGEST} characters")
        return compiled(function, text)

    return lambda item: of_data(get(item))


# ---- replacing, by the rules of Go's `regexp.Expand`

_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))?", re.ASCII)
Expand = Callable[[Any], str]


@functools.lru_cache(maxsize=256)
def expansion(template: str) -> Expand:
    """What fills `$1`, `${name}` and `$$` of a template for a match. Groups that are not there are empty."""
    if "$" not in template:
        return lambda match: template
    parts: list[str | int] = []
    literal = 0
    for reference in _REFERENCE.finditer(template):
        parts.append(template[literal : reference.start()])
        literal = reference.end()
        name = reference[1] or reference[2]
        if name is None:
            parts.append("$" if reference[0] in ("$", "$$") else reference[0])
        else:
            parts.append(_Group(name))
    parts.append(template[literal:])
    return lambda match: "".join([part.of(match) if isinstance(part, _Group) else str(part) for part in parts])


class _Group(str):
    """A reference to a group, by number or name."""

    def of(self, match: Any) -> str:
        return str(match.group(int(self[:9]) if self.isdecimal() else str(self)))


def with_function(expand: Expand, function: Callable[[Any], Any] | None, form: str | None) -> Expand:
    """The replacement passed through a converter, and into a format with one `%s`."""
    if function is None:
        return expand

    def changed(match: Any) -> str:
        return formatted(function(expand(match)), form)

    return changed


def formatted(value: Any, form: str | None) -> str:
    if type(value) is not str:
        raise OttlError("the replacement value must be a string")
    if form is None:
        return value
    if form.count("%s") != 1 or form.count("%") != 1:
        raise OttlError("replacementFormat must be format string containing a single %s and no other format specifiers")
    return form.replace("%s", value, 1)


# ---- globs


@functools.lru_cache(maxsize=256)
def glob(text: str) -> Pattern:
    """`*`, `?`, `[a-z]`, `[!a]` and `{a,b}`; `*` matches slashes too. Raises OttlError."""
    out = ["(?s)^"]
    depth = position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == "\\" and position < len(text):
            out.append(re.escape(text[position]))
            position += 1
        elif character == "[":
            end = text.find("]", position + 1)
            if end < 0:
                raise OttlError(f"the pattern {go_quote(text)} is not a valid pattern: missing ]")
            content = text[position:end].replace("\\", "\\\\").replace("[", "\\[")
            out.append(f"[{'^' + content[1:] if content[:1] == '!' else content}]")
            position = end + 1
        elif character == "{":
            depth += 1
            out.append("(?:")
        elif character == "}" and depth:
            depth -= 1
            out.append(")")
        elif character == "," and depth:
            out.append("|")
        else:
            out.append({"*": ".*", "?": "."}.get(character) or re.escape(character))
    if depth:
        raise OttlError(f"the pattern {go_quote(text)} is not a valid pattern: missing }}")
    return compiled("a glob", "".join(out) + "$")


def glob_of(pattern: Expression) -> Callable[[Item], Pattern]:
    """The glob for an item. Raises StatementError for one that is written out and none."""
    if pattern.constant:
        try:
            fixed = glob(pattern.value)
        except OttlError as error:
            raise StatementError(f"the pattern supplied is not a valid pattern: {error}") from None
        return lambda item: fixed
    get = pattern.get
    return lambda item: glob(get(item))
