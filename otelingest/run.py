"""The run command: one process, its log and its metrics, and the collector in it."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from otelingest import __version__
from otelingest.config.failures import ConfigurationError
from otelingest.config.resource import legacy_attributes, resource_attributes
from otelingest.config.sources import Told
from otelingest.machine import give_back_memory, share_one_heap
from otelingest.pipeline.errors import ConfigError

if TYPE_CHECKING:
    from otelingest.config.configuration import Configuration, Registry
    from otelingest.config.telemetry import LogsSettings
    from otelingest.telemetry.processors import Processors

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
    from otelingest import telemetry

    share_one_heap()
    configuration = _load_to_run(load)
    settings = configuration.service.telemetry
    resource = resource_attributes(settings.resource, command, __version__)
    records = _log_records(settings.logs, resource)
    telemetry.setup(settings, resource, records.add if records else None)
    _tell(configuration)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(configuration, load, command, shutdown_timeout, resource, records))


def _log_records(settings: LogsSettings, resource: Mapping[str, Any]) -> Processors:
    from otelingest import telemetry
    from otelingest.telemetry import log_records
    from otelingest.telemetry.processors import Processors

    try:
        return Processors(
            settings.processors,
            "logs",
            lambda records: log_records.encode(records, resource),
            telemetry.get_logger(),
        )
    except ConfigError as error:
        raise ConfigError(f"failed to create logger: {error}") from None


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
    if settings.traces is not None and settings.traces.processors:
        log.warning("service.telemetry.traces has no effect: otelingest does not trace itself yet")
    for (kind, id), name in configuration.aliases.items():
        component = telemetry.component_logger(kind[:-1], id)
        component.warning(f'"{id.type}" alias is deprecated; use "{name}" instead')


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
    records: Processors,
) -> None:
    from otelingest import telemetry
    from otelingest.pipeline import registry as installed
    from otelingest.pipeline.collector import Collector
    from otelingest.telemetry.metrics import Metrics, check_metrics
    from otelingest.telemetry.processors import check_processors

    async def reread() -> Configuration:
        installed.look_again()
        found = await asyncio.to_thread(_load_to_run, load)
        check_metrics(found.service.telemetry.metrics)
        check_processors(found.service.telemetry.logs.processors, "logs")
        return found

    async def applied(found: Configuration) -> None:
        try:
            await records.apply(found.service.telemetry.logs.processors)
            telemetry.setup(found.service.telemetry, resource, records.add if records else None)
            await metrics.apply(found.service.telemetry.metrics)
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
    )
    metrics = Metrics(collector.totals, resource, log)
    try:
        await records.start()
        await metrics.apply(configuration.service.telemetry.metrics)
        log.info("Internal trace telemetry disabled")
        collector.build()
        _tell_codec(log)
        gc.freeze()
        thrift = asyncio.create_task(give_back_memory(), name="giving back memory")
        try:
            await collector.run()
        finally:
            thrift.cancel()
    finally:
        await metrics.stop()
        await records.stop()


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
