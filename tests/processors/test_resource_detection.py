"""What runs where is told in every resource, with upstream's names and values; detectors that fail are asked again."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import os
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otelingest.pipeline.errors import ConfigError
from otelingest.pipeline.payload import Payload, Signal
from otelingest.processors.resource_detection import ResourceDetectionProcessor
from otelingest.processors.resource_detection.catalogue import DETECTORS
from otelingest.processors.resource_detection.detectors import distribution, dynatrace, kubernetes, processors, system
from otelingest.processors.resource_detection.detectors.environment import parse
from otelingest.processors.resource_detection.detectors.fetching import FetchError
from otelingest.processors.resource_detection.finding import SCHEMA_URL, Failed
from tests.processors.support import FakeHost, Log, Sink, make_env, make_settings, payload, spans


def make(raw: dict[str, Any], sink: Sink | None = None, log: Log | None = None) -> ResourceDetectionProcessor:
    settings = make_settings(ResourceDetectionProcessor, raw)
    return ResourceDetectionProcessor(settings, make_env("resource_detection", log=log), sink or Sink())


async def detected(raw: dict[str, Any], request: Payload | None = None, log: Log | None = None) -> Payload:
    """A request after the processor; one with an empty resource where none is given."""
    sink = Sink()
    processor = make(raw, sink, log)
    await processor.start(FakeHost())
    await processor.consume(request or payload(Signal.TRACES, {"resourceSpans": [{"scopeSpans": []}]}))
    await processor.stop()
    return sink.payloads[0]


def resource(result: Payload) -> dict[str, Any]:
    (group,) = result.message().resource_spans
    return {entry.key: _plain(entry.value) for entry in group.resource.attributes}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_plain(item) for item in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@contextlib.contextmanager
def server(address: Any, answers: dict[str, Any]) -> Iterator[list[tuple[str, dict[str, str]]]]:
    """Answers GETs by path, over TCP or a unix socket; yields what was asked and with which headers."""
    asked: list[tuple[str, dict[str, str]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            answer = answers.get(self.path)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "client"

        def log_message(self, format: str, *args: Any) -> None:
            pass

    kind = socketserver.ThreadingUnixStreamServer if isinstance(address, str) else http.server.ThreadingHTTPServer
    with kind(address, Handler) as running:  # type: ignore[operator]
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        answers["port"] = running.server_address[1] if isinstance(address, tuple) else 0
        yield asked
        running.shutdown()
        thread.join()


# ---- the environment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (' example.org/test-1 =  test $ %3A \\" ,  Abc=Def  ', {"example.org/test-1": 'test $ : \\"', "Abc": "Def"}),
        ("single=key", {"single": "key"}),
        ("a=1+1,b=", {"a": "1 1", "b": ""}),
        ("a=b=c", {"a": "b=c"}),
        ("a=%C3%BC%ff", {"a": "\u00fc\ufffd"}),
    ],
)
def test_the_environment_is_a_list_of_pairs_with_url_encoded_values(text: str, expected: dict[str, str]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("key", 'invalid resource format: "key"'),
        ("extra=chars, a", 'invalid resource format, invalid text: " a"'),
        ("a=b,c", 'invalid resource format, invalid text: "c"'),
        ("invalid-char-\u00fc=test", 'invalid resource format: "invalid-char-\u00fc=test"'),
        ("a=%3-b", 'invalid resource format in attribute: "a=%3-b", err: invalid URL escape "%3-"'),
        ("a=b%4", 'invalid resource format in attribute: "a=b%4", err: invalid URL escape "%4"'),
    ],
)
def test_what_is_no_pair_in_the_environment_is_named(text: str, complaint: str) -> None:
    with pytest.raises(Failed) as caught:
        parse(text)
    assert str(caught.value) == complaint


async def test_the_older_variable_counts_where_the_newer_one_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", " ")
    monkeypatch.setenv("OTEL_RESOURCE", "team=ml")
    assert resource(await detected({})) == {"team": "ml"}


# ---- what becomes of it


async def test_what_was_detected_takes_the_place_of_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=detected,team=ml")
    assert resource(await detected({}, spans(1))) == {"service.name": "detected", "team": "ml"}


async def test_without_override_what_was_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=detected,team=ml")
    assert resource(await detected({"override": False}, spans(1))) == {"service.name": "svc", "team": "ml"}


async def test_of_two_detectors_the_first_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=mine")
    first = resource(await detected({"detectors": ["env", "system"]}))
    assert first == {"host.name": "mine", "os.type": "linux"}
    second = resource(await detected({"detectors": ["system", " env "], "system": {"hostname_sources": ["os"]}}))
    assert second == {"host.name": os.uname().nodename, "os.type": "linux"}


async def test_the_schema_url_is_given_to_groups_that_have_none() -> None:
    groups = [{"scopeSpans": []}, {"schemaUrl": "http://mine", "scopeSpans": []}]
    result = await detected({"detectors": ["system"]}, payload(Signal.TRACES, {"resourceSpans": groups}))
    assert [group.schema_url for group in result.message().resource_spans] == [SCHEMA_URL, "http://mine"]


async def test_attributes_of_the_user_have_no_schema_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=ml")
    assert (await detected({})).message().resource_spans[0].schema_url == ""


async def test_where_nothing_is_detected_the_very_payload_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    request = spans(2)
    assert await detected({}, request) is request


async def test_the_spans_are_not_touched() -> None:
    request = spans(3)
    scopes = request.message().resource_spans[0].scope_spans[0].SerializeToString()
    (chunk,) = (await detected({"detectors": ["system"]}, request)).chunks
    assert scopes in chunk


# ---- the system


async def test_every_attribute_of_the_system_can_be_told() -> None:
    known = make({}).settings.system.resource_attributes
    names = [info.alias for info in type(known).model_fields.values()]
    found = resource(
        await detected(
            {
                "detectors": ["system"],
                "system": {"resource_attributes": {name: {"enabled": True} for name in names}},
            }
        )
    )
    assert {"host.name", "host.arch", "host.ip", "host.mac", "os.description", "os.version"} <= found.keys()
    assert found["os.type"] == "linux"
    assert os.uname().release in found["os.description"]
    assert all(address != "127.0.0.1" for address in found["host.ip"])
    assert all(address == address.upper() and ":" not in address for address in found["host.mac"])


def _machine(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


_OS_RELEASE = 'NAME="Debian GNU/Linux"\nVERSION="12 (bookworm)"\n# comment\nID=debian\nBUILD_ID=b-1\n'


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"debian_version": "12.11\n", "os-release": _OS_RELEASE}, ("debian", "12.11")),
        (
            {"debian_version": "trixie/sid\n", "lsb-release": 'DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE="24.04"\n'},
            ("ubuntu", "24.04"),
        ),
        ({"redhat-release": "Red Hat Enterprise Linux release 9.4 (Plow)\n"}, ("redhat", "9.4")),
        ({"redhat-release": "Rocky Linux release 9.3 (Blue Onyx)\n"}, ("rocky", "9.3")),
        ({"alpine-release": "3.20.1\n", "os-release": "ID=alpine\nVERSION_ID=3\n"}, ("alpine", "3.20.1")),
        ({"os-release": 'ID="amzn"\nVERSION_ID="2023"\n'}, ("amazon", "2023")),
        ({}, ("", "")),
    ],
)
def test_the_distribution_is_known_by_its_files(
    tmp_path: Path, files: dict[str, str], expected: tuple[str, str]
) -> None:
    assert distribution.name_and_version(_machine(tmp_path, files)) == expected


def test_the_description_names_the_distribution_and_the_kernel(tmp_path: Path) -> None:
    uname = " ".join(os.uname())
    root = _machine(tmp_path, {"etc/os-release": _OS_RELEASE})
    assert distribution.description(root) == f"Debian GNU/Linux 12 (bookworm) ({uname})"
    assert distribution.build(root) == "b-1"
    assert distribution.description(tmp_path / "none") == uname


def test_the_first_processor_is_described(tmp_path: Path) -> None:
    text = (
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: Xeon\n"
        "stepping\t: 7\ncache size\t: 39424 KB\n\nprocessor\t: 1\nmodel\t\t: 1\n"
    )
    assert processors.first(_machine(tmp_path, {"cpuinfo": text})) == {
        "host.cpu.vendor.id": "GenuineIntel",
        "host.cpu.family": "6",
        "host.cpu.model.id": "85",
        "host.cpu.model.name": "Xeon",
        "host.cpu.stepping": "7",
        "host.cpu.cache.l2.size": 39424,
    }
    arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\nCPU revision\t: 1\n"
    found = processors.first(_machine(tmp_path, {"cpuinfo": arm}))
    assert (found["host.cpu.vendor.id"], found["host.cpu.model.id"], found["host.cpu.stepping"]) == (
        "ARM",
        "0xd0c",
        "1",
    )


async def test_the_name_by_dns_is_the_canonical_one_of_the_hosts_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.uname().nodename
    monkeypatch.setattr(system, "ROOT", _machine(tmp_path, {"etc/hosts": f"# x\n10.0.0.1 full.example {name} # y\n"}))
    assert resource(await detected({"detectors": ["system"]}))["host.name"] == "full.example"


async def test_the_machines_id_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "ROOT", tmp_path)
    log = Log()
    raw = {
        "detectors": ["system"],
        "system": {"hostname_sources": ["os"], "resource_attributes": {"host.id": {"enabled": True}}},
    }
    assert "host.id" not in resource(await detected(raw, log=log))
    assert log.messages("warning") == ["failed to get host ID"]
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("3d12\n")
    assert resource(await detected(raw))["host.id"] == "3d12"


# ---- Docker, Consul, Kubernetes and others


async def test_docker_tells_of_the_machine_and_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = str(tmp_path / "docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
    answers = {
        "/info": {"OSType": "linux", "Name": "node-1"},
        f"/containers/{os.uname().nodename}/json": {"Name": "/collector", "Image": "sha256:12"},
    }
    with server(socket, answers):
        assert resource(await detected({"detectors": ["docker"]})) == {"os.type": "linux", "host.name": "node-1"}
        names = {"container.name": {"enabled": True}, "container.image.name": {"enabled": True}}
        found = resource(await detected({"detectors": ["docker"], "docker": {"resource_attributes": names}}))
    assert (found["container.name"], found["container.image.name"]) == ("/collector", "sha256:12")


async def test_without_docker_nothing_is_told_or_the_start_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    request = spans(1)
    assert await detected({"detectors": ["docker"]}, request) is request
    with pytest.raises(ConfigError, match=r"docker metadata unavailable.*nowhere"):
        await detected({"detectors": ["docker"], "fail_on_missing_metadata": True, "retry": {"enabled": False}})


async def test_consul_tells_of_the_node(tmp_path: Path) -> None:
    node = {"NodeName": "n1", "Datacenter": "dc1", "NodeID": "id1"}
    answers = {"/v1/agent/self?dc=dc1": {"Config": node, "Meta": {"rack": "r7", "other": "x"}}}
    (tmp_path / "token").write_text("s3cret\n")
    with server(("127.0.0.1", 0), answers) as asked:
        section = {
            "address": f"127.0.0.1:{answers['port']}",
            "datacenter": "dc1",
            "token_file": str(tmp_path / "token"),
            "meta": {"rack": None},
        }
        found = resource(await detected({"detectors": ["consul"], "consul": section}))
    assert found == {"host.name": "n1", "cloud.region": "dc1", "host.id": "id1", "rack": "r7"}
    assert asked[0][1]["x-consul-token"] == "s3cret"


@pytest.mark.parametrize("answer", [b"no JSON", [], {}, {"Config": {"NodeName": 5}}])
async def test_an_agent_that_answers_nonsense_is_no_agent(answer: Any) -> None:
    answers = {"/v1/agent/self": answer}
    with server(("127.0.0.1", 0), answers):
        raw = {"detectors": ["consul"], "consul": {"address": f"127.0.0.1:{answers['port']}"}}
        request = spans(1)
        assert await detected(raw, request) is request


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the API server answers by path."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setenv("K8S_NODE_NAME", "n1")
    answers: dict[str, Any] = {
        "/api/v1/nodes/n1": {"metadata": {"uid": "u-node", "name": "n1"}},
        "/api/v1/namespaces/kube-system": {"metadata": {"uid": "u-cluster"}},
        "/api/v1/namespaces/kube-system/configmaps/kubeadm-config": {
            "data": {"ClusterConfiguration": "clusterName: blue\n"}
        },
        "/apis/config.openshift.io/v1/infrastructures/cluster/status": {
            "status": {
                "infrastructureName": "os-1",
                "platformStatus": {"type": "AWS", "aws": {"region": "EU-west-1"}},
            }
        },
    }

    def get(base: str, path: str, seconds: float, **rest: Any) -> Any:
        assert base == "https://10.0.0.1:443"
        if isinstance(answers[path], int):
            raise FetchError("no", answers[path])
        return answers[path]

    monkeypatch.setattr(kubernetes, "get_json", get)
    return answers


_NO_AUTH = {"auth_type": "none"}


async def test_kubernetes_tells_of_the_node_and_the_cluster(cluster: dict[str, Any]) -> None:
    found = resource(await detected({"detectors": ["k8s_api"], "k8s_api": _NO_AUTH}))
    assert found == {"k8s.node.uid": "u-node", "k8s.node.name": "n1", "k8s.cluster.uid": "u-cluster"}
    found = resource(await detected({"detectors": ["kubeadm"], "kubeadm": _NO_AUTH}))
    assert found == {"k8s.cluster.name": "blue", "k8s.cluster.uid": "u-cluster"}


async def test_a_pod_that_may_not_ask_for_the_cluster_tells_of_the_node_alone(cluster: dict[str, Any]) -> None:
    cluster["/api/v1/namespaces/kube-system"] = 403
    log = Log()
    found = resource(await detected({"detectors": ["k8s_api"], "k8s_api": _NO_AUTH}, log=log))
    assert found == {"k8s.node.uid": "u-node", "k8s.node.name": "n1"}
    assert "no permission" in log.messages("warning")[0]


async def test_openshift_tells_of_the_infrastructure(cluster: dict[str, Any]) -> None:
    section = {"token": "t", "tls": {"insecure": True}}
    assert resource(await detected({"detectors": ["openshift"], "openshift": section})) == {
        "k8s.cluster.name": "os-1",
        "cloud.provider": "aws",
        "cloud.platform": "aws_openshift",
        "cloud.region": "eu-west-1",
    }


async def test_a_dyno_is_told_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEROKU_APP_ID", "a")
    monkeypatch.setenv("HEROKU_DYNO_ID", "d")
    expected = {"heroku.app.id": "a", "service.instance.id": "d", "cloud.provider": "heroku"}
    assert resource(await detected({"detectors": ["heroku"]})) == expected


async def test_oneagent_tells_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynatrace, "PROPERTIES", tmp_path / "p")
    request = spans(1)
    assert await detected({"detectors": ["dynatrace"]}, request) is request
    (tmp_path / "p").write_text("dt.entity.host=HOST-1\nother=x\nbroken\nhost.name=h=1\n")
    log = Log()
    found = resource(await detected({"detectors": ["dynatrace"]}, log=log))
    assert found == {"dt.entity.host": "HOST-1", "host.name": "h=1"}
    assert len(log.messages("warning")) == 1


# ---- what goes wrong


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("ec2", "the OpenTelemetry Collector has the detector ec2, otelingest does not"),
        ("sistem", 'invalid detector key: sistem .*did you mean "system"'),
    ],
)
def test_a_detector_that_there_is_not_is_refused(name: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make({"detectors": [name]})


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"system": {"hostname_sources": ["bogus"]}}, 'hostname_sources contains invalid value: "bogus"'),
        ({"timeout": 0}, "retry.enabled requires either timeout > 0"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(raw: dict[str, Any], complaint: str) -> None:
    settings = ResourceDetectionProcessor.Settings.model_validate(raw)
    told = [*settings.problems(), *settings.system.problems()]  # type: ignore[attr-defined]
    assert any(complaint in str(problem) for problem in told)


async def test_a_detector_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def flaky(settings: Any, around: Any) -> Any:
        asked.append(time.monotonic())
        if len(asked) < 3:
            raise Failed("not yet")
        return DETECTORS["env"](settings, around)

    monkeypatch.setitem(DETECTORS, "heroku", flaky)  # type: ignore[misc]
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=ml")
    log = Log()
    raw = {"detectors": ["heroku"], "retry": {"initial_interval": "10ms"}}
    assert resource(await detected(raw, log=log)) == {"team": "ml"}
    assert log.messages("warning") == ["failed to detect resource, will retry"] * 2


async def test_one_that_fails_to_the_end_keeps_the_collector_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "a=b,c")
    raw = {"detectors": ["env", "system"], "timeout": "300ms", "retry": {"initial_interval": "10ms"}}
    began = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        await detected(raw)
    assert str(caught.value) == 'invalid resource format, invalid text: "c"\ncontext deadline exceeded'
    assert 0.2 < time.monotonic() - began < 5


async def test_one_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()

    def hang(settings: Any, around: Any) -> Any:
        end.wait(10)
        raise Failed("too late")

    monkeypatch.setitem(DETECTORS, "heroku", hang)  # type: ignore[misc]
    began = time.monotonic()
    with pytest.raises(ConfigError, match="context deadline exceeded"):
        await detected({"detectors": ["heroku"], "timeout": "100ms", "retry": {"enabled": False}})
    end.set()
    assert time.monotonic() - began < 5


async def test_a_refresh_takes_what_is_new_and_keeps_what_it_has_when_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=a")
    sink, log = Sink(), Log()
    processor = make({"refresh_interval": "10ms", "retry": {"enabled": False}}, sink, log)
    await processor.start(FakeHost())

    async def until(team: str) -> None:
        async with asyncio.timeout(5):
            while True:
                await processor.consume(spans(1))
                if resource(sink.payloads[-1])["team"] == team:
                    return
                await asyncio.sleep(0.01)

    await until("a")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=b")
    await until("b")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "broken")
    async with asyncio.timeout(5):
        while "resource refresh failed; keeping previous snapshot" not in log.messages("warning"):
            await asyncio.sleep(0.01)
    await until("b")
    await processor.stop()
    samples = {sample.instrument.name: sample.value for sample in processor.metrics()}
    assert samples["otelcol_resourcedetection_attributes_detected"] == 1


def test_a_token_is_shown_nowhere() -> None:
    assert "s3cret" not in repr(make({"consul": {"token": "s3cret"}, "openshift": {"token": "s3cret"}}).settings)
