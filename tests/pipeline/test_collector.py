"""The collector's life: what starts when, what a failure or a signal does to it, how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from otelingest.config.settings import ComponentId, Settings
from otelingest.config.telemetry import TelemetrySettings
from otelingest.pipeline import collector as collector_module
from otelingest.pipeline.collector import Collector
from otelingest.pipeline.component import Env, Exporter, Extension, Host, Receiver
from otelingest.pipeline.errors import ConfigError
from tests.pipeline.test_graph import Pipeline, PipelineName

HAPPENED: list[str] = []


class Script(Settings):
    """What a scripted component is to do."""

    fail: str = ""
    "A message to refuse the start with."
    hang: bool = False
    "Do not come back from stop."
    raise_in_stop: bool = False
    "Break in stop."
    signal: bool = False
    "Send the process a SIGTERM in start, and take long."


async def play(part: Any, host: Host) -> None:
    HAPPENED.append(f"start {part.env.id}")
    part.host = host
    if part.settings.fail:
        raise ConfigError(part.settings.fail)
    if part.settings.signal:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(30)


async def end(part: Any) -> None:
    HAPPENED.append(f"stop {part.env.id}")
    if part.settings.raise_in_stop:
        raise RuntimeError("broken")
    if part.settings.hang:
        await asyncio.sleep(30)


class In(Receiver[Script]):
    Settings = Script
    start, stop = play, end


class Out(Exporter[Script]):
    Settings = Script
    start, stop = play, end


class Aside(Extension[Script]):
    Settings = Script
    start, stop = play, end


CLASSES = {"in": In, "out": Out, "aside": Aside}


def ids(text: str) -> list[ComponentId]:
    return [ComponentId.parse(id) for id in text.split()]


def collector(timeout: float = 5.0, **scripts: dict[str, Any]) -> Collector:
    """in → out, with the extension aside; a script for each by its name."""
    sections = {
        name: {ComponentId(id): Script(**scripts.get(id, {}))}
        for name, id in (("receivers", "in"), ("exporters", "out"), ("extensions", "aside"))
    }
    configuration = SimpleNamespace(
        **sections,
        processors={},
        connectors={},
        service=SimpleNamespace(
            telemetry=TelemetrySettings(),
            extensions=ids("aside"),
            pipelines={PipelineName("traces"): Pipeline(ids("in"), [], ids("out"))},
        ),
    )
    HAPPENED.clear()
    made = Collector(
        configuration,
        make_log=lambda *_, **__: structlog.get_logger(),
        log=structlog.get_logger(),
        shutdown_timeout=timeout,
        load=lambda _, name: CLASSES.get(name),
    )
    made.build()
    return made


async def stop_soon() -> None:
    await asyncio.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)


async def test_exporters_start_before_receivers_and_stop_after_them() -> None:
    with capture_logs() as lines:
        await asyncio.gather(collector().run(), stop_soon())
    assert HAPPENED == ["start aside", "start out", "start in", "stop in", "stop out", "stop aside"]
    said = [line["event"] for line in lines]
    assert said == [
        "Starting otelingest...",
        "Starting extensions...",
        "Extension is starting...",
        "Extension started.",
        "Everything is ready. Begin running and processing data.",
        "Received signal from OS",
        "Starting shutdown...",
        "Stopping extensions...",
        "Shutdown complete.",
    ]


async def test_a_component_that_cannot_start_is_named_and_the_others_are_stopped() -> None:
    with pytest.raises(ConfigError) as caught:
        await collector(**{"in": {"fail": "listen tcp 127.0.0.1:4317: bind: address already in use"}}).run()
    assert str(caught.value) == (
        'cannot start pipelines: failed to start "in" receiver: listen tcp 127.0.0.1:4317: bind: address already in use'
    )
    assert HAPPENED == ["start aside", "start out", "start in", "stop in", "stop out", "stop aside"]


async def test_a_signal_during_a_long_start_ends_it() -> None:
    await asyncio.wait_for(collector(out={"signal": True}).run(), 5)
    assert HAPPENED == ["start aside", "start out", "stop out", "stop aside"]


async def test_a_failure_after_the_start_stops_everything_and_is_raised() -> None:
    made = collector()

    async def fail_soon() -> None:
        await asyncio.sleep(0.05)
        made.fatal(ConfigError("wrong password"))

    with pytest.raises(ConfigError, match="wrong password"):
        await asyncio.gather(made.run(), fail_soon())
    assert HAPPENED[-3:] == ["stop in", "stop out", "stop aside"]


async def test_a_stop_that_hangs_or_breaks_does_not_keep_the_others_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collector_module, "STOP_GRACE", 0.05)
    with capture_logs() as lines:
        made = collector(timeout=0.1, **{"in": {"raise_in_stop": True}, "out": {"hang": True}})
        await asyncio.gather(made.run(), stop_soon())
    assert HAPPENED[-3:] == ["stop in", "stop out", "stop aside"]
    errors = [line["event"] for line in lines if line["log_level"] == "error"]
    assert errors == ["Failed to stop", "Did not stop in time; abandoned"]


async def test_components_see_the_deadline_while_they_are_stopped() -> None:
    made = collector(timeout=3)
    seen: list[float | None] = []

    async def look(self: Any) -> None:
        seen.append(self.host.stop_deadline)

    exporter = made.system.graph.nodes[0].component
    exporter.stop = look.__get__(exporter)  # type: ignore[method-assign]
    before = asyncio.get_running_loop().time()
    await asyncio.gather(made.run(), stop_soon())
    assert seen[0] is not None
    assert 3 <= seen[0] - before < 4


def test_shared_objects_are_made_once_for_equal_keys() -> None:
    made = collector()
    assert made.shared(("limiter", "a"), object) is made.shared(("limiter", "a"), object)
    assert made.shared(("limiter", "b"), object) is not made.shared(("limiter", "a"), object)


def test_components_find_the_extensions_in_use() -> None:
    made = collector()
    assert isinstance(made.extensions()[ComponentId("aside")], Aside)
    assert ComponentId("other") not in made.extensions()


def test_env_of_an_exporter_names_the_signals_that_reach_it() -> None:
    env: Env = collector().system.graph.nodes[0].component.env
    assert {str(s) for s in env.signals} == {"traces"}
