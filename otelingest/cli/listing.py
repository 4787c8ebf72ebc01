"""`components` and `featuregate`: what there is in this installation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from otelingest import __version__
from otelingest.cli.options import CommandError, Options, no_arguments, refuse_arguments, shared
from otelingest.config.gates import GATES, describe_gate, gate_table
from otelingest.pipeline.errors import ConfigError
from otelingest.run import registry

DESCRIPTION = "An OpenTelemetry-Collector-compatible ingestion server that writes into ClickHouse."
STABILITY = "Alpha"
"""Of a component whose class does not say better."""


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
    tree["providers"] = [{"scheme": scheme, "module": "otelingest.config.sources"} for scheme in sorted(SCHEMES)]
    click.echo(to_yaml(tree, sort=False), nl=False)


def _described(kind: Any) -> Iterable[dict[str, Any]]:
    installed = registry()
    for name in sorted(installed.names(kind)):
        try:
            component = installed.load(kind, name)
        except ConfigError as error:
            click.echo(f"warning: {error}", err=True)
            continue
        level = getattr(component, "stability", STABILITY)
        signals = sorted(str(signal) for signal in getattr(component, "signals", ())) or [kind[:-1]]
        yield {
            "name": name,
            "module": getattr(component, "__module__", ""),
            "stability": dict.fromkeys(signals, level),
        }


@click.command(help="List the feature gates, or describe one.")
@click.argument("id", required=False)
@shared
@click.pass_obj
def featuregate(
    options: Options, id: str | None, config: Sequence[str], set_: Sequence[str], feature_gates: Sequence[str]
) -> None:
    options.add(config, set_, feature_gates)
    if id is None:
        click.echo(gate_table(options.gates))
        return
    if id not in GATES:
        raise CommandError(f'feature "{id}" not found')
    click.echo(describe_gate(id, options.gates))
