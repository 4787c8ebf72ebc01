"""A little of every area, the same each time; `python -m tests.fuzz` goes on for as long as it is told to."""

from __future__ import annotations

import random
from pathlib import Path

from tests.fuzz.__main__ import Target
from tests.fuzz.areas import areas
from tests.fuzz.mutations import mutate

REQUESTS = 15


def test_spoilt_requests_leave_the_collector_as_it_was(tmp_path: Path) -> None:
    target = Target(tmp_path)
    try:
        target.check()
        for name, area in areas().items():
            chance = random.Random(name)
            for _ in range(REQUESTS):
                data = area.wrap(chance, mutate(chance, area.corpus, area.mutations))
                answer = target.send(data, grpc=area.grpc)
                assert not answer.startswith(b"HTTP/1.1 500"), (name, data[:2000])
            target.check()
    finally:
        assert target.collector.stop() == 0
