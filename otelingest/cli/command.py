"""The root command, which runs the collector, and the texts and exit codes of errors: the Go collector's."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from otelingest import __version__
from otelingest.cli.asking import healthcheck, query
from otelingest.cli.configurations import print_config, validate
from otelingest.cli.dead_letters import dead_letters
from otelingest.cli.listing import DESCRIPTION, components, featuregate
from otelingest.cli.options import CommandError, Options, flag_value, shared
from otelingest.config.failures import ConfigurationError
from otelingest.config.types import Duration, go_quote
from otelingest.pipeline.errors import ConfigError
from otelingest.run import run

DEFAULT_SHUTDOWN_TIMEOUT = "8s"


class _Root(click.Group):
    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if self.get_command(ctx, name) is None:
            near = [command for command in self.list_commands(ctx) if _is_near(name, command)]
            meant = "\n\nDid you mean this?\n" + "".join(f"\t{command}\n" for command in near) if near else ""
            usage = f"Run '{ctx.info_name} --help' for usage."
            raise CommandError(f'unknown command "{name}" for "{ctx.info_name}"{meant}\n{usage}')
        return super().resolve_command(ctx, args)


def _is_near(typed: str, command: str) -> bool:
    """Whether someone who typed that may have meant this: the beginning of its name, or at most two slips."""
    return command.startswith(typed.lower()) or _slips(typed.lower(), command) <= 2


def _slips(one: str, other: str) -> int:
    """How many letters must be changed, put in or left out to make one word of the other."""
    costs = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        before, costs[0] = costs[0], row
        for column, meant in enumerate(other, 1):
            before, costs[column] = (
                costs[column],
                min(costs[column] + 1, costs[column - 1] + 1, before + (letter != meant)),
            )
    return costs[-1]


def _show_version(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"{context.find_root().info_name} version {__version__}")
        context.exit()


@click.group(
    cls=_Root,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=f"{DESCRIPTION} Without a subcommand it runs.",
)
@shared
@click.option(
    "--shutdown-timeout",
    default=DEFAULT_SHUTDOWN_TIMEOUT,
    show_default=True,
    metavar="DURATION",
    help="How long a shutdown may take to deliver what is left.",
)
@click.option(
    "-v", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@click.pass_context
def cli(
    context: click.Context,
    config: Sequence[str],
    set_: Sequence[str],
    feature_gates: Sequence[str],
    shutdown_timeout: str,
) -> None:
    options = Options()
    context.obj = options
    options.add(config, set_, feature_gates)
    timeout = flag_value("--shutdown-timeout", shutdown_timeout, _seconds)
    if context.invoked_subcommand is None:
        run(options.load, timeout, context.info_name or "otelingest")


def _seconds(text: str) -> float:
    """A length of time as Go writes it, or a number of seconds. Raises ValueError."""
    seconds = float(text) if text.replace(".", "", 1).isdigit() else Duration.parse(text).seconds
    if seconds < 0:
        raise ValueError("must not be negative")
    return seconds


@click.command("help", help="Show what a command does, and its flags.")
@click.argument("names", nargs=-1)
@click.pass_context
def help_(context: click.Context, names: Sequence[str]) -> None:
    root = context.find_root()
    command = cli.get_command(root, names[0]) if names else cli
    if command is None:
        click.echo(f"Unknown help topic {go_quote(names[0])}", err=True)
        command = cli
    about = root if command is cli else click.Context(command, parent=root, info_name=names[0])
    click.echo(command.get_help(about))


@click.command(help="Print a script by which a shell completes commands and flags: bash, zsh or fish.")
@click.argument("shell")
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    from click.shell_completion import get_completion_class

    name = context.find_root().info_name or "otelingest"
    complete = get_completion_class(shell)
    if complete is None:
        raise CommandError(f'unknown shell "{shell}": bash, fish and zsh are known')
    click.echo(complete(cli, {}, name, f"_{name.upper().replace('-', '_')}_COMPLETE").source())


for subcommand in (
    *(validate, print_config, components, featuregate, healthcheck, dead_letters, query),
    *(help_, completion),
):
    cli.add_command(subcommand)
cli.add_command(print_config, "print-initial-config")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    name = os.path.basename(sys.argv[0])
    command = "otelingest" if name in ("__main__.py", "-c", "") else name
    try:
        cli.main(typed, prog_name=command, standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except (CommandError, ConfigError, ConfigurationError, click.ClickException) as error:
        _fail(error, typed)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        os._exit(1)
    sys.exit(0)


def _fail(error: Exception, typed: Sequence[str]) -> NoReturn:
    for note in getattr(error, "notes", ()):
        click.echo(note, err=True)
    text = _usage_text(error, typed) if isinstance(error, click.ClickException) else str(error)
    click.echo(f"Error: {text}", err=True)
    sys.exit(1)


def _usage_text(error: click.ClickException, typed: Sequence[str]) -> str:
    """What the collector's own parser of flags says."""
    if isinstance(error, click.NoSuchOption):
        option = error.option_name
        if option.startswith("--"):
            return f"unknown flag: {option}"
        whole = next((word for word in typed if word.startswith(option[:2]) and not word.startswith("--")), option)
        return f"unknown shorthand flag: '{option[1:2]}' in {whole}"
    if isinstance(error, click.BadOptionUsage):
        return f"flag needs an argument: {error.option_name}"
    if isinstance(error, click.BadParameter) and error.param is not None:
        flag = error.param.opts[-1]
        return f'invalid argument for "{flag}" flag: {error.format_message()}'
    return error.format_message()
