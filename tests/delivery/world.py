"""Everything that one schedule happens to: clients, a collector, proxies, and the ClickHouse that schedules share."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.delivery.clients import Client, Habit, finish
from tests.delivery.collectors import Collector, Launch, Place, Ports, Variant, configuration, ourselves
from tests.delivery.engine import Engine
from tests.delivery.oracle import Verdict, judge, rows, settle
from tests.delivery.preload import failing_calls
from tests.delivery.proxy import HttpProxy, Proxy, TcpProxy
from tests.delivery.requests import SIGNALS, Maker, Request
from tests.delivery.small_disk import SmallDisk
from tests.support.clickhouse import ask

_DISK_MEBIBYTES = 24
_SETTLE_SECONDS = 15.0
"""How long nothing may change before what is missing counts as lost: longer than any wait between attempts."""


@dataclass
class Ground:
    """What schedules stand on, one after another: a folder, a ClickHouse, and what this machine allows."""

    folder: Path
    engine: Engine
    library: Path | None
    disks: bool

    @classmethod
    def lay(cls, folder: Path) -> Ground:
        library = failing_calls(folder)
        engine = Engine(folder / "clickhouse", library).start()
        return cls(folder, engine, library, SmallDisk.possible(folder))


class World:
    """One collector with everything around it.

    disk: whether the journal lies on a small disk of its own. launch: what starts the collector. databases: of the
    exporters, if they are to have certain names.
    """

    def __init__(
        self,
        ground: Ground,
        seed: int,
        variant: Variant,
        *,
        disk: bool = False,
        launch: Launch = ourselves,
        databases: Sequence[str] = (),
    ) -> None:
        self.ground = ground
        self.engine = ground.engine
        self.folder = ground.folder / f"schedule-{seed}"
        self.databases = databases or [f"s{seed}_{number}" for number in range(variant.exporters)]
        self.control = self.folder / "failing"
        self.clients: list[Client] = []
        self.proxies: dict[str, Proxy] = {
            "http": HttpProxy(self.engine.http, seed),
            "tcp": TcpProxy(self.engine.tcp, seed),
        }
        self.proxy = self.proxies[variant.scheme]
        journal = self.folder / "journal"
        self.disk = SmallDisk(journal, _DISK_MEBIBYTES) if disk else None
        self.ports = Ports.free()
        ports = {scheme: proxy.port for scheme, proxy in self.proxies.items()}
        place = Place(self.folder / "config.yaml", self.ports, ports, self.databases)
        self.folder.mkdir(parents=True, exist_ok=True)
        tree = configuration(variant, self.ports, ports, self.databases, journal)
        place.config.write_text(json.dumps(tree, indent=1))
        env = {}
        if ground.library is not None and variant.durable:
            env = {"FAILING_CALLS": str(self.control), "FAILING_FOLDER": str(journal)}
            env["LD_PRELOAD"] = str(ground.library)
        prefix = self.disk.prefix if self.disk is not None else ()
        self.collector = Collector((*prefix, *launch(place)), self.ports, self.folder, env=env)
        self._chance = random.Random(seed)

    def __enter__(self) -> World:
        for proxy in self.proxies.values():
            proxy.start()
        self.engine.start()
        self.collector.start()
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.end()
        self.collector.kill()
        for proxy in self.proxies.values():
            proxy.stop()
        if self.disk is not None:
            self.disk.close()

    def send(self, habits: Sequence[Habit], *, signals: Sequence[str] = SIGNALS, most: int = 40) -> None:
        """Let a client begin for every habit."""
        ports = (self.ports.http, self.ports.grpc)
        for habit in habits:
            seed = self._chance.getrandbits(32)
            self.clients.append(Client(ports, Maker(seed, signals=tuple(signals), most=most), habit, seed))
            self.clients[-1].start()

    @property
    def acknowledged(self) -> list[Request]:
        return [request for client in self.clients for request in client.sent.acknowledged]

    @property
    def given_up(self) -> list[Request]:
        return [request for client in self.clients for request in client.sent.given_up]

    def mend(self) -> None:
        """All faults end, and what was stopped runs again."""
        self.control.unlink(missing_ok=True)
        self.engine.control.unlink(missing_ok=True)
        if self.disk is not None:
            self.disk.empty()
        for proxy in self.proxies.values():
            proxy.calm()
        self.engine.resume()
        self.engine.start()
        self.collector.resume()
        self.collector.start()
        assert self.collector.running, f"the collector does not start any more:\n{self.collector.tail()}"

    def finish(self, seconds: float = 90.0, *, now: bool = True) -> None:
        """Let the clients come to their end: with the requests that they have begun, or with those of their limits."""
        finish(self.clients, seconds, now=now)

    def settle(self, patience: float = _SETTLE_SECONDS) -> None:
        wanted = len(self.databases) * sum(len(request.ids) for request in self.acknowledged)
        settle(self._rows, self.collector.queue_size, wanted, patience=patience)

    def _rows(self) -> int:
        return sum(rows(self.engine.url, database) for database in self.databases)

    def verdict(self) -> Verdict:
        verdict = Verdict()
        for database in self.databases:
            verdict += judge(self.engine.url, database, self.acknowledged, self.given_up)
        return verdict

    def forget(self) -> None:
        """Take away what ClickHouse holds of this world."""
        for database in self.databases:
            with contextlib.suppress(AssertionError, OSError):
                ask(self.engine.url, f"DROP DATABASE IF EXISTS {database} SYNC")
