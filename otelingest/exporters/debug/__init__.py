"""The `debug` exporter: shows what arrives at the end of a pipeline, in the log or on the console."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Annotated, ClassVar

from otelingest.config.settings import Duration, GoType, Integer, Problem, Section, Unreadable
from otelingest.config.types import go_quote
from otelingest.exporters.debug import detailed, normal
from otelingest.exporters.debug.counting import counts
from otelingest.exporters.debug.outputs import Files, InternalLog, Output, Sampler
from otelingest.exporters.sending import Batch, QueueSettings, RetrySettings, SendingExporter, SendingSettings
from otelingest.pipeline.component import Env, Host
from otelingest.pipeline.payload import Payload, Signal

_LEVELS = ("None", "Basic", "Normal", "Detailed")
_TEXTS: dict[str, ModuleType] = {"Normal": normal, "Detailed": detailed}
_MESSAGES = {Signal.TRACES: "Traces", Signal.METRICS: "Metrics", Signal.LOGS: "Logs"}


def _level(text: str) -> str:
    for level in _LEVELS:
        if level.lower() == text.lower():
            return level
    raise Unreadable(f"unknown metrics level {go_quote(text.lower())}")


def _level_of(number: int) -> str:
    """A level by upstream's number, of 32 bits: -1 is none. "" for what is no level."""
    return dict(enumerate(_LEVELS, -1)).get(Integer(32).wrap(number), "")


class DebugExporterSettings(SendingSettings):
    """How much is shown, how often, and where."""

    # Showing is a single attempt that takes no time, so there is nothing to set.
    timeout: ClassVar[Duration] = Duration(0)  # type: ignore[misc]
    retry_on_failure: ClassVar[RetrySettings] = RetrySettings(enabled=False)  # type: ignore[misc]

    verbosity: Annotated[str, GoType("configtelemetry.Level", "basic", _level, _level_of)] = "Basic"
    """`basic` (numbers only), `normal` (a line for each span, record and data point) or `detailed` (everything)."""
    sampling_initial: int = 2
    """How many equal lines are shown in each second."""
    sampling_thereafter: int = 1
    """Every which of the further equal lines is shown; 0 shows none of them."""
    use_internal_logger: bool = True
    """Whether lines go to the collector's own log. Otherwise they go to `output_paths`, without time and level."""
    output_paths: list[str] | None = None
    """`stdout`, `stderr` or files; `stdout` when none is given. Needs `use_internal_logger: false`."""
    sending_queue: Section[QueueSettings] = None
    """A queue before the output; off unless the key is there."""

    def problems(self) -> Iterator[Problem]:
        if self.verbosity not in _LEVELS[1:]:
            yield f'verbosity level "{self.verbosity}" is not supported'
        elif self.use_internal_logger and self.output_paths is not None:
            yield "output_paths is not supported when use_internal_logger is true"
        elif self.output_paths == []:
            yield "output_paths must not be empty when use_internal_logger is false"
        elif "" in (self.output_paths or ()):
            yield "output_paths cannot contain empty values"


class DebugExporter(SendingExporter[DebugExporterSettings]):
    """Writes the numbers of every payload, and its text when that is asked for."""

    Settings = DebugExporterSettings

    def __init__(self, settings: DebugExporterSettings, env: Env) -> None:
        super().__init__(settings, env)
        self._sampler = Sampler(settings.sampling_initial, settings.sampling_thereafter)
        self._texts = _TEXTS.get(settings.verbosity)
        self._outputs: dict[Signal, Output] = {signal: InternalLog(self.log_of(signal)) for signal in Signal}

    async def start(self, host: Host) -> None:
        """Raises ConfigError for an output path that cannot be opened."""
        if not self.settings.use_internal_logger:
            self._outputs = dict.fromkeys(Signal, Files(self.settings.output_paths or ["stdout"]))
        await super().start(host)

    async def stop(self) -> None:
        await super().stop()
        for output in self._outputs.values():
            output.close()

    async def push(self, batch: Batch) -> None:
        payload = batch.payload
        message = _MESSAGES[payload.signal]
        if self._sampler.passes(message):
            self._outputs[payload.signal].write(message, counts(payload))
        if self._texts is not None:
            self._write_text(payload, self._texts)

    def _write_text(self, payload: Payload, texts: ModuleType) -> None:
        text: str = texts.render(payload.signal, payload.message())
        if self._sampler.passes(text):
            self._outputs[payload.signal].write(text, {})
