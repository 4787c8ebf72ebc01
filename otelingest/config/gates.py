"""Feature gates: switches by which the collector brings in what changes its behaviour, and takes out what did.

All gates of the components that are here are known, so that command lines stay valid; few of them do anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MERGE_APPEND = "confmap.enableMergeAppendOption"
ALLOW_NO_PIPELINES = "service.AllowNoPipelines"
PROFILES = "service.profilesSupport"


@dataclass(frozen=True)
class Gate:
    """stage: Alpha gates are off, Beta gates on, unless the command line says otherwise; Stable ones are on.

    to_version: the release of the collector that no longer knows it.
    description: what it does here.
    effective: whether turning it does anything here.
    """

    id: str
    stage: str
    from_version: str
    to_version: str = ""
    description: str = "Has no effect in otelingest; accepted so that command lines stay valid."
    effective: bool = False

    @property
    def enabled(self) -> bool:
        return self.stage != "Alpha"


_EFFECTIVE = (
    Gate(
        MERGE_APPEND,
        "Alpha",
        "v0.120.0",
        description="Add to the lists service::extensions and service::**::receivers|exporters of earlier "
        "configurations, instead of replacing them.",
        effective=True,
    ),
    Gate(
        ALLOW_NO_PIPELINES,
        "Alpha",
        "v0.122.0",
        description="Allow a configuration without pipelines: extensions alone are run.",
        effective=True,
    ),
    Gate(
        PROFILES,
        "Alpha",
        "v0.112.0",
        description="Allow pipelines for profiles. otelingest has none: they are refused either way.",
    ),
)
_WITHOUT_EFFECT = """
    connector.spanmetrics.excludeResourceMetrics                              Alpha   v0.137.0
    connector.spanmetrics.includeCollectorInstanceID                          Beta    v0.136.0
    connector.spanmetrics.legacyMetricNames                                   Alpha   v0.109.0
    connector.spanmetrics.useSecondAsDefaultMetricsUnit                       Alpha   v0.137.0
    exporter.file.nativeCompression                                           Alpha   v0.154.0
    exporter.prometheus.DisableResourceToTelemetryConversion                  Alpha   v0.160.0
    exporter.prometheusexporter.DisableAddMetricSuffixes                      Beta    v0.132.0
    extension.healthcheck.useComponentStatus                                  Alpha   v0.142.0
    filter.filterlog.useOTTLBridge                                            Alpha   v0.81.0
    filter.filtermetric.useOTTLBridge                                         Alpha   v0.81.0
    filter.filterspan.useOTTLBridge                                           Alpha   v0.79.0
    ottl.PanicDuplicateName                                                   Stable  v0.141.0  v0.161.0
    ottl.contexts.enableOTelColContext                                        Stable  v0.147.0  v0.161.0
    ottl.functions.enableLambda                                               Alpha   v0.155.0
    ottl.set.allowNil                                                         Beta    v0.158.0
    pdata.useProtoPooling                                                     Alpha   v0.133.0
    pkg.exporterhelper.queueBatchEnabled                                      Alpha   v0.158.0
    pkg.translator.prometheus.PermissiveLabelSanitization                     Alpha   v0.55.0
    processor.filter.defaultErrorModeIgnore                                   Stable  v0.150.0  v0.159.0
    processor.resourcedetection.consul.prefixMetaAttributes                   Alpha   v0.159.0
    processor.resourcedetection.elasticbeanstalk.DontEmitV0DeploymentConventions  Alpha  v0.159.0
    processor.resourcedetection.elasticbeanstalk.EmitV1DeploymentConventions  Alpha   v0.159.0
    processor.transform.defaultErrorModeIgnore                                Stable  v0.150.0  v0.159.0
    receiver.prometheusreceiver.EnableCreatedTimestampZeroIngestion           Alpha   v0.113.0
    receiver.prometheusreceiver.IgnoreScopeInfoMetric                         Beta    v0.148.0
    receiverhelper.newReceiverMetrics                                         Alpha   v0.138.0
    service.partialReload                                                     Alpha   v0.157.0
    service.partialReloadReceivers                                            Beta    v0.157.0
    spanmetrics.statusCodeConvention.useOtelPrefix                            Alpha   v0.141.0
    telemetry.newPipelineTelemetry                                            Alpha   v0.123.0
    transform.flatten.logs                                                    Alpha   v0.103.0
"""


def _without_effect() -> Iterator[Gate]:
    for line in _WITHOUT_EFFECT.strip().splitlines():
        id, stage, from_version, *to_version = line.split()
        yield Gate(id, stage, from_version, "".join(to_version))


GATES: dict[str, Gate] = {gate.id: gate for gate in sorted((*_EFFECTIVE, *_without_effect()), key=lambda gate: gate.id)}


class Turned(dict[str, bool]):
    """What the command line turns, by id."""

    def on(self, id: str) -> bool:
        return self.get(id, GATES[id].enabled)


def parse_gates(text: str) -> Turned:
    """What `--feature-gates` asks for, by id: `a,+b` turns on, `-c` off. Raises ValueError with all that is wrong."""
    turned = Turned()
    wrong = []
    for index, word in enumerate(text.split(",") if text else ()):
        id = word[1:] if word[:1] in ("+", "-") else word
        turned[id] = not word.startswith("-")
        if not word:
            wrong.append(f"empty feature gate identifier at index {index}")
        elif id not in GATES:
            wrong.append(f'no such feature gate "{id}". valid gates: [{" ".join(GATES)}]')
        elif GATES[id].stage == "Stable" and not turned[id]:
            wrong.append(f'feature gate "{id}" is stable, can not be disabled')
    if wrong:
        raise ValueError("; ".join(wrong))
    return turned


def notices(turned: Turned) -> Iterator[str]:
    """What the collector says of gates that need not be turned any more."""
    for id in turned:
        if GATES[id].stage == "Stable":
            to = GATES[id].to_version.removeprefix("v")
            yield (
                f'Feature gate "{id}" is stable and already enabled. It will be removed in version {to} and continued '
                f"use of the gate after version {to} will result in an error."
            )


def gate_table() -> str:
    """All gates, one a line."""
    rows = [("ID", "Enabled", "Stage", "Description")]
    rows += [(gate.id, str(gate.enabled).lower(), gate.stage, gate.description) for gate in GATES.values()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ([*(row[column].ljust(width) for column, width in enumerate(widths)), row[3]] for row in rows)
    return "\n".join("  ".join(line) for line in lines)


def describe_gate(id: str) -> str:
    """All there is to say of one gate."""
    gate = GATES[id]
    lines = {
        "Feature": gate.id,
        "Enabled": str(gate.enabled).lower(),
        "Stage": gate.stage,
        "Description": gate.description,
        "From Version": gate.from_version,
        "To Version": gate.to_version,
    }
    return "\n".join(f"{name}: {text}" for name, text in lines.items() if text)
