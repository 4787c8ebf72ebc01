"""The command line, as the Go collector's: its flags, its subcommands, its texts and its exit codes."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from otelingest import __version__
from otelingest.config.failures import ConfigurationError
from otelingest.config.gates import GATES, Turned, describe_gate, gate_table, parse_gates
from otelingest.config.sources import Told, set_location
from otelingest.config.types import Duration
from otelingest.pipeline.errors import ConfigError
from otelingest.run import find_component, registry, run

if TYPE_CHECKING:
    from otelingest.config.configuration import Configuration

DESCRIPTION = "An OpenTelemetry-Collector-compatible ingestion server that writes into ClickHouse."
DEFAULT_SHUTDOWN_TIMEOUT = "8s"
STABILITY = "Alpha"
"""Of a component whose class does not say better."""

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
            self.sets.append(_flag_value("--set", text, set_location))
        for text in feature_gates:
            self.gates.update(_flag_value("--feature-gates", text, lambda text: parse_gates([text])))

    def load(self, *, validate: bool = True) -> Configuration:
        """The configuration that the flags name."""
        from otelingest.config.loader import load

        if not self.locations:
            raise CommandError("at least one config flag must be provided")
        # What is made here all stays: looking through it for garbage would be a tenth of the time.
        gc.disable()
        try:
            return load([*self.locations, *self.sets], registry(), gates=self.gates, validate=validate)
        finally:
            gc.enable()


T = TypeVar("T")


def _flag_value(flag: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise CommandError(f'invalid argument "{text}" for "{flag}" flag: {error}') from None


def _shared(command: F) -> F:
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


def _no_arguments(command: F) -> F:
    return click.argument("rest", nargs=-1, type=click.UNPROCESSED)(command)


def _refuse_arguments(rest: Sequence[str]) -> None:
    if rest:
        raise CommandError(f"accepts 0 arg(s), received {len(rest)}")


class _Root(click.Group):
    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if self.get_command(ctx, name) is None:
            raise CommandError(f'unknown command "{name}" for "{ctx.info_name}"')
        return super().resolve_command(ctx, args)


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
@_shared
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
    timeout = _flag_value("--shutdown-timeout", shutdown_timeout, _seconds)
    if context.invoked_subcommand is None:
        run(options.load, timeout, context.info_name or "otelingest")


def _seconds(text: str) -> float:
    """A length of time as Go writes it, or a number of seconds. Raises ValueError."""
    seconds = float(text) if text.replace(".", "", 1).isdigit() else Duration.parse(text).seconds
    if seconds < 0:
        raise ValueError("must not be negative")
    return seconds


@cli.command(help="Check a configuration without running it.")
@_shared
@_no_arguments
@click.pass_obj
def validate(
    options: Options, config: Sequence[str], set_: Sequence[str], feature_gates: Sequence[str], rest: Sequence[str]
) -> None:
    options.add(config, set_, feature_gates)
    _refuse_arguments(rest)
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


@cli.command("print-config", help="Print the configuration as it is in effect, with every default.")
@_shared
@click.option("--format", "format_", default="yaml", show_default=True, help="yaml or json.")
@click.option(
    "--mode", default="redacted", show_default=True, help="redacted or unredacted: whether secrets are shown."
)
@click.option(
    "--validate",
    "check",
    type=bool,
    is_flag=False,
    flag_value="true",
    default=True,
    show_default=True,
    help="Whether what does not fit together is refused.",
)
@_no_arguments
@click.pass_obj
def print_config(
    options: Options,
    config: Sequence[str],
    set_: Sequence[str],
    feature_gates: Sequence[str],
    format_: str,
    mode: str,
    check: bool,
    rest: Sequence[str],
) -> None:
    options.add(config, set_, feature_gates)
    _refuse_arguments(rest)
    if mode not in ("redacted", "unredacted"):
        raise CommandError(f'invalid mode "{mode}": modes are: redacted, unredacted')
    if format_.lower() not in ("yaml", "json"):
        raise CommandError(f"unrecognized print format: {format_}")
    try:
        configuration = options.load(validate=check)
    except ConfigurationError as error:
        prefix = "invalid configuration: " if error.invalid else ""
        raise ConfigurationError(f"{prefix}{error}", error.notes) from error
    from otelingest.config.rendering import render

    click.echo(render(configuration, format=format_.lower(), redacted=mode == "redacted"))


cli.add_command(print_config, "print-initial-config")


@cli.command(help="List the components that are installed, as YAML.")
@_no_arguments
@click.pass_context
def components(context: click.Context, rest: Sequence[str]) -> None:
    _refuse_arguments(rest)
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


@cli.command(help="List the feature gates, or describe one.")
@click.argument("id", required=False)
@_shared
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


@cli.command(help="Ask a running collector's health_check: exit code 0 when all its pipelines run, else 1.")
@_shared
@click.option("--timeout", default=3.0, show_default=True, metavar="SECONDS", help="How long the answer may take.")
@_no_arguments
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
    _refuse_arguments(rest)
    configuration = options.load(validate=False)
    used = configuration.service.extensions
    checks: list[Any] = [configuration.extensions[id] for id in used if id.type == "health_check"]
    if not checks:
        raise CommandError("the configuration has no health_check extension in service::extensions")
    click.echo(ask(checks[0].endpoint, checks[0].path, secure=checks[0].tls is not None, timeout=timeout))


@cli.command("dead-letters", help="List what exporters gave up and file_storage keeps; show it, or send it again.")
@_shared
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
        pairs = [_flag_value("--header", text, _header) for text in headers]
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


@cli.command(help="Ask the embedded ClickHouse. SQL may come from the standard input.")
@_shared
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
