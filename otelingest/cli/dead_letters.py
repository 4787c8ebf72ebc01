"""`dead-letters`: what exporters gave up, listed, shown, sent again or deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from otelingest.cli.options import CommandError, Options, flag_value, shared


@click.command("dead-letters", help="List what exporters gave up and file_storage keeps; show it, or send it again.")
@shared
@click.option("--directory", help="The folder of file_storage, instead of the configuration's.")
@click.option("--show", is_flag=True, help="Print the telemetry in them, as OTLP/JSON.")
@click.option("--send", metavar="URL", help="Send them to this OTLP/HTTP endpoint; each is deleted when it was taken.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header to send with them.")
@click.option("--delete", is_flag=True, help="Delete them.")
@click.argument("names", nargs=-1)
@click.pass_obj
def dead_letters(
    options: Options,
    config: Sequence[str],
    set_: Sequence[str],
    feature_gates: Sequence[str],
    directory: str | None,
    show: bool,
    send: str | None,
    headers: Sequence[str],
    delete: bool,
    names: Sequence[str],
) -> None:
    from otelingest import dead_letters as letters

    options.add(config, set_, feature_gates)
    found = letters.find(_storage_folder(options) if directory is None else directory, names)
    if send is not None:
        pairs = [flag_value("--header", text, _header) for text in headers]
        for letter in found:
            letters.send(letter, send, pairs)
            click.echo(f"{letter.name} sent")
    elif show:
        for letter in found:
            click.echo(letters.contents(letter))
    elif delete:
        for letter in found:
            letter.delete()
        click.echo(f"{len(found)} deleted")
    else:
        for line in letters.lines(found):
            click.echo(line)


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError("NAME=VALUE is meant")
    return name, value


def _storage_folder(options: Options) -> str:
    extensions = options.load(validate=False).extensions
    storages: list[Any] = [settings for id, settings in extensions.items() if id.type == "file_storage"]
    if len(storages) != 1:
        count = "more than one" if storages else "no"
        raise CommandError(f"the configuration has {count} file_storage extension: say which with --directory")
    return str(storages[0].directory)
