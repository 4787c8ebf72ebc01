"""`components` and `featuregate`: what there is in this installation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from otelingest import __version__
from otelingest.cli.options import CommandError, no_arguments, refuse_arguments
from otelingest.config.gates import GATES, describe_gate, gate_table
from otelingest.pipeline.errors import ConfigError
from otelingest.run import registry

if TYPE_CHECKING:
    from otelingest.pipeline.registry import Kind

DESCRIPTION = "An OpenTelemetry-Collector-compatible ingestion server that writes into ClickHouse."
STABILITY = "Alpha"
"""Of a component whose class does not say better."""
UNDEFINED = "Undefined"
"""Of what a component cannot be used for."""


@click.command(help="List the components that are installed, as YAML.")
@no_arguments
@click.pass_context
def components(context: click.Context, rest: Sequence[str]) -> None:
    refuse_arguments(rest)
    from otelingest.config.configuration import KINDS
    from otelingest.config.rendering import to_yaml
    from otelingest.config.sources import SCHEMES

    command = context.find_root().info_name
    tree: dict[str, Any] = {"buildinfo": {"command": command, "description": DESCRIPTION, "version": __version__}}
    for kind in KINDS:
        tree[kind] = list(_described(kind))
    module = f"otelingest.config.sources v{__version__}"
    tree["providers"] = [{"scheme": scheme, "module": module} for scheme in sorted(SCHEMES)]
    click.echo(to_yaml(tree, sort=False), nl=False)


def _described(kind: Kind) -> Iterable[dict[str, Any]]:
    from otelingest.pipeline.registry import version

    installed = registry()
    for name in sorted(installed.names(kind)):
        try:
            component = installed.load(kind, name)
        except ConfigError as error:
            click.echo(f"warning: {error}", err=True)
            continue
        yield {
            "name": name,
            "module": f"{component.__module__} v{version(kind, name)}",
            "stability": dict(_stability(kind, component)),
        }


def _stability(kind: Kind, component: Any) -> Iterable[tuple[str, str]]:
    """How far one can rely on a component, for everything that it may be used for: every signal, or pair of signals."""
    from otelingest.pipeline.payload import Signal

    level = getattr(component, "stability", STABILITY)
    if kind == "extensions":
        return [("extension", level)]
    if kind == "connectors":
        pairs = itertools.product(sorted(Signal), repeat=2)
        return (
            (f"{ours}-to-{theirs}", level if (ours, theirs) in component.routes else UNDEFINED)
            for ours, theirs in pairs
        )
    return ((str(signal), level if signal in component.signals else UNDEFINED) for signal in sorted(Signal))


@click.command(help="List the feature gates, or describe one.")
@click.argument("id", nargs=-1)
def featuregate(id: Sequence[str]) -> None:
    if len(id) > 1:
        raise CommandError(f"accepts at most 1 arg(s), received {len(id)}")
    if not id:
        click.echo(gate_table())
    elif id[0] not in GATES:
        raise CommandError(f'feature "{id[0]}" not found')
    else:
        click.echo(describe_gate(id[0]))
