"""The ClickHouse exporter: writes every batch as one Native block into each table it has rows for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping, Sequence

from otelingest.clickhouse.client import Tls
from otelingest.clickhouse.dsn import Endpoint
from otelingest.clickhouse.errors import (
    ALARMING,
    AUTHENTICATION,
    BUSY,
    ClickHouseError,
    Fate,
    UnclearError,
    UnreachableError,
    fate,
)
from otelingest.clickhouse.servers import Servers, connect
from otelingest.exporters.clickhouse.catalog import TOKEN, Catalog, CatalogReader
from otelingest.exporters.clickhouse.certainty import Certainty, OtherServer
from otelingest.exporters.clickhouse.delivery import Delivery, Outcome, Part, encode, only
from otelingest.exporters.clickhouse.encoding import Encoders
from otelingest.exporters.clickhouse.pace import Pace
from otelingest.exporters.clickhouse.settings import ClickHouseSettings
from otelingest.exporters.sending import Batch, Divisible, SendingExporter
from otelingest.exporters.sending.exporter import format_seconds
from otelingest.exporters.sending.intake import LONGEST_WAIT, Intake
from otelingest.net.tls import ClientTlsSettings
from otelingest.pipeline.component import Env, Host
from otelingest.pipeline.errors import ConfigError, Refused, Rejected
from otelingest.pipeline.payload import Signal

_START_WAIT = 2.0
"""Seconds that the start waits for ClickHouse to say whether the password is right."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 5.0
"""Seconds between attempts to find ClickHouse at the start."""
_ALARM_INTERVAL = 60.0
_NO_CODE = -1
_LOOK_SECONDS = 10.0
"""Time to look for rows, at least: who is slow to store is slow to answer, and looking again and again helps nobody."""
_PARTS_AT_ONCE = 5
"""Parts of one batch that are inserted at once: the five tables of metrics. More of them are of many days."""
_MOST_TOKENS = 3
"""Under so many tokens a part is inserted in one attempt, where ClickHouse loses it each time."""
_COMPRESSIONS = {
    "native": frozenset({"none", "lz4", "zstd"}),
    "http": frozenset({"none", "lz4", "zstd", "gzip", "deflate", "br"}),
}
_SPELLINGS = {"": "lz4", "true": "lz4", "1": "lz4", "false": "none", "0": "none"}
_KINDS: Mapping[Signal, Sequence[str]] = {
    Signal.TRACES: ("traces",),
    Signal.LOGS: ("logs",),
    Signal.METRICS: ("gauge", "sum", "summary", "histogram", "exponential_histogram"),
}

Failure = ClickHouseError | UnreachableError | UnclearError


class ClickHouseExporter(SendingExporter[ClickHouseSettings]):
    """Stores traces, logs and metrics in the tables of the collector's own ClickHouse exporter.

    ClickHouse may be away when the collector starts: it is waited for in the background, and data waits in the queue.
    """

    Settings = ClickHouseSettings
    certain = True
    bounded = False  # every INSERT has its own time, and what is asked about it

    def __init__(self, settings: ClickHouseSettings, env: Env) -> None:
        super().__init__(settings, env)
        self._servers: Servers | None = None
        self._reader: CatalogReader | None = None
        self._catalog: Catalog | None = None
        self._outdated = False
        self._reading = asyncio.Lock()
        self._encoders = Encoders(len(os.sched_getaffinity(0)))
        self._ready = asyncio.Event()
        self._tried = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._why_not = "not connected yet"
        self._alarms: dict[int, float] = {}
        self._certainty: Certainty | None = None
        self._attempt_number = 0
        consumers = settings.sending_queue.num_consumers if settings.sending_queue is not None else 10
        self._pace = Pace(consumers * _PARTS_AT_ONCE)

    # Start and stop.

    async def start(self, host: Host) -> None:
        """Return when ClickHouse has answered, or when it is clear that it will not at once.

        Raises ConfigError for settings that cannot be, and when ClickHouse refuses the password.
        """
        settings = self.settings
        if settings.json_columns:
            raise ConfigError("`json: true` is not supported yet: attributes are stored in Map columns")
        endpoint = settings.parse_endpoint()
        self._servers = connect(endpoint, self._compression(endpoint), self._tls(endpoint))
        self._certainty = Certainty(self._servers)
        self._reader = self._make_reader(endpoint, self._servers)
        await super().start(host)
        self._opening = asyncio.create_task(self._open(), name=f"{self.env.id} opening")
        tried = asyncio.create_task(self._tried.wait())
        await asyncio.wait({self._opening, tried}, timeout=_START_WAIT, return_when=asyncio.FIRST_COMPLETED)
        tried.cancel()
        if self._opening.done():
            await self._opening
        else:
            self._opening.add_done_callback(lambda task: _report(task, host))

    async def stop(self) -> None:
        await super().stop()
        if self._opening is not None:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConfigError):
                await self._opening
        if self._servers is not None:
            await self._servers.close()

    def _compression(self, endpoint: Endpoint) -> str:
        asked = (self.settings.compress if endpoint.compress is None else endpoint.compress).lower()
        found = _SPELLINGS.get(asked, asked)
        if found not in _COMPRESSIONS[endpoint.protocol]:
            known = sorted(_COMPRESSIONS[endpoint.protocol])
            self.log.warning("Unknown compression, using lz4", compress=asked, known=known)
            return "lz4"
        return found

    def _tls(self, endpoint: Endpoint) -> Tls | None:
        if not endpoint.secure:
            if self.settings.tls is not None and not self.settings.tls.insecure:
                self.log.warning("`tls` has no effect without https:// or secure=true in the endpoint")
            return None
        settings = self.settings.tls or ClientTlsSettings()
        if endpoint.skip_verify:
            settings = settings.model_copy(update={"insecure_skip_verify": True})
        return Tls(settings.context(), settings.server_name_override)

    def _make_reader(self, endpoint: Endpoint, servers: Servers) -> CatalogReader:
        if endpoint.unused:
            self.log.warning("Options of the endpoint that have no effect here", options=list(endpoint.unused))
        users = dict(endpoint.settings)
        if self.settings.async_insert:
            users.setdefault("async_insert", "1")
        if users.get("async_insert", "0") != "0":
            self.log.warning("async_insert is on: batches may be stored twice, or lost, when an answer is lost")
        names = self.settings.table_names()
        return CatalogReader(
            servers,
            {kind: names[kind] for signal in sorted(self.env.signals) for kind in _KINDS[signal]},
            self.settings.options(endpoint.database),
            create=self.settings.create_schema,
            user_settings=users,
            log=self.log,
        )

    async def _open(self) -> None:
        """Try until ClickHouse is there and has its tables. Raises ConfigError when it refuses the password."""
        wait = _FIRST_WAIT
        while True:
            try:
                await self._read_catalog()
            except (ClickHouseError, UnreachableError, UnclearError) as error:
                if isinstance(error, ClickHouseError) and error.code in AUTHENTICATION:
                    raise ConfigError(f"ClickHouse refuses the user or password: {error}") from error
                if str(error) != self._why_not or wait >= _LONGEST_WAIT:
                    again = "ClickHouse is not ready. Will try again."
                    self.log.warning(again, error=str(error), interval=format_seconds(wait))
                self._why_not = str(error)
                self._tried.set()
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            else:
                return

    async def _read_catalog(self) -> Catalog:
        """Look at the database, and make what is missing. Whoever comes meanwhile waits for the same look."""
        assert self._reader is not None
        async with self._reading:
            if self._catalog is None or self._outdated:
                self._catalog = await self._reader.read()
                self._outdated = False
                self._ready.set()
            return self._catalog

    # Delivering.

    async def hold(self, intake: Intake, items: int) -> None:
        await self._encoders.catch_up(LONGEST_WAIT)
        await super().hold(intake, items)

    async def prepare(self, batch: Batch) -> None:
        """Turn the batch into blocks, once, and again when the tables have changed."""
        if self._catalog is None and not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.timeout or None):
                    await self._ready.wait()
        if self._catalog is None:
            raise Refused(f"ClickHouse is not ready: {self._why_not}")
        catalog = await self._read_catalog() if self._outdated else self._catalog
        delivery: Delivery | None = batch.prepared
        if delivery is not None and delivery.catalog is catalog:
            return
        assert self._servers is not None
        zone = batch.note.setdefault("zone", catalog.zone)
        pack = self._servers.first.pack
        async with self._encoders:
            parts, without_data = await asyncio.to_thread(encode, batch.payload, catalog, pack, zone)
        if delivery is None:
            batch.done.update(batch.note.get("done", {}).get(batch.identity, ()))
            for part in parts:
                part.doubtful = batch.doubtful
            batch.prepared = Delivery(catalog, parts)
            if without_data:
                self.log.warning("Metrics without data are left out", metrics=without_data)
        else:
            delivery.catalog, delivery.parts = catalog, _as_before(parts, delivery.parts)

    async def push(self, batch: Batch) -> None:
        """Insert the parts that are not in yet, some at once."""
        delivery: Delivery = batch.prepared
        parts = [part for part in delivery.parts if part.key not in batch.done | delivery.refused.keys()]
        some = asyncio.Semaphore(_PARTS_AT_ONCE)
        async with asyncio.TaskGroup() as group:  # so that none of them is still at it when this is tried again
            tasks = [group.create_task(self._deliver(batch, part, some)) for part in parts]
        outcomes = [task.result() for task in tasks]
        again: list[str] = []
        divide: list[str] = []
        for outcome in outcomes:
            if outcome.fate is Fate.STORED:
                batch.done.add(outcome.part.key)
            elif outcome.fate is Fate.PERMANENT:
                delivery.refused[outcome.part.key] = (outcome.part, outcome.reason)
            elif outcome.fate is Fate.SPLIT:
                divide.append(outcome.reason)
            else:
                self._outdated = self._outdated or outcome.fate is Fate.COLUMNS
                again.append(outcome.reason)
        if again or divide:
            await self._remember_done(batch)
        if again:
            raise Refused("; ".join(dict.fromkeys(again)))
        if divide:
            raise Divisible("; ".join(dict.fromkeys(divide)))
        await self._settle_refused(batch, delivery)

    async def _remember_done(self, batch: Batch) -> None:
        """Some parts are in and others not: after a restart nobody need ask for the first."""
        done = batch.note.setdefault("done", {})
        if batch.done and done.get(batch.identity) != sorted(batch.done):
            done[batch.identity] = sorted(batch.done)
            with contextlib.suppress(Refused):
                await batch.remember()

    async def _settle_refused(self, batch: Batch, delivery: Delivery) -> None:
        """Everything that can be stored is. Raises Rejected when that is nothing."""
        if not delivery.refused:
            return
        reasons = "; ".join(dict.fromkeys(reason for _, reason in delivery.refused.values()))
        if len(delivery.refused) == len(delivery.parts):
            raise Rejected(reasons)
        batch.lost = sum(part.rows for part, _ in delivery.refused.values())
        left = await asyncio.to_thread(only, batch.payload, delivery.refused.keys(), batch.note["zone"])
        if not left.items or not await self.bury(left, Rejected(reasons)):
            self.log_of(batch.payload.signal).error(
                "Exporting failed. Dropping data.", error=reasons, dropped_items=batch.lost
            )

    async def _deliver(self, batch: Batch, part: Part, some: asyncio.Semaphore) -> Outcome:
        """Store one part. What may be stored already is looked for first, and afterwards too: the token may lie."""
        async with some:
            if part.target.expected:
                # It was missing when the tables were looked at. Whatever comes of this, what it is is not known yet.
                self._outdated = True
                if part.doubtful:
                    return Outcome(
                        part, Fate.LATER, f"{part.target.label}: it is not known yet what kind of table it is"
                    )
            if not (part.doubtful and part.target.checked):
                return await self._insert(batch, part)
            try:
                return await self._deliver_doubtful(batch, part)
            except TimeoutError:
                return Outcome(part, Fate.LATER, f"{part.target.label}: cannot see what is stored: {self.timed_out}")
            except OtherServer as error:
                self._alarm(_NO_CODE, part, str(error))
                return Outcome(part, Fate.LATER, f"{part.target.label}: {error}")
            except (ClickHouseError, UnreachableError, UnclearError) as error:
                return Outcome(part, Fate.LATER, f"{part.target.label}: cannot see what is stored: {error}")
            except Refused as error:
                return Outcome(part, Fate.LATER, f"{part.target.label}: cannot write down what is done: {error}")

    async def _deliver_doubtful(self, batch: Batch, part: Part) -> Outcome:
        """Raises what a query raises, and OtherServer."""
        for _ in range(_MOST_TOKENS):
            if await self._is_stored(batch, part):
                return Outcome(part, Fate.STORED)
            outcome = await self._insert(batch, part)
            if outcome.fate is not Fate.STORED or await self._is_stored(batch, part):
                return outcome
            # ClickHouse has the token and not the rows: only under another one will it take them.
            tokens = batch.note.setdefault("tokens", {})
            name = _name(batch, part)
            tokens[name] = tokens.get(name, 0) + 1
            await batch.remember()
            self.log.warning("ClickHouse has lost a part that it took. It is stored again.", table=part.target.label)
        return Outcome(part, Fate.LATER, f"{part.target.label}: what is inserted cannot be found there")

    async def _is_stored(self, batch: Batch, part: Part) -> bool:
        assert self._certainty is not None
        delivery: Delivery = batch.prepared
        seconds = max(self.timeout, _LOOK_SECONDS) if self.timeout else None
        try:
            async with self._pace, asyncio.timeout(seconds):
                there = await self._certainty.is_there(part, delivery.catalog, f"{_name(batch, part)}-")
        except TimeoutError:
            self._pace.slow()
            raise
        self._pace.fast()
        return there

    async def _insert(self, batch: Batch, part: Part) -> Outcome:
        """One INSERT of one part, at the first server that can be reached."""
        assert self._servers is not None
        delivery: Delivery = batch.prepared
        settings = dict(delivery.catalog.settings)
        name = _name(batch, part)
        if delivery.catalog.tokens:
            again = batch.note.get("tokens", {}).get(name, 0)
            settings[TOKEN] = f"{name}.{again}" if again else name
        self._attempt_number += 1
        query_id = f"{name}-{self._attempt_number}"
        began = time.monotonic()
        error: Failure = UnreachableError("no server to insert at")
        for client in self._servers.order(part.host):
            before, part.host = part.host, client.host if part.target.one_host else None
            # Until there is an answer: the attempt may be cut off at any time.
            doubtful, part.doubtful = part.doubtful, True
            try:
                async with self._pace, asyncio.timeout(self.timeout or None):
                    await client.insert(
                        part.target.name, part.columns, part.block, settings=settings, query_id=query_id
                    )
            except TimeoutError:
                self._pace.slow()
                error = UnclearError(self.timed_out, client.host)
                break
            except UnreachableError as failure:
                part.host, part.doubtful = before, doubtful
                error = failure
                continue
            except UnclearError as failure:
                error = failure
                break
            except ClickHouseError as failure:
                if fate(failure) is not Fate.UNCLEAR:
                    part.host, part.doubtful = before, doubtful
                error = failure
                break
            self._pace.fast()
            self._say_stored(batch, part, time.monotonic() - began)
            return Outcome(part, Fate.STORED)
        return self._failed(batch, part, error)

    def _say_stored(self, batch: Batch, part: Part, seconds: float) -> None:
        self.log_of(batch.payload.signal).info(
            f"Exporting {part.rows} {batch.payload.signal.item}s",
            table=part.target.label,
            bytes=len(part.block),
            duration=format_seconds(seconds),
        )

    def _failed(self, batch: Batch, part: Part, error: Failure) -> Outcome:
        code = error.code if isinstance(error, ClickHouseError) else _NO_CODE
        found = fate(error, batch.seen[part.key, code])
        batch.seen[part.key, code] += 1
        if found is Fate.SPLIT and (batch.payload.items == 1 or batch.halvings.left <= 0):
            found = Fate.PERMANENT
        if code in BUSY:
            self._pace.slow()
        if code in ALARMING:
            self._alarm(code, part, str(error))
        return Outcome(part, found, f"{part.target.label}: {error}")

    def _alarm(self, code: int, part: Part, error: str) -> None:
        now = time.monotonic()
        if now - self._alarms.get(code, -_ALARM_INTERVAL) >= _ALARM_INTERVAL:
            self._alarms[code] = now
            self.log.error(
                "ClickHouse needs attention. Data is kept and retried.", table=part.target.label, error=error
            )


def _name(batch: Batch, part: Part) -> str:
    """What a part's tokens and query ids begin with."""
    return f"{batch.identity}-{part.key}"


def _as_before(parts: list[Part], before: list[Part]) -> list[Part]:
    """Parts that are made anew, with what was known of them."""
    known = {part.key: part for part in before}
    for part in parts:
        if part.key in known:
            part.host, part.doubtful = known[part.key].host, known[part.key].doubtful
    return parts


def _report(task: asyncio.Task[None], host: Host) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        host.fatal(error)
