"""`config/metrics-prometheus.yaml`: metrics that are sent and metrics that are scraped, on one endpoint."""

from __future__ import annotations

import http.client
import time
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.receivers.prometheus.support import serving
from tests.support.collector import CollectorProcess, free_ports
from tests.support.otlp import CAPTURES, post, recorded

CONFIG = Path(__file__).parent.parent.parent / "config" / "metrics-prometheus.yaml"
VLLM = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="qwen/qwen3"} 2.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{model_name="qwen/qwen3"} 1234.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{le="0.1",model_name="qwen/qwen3"} 1.0
vllm:time_to_first_token_seconds_bucket{le="+Inf",model_name="qwen/qwen3"} 5.0
vllm:time_to_first_token_seconds_count{model_name="qwen/qwen3"} 5.0
vllm:time_to_first_token_seconds_sum{model_name="qwen/qwen3"} 7.5
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 1
"""


def test_what_is_sent_and_what_is_scraped_is_on_one_endpoint(tmp_path: Path) -> None:
    grpc, otlp, shown, health = free_ports(4)
    overrides = {
        "receivers.otlp.protocols.grpc.endpoint": f"127.0.0.1:{grpc}",
        "receivers.otlp.protocols.http.endpoint": f"127.0.0.1:{otlp}",
        "exporters.prometheus.endpoint": f"127.0.0.1:{shown}",
        "extensions.health_check.endpoint": f"127.0.0.1:{health}",
    }
    args = tuple(f"--set={key}={value}" for key, value in overrides.items())

    def scrape() -> dict[tuple[str, str], float]:
        """Values by name and job."""
        connection = http.client.HTTPConnection("127.0.0.1", shown, timeout=5)
        connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
        families = text_string_to_metric_families(connection.getresponse().read().decode())
        return {
            (sample.name, sample.labels.get("job", "")): sample.value
            for family in families
            for sample in family.samples
        }

    with serving() as vllm:
        vllm.body = VLLM
        env = {"VLLM_ENDPOINT": vllm.address, "SCRAPE_INTERVAL": "200ms"}
        with CollectorProcess(CONFIG.read_text(), tmp_path, args=args, env=env) as collector:
            folder = CAPTURES / "litellm-1.106.2_otlp_http_metrics_events"
            for request, body in recorded(folder):
                if request["signal"] == "metrics":
                    assert post(f"http://127.0.0.1:{otlp}", body, path="/v1/metrics").status == 200
            deadline = time.monotonic() + 10
            while ("up", "vllm") not in scrape() and time.monotonic() < deadline:
                time.sleep(0.05)
            found = scrape()
            assert found["vllm:prompt_tokens_total", "vllm"] == 1234
            assert found["vllm:time_to_first_token_seconds_bucket", "vllm"] == 5
            assert found["gen_ai_client_operation_duration_seconds_count", "litellm-proxy"] > 0
            assert not any(name.startswith("python_gc") for name, _ in found)
            vllm.status = 500
            while ("vllm:prompt_tokens_total", "vllm") in scrape() and time.monotonic() < deadline:
                time.sleep(0.05)
            found = scrape()
            assert ("vllm:prompt_tokens_total", "vllm") not in found, "what a target shows no more has ended"
            assert found["up", "vllm"] == 0
            assert collector.stop() == 0
        assert "Failed to scrape Prometheus endpoint" in collector.log
