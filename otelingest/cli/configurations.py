"""`validate` and `print-config`: what becomes of a configuration, without running it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from otelingest.cli.options import CommandError, Options, boolean, flag_value, no_arguments, refuse_arguments, shared
from otelingest.config.failures import ConfigurationError
from otelingest.config.sources import Told
from otelingest.pipeline.errors import ConfigError
from otelingest.run import find_component

if TYPE_CHECKING:
    from otelingest.config.configuration import Configuration


@click.command(help="Check a configuration without running it.")
@shared
@no_arguments
@click.pass_obj
def validate(
    options: Options, config: Sequence[str], set_: Sequence[str], feature_gates: Sequence[str], rest: Sequence[str]
) -> None:
    options.add(config, set_, feature_gates)
    refuse_arguments(rest)
    configuration = options.load()
    _warn(configuration.told)
    _check_pipelines(configuration)


def _warn(told: Iterable[Told]) -> None:
    """Say on the error stream what there is to warn of."""
    for warning in told:
        if warning.level == "warning":
            where = f"{warning.position}: " if warning.position else ""
            click.echo(f"warning: {where}{warning.shown}", err=True)


class _Silent:
    """A logger that logs nothing, for components that are never started."""

    def __getattr__(self, name: str) -> Callable[..., _Silent]:
        return lambda *_, **__: self


def _check_pipelines(configuration: Configuration) -> None:
    """Build the pipelines, and let them go: finds what only the components know. Starts nothing."""
    from otelingest.config.configuration import KINDS
    from otelingest.pipeline.graph import build

    settings: Mapping[Any, Any] = {kind: configuration.of(kind) for kind in KINDS}
    pipelines: Mapping[Any, Any] = configuration.service.pipelines

    async def check() -> None:
        build(pipelines, settings, find_component, lambda *_, **__: _Silent())

    try:
        asyncio.run(check())
    except ConfigError as error:
        raise ConfigError(f"failed to build pipelines: {error}") from error


class _PrintConfig(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # As everywhere with Go's flags, what follows a flag that is true or false does not belong to it.
        return super().parse_args(ctx, ["--validate=true" if word == "--validate" else word for word in args])


@click.command("print-config", cls=_PrintConfig, help="Print the configuration as it is in effect, with every default.")
@shared
@click.option("--format", "format_", default="yaml", show_default=True, help="yaml or json.")
@click.option(
    "--mode", default="redacted", show_default=True, help="redacted or unredacted: whether secrets are shown."
)
@click.option(
    "--validate",
    "check",
    default="true",
    show_default=True,
    help="Whether what does not fit together is refused.",
)
@no_arguments
@click.pass_obj
def print_config(
    options: Options,
    config: Sequence[str],
    set_: Sequence[str],
    feature_gates: Sequence[str],
    format_: str,
    mode: str,
    check: str,
    rest: Sequence[str],
) -> None:
    options.add(config, set_, feature_gates)
    refuse_arguments(rest)
    validate = flag_value("--validate", check, boolean)
    options.require()
    if mode.lower() not in ("redacted", "unredacted"):
        raise CommandError(f'invalid mode "{mode}": modes are: redacted, unredacted')
    try:
        configuration = options.load(validate=validate)
    except ConfigurationError as error:
        prefix = "invalid configuration: " if error.invalid else ""
        raise ConfigurationError(f"{prefix}{error}", error.notes) from error
    if format_.lower() not in ("", "yaml", "json"):
        raise CommandError(f"unrecognized print format: {format_}")
    from otelingest.config.rendering import render

    click.echo(render(configuration, format=format_.lower() or "yaml", redacted=mode.lower() == "redacted"))
