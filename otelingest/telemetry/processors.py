"""Sends the collector's own log records and spans, as `processors` of `service.telemetry.logs` and `.traces` say."""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from otelingest.config.telemetry.exporters import BatchRecordProcessor, RecordProcessor
from otelingest.pipeline.errors import ConfigError, Rejected
from otelingest.telemetry.sender import SENDING_FAILED, check_exporter, make_sender

Encode = Callable[[Sequence[Any]], bytes]
"""Makes one OTLP request of records."""

_KINDS = {"logs": "log", "traces": "span"}
_DELAYS = {"logs": 1_000, "traces": 5_000}
"""Milliseconds, where `schedule_delay` is not given."""
_TIMEOUT, _QUEUE, _AT_ONCE = 30_000, 2048, 512
_FIRST_PAUSE = 1.0
"""Seconds before the second attempt; twice as long before each further one."""
_LAST_SECONDS = 3.0
"""How long everything may take that is still to be sent at the end."""


def check_processors(settings: Sequence[RecordProcessor], signal: str) -> None:
    """Raises ConfigError, in the collector's words, for all that leads nowhere."""
    problems = []
    for processor in settings:
        try:
            _check(processor, _KINDS[signal])
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))


def _check(processor: RecordProcessor, kind: str) -> None:
    if processor.batch is not None and processor.simple is not None:
        raise ConfigError(f"must not specify multiple {kind} processor type")
    chosen = processor.batch or processor.simple
    if chosen is None:
        raise ConfigError(f"unsupported {kind} processor type, must be one of simple or batch")
    check_exporter(chosen.exporter, kind)
    problem = processor.batch.problem() if processor.batch is not None else None
    if problem is not None:
        raise ConfigError(problem)


class Processors:
    """Every processor of one signal. What is added before `start` waits for it.

    signal: logs or traces.
    Raises ConfigError as `check_processors`.
    """

    def __init__(self, settings: Sequence[RecordProcessor], signal: str, encode: Encode, log: Any) -> None:
        self._signal = signal
        self._encode = encode
        self._log = log
        self._entries = self._made(settings)

    def _made(self, settings: Sequence[RecordProcessor]) -> list[tuple[RecordProcessor, _Processor]]:
        check_processors(settings, self._signal)
        return [(one, _Processor(one, self._signal, self._encode, self._log)) for one in settings]

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, record: Any) -> None:
        """From any thread."""
        for _, processor in self._entries:
            processor.add(record)

    async def start(self) -> None:
        """Begin to send. Raises ConfigError, for certificates above all."""
        for _, processor in self._entries:
            await processor.start()

    async def apply(self, settings: Sequence[RecordProcessor]) -> None:
        """Send by these settings from now on. What is the same goes on. Nothing changes if it raises ConfigError."""
        check_processors(settings, self._signal)
        old, kept = list(self._entries), []
        for one in settings:
            same = next((entry for entry in old if entry[0] == one), None)
            if same is not None:
                old.remove(same)
                kept.append(same)
                continue
            processor = _Processor(one, self._signal, self._encode, self._log)
            await processor.start()
            kept.append((one, processor))
        self._entries = kept
        await asyncio.gather(*(processor.stop() for _, processor in old))

    async def stop(self) -> None:
        """Send what waits, as far as that is quick, and end."""
        await asyncio.gather(*(processor.stop() for _, processor in self._entries))


class _Processor:
    def __init__(self, settings: RecordProcessor, signal: str, encode: Encode, log: Any) -> None:
        chosen = settings.batch or settings.simple
        assert chosen is not None
        batch = chosen if isinstance(chosen, BatchRecordProcessor) else None
        self._encode = encode
        self._log = log
        self._failure = f"{signal} export"
        self._at_once = (batch.max_export_batch_size or _AT_ONCE) if batch is not None else 1
        self._delay = (batch.schedule_delay or _DELAYS[signal]) / 1000 if batch is not None else None
        timeout = batch.export_timeout if batch is not None else None
        self._timeout = (timeout or _TIMEOUT) / 1000
        self._attempt = ((chosen.exporter.otlp and chosen.exporter.otlp.timeout) or _TIMEOUT) / 1000
        queue = (batch.max_queue_size or _QUEUE) if batch is not None else _QUEUE
        self._waiting: collections.deque[Any] = collections.deque(maxlen=queue)
        self._sender = make_sender(chosen.exporter, signal, log)
        self._due = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending = False

    def add(self, record: Any) -> None:
        self._waiting.append(record)
        if self._loop is not None and len(self._waiting) >= self._at_once:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._due.set)

    async def start(self) -> None:
        await self._sender.start()
        self._loop = asyncio.get_running_loop()
        if len(self._waiting) >= self._at_once:
            self._due.set()
        self._task = asyncio.create_task(self._run(), name="own telemetry")

    async def stop(self) -> None:
        self._ending = True
        self._due.set()
        try:
            if self._task is not None:
                await asyncio.wait_for(self._task, _LAST_SECONDS)
        except TimeoutError:
            self._tell(f"{len(self._waiting)} records were not sent within {_LAST_SECONDS:g} s of the end")
        finally:
            self._loop = None
            await self._sender.close()

    async def _run(self) -> None:
        while not self._ending:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._delay):
                    await self._due.wait()
            self._due.clear()
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(self._at_once, len(self._waiting)))]
                await self._send(self._encode(taken))

    async def _send(self, request: bytes) -> None:
        """Try, again and again until the time is over. It is told once that it was in vain."""
        error = f"no answer within {self._timeout:g} s"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                pause = _FIRST_PAUSE
                while True:
                    try:
                        async with asyncio.timeout(self._attempt):
                            await self._sender.send(request)
                        return
                    except TimeoutError:
                        error = f"no answer within {self._attempt:g} s"
                    except Rejected as failure:
                        error = str(failure)
                        break
                    except Exception as failure:
                        error = str(failure) or repr(failure)
                    if self._ending:
                        break
                    await asyncio.sleep(pause)
                    pause *= 2
        self._tell(error)

    def _tell(self, error: str) -> None:
        self._log.error(SENDING_FAILED, error=f"{self._failure}: {error}")
