"""Pipelines become a graph: who stands before whom, in which order they start, what cannot be built."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Hashable
from typing import Any, NamedTuple

import pytest
import structlog

from otelingest.config.settings import ComponentId, Settings
from otelingest.pipeline.component import Connector, Env, Exporter, Processor, Receiver, Ways
from otelingest.pipeline.errors import ConfigError, Partial, Refused, Rejected
from otelingest.pipeline.graph import Graph, build
from otelingest.pipeline.links import FanOut
from otelingest.pipeline.metrics import INTERNAL_DURATION, Histogram
from otelingest.pipeline.payload import Payload, Signal


class PipelineName(NamedTuple):
    signal: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.signal}/{self.name}" if self.name else self.signal


class Pipeline(NamedTuple):
    receivers: list[ComponentId]
    processors: list[ComponentId]
    exporters: list[ComponentId]


class Nothing(Settings):
    pass


class Source(Receiver[Nothing]):
    Settings = Nothing


class Tag(Processor[Nothing]):
    """Appends its id to every chunk, so that a payload tells which way it came."""

    Settings = Nothing

    async def consume(self, payload: Payload) -> None:
        chunks = tuple(chunk + str(self.env.id).encode() for chunk in payload.chunks)
        await self.next.consume(Payload(payload.signal, chunks, payload.items))


class Sink(Exporter[Nothing]):
    Settings = Nothing

    def __init__(self, settings: Nothing, env: Env) -> None:
        super().__init__(settings, env)
        self.got: list[bytes] = []

    async def consume(self, payload: Payload) -> None:
        self.got.extend(payload.chunks)


class Slow(Processor[Nothing]):
    """Takes its time, before and behind what it hands on."""

    Settings = Nothing

    async def consume(self, payload: Payload) -> None:
        await asyncio.sleep(0.02)
        await self.next.consume(payload)
        await asyncio.sleep(0.02)


class TracesOnly(Sink):
    signals = frozenset({Signal.TRACES})


class Forward(Connector[Nothing]):
    Settings = Nothing

    async def consume(self, payload: Payload) -> None:
        await self.next[payload.signal].consume(payload)


class Picky(Processor[Nothing]):
    Settings = Nothing

    def __init__(self, settings: Nothing, env: Env, next: Any) -> None:
        raise ConfigError('error with key "b" (1-th action)')


class Chooser(Connector[Nothing]):
    """Hands on to the last of the pipelines that it begins."""

    Settings = Nothing
    picks = True

    async def consume(self, payload: Payload) -> None:
        assert isinstance(self.next, Ways)
        await list(self.next.pipelines.values())[-1].consume(payload)


CLASSES = {
    "source": Source,
    "tag": Tag,
    "sink": Sink,
    "slow": Slow,
    "traces_only": TracesOnly,
    "forward": Forward,
    "picky": Picky,
    "picks": Chooser,
}


def built(pipelines: dict[str, tuple[str, str, str]], *, connectors: str = "") -> dict[str, Any]:
    """The components by `kind id`, in their order of start."""
    return {f"{node.kind} {node.id}": node.component for node in graph(pipelines, connectors=connectors).nodes}


def graph(
    pipelines: dict[str, tuple[str, str, str]],
    *,
    connectors: str = "",
    running: Graph | None = None,
    detail: Hashable = None,
) -> Graph:
    ids = {kind: {} for kind in ("receivers", "processors", "exporters", "connectors", "extensions")}
    ids["connectors"] = {ComponentId.parse(id): Nothing() for id in connectors.split()}
    table = {}
    for name, parts in pipelines.items():
        lists = [[ComponentId.parse(id) for id in part.split()] for part in parts]
        for kind, part in zip(("receivers", "processors", "exporters"), lists, strict=True):
            ids[kind].update({id: Nothing() for id in part if id not in ids["connectors"]})
        table[PipelineName(*name.split("/"))] = Pipeline(*lists)
    return build(
        table, ids, lambda kind, type: CLASSES.get(type), lambda *a: structlog.get_logger(), running, detail=detail
    )


def traces(text: bytes = b"") -> Payload:
    return Payload(Signal.TRACES, (text,), 1)


async def test_data_passes_the_processors_in_their_order() -> None:
    parts = built({"traces": ("source", "tag/1 tag/2", "sink")})
    await parts["receiver source"].next[Signal.TRACES].consume(traces())
    assert parts["exporter sink"].got == [b"tag/1tag/2"]


async def test_a_receiver_feeds_every_pipeline_of_its_signal_and_none_of_another() -> None:
    parts = built(
        {
            "traces": ("source", "tag/a", "sink"),
            "traces/2": ("source", "tag/b", "sink"),
            "logs": ("source", "tag/c", "sink"),
        }
    )
    await parts["receiver source"].next[Signal.TRACES].consume(traces())
    assert parts["exporter sink"].got == [b"tag/a", b"tag/b"]
    assert set(parts["receiver source"].next) == {Signal.TRACES, Signal.LOGS}


def test_whoever_is_handed_data_starts_before_whoever_hands_it() -> None:
    parts = built(
        {"traces": ("source", "tag/1 tag/2", "sink forward"), "traces/2": ("forward", "", "sink/2")},
        connectors="forward",
    )
    order = list(parts)
    assert order.index("exporter sink/2") < order.index("connector forward") < order.index("processor tag/2")
    assert order.index("processor tag/2") < order.index("processor tag/1") < order.index("receiver source")


def test_every_pipeline_has_processors_of_its_own() -> None:
    parts = built({"traces": ("source", "tag", "sink"), "logs": ("source", "tag", "sink")})
    ways = parts["receiver source"].next
    assert ways[Signal.TRACES] is not ways[Signal.LOGS]


async def test_a_connector_leads_from_one_pipeline_into_another() -> None:
    parts = built(
        {"traces": ("source", "tag/1", "forward"), "traces/2": ("forward", "tag/2", "sink")}, connectors="forward"
    )
    await parts["receiver source"].next[Signal.TRACES].consume(traces())
    assert parts["exporter sink"].got == [b"tag/1tag/2"]


@pytest.mark.parametrize(
    ("pipelines", "message"),
    [
        (
            {"logs": ("source", "", "traces_only")},
            'failed to create "traces_only" exporter for data type "logs": telemetry type is not supported',
        ),
        (
            {"traces/x": ("source", "picky", "sink")},
            'failed to create "picky" processor, in pipeline "traces/x": error with key "b" (1-th action)',
        ),
        (
            {"traces": ("source", "", "forward")},
            'connector "forward" used as exporter in [traces] pipeline but not used in any supported receiver pipeline',
        ),
        (
            {"traces": ("source", "", "sink"), "logs": ("forward", "", "sink")},
            'connector "forward" used as receiver in [logs] pipeline but not used in any supported exporter pipeline',
        ),
        (
            {"traces": ("source forward", "", "forward")},
            'cycle detected: connector "forward" (traces to traces) -> connector "forward" (traces to traces)',
        ),
    ],
)
def test_what_cannot_be_built_is_said_in_the_collectors_words(pipelines: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        built(pipelines, connectors="forward")
    assert str(caught.value) == message


class Says:
    """A consumer that answers what it was told to."""

    def __init__(self, error: Exception | None = None, partial: Partial | None = None) -> None:
        self.error = error
        self.partial = partial
        self.asked = 0

    async def consume(self, payload: Payload) -> Partial | None:
        self.asked += 1
        if self.error:
            raise self.error
        return self.partial


async def test_fan_out_asks_everyone_even_after_a_refusal() -> None:
    last = Says()
    with pytest.raises(Refused):
        await FanOut([Says(Refused("full")), last]).consume(traces())
    assert last.asked == 1


@pytest.mark.parametrize("together", [False, True])
async def test_fan_out_offers_a_payload_once_more_to_those_only_who_have_refused_it(together: bool) -> None:
    taking, full, never = Says(), Says(Refused("full")), Says(Rejected("never"))
    fan, payload = FanOut([taking, full, never], together=together), traces()
    for _ in range(3):
        with pytest.raises(Refused):
            await fan.consume(payload)
    assert (taking.asked, full.asked, never.asked) == (1, 3, 1)
    full.error = None
    assert await fan.consume(payload) is None
    assert (taking.asked, full.asked, never.asked) == (1, 4, 1)
    with pytest.raises(Rejected):
        await fan.consume(payload)  # it has arrived: whoever offers it now means it
    assert (taking.asked, full.asked, never.asked) == (2, 5, 2)


async def test_fan_out_holds_on_to_no_payload() -> None:
    fan = FanOut([Says(), Says(Refused("full"))])
    for _ in range(3):
        with pytest.raises(Refused):
            await fan.consume(traces())
    for each in fan._consumers:
        each.error = None  # type: ignore[attr-defined]  # its traceback knows the payload
    gc.collect()
    assert not fan._open


async def test_fan_out_asks_for_a_retry_if_anyone_can_take_it_later() -> None:
    with pytest.raises(Refused) as caught:
        await FanOut([Says(Rejected("never", code=3)), Says(Refused("full", retry_after=2))]).consume(traces())
    assert str(caught.value) == "never; full"
    assert caught.value.retry_after == 2


async def test_fan_out_keeps_the_code_of_a_rejection() -> None:
    with pytest.raises(Rejected) as caught:
        await FanOut([Says(), Says(Rejected("bad", code=3))]).consume(traces())
    assert caught.value.code == 3


async def test_fan_out_keeps_the_code_of_refusals_that_agree() -> None:
    for codes, expected in (((8, 8), 8), ((8, None), None)):
        with pytest.raises(Refused) as caught:
            await FanOut([Says(Refused("x", code=code)) for code in codes]).consume(traces())
        assert caught.value.code == expected


async def test_fan_out_hands_back_what_was_left_out() -> None:
    assert await FanOut([Says(), Says()]).consume(traces()) is None
    assert await FanOut([Says(), Says(partial=Partial(2, "a"))]).consume(traces()) == Partial(2, "a")
    both = [Says(partial=Partial(2, "a")), Says(partial=Partial(3, "b"))]
    assert await FanOut(both).consume(traces()) == Partial(3, "a; b")  # they were handed the same items
    with pytest.raises(Refused):
        await FanOut([*both, Says(Refused("full"))]).consume(traces())


async def test_a_bug_in_one_branch_costs_the_others_nothing() -> None:
    last = Says()
    with pytest.raises(ZeroDivisionError):
        await FanOut([Says(ZeroDivisionError()), last]).consume(traces())
    assert last.asked == 1


async def test_a_connector_that_picks_reaches_each_of_its_pipelines_alone() -> None:
    parts = built(
        {
            "traces": ("source", "", "picks"),
            "traces/a": ("picks", "tag/a", "sink"),
            "traces/b": ("picks", "tag/b", "sink"),
            "traces/c": ("source", "tag/c", "sink/c"),
        },
        connectors="picks",
    )
    assert list(parts["connector picks"].next.pipelines) == ["traces/a", "traces/b"]
    await parts["connector picks"].consume(traces())
    assert parts["exporter sink"].got == [b"tag/b"]


async def test_where_detail_is_wanted_each_processor_tells_how_long_it_takes_by_itself() -> None:
    made = graph({"traces": ("source", "tag slow slow/2", "sink")}, detail=())
    made.connect()
    parts = {str(node.id): node.component for node in made.nodes}
    assert parts["sink"].env.detailed
    await asyncio.gather(*(parts["source"].next[Signal.TRACES].consume(traces()) for _ in range(3)))
    found = {
        sample.labels["processor"]: sample.value
        for passage in made.passages
        for sample in passage.samples()
        if sample.instrument is INTERNAL_DURATION
    }
    assert all(isinstance(value, Histogram) and sum(value.counts) == 3 for value in found.values())
    seconds = {name: value.sum / 3 for name, value in found.items()}
    assert seconds["tag"] < 0.02
    assert 0.04 <= seconds["slow"] < 0.075
    assert 0.04 <= seconds["slow/2"] < 0.075


def test_nothing_of_a_graph_is_taken_over_when_other_detail_is_wanted() -> None:
    pipelines = {"traces": ("source", "tag", "sink")}
    plain = graph(pipelines)
    assert [node.component.env.detailed for node in plain.nodes] == [False] * 3
    assert graph(pipelines, running=plain).nodes == plain.nodes
    detailed = graph(pipelines, running=plain, detail=())
    assert not set(detailed.nodes) & set(plain.nodes)
    assert not set(graph(pipelines, running=detailed, detail=(1.5,)).nodes) & set(detailed.nodes)
