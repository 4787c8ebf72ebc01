"""What docs/extending.md promises: a package of someone else's, and a file, at work in a real process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.collector import CollectorProcess, free_port
from tests.support.otlp import CAPTURES, post, recorded

EXAMPLES = Path(__file__).parent.parent.parent / "config/examples"
CONFIG = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}
processors: {{{processors}}}
exporters:
  file: {{path: out.json, flush_interval: 20ms}}
service:
  pipelines:
    traces: {{receivers: [otlp], processors: [{names}], exporters: [file]}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the example package is installed as a stranger would do it, without its dependencies."""
    folder = tmp_path_factory.mktemp("package")
    source = shutil.copytree(EXAMPLES / "package", folder / "source")
    how = ["--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *how, "--target", str(folder / "site"), str(source)],
        check=True,
        capture_output=True,
    )
    return folder / "site"


class Running:
    """A collector with processors before a file."""

    def __init__(self, folder: Path, processors: dict[str, Any], **env: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        body = json.dumps(processors)[1:-1]
        self.out = folder / "out.json"
        self.collector = CollectorProcess(
            CONFIG.format(port=port, processors=body, names=", ".join(processors)), folder, env=env
        )

    def send(self, *spans: tuple[str, dict[str, Any]]) -> int:
        message = ExportTraceServiceRequest()
        scope = message.resource_spans.add().scope_spans.add()
        for name, attributes in spans:
            span = scope.spans.add(name=name, trace_id=b"t" * 16, span_id=b"s" * 8)
            for key, value in attributes.items():
                entry = span.attributes.add(key=key)
                setattr(entry.value, "string_value" if isinstance(value, str) else "int_value", value)
        return post(self.url, message.SerializeToString()).status

    def spans(self) -> list[dict[str, Any]]:
        """All that came out."""
        lines = self.out.read_text().splitlines() if self.out.exists() else []
        groups = [group for line in lines for group in json.loads(line)["resourceSpans"]]
        return [span for group in groups for scope in group["scopeSpans"] for span in scope["spans"]]

    def wait(self, number: int) -> list[dict[str, Any]]:
        """So many spans, once they have come out."""
        return _eventually(self.spans, lambda spans: len(spans) >= number)


def _eventually(read: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 10
    while not good(found := read()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def _attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {entry["key"]: next(iter(entry["value"].values())) for entry in span.get("attributes", [])}


def test_a_package_of_someone_elses_is_one_of_the_processors(site: Path, tmp_path: Path) -> None:
    running = Running(tmp_path, {"shorten": {"limit": 20}}, PYTHONPATH=str(site))
    with running.collector as collector:
        ((_, body),) = [
            found for found in recorded(CAPTURES / "litellm-1.80.5_otlp_http") if found[0]["signal"] == "traces"
        ]
        assert post(running.url, body).status == 200
        sent = ExportTraceServiceRequest.FromString(body)
        number = sum(len(scope.spans) for group in sent.resource_spans for scope in group.scope_spans)
        found = running.wait(number)
        texts = [text for span in found for text in _attributes(span).values() if isinstance(text, str)]
        assert max(map(len, texts)) == 21
        assert collector.stop() == 0


def test_a_package_that_is_installed_meanwhile_is_found_on_sighup(site: Path, tmp_path: Path) -> None:
    later = tmp_path / "site"
    later.mkdir()
    running = Running(tmp_path, {"batch": {"timeout": "20ms"}}, PYTHONPATH=str(later))
    with running.collector as collector:
        assert running.send(("before", {"text": "x" * 30})) == 200
        shutil.copytree(site, later, dirs_exist_ok=True)
        config = collector.config_path.read_text()
        config = config.replace('"batch":', '"shorten": {"limit": 3}, "batch":').replace("[batch]", "[shorten, batch]")
        collector.config_path.write_text(config)
        collector.send_signal(signal.SIGHUP)
        collector.wait_for("Config updated")
        assert running.send(("after", {"text": "x" * 30})) == 200
        before, after = running.wait(2)
    assert [_attributes(span)["text"] for span in (before, after)] == ["x" * 30, "xxx…"]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"limit": 0}, "limit must be at least 1"), ({"limitt": 5}, 'did you mean "limit"?'), ({"limit": "x"}, "limit")],
)
def test_its_settings_are_checked_like_ours(site: Path, tmp_path: Path, settings: Any, complaint: str) -> None:
    running = Running(tmp_path, {"shorten": settings}, PYTHONPATH=str(site))
    assert complaint in _validate(running.collector.config_path, PYTHONPATH=str(site))


def test_without_it_the_file_is_refused(tmp_path: Path) -> None:
    running = Running(tmp_path, {"shorten": {}})
    assert 'unknown processor "shorten"' in _validate(running.collector.config_path)


def _validate(file: Path, **env: str) -> str:
    """What `otelingest validate` complains about."""
    done = subprocess.run(
        [sys.executable, "-m", "otelingest", "validate", "--config", str(file)],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )
    assert done.returncode == 1
    return done.stderr


def test_the_examples_do_what_they_say(tmp_path: Path) -> None:
    processors = {
        "python/health": {"path": str(EXAMPLES / "drop_health_checks.py")},
        "python/redact": {"path": str(EXAMPLES / "redact_prompts.py"), "on_error": "drop"},
        "python/cost": {
            "path": str(EXAMPLES / "add_cost.py"),
            "settings": {"prices": {"gpt-4o-mini": [0.15, 0.6]}},
        },
    }
    tokens = {"gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.completion_tokens": 2_000_000}
    prompt = "I am bob@example.com, +49 170 1234567, and pay with 4111 1111 1111 1111 in 2026"
    running = Running(tmp_path, processors)
    with running.collector:
        assert running.send(("GET /health", {}), ("GET", {"url.path": "/healthz"})) == 200
        assert running.send(("POST /chat", {"gen_ai.prompt.0.content": prompt, "note": "bob@example.com"})) == 200
        assert running.send(("chat", {"gen_ai.request.model": "gpt-4o-mini", **tokens})) == 200
        first, second = running.wait(2)
    assert _attributes(first) == {
        "gen_ai.prompt.0.content": "I am [redacted], [redacted], and pay with [redacted] in 2026",
        "note": "bob@example.com",
    }
    assert _attributes(second)["gen_ai.usage.cost"] == 1.35


def test_a_changed_file_is_taken_over_on_sighup_and_a_broken_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def process(span): span.name += ' one'\n")
    running = Running(tmp_path, {"python": {"path": "mine.py"}})
    with running.collector as collector:
        assert running.send(("a", {})) == 200
        file.write_text("def process(span): span.name += ' two'\n")
        assert running.send(("b", {})) == 200
        collector.send_signal(signal.SIGHUP)
        collector.wait_for("Config updated")
        assert running.send(("c", {})) == 200
        file.write_text("\n\ndef process(span:\n")
        collector.send_signal(signal.SIGHUP)
        collector.wait_for(r"Cannot take over the new configuration.*mine\.py:3: '\(' was never closed")
        assert running.send(("d", {})) == 200
        names = [span["name"] for span in running.wait(4)]
    assert names == ["a one", "b one", "c two", "d two"]
