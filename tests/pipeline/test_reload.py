"""A new configuration takes over from a running one: what stays, what is exchanged, what happens when it cannot."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from otelingest.config.settings import ComponentId, Settings
from otelingest.config.telemetry import TelemetrySettings
from otelingest.pipeline.collector import Collector
from otelingest.pipeline.component import Env, Exporter, Extension, Host, Processor, Receiver
from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.metrics import Instrument, Sample
from otelingest.pipeline.payload import Payload, Signal
from tests.pipeline.test_graph import Pipeline, PipelineName

SEEN = Instrument("seen", "counter", "")
PORTS: dict[str, Any] = {}
"""Who holds which of the made-up ports."""


class Script(Settings):
    tag: str = ""
    "Anything: to make settings differ."
    port: str = ""
    "Something that only one can hold."
    asks: str = ""
    "An extension to ask for."
    broken: bool = False
    "Refuse the start."
    slow: bool = False
    "Take a while to stop."


class Life:
    """What all scripted components do."""

    settings: Script
    env: Env
    seen = 0

    async def start(self, host: Host) -> None:
        if self.settings.asks:
            self.extension = host.extension(ComponentId(self.settings.asks))
        if self.settings.broken:
            raise ConfigError("broken")
        if self.settings.port:
            if self.settings.port in PORTS:
                raise ConfigError(f"{self.settings.port} is in use")
            PORTS[self.settings.port] = self

    async def stop(self) -> None:
        if self.settings.slow:
            await asyncio.sleep(0.2)
        if PORTS.get(self.settings.port) is self:
            del PORTS[self.settings.port]

    def metrics(self) -> Iterator[Sample]:
        yield Sample(SEEN, self.seen)


class In(Life, Receiver[Script]):
    Settings = Script

    async def send(self, text: str, signal: Signal = Signal.TRACES) -> None:
        self.seen += 1
        await self.next[signal].consume(Payload(signal, (text.encode(),), 1))


class Keep(Life, Processor[Script]):
    """Holds everything until it is stopped."""

    Settings = Script

    def __init__(self, settings: Script, env: Env, next: Any) -> None:
        super().__init__(settings, env, next)
        self.held: list[Payload] = []

    async def consume(self, payload: Payload) -> None:
        self.held.append(payload)

    async def stop(self) -> None:
        for payload in self.held:
            await self.next.consume(payload)


class Tag(Life, Processor[Script]):
    Settings = Script

    async def consume(self, payload: Payload) -> None:
        chunks = tuple(chunk + self.settings.tag.encode() for chunk in payload.chunks)
        await self.next.consume(Payload(payload.signal, chunks, payload.items))


class Out(Life, Exporter[Script]):
    Settings = Script
    got: list[str]

    def __init__(self, settings: Script, env: Env) -> None:
        super().__init__(settings, env)
        self.got = []

    async def consume(self, payload: Payload) -> None:
        self.seen += 1
        self.got += [chunk.decode() for chunk in payload.chunks]


class Stuck(Out):
    """Its far end takes nothing unless its tag says so."""

    async def consume(self, payload: Payload) -> None:
        if self.settings.tag != "mended":
            self.kept = [*getattr(self, "kept", []), payload]
            return
        await super().consume(payload)

    async def stop(self) -> None:
        if self.left is not None:
            self.left += getattr(self, "kept", [])
        await super().stop()


class Only(Out):
    exclusive = True


class Aside(Life, Extension[Script]):
    Settings = Script


CLASSES = {"in": In, "keep": Keep, "tag": Tag, "out": Out, "stuck": Stuck, "only": Only, "aside": Aside}
ROLES = {"in": "receivers", "keep": "processors", "tag": "processors", "aside": "extensions"}


def configuration(pipelines: dict[str, str], **scripts: dict[str, Any]) -> Any:
    """pipelines: ids in order, `in tag out`; the script of an id without one is empty."""
    sections: dict[str, dict[ComponentId, Script]] = {
        kind: {} for kind in ("receivers", "processors", "exporters", "connectors", "extensions")
    }
    table = {}
    named = {id for ids in pipelines.values() for id in ids.split()} | set(scripts)
    for id in sorted(named):
        found = ComponentId.parse(id)
        sections[ROLES.get(found.type, "exporters")][found] = Script(**scripts.get(id, {}))
    for name, ids in pipelines.items():
        parsed = [ComponentId.parse(id) for id in ids.split()]
        of = {
            kind: [id for id in parsed if ROLES.get(id.type, "exporters") == kind]
            for kind in ("receivers", "processors", "exporters")
        }
        table[PipelineName(*name.split("/"))] = Pipeline(of["receivers"], of["processors"], of["exporters"])
    service = SimpleNamespace(extensions=list(sections["extensions"]), pipelines=table, telemetry=TelemetrySettings())
    return SimpleNamespace(**sections, service=service)


class Running:
    """A collector that runs, and what its configuration will be at the next reload."""

    def __init__(self, first: Any) -> None:
        self.next: Any = first
        self.applied: list[Any] = []

        async def reread() -> Any:
            if isinstance(self.next, Exception):
                raise self.next
            return self.next

        async def applied(found: Any) -> None:
            self.applied.append(found)

        self.collector = Collector(
            first,
            make_log=lambda *_, **__: structlog.get_logger(),
            log=structlog.get_logger(),
            shutdown_timeout=2,
            load=lambda _, name: CLASSES.get(name),
            reread=reread,
            applied=applied,
        )
        self.collector.build()
        self.task = asyncio.create_task(self.collector.run())

    def part(self, id: str) -> Any:
        (found,) = (node.component for node in self.collector.system.nodes if str(node.id) == id)
        return found

    async def reload(self, next: Any) -> str:
        """Take over a configuration; the message that says what came of it."""
        self.next = next
        with capture_logs() as lines:
            os.kill(os.getpid(), signal.SIGHUP)
            await self.until(lambda: any(line["event"].startswith(("Config", "Cannot")) for line in lines))
        return next_line(lines)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)

    def count(self, **labels: str) -> float:
        for instrument, series in self.collector.totals().families():
            if instrument is SEEN:
                return sum(value for own, value in series if labels.items() <= dict(own).items())
        return 0


def next_line(lines: list[Any]) -> str:
    line = next(line for line in lines if line["event"].startswith(("Config", "Cannot")))
    return f"{line['event']}: {line.get('error', '')}"


@pytest.fixture
async def run() -> AsyncIterator[Any]:
    made: list[Running] = []
    PORTS.clear()

    async def start(first: Any) -> Running:
        with capture_logs() as lines:
            running = Running(first)
            made.append(running)
            await running.until(lambda: any(line["event"].startswith("Everything") for line in lines))
        return running

    yield start
    for running in made:
        if not running.task.done():
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(running.task, 5)


async def test_what_has_not_changed_lives_on(run: Any) -> None:
    running = await run(configuration({"traces": "in tag out", "logs": "in out"}))
    before = {id: running.part(id) for id in ("in", "tag", "out")}
    await running.reload(configuration({"traces": "in tag out", "logs": "in out"}))
    assert {id: running.part(id) for id in ("in", "tag", "out")} == before
    assert running.applied


async def test_a_changed_processor_is_exchanged_between_components_that_stay(run: Any) -> None:
    running = await run(configuration({"traces": "in tag out"}, tag={"tag": "-old"}))
    receiver, exporter = running.part("in"), running.part("out")
    await receiver.send("a")
    await running.reload(configuration({"traces": "in tag out"}, tag={"tag": "-new"}))
    await receiver.send("b")
    assert running.part("in") is receiver
    assert exporter.got == ["a-old", "b-new"]


async def test_what_a_processor_holds_that_is_no_more_reaches_the_exporter(run: Any) -> None:
    running = await run(configuration({"traces": "in keep out"}))
    receiver, exporter = running.part("in"), running.part("out")
    await receiver.send("held")
    await running.reload(configuration({"traces": "in out"}))
    await receiver.send("straight")
    await running.until(lambda: len(exporter.got) == 2)
    assert sorted(exporter.got) == ["held", "straight"]


async def test_a_changed_exporter_is_exchanged_and_what_is_before_it_stays(run: Any) -> None:
    running = await run(configuration({"traces": "in keep out"}))
    keep, old = running.part("keep"), running.part("out")
    await running.part("in").send("a")
    await running.reload(configuration({"traces": "in keep out"}, out={"tag": "other"}))
    assert running.part("keep") is keep
    assert keep.held
    await keep.stop()
    keep.held.clear()
    assert (old.got, running.part("out").got) == ([], ["a"])


async def test_what_an_exporter_could_not_deliver_goes_to_its_successor(run: Any) -> None:
    running = await run(configuration({"traces": "in stuck"}))
    await running.part("in").send("a")
    await running.reload(configuration({"traces": "in stuck"}, stuck={"tag": "mended"}))
    await running.until(lambda: running.part("stuck").got == ["a"])


async def test_a_receiver_that_stays_serves_the_signals_of_new_pipelines(run: Any) -> None:
    running = await run(configuration({"traces": "in out"}))
    receiver = running.part("in")
    await running.reload(configuration({"traces": "in out", "logs": "in out/2"}))
    assert running.part("in") is receiver
    await receiver.send("log", Signal.LOGS)
    assert running.part("out/2").got == ["log"]
    await running.reload(configuration({"traces": "in out"}))
    assert set(receiver.next) == {Signal.TRACES}


async def test_a_changed_receiver_gets_the_port_of_the_one_before_it(run: Any) -> None:
    running = await run(configuration({"traces": "in out"}, **{"in": {"port": "4317"}}))
    old = running.part("in")
    said = await running.reload(configuration({"traces": "in out"}, **{"in": {"port": "4317", "tag": "new"}}))
    assert said.startswith("Config updated")
    assert running.part("in") is not old
    assert {"4317": running.part("in")} == PORTS


async def test_data_waits_while_an_exporter_that_holds_something_is_exchanged(run: Any) -> None:
    running = await run(configuration({"traces": "in only"}, only={"port": "file", "slow": True}))
    old, receiver = running.part("only"), running.part("in")
    sent = asyncio.create_task(running.reload(configuration({"traces": "in only"}, only={"port": "file"})))
    await asyncio.sleep(0.1)  # the old one is being stopped
    await receiver.send("waited")
    assert (await sent).startswith("Config updated")
    assert (old.got, running.part("only").got) == ([], ["waited"])


@pytest.mark.parametrize(
    ("pipelines", "scripts", "error"),
    [
        ({"traces": "in out/2"}, {"out/2": {"broken": True}}, 'failed to start "out/2" exporter: broken'),
        ({"traces": "in unknown"}, {}, 'exporter factory not available for: "unknown"'),
        ({"traces": "in out"}, {"in": {"port": "taken"}}, 'failed to start "in" receiver: taken is in use'),
    ],
)
async def test_a_configuration_that_cannot_run_leaves_the_old_one_running(
    run: Any, pipelines: dict[str, str], scripts: dict[str, Any], error: str
) -> None:
    running = await run(configuration({"traces": "in out"}, **{"in": {"port": "4317"}}))
    exporter = running.part("out")
    PORTS["taken"] = None
    said = await running.reload(configuration(pipelines, **scripts))
    assert said.startswith("Cannot take over the new configuration; the running one goes on")
    assert error in said
    await running.part("in").send("still")
    assert PORTS["4317"] is running.part("in")
    assert exporter.got == ["still"]
    assert not running.applied
    assert (await running.reload(configuration({"traces": "in out"}))).startswith("Config updated")


async def test_a_configuration_that_cannot_be_read_leaves_the_old_one_running(run: Any) -> None:
    running = await run(configuration({"traces": "in out"}))
    assert "no such file" in await running.reload(ConfigError("no such file"))
    assert "boom" in await running.reload(RuntimeError("boom"))
    await running.part("in").send("still")


async def test_who_has_asked_for_an_extension_that_changes_is_made_anew(run: Any) -> None:
    scripts: dict[str, Any] = {"in": {"asks": "aside"}, "aside": {"tag": "old"}}
    running = await run(configuration({"traces": "in out"}, **scripts))
    exporter = running.part("out")
    await running.reload(configuration({"traces": "in out"}, **{**scripts, "aside": {"tag": "new"}}))
    assert running.part("in").extension is running.part("aside")
    assert running.part("in").extension.settings.tag == "new"
    assert running.part("out") is exporter


async def test_counters_go_on_when_their_components_are_exchanged(run: Any) -> None:
    running = await run(configuration({"traces": "in out"}))
    await running.part("in").send("a")
    await running.reload(configuration({"traces": "in out"}, out={"tag": "1"}, **{"in": {"tag": "1"}}))
    await running.part("in").send("b")
    await running.until(lambda: running.count(exporter="out") == 2)
    assert running.count(receiver="in") == 2


async def test_a_stop_ends_what_is_still_giving_way(run: Any) -> None:
    running = await run(configuration({"traces": "in out"}, out={"slow": True}))
    await running.reload(configuration({"traces": "in out"}))
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running.task, 5)
