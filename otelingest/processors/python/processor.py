"""Decodes a request, calls the function for every item, and hands on what is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from otelingest.codec.messages import CONTAINERS
from otelingest.pipeline.component import Consumer, Env, Host, Processor
from otelingest.pipeline.errors import Partial, Refused, Rejected
from otelingest.pipeline.metrics import Instrument, Sample
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.python.attributes import Changes
from otelingest.processors.python.loading import Function, describe, load, place
from otelingest.processors.python.settings import PythonSettings
from otelingest.processors.python.views import LogRecord, Metric, Resource, Scope, Span, View
from otelingest.processors.python.worker import Overtime, Stuck, Worker

_VIEWS: dict[Signal, type[View]] = {Signal.TRACES: Span, Signal.METRICS: Metric, Signal.LOGS: LogRecord}
_ERRORS = Instrument(
    "otelcol_processor_python_errors",
    "counter",
    "Number of exceptions that the function has raised.",
    scope="otelingest",
)


class FunctionFailed(Exception):
    """The function has raised an exception, and the request is to be refused."""


class PythonProcessor(Processor[PythonSettings]):
    """One module and one thread for each pipeline: a function is never called twice at once."""

    Settings = PythonSettings

    def __init__(self, settings: PythonSettings, env: Env, next: Consumer) -> None:
        """Raises ConfigError, with file and line, for a file that cannot be used."""
        super().__init__(settings, env, next)
        (self._signal,) = env.signals
        self._function = load(settings, f"otelingest_{self._signal}_{env.id}")
        self._worker: Worker | None = None
        self._errors = 0

    async def start(self, host: Host) -> None:
        self._worker = Worker(str(self.env.id), self.settings.timeout.seconds)

    async def stop(self) -> None:
        if self._worker is not None:
            self._worker.close()

    def metrics(self) -> Iterable[Sample]:
        yield Sample(_ERRORS, self._errors)

    async def consume(self, payload: Payload) -> Partial | None:
        assert self._worker is not None
        run = Run(self._function, self.settings, payload)
        try:
            left = await self._worker.run(run.result)
        except (FunctionFailed, Overtime, Stuck) as error:
            left = self._failed(run, error)
        except DecodeError as error:
            raise Rejected(f"the request cannot be read: {error}", code=3) from error
        else:
            self._tell(run)
        return None if left is None else await self.next.consume(left)

    def _tell(self, run: Run) -> None:
        if run.errors:
            self._errors += run.errors
            self.log.error("The function has failed", error=run.first_error, failed=run.errors, items=run.payload.items)

    def _failed(self, run: Run, error: BaseException) -> Payload | None:
        """What is left of a request that could not be worked through. Raises Refused."""
        if isinstance(error, Overtime):
            error = Stuck(f"{place(error, run.file)}: interrupted, as it took longer than {self.settings.timeout}")
        text = str(error)
        self._errors += 1
        self.log.error("The function has failed", error=text, items=run.payload.items)
        if self.settings.on_error == "refuse":
            raise Refused(f"{self.env.id}: the function {self.settings.function} has failed") from error
        return run.payload if self.settings.on_error == "keep" else None


class Run:
    """One request. errors: how many items failed; first_error: what the first one said."""

    def __init__(self, function: Function, settings: PythonSettings, payload: Payload) -> None:
        self.payload = payload
        self.file = str(settings.file)
        self.errors = 0
        self.first_error = ""
        self._function = function
        self._on_error = settings.on_error
        self._changes = Changes()
        self._view = _VIEWS[payload.signal]
        self._given: dict[str, Any] = {"settings": settings.settings, "context": payload.context}

    def result(self) -> Payload | None:
        """What is left: the payload itself if nothing was changed. Raises FunctionFailed."""
        message = self.payload.message()
        groups_name, scopes_name, items_name = CONTAINERS[self.payload.signal]
        groups = getattr(message, groups_name)
        emptied_groups = []
        for position, group in enumerate(groups):
            self._given["resource"] = Resource(group.resource, self._changes)
            scopes = getattr(group, scopes_name)
            emptied = [i for i, scope in enumerate(scopes) if self._empties(scope.scope, getattr(scope, items_name))]
            _delete(scopes, emptied)
            if emptied and not scopes:
                emptied_groups.append(position)
        _delete(groups, emptied_groups)
        if not self._changes.made:
            return self.payload
        return Payload.of(self.payload.signal, message, self.payload.context) if groups else None

    def _empties(self, scope: Any, items: Any) -> bool:
        """Call the function for each item and drop those that it does not want; whether none is left then."""
        self._given["scope"] = Scope(scope, self._changes)
        extras = {name: self._given[name] for name in self._function.extras}
        unwanted = [position for position, item in enumerate(items) if not self._wants(item, extras)]
        if unwanted:
            self._changes.made = True
        _delete(items, unwanted)
        return bool(unwanted) and not items

    def _wants(self, item: Any, extras: Mapping[str, Any]) -> bool:
        before = item.SerializeToString() if self._on_error == "keep" else None
        view = self._view(item, self._changes)
        try:
            answer = self._function.call(view, **extras)
            if answer is None or answer is True or answer is view:
                return not view.emptied
            if answer is not False:
                raise TypeError(f"returned {answer!r:.100}: return nothing to keep the item, and False to drop it")
        except Overtime:
            raise
        except BaseException as error:  # sys.exit() in a function must not end the collector
            self._note(error)
            if before is None:
                return False
            item.ParseFromString(before)
            return True
        return False

    def _note(self, error: BaseException) -> None:
        self.errors += 1
        if self.errors == 1:
            self.first_error = describe(error, self.file)
        if self._on_error == "refuse":
            raise FunctionFailed(self.first_error) from error


def _delete(container: Any, positions: Sequence[int]) -> None:
    for position in reversed(positions):
        del container[position]
