"""From text to a configuration: what is accepted, what is not, and where it is told to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelingest.config.failures import ConfigurationError
from otelingest.config.gates import Turned, parse_gates
from otelingest.config.loader import load
from otelingest.config.rendering import render
from otelingest.config.service import PipelineId
from otelingest.config.settings import ComponentId
from otelingest.config.telemetry.resource import resource_attributes
from tests.config.support import COMPONENTS, GOOD, REGISTRY, SizeSettings, loaded

UNREADABLE = (
    "failed to get config: cannot unmarshal the configuration: decoding failed due to the following error(s):\n\n"
)


def refused(text: str, folder: Path, gates: Turned | None = None, **environ: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        loaded(text, folder, gates=gates, **environ)
    return caught.value


def places(error: ConfigurationError, folder: Path) -> list[str]:
    return [note.removeprefix(f"{folder}/") for note in error.notes]


def test_a_good_configuration_is_typed(tmp_path: Path) -> None:
    configuration = loaded(GOOD + "processors: {size/a: {size: 3, timeout: 5s}}", tmp_path)
    settings = configuration.processors[ComponentId("size", "a")]
    assert isinstance(settings, SizeSettings)
    assert (settings.size, str(settings.timeout)) == (3, "5s")
    pipeline = configuration.service.pipelines[PipelineId("traces")]
    assert (pipeline.receivers, pipeline.exporters) == ([ComponentId("server")], [ComponentId("sink")])
    assert configuration.told == []


def test_an_unknown_key_is_told_with_its_place_and_what_may_be_meant(tmp_path: Path) -> None:
    error = refused(GOOD.replace("  server:", "  server:\n    endpont: x"), tmp_path)
    assert str(error) == (
        UNREADABLE + "'receivers' error reading configuration for \"server\": "
        "decoding failed due to the following error(s):\n\n'serverreceiver.Config' has invalid keys: endpont"
    )
    assert places(error, tmp_path) == [
        'c.yaml:4:5: unknown key "endpont" in receivers::server; did you mean "endpoint"?'
    ]


def test_a_class_that_has_no_name_of_upstreams_is_named_by_its_type(tmp_path: Path) -> None:
    error = refused(GOOD + "processors: {size: {sise: 1}}", tmp_path)
    assert "'sizeprocessor.Config' has invalid keys: sise" in str(error)


def test_the_errors_of_all_components_are_told_at_once(tmp_path: Path) -> None:
    error = refused(GOOD + "processors: {size: {size: x}, size/b: {size: y}}\nfoo: 1", tmp_path)
    assert str(error).count("'size' expected type 'int', got unconvertible type 'string'") == 2
    assert str(error).endswith("'otelcol.configSettings' has invalid keys: foo")
    assert len(error.notes) == 3


def test_what_does_not_fit_together_is_told_for_all_components_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("  server:", "  server: {endpoint: ''}") + "processors: {size: {size: -1, timeout: -1s}}"
    error = refused(text, tmp_path)
    assert error.invalid
    assert str(error).splitlines() == [
        "receivers::server: endpoint must be specified",
        "processors::size: size must not be negative",
        "processors::size: timeout must not be negative",
    ]
    assert [note.partition(": ")[0] for note in places(error, tmp_path)] == [
        "c.yaml:3:3",
        "c.yaml:11:14",
        "c.yaml:11:14",
    ]


def test_it_is_not_checked_when_that_is_not_wanted(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("processors: {size: {size: -1}}")
    assert "size: -1" in render(load([str(file)], REGISTRY, validate=False))


@pytest.mark.parametrize(
    ("text", "message", "note"),
    [
        (
            "receivers: {servr: }",
            '\'receivers\' unknown type: "servr" for id: "servr" (valid values: [server])',
            'c.yaml:1:13: unknown receiver "servr"; did you mean "server"?',
        ),
        (
            "receivers: {jaeger/x: }",
            '\'receivers\' unknown type: "jaeger" for id: "jaeger/x" (valid values: [server])',
            'c.yaml:1:13: the OpenTelemetry Collector has the receiver "jaeger", otelingest does not (yet)',
        ),
        (
            "exporters: {logging: }",
            "'exporters' the logging exporter has been deprecated, use the debug exporter instead",
            "c.yaml:1:13: exporters::logging: the logging exporter has been deprecated, use the debug exporter instead",
        ),
        (
            "receivers: {server/: }",
            "'receivers' '' in \"server/\" id: the part after / should not be empty",
            "c.yaml:1:13: receivers::server/: '' in \"server/\" id: the part after / should not be empty",
        ),
        (
            "receivers: {server/a: , 'server/ a': }",
            "'receivers' '' duplicate name \"server/a\" after unmarshaling server/a",
            "c.yaml:1:25: receivers::server/ a: '' duplicate name \"server/a\" after unmarshaling server/a",
        ),
        (
            "receivers: [server]",
            "'receivers' expected a map or struct, got \"slice\"",
            'c.yaml:1:1: receivers: expected a map or struct, got "slice"',
        ),
        (
            "processor: {size: }",
            "'otelcol.configSettings' has invalid keys: processor",
            'c.yaml:1:1: unknown section "processor"; did you mean "processors"?',
        ),
        (
            "service: {pipeline: }",
            "'service' has invalid keys: pipeline",
            'c.yaml:1:11: unknown key "pipeline" in service; did you mean "pipelines"?',
        ),
        (
            "service: {pipelines: {traces: {receivers: server}}}",
            "'service.pipelines[traces].receivers' source data must be an array or slice, got string",
            "c.yaml:1:32: 'service::pipelines::traces::receivers' source data must be an array or slice, got string",
        ),
    ],
)
def test_what_cannot_be_read(text: str, message: str, note: str, tmp_path: Path) -> None:
    error = refused(text, tmp_path)
    assert str(error) == UNREADABLE + message
    assert places(error, tmp_path) == [note]


def test_a_body_that_is_no_map(tmp_path: Path) -> None:
    error = refused("processors: {size: [1]}", tmp_path)
    assert str(error) == (
        UNREADABLE + "'processors' decoding failed due to the following error(s):\n\n"
        "'[size]' expected type 'map[string]interface {}', got unconvertible type '[]interface {}'"
    )


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("", ["empty configuration file", "service::pipelines: service must have at least one pipeline"]),
        (
            "exporters: {sink: }",
            [
                "no receiver configuration specified in config",
                "service::pipelines: service must have at least one pipeline",
            ],
        ),
        (
            "receivers: {server: }\nservice: {pipelines: {traces: {receivers: [server]}}}",
            [
                "no exporter configuration specified in config",
                "service::pipelines::traces: must have at least one exporter",
            ],
        ),
        (
            "receivers: {server: }\nexporters: {sink: }\nprocessors: {size: }\nservice: {extensions: [helpr], "
            "pipelines: {logs/x: {receivers: [serve], processors: [size, size], exporters: [sink, sink, nope]}}}",
            [
                'service::extensions: references extension "helpr" which is not configured',
                'service::pipelines::logs/x: references receiver "serve" which is not configured',
                'service::pipelines::logs/x: references exporter "nope" which is not configured',
                'service::pipelines::logs/x: references processor "size" multiple times',
            ],
        ),
    ],
)
def test_what_does_not_fit_together(text: str, messages: list[str], tmp_path: Path) -> None:
    assert str(refused(text, tmp_path)).splitlines() == messages


def test_an_id_may_not_be_both_a_connector_and_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMPONENTS["exporters"], "bridge", COMPONENTS["connectors"]["bridge"])
    error = refused(GOOD.replace("  sink:", "  sink:\n  bridge:") + "connectors: {bridge: }", tmp_path)
    assert str(error) == (
        'connectors::bridge: ambiguous ID: Found both "bridge" exporter and "bridge" connector. Change one of the '
        'components\' IDs to eliminate ambiguity (e.g. rename "bridge" connector to "bridge/connector")'
    )


def test_a_connector_stands_where_receivers_and_exporters_stand(tmp_path: Path) -> None:
    text = GOOD.replace("exporters: [sink]", "exporters: [bridge]")
    configuration = loaded(
        text + "    logs: {receivers: [bridge], exporters: [sink]}\nconnectors: {bridge: }", tmp_path
    )
    assert ComponentId("bridge") in configuration.connectors


def test_no_pipelines_are_fine_where_the_gate_says_so(tmp_path: Path) -> None:
    text = "extensions: {helper: }\nservice: {extensions: [helper]}"
    assert "at least one pipeline" in str(refused(text, tmp_path))
    gates = parse_gates("service.AllowNoPipelines")
    assert loaded(text, tmp_path, gates=gates).service.extensions == [ComponentId("helper")]


def test_a_gate_without_effect_is_warned_of(tmp_path: Path) -> None:
    configuration = loaded(GOOD, tmp_path, gates=parse_gates("-ottl.set.allowNil,+pdata.useProtoPooling"))
    assert [told.text for told in configuration.told] == [
        'the feature gate "ottl.set.allowNil" has no effect',
        'the feature gate "pdata.useProtoPooling" has no effect',
    ]


def test_an_unknown_gate_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r'no such feature gate "nope". valid gates: \[confmap.enableMergeAppendOption '
    ):
        parse_gates("-nope")


def test_an_id_with_spaces_loses_its_body_and_says_so(tmp_path: Path) -> None:
    configuration = loaded(GOOD + "processors: {size / a: {size: 5}}", tmp_path)
    settings = configuration.processors[ComponentId("size", "a")]
    assert isinstance(settings, SizeSettings)
    assert settings.size == 1
    assert configuration.told[0].text.endswith('does not count; write "size/a"')


def test_an_old_name_of_a_type_is_accepted_and_remembered(tmp_path: Path) -> None:
    configuration = loaded(GOOD.replace("  sink:", "  sink:\n  otlp/x:"), tmp_path)
    assert configuration.aliases == {("exporters", ComponentId("otlp", "x")): "otlp_grpc"}


def test_an_unset_variable_is_told_beside_the_error_that_it_causes(tmp_path: Path) -> None:
    error = refused(GOOD.replace("  server:", "  server: {endpoint: '${env:NOPE}'}"), tmp_path)
    assert places(error, tmp_path) == [
        "c.yaml:3:12: Configuration references unset environment variable NOPE",
        "c.yaml:3:3: receivers::server: endpoint must be specified",
    ]


def test_the_place_of_a_value_from_a_later_file_is_in_that_file(tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text("receivers:\n  server:\n    endpoint: 5\n")
    with pytest.raises(ConfigurationError) as caught:
        loaded(GOOD, tmp_path, str(over))
    assert places(caught.value, tmp_path)[0].startswith("over.yaml:3:5: ")


def test_warnings_tell_their_place(tmp_path: Path) -> None:
    configuration = loaded(GOOD + "processors:\n  size:\n    timeout: 5\n", tmp_path)
    (told,) = configuration.told
    assert str(told.position) == f"{tmp_path}/c.yaml:13:5"
    assert told.text.startswith("processors::size::timeout: a bare number is taken for nanoseconds (5ns)")


def test_service_telemetry(tmp_path: Path) -> None:
    text = GOOD + "  telemetry: {logs: {level: WARN, sampling: }, resource: {service.name: x, service.instance.id: }}"
    telemetry = loaded(text, tmp_path).service.telemetry
    assert telemetry.logs.level == "warn"
    assert telemetry.logs.sampling.enabled
    named = resource_attributes(telemetry.resource, "command", "1.2")
    assert named == {"service.name": "x", "service.version": "1.2"}


@pytest.mark.parametrize(
    ("metrics", "logs", "levels"),
    [
        ("-1", "-1", ("None", "debug")),
        ("0", "0", ("Basic", "info")),
        ("1.5", "1.5", ("Normal", "warn")),
        ("7", "7", ("Detailed", "fatal")),
    ],
)
def test_levels_may_be_numbers(metrics: str, logs: str, levels: tuple[str, str], tmp_path: Path) -> None:
    text = (
        GOOD + f"  telemetry: {{metrics: {{level: {metrics}}}, traces: {{level: {metrics}}}, logs: {{level: {logs}}}}}"
    )
    telemetry = loaded(text, tmp_path).service.telemetry
    assert (telemetry.metrics.level, telemetry.logs.level) == levels


def test_readers_without_a_value_are_the_usual_ones_and_no_views_are_none(tmp_path: Path) -> None:
    metrics = loaded(GOOD + "  telemetry: {metrics: {readers: , views: }}", tmp_path).service.telemetry.metrics
    (reader,) = metrics.all_readers
    assert reader.pull is not None
    assert reader.pull.exporter.prometheus is not None
    assert reader.pull.exporter.prometheus.port == 8888


@pytest.mark.parametrize(
    ("telemetry", "message"),
    [
        ("logs: {level: verbose}", "'level' unrecognized level: \"verbose\""),
        ("metrics: {level: high}", "'level' unknown metrics level \"high\""),
        ("metrics: {address: x}", "'migration.MetricsConfigV030' has invalid keys: address"),
        ("resource: {service: {name: x}}", 'legacy resource attribute "service" must be string or null'),
        ("metrics: {readers: []}", "collector telemetry metrics reader should exist when metric level is not none"),
        ("metrics: {views: []}", "views can only be set when service::telemetry::metrics::level is detailed"),
        ("metrics: {level: detailed, views: [{selector: {name: a}}]}", "'views[0].selector' has invalid keys: name"),
        ('metrics: {level: "1"}', "'level' unknown metrics level \"1\""),
        ("metrics: {level: true}", "expected type 'configtelemetry.Level', got unconvertible type 'bool'"),
        (
            "metrics: {readers: [{periodic: {exporter: {otlp: {tls: {}}}}}]}",
            "'readers[0].periodic.exporter.otlp' has invalid keys: tls",
        ),
        ("metrics: {views: [{}]}", "views can only be set when service::telemetry::metrics::level is detailed"),
        ("logs: {processors: [{batch: {bogus: 1}}]}", "'processors[0].batch' has invalid keys: bogus"),
        (
            "logs: {processors: [{simple: {exporter: {otlp: {tls: {}}}}}]}",
            "'processors[0].simple.exporter.otlp' has invalid keys: tls",
        ),
    ],
)
def test_what_is_wrong_in_service_telemetry(telemetry: str, message: str, tmp_path: Path) -> None:
    assert message in str(refused(GOOD + f"  telemetry: {{{telemetry}}}", tmp_path))


def test_rendering_shows_defaults_and_hides_secrets(tmp_path: Path) -> None:
    configuration = loaded(
        GOOD.replace("  sink:", "  sink: {password: '0123', tags: ['1', 'true', x: y]}").replace(", x: y", ", 'x: y'"),
        tmp_path,
    )
    shown = render(configuration)
    assert "0123" not in shown
    assert "        password: '[REDACTED]'\n" in shown
    assert '            - "1"\n            - "true"\n            - \'x: y\'\n' in shown
    assert '        password: "0123"\n' in render(configuration, redacted=False)


def test_rendering_as_json_has_nanoseconds(tmp_path: Path) -> None:
    configuration = loaded(GOOD + "processors: {size: }", tmp_path)
    assert '"timeout": 1000000000' in render(configuration, format="json")
    assert "timeout: 1s" in render(configuration)
