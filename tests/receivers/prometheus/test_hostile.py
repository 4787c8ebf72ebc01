"""Expositions that someone has damaged: a scrape fails or it does not, and nothing else happens."""

from __future__ import annotations

import contextlib
import random
import time

import pytest

from otelingest.receivers.prometheus.series import ScrapeFailed
from tests.receivers.prometheus.test_conversion import HISTOGRAM, Scraped

WHOLE = [
    HISTOGRAM,
    '# TYPE s summary\ns{quantile="0.5"} 1 5\ns_sum 2\ns_count 3\ng{a="b\\"\\n"} 1 # {trace_id="ab"} 1 2\n',
    '{"q.q",l="v"} NaN\ntarget_info{v="1"} 1\n# UNIT s seconds\n# HELP s \\\\ x\n',
    '# TYPE c counter\nc_total{le="x"} 5 1.5\nc_created 1.5e300\n# EOF\n',
]
CHARACTERS = '{}"\\,=# \n\tle_total_count_bucket_sum0123.eE+-NaNInf\u0130\x00'


def damaged(chance: random.Random) -> str:
    text = list(chance.choice(WHOLE))
    for _ in range(chance.randint(1, 6)):
        place, kind = chance.randrange(len(text) + 1), chance.random()
        if kind < 0.4 and text:
            text[place - 1] = chance.choice(CHARACTERS)
        elif kind < 0.7:
            text.insert(place, chance.choice(CHARACTERS))
        elif kind < 0.85:
            del text[place : place + chance.randint(1, 20)]
        else:
            start = chance.randrange(len(text) + 1)
            text[place:place] = text[start : start + chance.randint(1, 60)]
    return "".join(text)


def test_damaged_expositions_do_no_harm() -> None:
    chance, scraped = random.Random(1), Scraped()
    taken = 0
    until = time.process_time() + 2
    while time.process_time() < until:
        with contextlib.suppress(ScrapeFailed):
            scraped.payload(damaged(chance), openmetrics=chance.random() < 0.3)
            taken += 1
    assert taken > 10


@pytest.mark.parametrize("time", ["-5", "99999999999999999", "1e18"])
def test_times_that_otlp_cannot_say_do_no_harm(time: str) -> None:
    payload = Scraped().payload(f'a 1 {time}\nh_bucket{{le="1"}} 1 # {{a="b"}} 1 {time}\n')
    assert payload is not None
    assert payload.items == 2


def test_a_time_that_is_none_fails_the_scrape() -> None:
    with pytest.raises(ScrapeFailed, match="is no time"):
        Scraped().payload('a 1 # {a="b"} 1 +Inf\n')
