"""A scrape beside the Go collector's, of the same requests; and what scrapers of all kinds can make of it.

`tests/data/scrapes/prometheus` holds what otelcol v0.161 answered after the captures had been sent to it in this order.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.collector import CollectorProcess, free_ports
from tests.support.otlp import CAPTURES, post

RECORDED = Path(__file__).parent.parent.parent / "data" / "scrapes" / "prometheus"
OPENMETRICS = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"

CONFIG = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: 127.0.0.1:{otlp}}}}}}}
exporters:
  prometheus/default: {{endpoint: 127.0.0.1:{default}}}
  prometheus/openmetrics:
    endpoint: 127.0.0.1:{openmetrics}
    enable_open_metrics: true
    send_timestamps: true
    namespace: my-ns
    const_labels: {{env: prod, a b: c}}
    resource_to_telemetry_conversion: {{enabled: true}}
  prometheus/utf8:
    endpoint: 127.0.0.1:{utf8}
    enable_open_metrics: true
    translation_strategy: NoTranslation
    namespace: my.ns
    without_scope_info: true
service:
  pipelines:
    metrics: {{receivers: [otlp], exporters: [prometheus/default, prometheus/openmetrics, prometheus/utf8]}}
"""
NAMES = ("default", "openmetrics", "utf8")


def get(port: int, path: str = "/metrics", **headers: str) -> tuple[int, dict[str, str], bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """A collector that has been sent every recorded request of metrics, by the name of its exporter."""
    found = dict(zip(("otlp", *NAMES), free_ports(4), strict=True))
    with CollectorProcess(CONFIG.format(**found), tmp_path_factory.mktemp("scrape")):
        for media_type, ending in (("application/x-protobuf", "pb"), ("application/json", "json")):
            for file in sorted(CAPTURES.glob(f"*/*_metrics_*.{ending}")):
                url = f"http://127.0.0.1:{found['otlp']}"
                answer = post(url, file.read_bytes(), path="/v1/metrics", headers={"Content-Type": media_type})
                assert answer.status == 200
        yield found


def lines(text: str) -> set[str]:
    """Samples and types. (Where two descriptions are in conflict, it is chance which one the Go collector shows.)"""
    return {line for line in text.split("\n") if not line.startswith("# HELP")}


@pytest.mark.parametrize("name", NAMES)
def test_every_series_of_the_go_collector_is_there_with_its_labels_and_value(ports: dict[str, int], name: str) -> None:
    recorded = lines(gzip.decompress((RECORDED / f"{name}.txt.gz").read_bytes()).decode())
    ours = lines(get(ports[name], Accept=OPENMETRICS if name != "default" else "")[2].decode())
    assert recorded - ours == set()
    # After a point without a recorded value it forgets the others of the same metric.
    assert all(re.match(r'(g_ratio\{|\{"my[.]ns_g"|\{"my-ns_g_ratio").*job="edge"', line) for line in ours - recorded)
    assert len(ours) > 1000


@pytest.mark.parametrize("name", ["openmetrics", "utf8"])
def test_an_openmetrics_parser_reads_it(ports: dict[str, int], name: str) -> None:
    text = get(ports[name], Accept=OPENMETRICS)[2].decode()
    # A histogram whose sum is negative, which OpenMetrics forbids and OpenTelemetry does not.
    text = "\n".join(line for line in text.split("\n") if "_e_sum" not in line and "_e_count" not in line)
    families = list(text_string_to_metric_families(text))
    assert len(families) > 20
    assert sum(len(family.samples) for family in families) > 1000


def test_a_scraper_gets_the_format_and_the_escaping_that_it_asks_for(ports: dict[str, int]) -> None:
    text = "text/plain; version=0.0.4; charset=utf-8; escaping="
    for accept, content_type, name in (
        ("", f"{text}underscores", "my_ns_llm_requests{"),
        ("*/*", f"{text}underscores", "my_ns_llm_requests{"),
        ("text/plain;version=0.0.4;escaping=dots", f"{text}dots", "my_dot_ns__llm_dot_requests{"),
        ("text/plain;escaping=values", f"{text}values", "U__my_2e_ns__llm_2e_requests{"),
        (
            OPENMETRICS,
            f"{OPENMETRICS};".replace(";", "; ")[:-2].replace("escaping", "charset=utf-8; escaping"),
            "my.ns",
        ),
    ):
        status, headers, body = get(ports["utf8"], Accept=accept)
        assert (status, headers["content-type"]) == (200, content_type)
        assert name in body.decode()
    _, headers, body = get(ports["default"], Accept=OPENMETRICS)
    assert headers["content-type"] == f"{text}allow-utf-8", "without enable_open_metrics there is none"


def test_a_scraper_may_have_it_compressed_and_in_part(ports: dict[str, int]) -> None:
    plain = get(ports["default"])[2]
    status, headers, body = get(ports["default"], Accept_Encoding="deflate, gzip;q=0.5")
    assert (status, headers["content-encoding"], gzip.decompress(body)) == (200, "gzip", plain)
    assert get(ports["default"], Accept_Encoding="gzip;q=0")[2] == plain
    part = get(ports["default"], "/metrics?name[]=bare&name%5B%5D=nobody")[2].decode()
    assert re.sub(r"\{.*\}", "", part) == "# HELP bare \n# TYPE bare gauge\nbare 1\n"


def test_elsewhere_there_is_nothing(ports: dict[str, int]) -> None:
    assert get(ports["default"], "/")[0] == 404


def test_many_scrapers_at_once_get_the_same(ports: dict[str, int]) -> None:
    with ThreadPoolExecutor(20) as pool:
        bodies = set(pool.map(lambda _: get(ports["default"])[2], range(40)))
    assert len(bodies) == 1
