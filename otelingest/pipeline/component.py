"""What a receiver, processor, exporter, connector or extension is, and what it is given.

Adding one is a class below one of these bases and one entry point under the name that users write in YAML.

The life cycle is two calls. `start` returns when the component is ready to work; what takes long (connecting to a
server that may be away, say) goes on in the background. It raises `ConfigError` for what the user must mend. `stop`
returns when everything that the component has taken responsibility for has been handed on or given up, and nothing of
it is left running. `stop` is safe without `start`, and is called once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from otelingest.config.settings import ComponentId, Settings
from otelingest.pipeline.errors import Partial
from otelingest.pipeline.metrics import Sample
from otelingest.pipeline.payload import Payload, Signal
from otelingest.pipeline.tracing import Tracer

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

S = TypeVar("S", bound=Settings)
ALL_SIGNALS = frozenset(Signal)


class Consumer(Protocol):
    """Where telemetry goes next."""

    async def consume(self, payload: Payload) -> Partial | None:
        """Return once responsibility for the payload is taken; otherwise raise `Refused` or `Rejected`.

        Returns a Partial when some of its items have certainly been left out.
        """


class Host(Protocol):
    """The collector, as its components see it."""

    @property
    def stop_deadline(self) -> float | None:
        """`loop.time()` by which the component must have stopped; None while nothing is being stopped."""

    @property
    def resource(self) -> Mapping[str, Any]:
        """The attributes by which the collector names itself: `service.name`, `service.instance.id` and others."""

    def extension(self, component_id: ComponentId) -> Any | None:
        """The started extension of that id, or None when `service.extensions` does not list it."""

    def extensions(self) -> Mapping[ComponentId, Any]:
        """Every extension in use, by id."""

    def shared(self, key: Any, make: Any) -> Any:
        """One object for all components of this collector that ask with an equal key; `make()` the first time."""

    def fatal(self, error: BaseException) -> None:
        """End the process with exit code 1: a component has failed after its start and cannot go on."""


@dataclass(frozen=True)
class Batching:
    """What a processor that makes batches leaves to the queues behind it, where those keep on disk what they take.

    timeout: seconds that data waits at most. size: items that make a batch. max_size: the most that one may hold, 0: no
    limit. metadata_keys: request headers by whose values batches are kept apart.
    """

    timeout: float
    size: int
    max_size: int = 0
    metadata_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Env:
    """What every component is built with, beside its settings.

    id: as written in the YAML, `type/name`.
    log: carries the component's identity in every line.
    signals: those that reach it; one for a processor.
    durable: of a processor: something behind it has acknowledged data only when that is on disk, so nobody before may
    do so earlier.
    batching: of an exporter: what processors leave to its queues, by signal.
    known: of a processor or exporter that stands behind processors that make batches: by signal, the request headers
    that are still known of a sender, of whom nothing else is. A signal that is not here comes as it was sent.
    detailed: whether the collector's own metrics are of level detailed: only then is anything worth its cost that no
    other level shows.
    tracer: makes the collector's own spans, where anyone wants them.
    """

    id: ComponentId
    log: FilteringBoundLogger
    signals: frozenset[Signal] = field(default=ALL_SIGNALS)
    durable: bool = False
    batching: Mapping[Signal, Batching] = field(default_factory=dict)
    known: Mapping[Signal, frozenset[str]] = field(default_factory=dict)
    detailed: bool = False
    tracer: Tracer = field(default_factory=Tracer)


class Component(Generic[S]):
    """The common base. `Settings` of a subclass is the class that its YAML section is read into.

    exclusive: whether what it holds (a port, a file, a lock) cannot be held by two at once. When the configuration is
    read again and its settings have changed, the old one then stops before the new one starts.
    """

    Settings: ClassVar[type[Settings]]
    exclusive: bool = False

    def __init__(self, settings: S, env: Env) -> None:
        self.settings = settings
        self.env = env
        self.log = env.log

    def log_of(self, signal: Signal) -> Any:
        """Its logger for what concerns one signal only."""
        return self.log.bind(**{"otelcol.signal": str(signal)})

    async def start(self, host: Host) -> None:
        """Become ready to work. Raises ConfigError."""

    async def stop(self) -> None:
        """Hand on what is held, and end."""

    def metrics(self) -> Iterable[Sample]:
        """What it has measured, for the collector's own metrics. Called at every scrape: no work, no waiting."""
        return ()


class Extension(Component[S]):
    """Something beside the pipelines. Started before every pipeline, stopped after all of them."""

    def pipelines_changed(self, ready: bool) -> None:
        """All pipelines have started, or are about to be stopped."""


class Receiver(Component[S]):
    """Takes telemetry in. One instance serves every pipeline that names it: `next[signal]` is where its data goes.

    A signal that no pipeline takes from this receiver is not in `next`. When the configuration is read again, other
    signals may be: look a signal up for each payload.
    """

    exclusive: bool = True
    signals: ClassVar[frozenset[Signal]] = ALL_SIGNALS

    def __init__(self, settings: S, env: Env, next: Mapping[Signal, Consumer]) -> None:
        super().__init__(settings, env)
        self.next = next


class Processor(Component[S]):
    """Stands between receivers and exporters, one instance for each pipeline that names it.

    counted: whether the collector's metrics count what comes in and goes out (it does not for `batch`).
    """

    counted: ClassVar[bool] = True
    signals: ClassVar[frozenset[Signal]] = ALL_SIGNALS

    def __init__(self, settings: S, env: Env, next: Consumer) -> None:
        super().__init__(settings, env)
        self.next = next

    @classmethod
    def batching(cls, settings: Any) -> Batching | None:
        """The batches that one with these settings makes, if it makes any. It leaves them to `durable` exporters."""
        return None

    async def consume(self, payload: Payload) -> Partial | None:
        raise NotImplementedError


class Exporter(Component[S]):
    """Hands telemetry to the world outside. One instance serves every pipeline that names it.

    left: None, or a list where another of its id takes its place: what it cannot deliver in time it puts there when it
    is stopped, instead of dropping it, and the other one gets it.
    """

    signals: ClassVar[frozenset[Signal]] = ALL_SIGNALS
    left: list[Payload] | None = None

    @classmethod
    def is_durable(cls, settings: Any) -> bool:
        """Whether one with these settings has on disk what it has taken."""
        return False

    async def consume(self, payload: Payload) -> Partial | None:
        raise NotImplementedError


class Ways(dict[Signal, Consumer]):
    """Where what a connector hands on goes: by signal, to all pipelines of it that the connector begins.

    pipelines: the same pipelines one by one, by id, for a connector that `picks` among them.
    """

    def __init__(self, signals: Mapping[Signal, Consumer], pipelines: Mapping[str, Consumer] | None = None) -> None:
        super().__init__(signals)
        self.pipelines = pipelines or {}


class Connector(Component[S]):
    """Ends some pipelines and begins others: an exporter on one side, a receiver on the other.

    routes: the pairs of signals (what comes in, what goes out) that it can serve.
    picks: whether it chooses among the pipelines that it begins. It is then made anew when these are others.
    `next[signal]` is where what it makes of that signal goes.
    """

    routes: ClassVar[frozenset[tuple[Signal, Signal]]] = frozenset((signal, signal) for signal in Signal)
    picks: ClassVar[bool] = False

    def __init__(self, settings: S, env: Env, next: Mapping[Signal, Consumer]) -> None:
        super().__init__(settings, env)
        self.next = next

    async def consume(self, payload: Payload) -> Partial | None:
        raise NotImplementedError
