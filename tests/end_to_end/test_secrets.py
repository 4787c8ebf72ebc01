"""A whole collector at level debug, with secrets everywhere and everything going wrong: none of them is said."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from pathlib import Path

import grpc
import psutil
import pytest

from tests.support.collector import CollectorProcess, free_ports
from tests.support.otlp import call, post, traces

MARK = "geheim"
CONFIG = """
extensions:
  bearertokenauth: {{token: geheim-01}}
  bearertokenauth/file: {{filename: "{folder}/tokens"}}
  basicauth: {{htpasswd: {{inline: "user:geheim-02"}}}}
  basicauth/client: {{client_auth: {{username: user, password: geheim-03}}}}
  jwtauth: {{secret: "geheim-04"}}
  oauth2client:
    client_id: user
    client_secret: geheim-15
    token_url: http://user:geheim-16@127.0.0.1:{dead}/token?client_secret=geheim-17
    endpoint_params: {{audience: us, password: geheim-18}}
  oauth2client/key:
    client_id: user
    grant_type: urn:ietf:params:oauth:grant-type:jwt-bearer
    client_certificate_key: geheim-19
    token_url: http://127.0.0.1:{dead}
  headers_setter:
    headers:
      - {{action: upsert, key: x-a, value: geheim-40}}
      - {{action: upsert, key: x-b, from_context: authorization, default_value: geheim-41}}
      - {{action: upsert, key: x-c, from_attribute: raw, default_value: "geheim-42\u00e9"}}
  headers_setter/file:
    headers: [{{action: upsert, key: x-d, value_file: "{folder}/tokens"}}]
    additional_auth: basicauth/client
  health_check: {{endpoint: "127.0.0.1:{health}", response_headers: {{x: geheim-05}}}}
  embedded_clickhouse:
    path: {folder}/engine
    http_endpoint: 127.0.0.1:{engine}
    tcp_endpoint: 127.0.0.1:{native}
    username: user
    password: geheim-06
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:{http}
        include_metadata: true
        response_headers: {{x: geheim-07}}
        auth: {{authenticator: bearertokenauth, request_params: [authorization]}}
      grpc: {{endpoint: "127.0.0.1:{grpc}", auth: {{authenticator: jwtauth}}}}
  otlp/users:
    protocols:
      http: {{endpoint: "127.0.0.1:{users}", auth: {{authenticator: basicauth}}}}
exporters:
  clickhouse: {{endpoint: "http://127.0.0.1:{engine}", username: user, password: geheim-06}}
  clickhouse/away: {{endpoint: "tcp://user:geheim-08@127.0.0.1:{dead}?dial_timeout=1s"}}
  clickhouse/away2:
    endpoint: http://127.0.0.1:{dead}?password=geheim-09
    connection_params: {{password: geheim-10}}
  otlphttp:
    endpoint: http://user:geheim-11@127.0.0.1:{dead}
    headers: {{authorization: geheim-12}}
    retry_on_failure: {{enabled: false}}
  otlphttp/proxy:
    endpoint: http://127.0.0.1:{dead}
    proxy_url: http://user:geheim-13@127.0.0.1:{dead}
    auth: {{authenticator: bearertokenauth/file}}
  otlphttp/oauth: {{endpoint: "http://127.0.0.1:{dead}", auth: {{authenticator: oauth2client}}}}
  otlphttp/key: {{endpoint: "http://127.0.0.1:{dead}", auth: {{authenticator: oauth2client/key}}}}
  otlphttp/setter: {{endpoint: "http://127.0.0.1:{dead}", auth: {{authenticator: headers_setter}}}}
  otlphttp/setter2: {{endpoint: "http://127.0.0.1:{dead}", auth: {{authenticator: headers_setter/file}}}}
  otlp:
    endpoint: https://127.0.0.1:{dead}
    headers: {{x: geheim-14}}
    auth: {{authenticator: basicauth/client}}
  debug: {{verbosity: detailed}}
processors:
  resource: {{attributes: [{{key: who, action: upsert, from_context: auth.project_id}}]}}
service:
  telemetry: {{logs: {{level: debug}}}}
  extensions:
    - bearertokenauth
    - bearertokenauth/file
    - basicauth
    - basicauth/client
    - jwtauth
    - oauth2client
    - oauth2client/key
    - headers_setter
    - headers_setter/file
    - health_check
    - embedded_clickhouse
  pipelines:
    traces:
      receivers: [otlp, otlp/users]
      processors: [resource]
      exporters:
        - clickhouse
        - clickhouse/away
        - clickhouse/away2
        - otlphttp
        - otlphttp/proxy
        - otlphttp/oauth
        - otlphttp/key
        - otlphttp/setter
        - otlphttp/setter2
        - otlp
        - debug
"""


def test_no_secret_is_said_anywhere(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("geheim-20\n")
    health, engine, native, http, grpc_port, users, dead = free_ports(7)
    config = CONFIG.format(
        folder=tmp_path, health=health, engine=engine, native=native, http=http, grpc=grpc_port, users=users, dead=dead
    )
    url = f"http://127.0.0.1:{http}"
    with CollectorProcess(config, tmp_path, args=("--shutdown-timeout=2s",)).start(timeout=40) as collector:
        commands = [" ".join(process.cmdline()) for process in _family(collector.pid)]
        assert len(commands) > 1  # the engine has a process of its own
        answers = [
            post(url, traces(1), headers={"authorization": "Bearer geheim-01"}),
            post(url, traces(1), headers={"authorization": "Bearer geheim-30"}),
            post(url, traces(1), path="/v1/traces?authorization=Bearer+geheim-01"),
            post(url, traces(1), path="/v1/traces?authorization=Bearer+geheim-31"),
            post(url, b"x", path="/v1/nothing?authorization=Bearer+geheim-01"),
            post(url, b"{", headers={"authorization": "Bearer geheim-01", "content-type": "application/json"}),
        ]
        assert [answer.status for answer in answers] == [200, 401, 200, 401, 404, 400]
        for pair, status in (("user:geheim-02", 200), ("user:geheim-32", 401)):
            headers = {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
            assert post(f"http://127.0.0.1:{users}", traces(1), headers=headers).status == status
        with pytest.raises(grpc.RpcError) as refused:
            call(f"127.0.0.1:{grpc_port}", traces(1), metadata=(("authorization", "Bearer geheim-33"),))
        time.sleep(2)  # for every exporter's failures
        (tmp_path / "tokens").write_text("geheim-21\n")
        collector.stop()
    answered = str([(answer.body, answer.status) for answer in answers]) + str(refused.value)
    assert "Exporting failed" in collector.log
    assert "Exporting 1 spans" in collector.log
    assert "failed to get security token from token endpoint" in collector.log
    assert "this is no RSA key in PEM" in collector.log
    assert "the value of the header x-c has characters that cannot be sent" in collector.log
    for text in (collector.log, answered, *commands):
        assert [line for line in text.splitlines() if MARK in line] == []
        for secret in ("user:geheim-02", "user:geheim-03", "user:geheim-06"):
            assert base64.b64encode(secret.encode()).decode() not in text


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def test_no_secret_is_printed(tmp_path: Path) -> None:
    numbers = dict.fromkeys(("health", "engine", "native", "http", "grpc", "users", "dead"), 1)
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG.format(folder=tmp_path, **numbers))
    command = [sys.executable, "-m", "otelingest", "print-config", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if MARK in line] == []
    assert done.stdout.count("[REDACTED]") == 27  # one of them is used twice, four are not set: nobody sees which
