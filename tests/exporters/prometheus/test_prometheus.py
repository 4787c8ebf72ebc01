"""Prometheus itself scrapes the exporter. Runs where `prometheus` is in the PATH (Debian's package, say)."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.exporters.prometheus.test_scrape import CONFIG, ports
from tests.support.collector import free_port

__all__ = ["CONFIG", "ports"]

SCRAPES = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: classic
  static_configs: [{{targets: ["127.0.0.1:{default}"]}}]
- job_name: openmetrics
  honor_labels: true
  honor_timestamps: false
  static_configs: [{{targets: ["127.0.0.1:{openmetrics}"]}}]
"""


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
@pytest.mark.parametrize("options", [(), ("--enable-feature=native-histograms",)], ids=["text", "protobuf"])
def test_prometheus_stores_what_it_scrapes(ports: dict[str, int], tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "prometheus.yml").write_text(SCRAPES.format(**ports))
    port = free_port()
    command = ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}", *options]
    process = subprocess.Popen(
        [*command, "--storage.tsdb.path=data"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def ask(query: str) -> list[Any]:
        url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
        with urllib.request.urlopen(url, timeout=5) as response:
            found: list[Any] = json.load(response)["data"]["result"]
            return found

    try:
        up: list[Any] = []
        deadline = time.monotonic() + 30
        while len(up) < 2 and time.monotonic() < deadline:
            time.sleep(0.3)
            with contextlib.suppress(OSError):
                up = ask("up == 1")
        assert {series["metric"]["job"] for series in up} == {"classic", "openmetrics"}
        (samples,) = ask('scrape_samples_scraped{job="classic"}')
        assert float(samples["value"][1]) > 100
        names = {series["metric"]["__name__"] for series in ask('{job="classic"}')}
        assert {"gen_ai_client_token_usage_sum", "llm_requests_total", "target_info"} <= names
        assert ("exp_hist_milliseconds" in names) == bool(options), "native histograms come by protobuf alone"
        (cost,) = ask('sum(my_ns_gen_ai_usage_cost_USD_count{env="prod"})')
        assert float(cost["value"][1]) > 0
    finally:
        process.terminate()
        process.wait(10)
