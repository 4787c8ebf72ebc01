"""Compares what was acknowledged with what is stored."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tests.delivery.requests import TABLES, TIMES, Request
from tests.support.clickhouse import ask

_STEP = 0.25
_SURE, _UNSURE = 0.75, 3.0
"""Seconds without a new row after which all is there, where a collector says that it holds nothing; or says nothing."""
_LONGEST = 90.0


@dataclass
class Verdict:
    """Of one or several schedules. Items of requests are counted, once for each database that they belong into.

    acknowledged: that clients have an answer for. lost: of these, not there. doubled: of these, there more than once.
    unasked: never acknowledged, and there more than once. untimed: acknowledged traces without the right entry in the
    index of times. examples: some of the ids that are wrong.
    """

    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    unasked: int = 0
    untimed: int = 0
    examples: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether all is well."""
        return not (self.lost or self.doubled or self.unasked or self.untimed)

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(
            self.acknowledged + other.acknowledged,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.unasked + other.unasked,
            self.untimed + other.untimed,
            (self.examples + other.examples)[:10],
        )

    def __str__(self) -> str:
        text = f"acknowledged {self.acknowledged}, lost {self.lost}, doubled {self.doubled}"
        if self.unasked:
            text += f", doubled though never acknowledged {self.unasked}"
        if self.untimed:
            text += f", traces wrong in {TIMES} {self.untimed}"
        return text


def stored(url: str, database: str) -> Counter[str]:
    """How often each id is there. A table that was never needed counts as empty."""
    found: Counter[str] = Counter()
    there = set(ask(url, f"SELECT name FROM system.tables WHERE database = '{database}'").split())
    for tables in TABLES.values():
        for table in tables.keys() & there:
            text = ask(url, f"SELECT {tables[table]}, count() FROM {database}.{table} GROUP BY 1 FORMAT TSV")
            for line in text.splitlines():
                name, _, count = line.partition("\t")
                found[name] += int(count)
    return found


def rows(url: str, database: str) -> int:
    """How many rows there are, cheaply."""
    names = ", ".join(f"'{table}'" for tables in TABLES.values() for table in tables)
    return int(
        ask(url, f"SELECT sum(total_rows) FROM system.tables WHERE database = '{database}' AND name IN ({names})")
    )


def judge(url: str, database: str, acknowledged: Iterable[Request], given_up: Iterable[Request]) -> Verdict:
    """Look once."""
    verdict = Verdict()
    found = stored(url, database)
    acknowledged = list(acknowledged)
    wanted = [name for request in acknowledged for name in request.ids]
    lost = [name for name in wanted if not found[name]]
    doubled = [name for name in wanted if found[name] > 1]
    unasked = [name for request in given_up for name in request.ids if found[name] > 1]
    untimed = list(_untimed(url, database, acknowledged))
    verdict.acknowledged = len(wanted)
    verdict.lost, verdict.doubled, verdict.unasked = len(lost), len(doubled), len(unasked)
    verdict.untimed = len(untimed)
    wrong = (("lost", lost), ("doubled", doubled), ("doubled, not acknowledged", unasked), ("index", untimed))
    verdict.examples = [f"{what} in {database}: {name}" for what, names in wrong for name in names[:3]]
    return verdict


def _untimed(url: str, database: str, acknowledged: Iterable[Request]) -> Iterator[str]:
    """Traces whose times readers would not find: they take the least Start and the greatest End."""
    traces = [trace for request in acknowledged for trace in request.traces]
    if not traces or ask(url, f"EXISTS {database}.{TIMES}").strip() != "1":
        yield from (trace for trace, _, _ in traces)
        return
    text = ask(
        url,
        "SELECT TraceId, toUnixTimestamp(toDateTime(min(Start))), toUnixTimestamp(toDateTime(max(End)))"
        f" FROM {database}.{TIMES} GROUP BY 1 FORMAT TSV",
    )
    times = {name: (int(start), int(end)) for name, start, end in (line.split("\t") for line in text.splitlines())}
    for trace, first, last in traces:
        start, end = times.get(trace, (1 << 40, 0))
        if start > first or end < last:
            yield f"trace {trace}: {(start, end)} for {(first, last)}"


def settle(count: Callable[[], int], queued: Callable[[], float | None], wanted: int, *, patience: float) -> None:
    """Wait until the queues are empty and rows have stopped coming.

    wanted: rows that there must be at least; nothing is lost before `patience` seconds have gone without a new one.
    Raises AssertionError where a collector says for `_LONGEST` that it holds something, and does not deliver it.
    """
    last, since = -1, time.monotonic()
    while True:
        try:
            now = count()
        except (AssertionError, OSError):
            now = -1
        if now != last:
            last, since = now, time.monotonic()
        quiet, waiting = time.monotonic() - since, queued()
        enough = _UNSURE if waiting is None else _SURE
        if not waiting and quiet >= (enough if now >= wanted else patience):
            return
        assert quiet < _LONGEST, f"its queues hold {waiting} and nothing has come for {_LONGEST:.0f} s"
        time.sleep(_STEP)
