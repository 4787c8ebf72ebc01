"""`healthcheck` and `query`: ask what runs, by the configuration that it runs with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from otelingest.cli.options import CommandError, Options, no_arguments, refuse_arguments, shared


@click.command(help="Ask a running collector's health_check: exit code 0 when all its pipelines run, else 1.")
@shared
@click.option("--timeout", default=3.0, show_default=True, metavar="SECONDS", help="How long the answer may take.")
@no_arguments
@click.pass_obj
def healthcheck(
    options: Options,
    config: Sequence[str],
    set_: Sequence[str],
    feature_gates: Sequence[str],
    timeout: float,
    rest: Sequence[str],
) -> None:
    from otelingest.probe import ask

    options.add(config, set_, feature_gates)
    refuse_arguments(rest)
    configuration = options.load(validate=False)
    used = configuration.service.extensions
    checks: list[Any] = [configuration.extensions[id] for id in used if id.type == "health_check"]
    if not checks:
        raise CommandError("the configuration has no health_check extension in service::extensions")
    click.echo(ask(checks[0].endpoint, checks[0].path, secure=checks[0].tls is not None, timeout=timeout))


@click.command(help="Ask the embedded ClickHouse. SQL may come from the standard input.")
@shared
@click.option("--path", help="The engine's data folder.")
@click.option("--url", help="Ask this ClickHouse instead: its HTTP endpoint.")
@click.option("--username", help="Who asks. The password is taken from CLICKHOUSE_PASSWORD or the configuration.")
@click.option("--database", help="The database that names without one are looked up in.")
@click.option("--format", "format_", help="How the answer looks: a format of ClickHouse's, such as JSONEachRow.")
@click.argument("sql", default="-")
@click.pass_obj
def query(
    options: Options,
    config: Sequence[str],
    set_: Sequence[str],
    feature_gates: Sequence[str],
    path: str | None,
    url: str | None,
    username: str | None,
    database: str | None,
    format_: str | None,
    sql: str,
) -> None:
    from otelingest.query import run_query

    options.add(config, set_, feature_gates)
    password = None
    if options.locations and url is None and path is None:
        path, username, password = _engine(options, username)
    text = sys.stdin.read() if sql == "-" else sql
    run_query(text, path=path, http_url=url, username=username, password=password, database=database, format=format_)


def _engine(options: Options, username: str | None) -> tuple[str, str, str]:
    """The data folder, the user and the password of the engine that a configuration names."""
    extensions = options.load().extensions
    engines: list[Any] = [settings for id, settings in extensions.items() if id.type == "embedded_clickhouse"]
    if len(engines) != 1:
        count = "more than one" if engines else "no"
        raise CommandError(
            f"the configuration has {count} embedded_clickhouse extension: say which with --path or --url"
        )
    return engines[0].path, username or engines[0].username, engines[0].password.get_secret_value()
