"""The run command: one process, its log and its metrics, and the collector in it."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from otelingest import __version__
from otelingest.config.failures import ConfigurationError
from otelingest.config.sources import Told
from otelingest.config.telemetry.resource import legacy_attributes, resource_attributes
from otelingest.machine import give_back_memory, share_one_heap
from otelingest.pipeline.errors import ConfigError

if TYPE_CHECKING:
    from otelingest.config.configuration import Configuration, Registry
    from otelingest.config.settings import ComponentId
    from otelingest.telemetry.providers import Providers

_LEGACY_RESOURCE = (
    "Using legacy service.telemetry.resource inline map format; "
    "prefer service.telemetry.resource.attributes (array of maps with `name` and `value` keys)"
)

Load = Callable[[], "Configuration"]
"""Reads the configuration that the command line names. Raises ConfigurationError."""


def run(load: Load, shutdown_timeout: float, command: str) -> None:
    """Run a configuration until the process is told to stop, and what it is changed to in the meantime.

    shutdown_timeout: seconds.
    command: the name that the collector goes by.
    """
    from otelingest.telemetry.providers import Providers

    share_one_heap()
    configuration = _load_to_run(load)
    settings = configuration.service.telemetry
    resource = resource_attributes(settings.resource, command, __version__)
    providers = Providers(settings, resource)
    _tell(configuration)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(configuration, load, command, shutdown_timeout, resource, providers))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _load_to_run(load: Load) -> Configuration:
    try:
        return load()
    except ConfigurationError as error:
        prefix = "invalid configuration: " if error.invalid else ""
        raise ConfigurationError(f"{prefix}{error}", error.notes) from error


def _tell(configuration: Configuration) -> None:
    """Log what there is to say about a configuration."""
    from otelingest import telemetry

    log = telemetry.get_logger()
    for told in configuration.told:
        _log(log, told)
    settings = configuration.service.telemetry
    if legacy := list(legacy_attributes(settings.resource)):
        log.warning(_LEGACY_RESOURCE, legacy_resource_attributes=legacy)
    if "detection/development" in settings.resource:
        log.warning("service.telemetry.resource: detection/development has no effect")
    for (kind, id), name in configuration.aliases.items():
        for signal in _signals_of(configuration, kind, id):
            component = telemetry.component_logger(kind[:-1], id, signal)
            component.warning(f'"{id.type}" alias is deprecated; use "{name}" instead')


def _signals_of(configuration: Configuration, kind: str, id: ComponentId) -> list[str | None]:
    """The signals for which upstream makes an exporter or a processor each; None for what serves all of them."""
    if kind not in ("exporters", "processors"):
        return [None]
    pipelines = configuration.service.pipelines
    return [*sorted({named.signal for named, pipeline in pipelines.items() if id in getattr(pipeline, kind)})]


def _tell_codec(log: Any) -> None:
    """Log which implementation reads telemetry, where any component does."""
    codec = sys.modules.get("otelingest.codec")
    if codec is None:
        return
    if codec.IMPLEMENTATION == "native":
        log.info("Telemetry is read by the native codec")
    else:
        log.warning("Telemetry is read by the readable codec, which is far slower: the native one is not compiled")


async def _serve(
    configuration: Configuration,
    load: Load,
    command: str,
    shutdown_timeout: float,
    resource: Mapping[str, Any],
    providers: Providers,
) -> None:
    from otelingest import telemetry
    from otelingest.pipeline import registry as installed
    from otelingest.pipeline.collector import Collector
    from otelingest.telemetry.providers import check

    async def reread() -> Configuration:
        installed.look_again()
        found = await asyncio.to_thread(_load_to_run, load)
        check(found.service.telemetry)
        return found

    async def applied(found: Configuration) -> None:
        try:
            await providers.apply(found.service.telemetry)
        except ConfigError as error:
            log.error("Cannot apply service.telemetry", error=str(error))
        _tell(found)

    log = telemetry.get_logger()
    collector = Collector(
        configuration,
        make_log=telemetry.component_logger,
        log=log,
        command=command,
        shutdown_timeout=shutdown_timeout,
        load=find_component,
        reread=reread,
        applied=applied,
        resource=resource,
        tracer=providers.tracer,
    )
    try:
        try:
            await providers.start(collector.totals)
            collector.build()
        except ConfigError as error:
            log.error("error found during service initialization", error=str(error))
            raise
        _tell_codec(log)
        gc.freeze()
        thrift = asyncio.create_task(give_back_memory(), name="giving back memory")
        try:
            await collector.run()
        finally:
            thrift.cancel()
    finally:
        await providers.stop()


def find_component(kind: Any, type: str) -> Any:
    return registry().find(kind, type)


def _log(log: Any, told: Told) -> None:
    at = {"at": str(told.position)} if told.position else {}
    getattr(log, told.level)(told.text, **told.fields, **at)


def registry() -> Registry:
    """Where component types are looked up: among the packages that are installed."""
    from otelingest.config.configuration import Registry
    from otelingest.pipeline import registry as installed

    return Registry(installed.load, installed.names)
