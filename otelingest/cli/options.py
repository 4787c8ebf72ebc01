"""What the subcommands share: the flags that tell which configuration is meant."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from otelingest.config.gates import Turned, notices, parse_gates
from otelingest.config.sources import set_location
from otelingest.config.types import go_quote
from otelingest.run import registry

if TYPE_CHECKING:
    from otelingest.config.configuration import Configuration

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class CommandError(Exception):
    """What was typed makes no sense; the text is for the user."""


@dataclass
class Options:
    """The flags that the root command and some subcommands share. Those before the subcommand count for it too."""

    locations: list[str] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)
    gates: Turned = field(default_factory=Turned)

    def add(self, config: Sequence[str], set_: Sequence[str], feature_gates: Sequence[str]) -> None:
        self.locations += config
        for text in set_:
            self.sets.append(flag_value("--set", text, set_location))
        for text in feature_gates:
            turned = flag_value("--feature-gates", text, parse_gates)
            for notice in notices(turned):
                click.echo(notice)
            self.gates.update(turned)

    def require(self) -> None:
        """Raises CommandError when no flag tells what the configuration is."""
        if not self.locations and not self.sets:
            raise CommandError("at least one config flag must be provided")

    def load(self, *, validate: bool = True) -> Configuration:
        """The configuration that the flags name."""
        from otelingest.config.loader import load

        self.require()
        # What is made here all stays: looking through it for garbage would be a tenth of the time.
        gc.disable()
        try:
            return load([*self.locations, *self.sets], registry(), gates=self.gates, validate=validate)
        finally:
            gc.enable()


_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def boolean(text: str) -> bool:
    """A truth value as Go reads it. Raises ValueError."""
    if text not in _BOOLEANS:
        raise ValueError(f"strconv.ParseBool: parsing {go_quote(text)}: invalid syntax")
    return _BOOLEANS[text]


def flag_value(flag: str, text: str, parse: Callable[[str], T]) -> T:
    """What a flag's text stands for. parse: raises ValueError. Raises CommandError."""
    try:
        return parse(text)
    except ValueError as error:
        raise CommandError(f'invalid argument "{text}" for "{flag}" flag: {error}') from None


def shared(command: F) -> F:
    """Adds the flags that tell which configuration is meant."""
    for option in (
        click.option("--feature-gates", multiple=True, metavar="LIST", help="Gates to turn: a,+b on, -c off."),
        click.option(
            "--set", "set_", multiple=True, metavar="KEY=VALUE", help="Set one value, over all files: a.b.c=value."
        ),
        click.option(
            "--config",
            multiple=True,
            metavar="LOCATION",
            help="Where the configuration is: a file, or file:, env:, yaml:, http(s):. Several are merged in order.",
        ),
    ):
        command = option(command)
    return command


def no_arguments(command: F) -> F:
    """Lets a command see what it was given too much, so that it can refuse it in the collector's words."""
    return click.argument("rest", nargs=-1, type=click.UNPROCESSED, metavar="")(command)


def refuse_arguments(rest: Sequence[str]) -> None:
    """Raises CommandError when there is anything that the command takes no notice of."""
    if rest:
        raise CommandError(f"accepts 0 arg(s), received {len(rest)}")
