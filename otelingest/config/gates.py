"""Feature gates: switches by which the collector brings in what changes its behaviour, and takes out what did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MERGE_APPEND = "confmap.enableMergeAppendOption"
ALLOW_NO_PIPELINES = "service.AllowNoPipelines"
PROFILES = "service.profilesSupport"


@dataclass(frozen=True)
class Gate:
    """stage: Alpha gates are off, Beta gates on, unless the command line says otherwise.

    effective: whether turning it does anything here.
    """

    id: str
    stage: str
    description: str
    from_version: str = ""
    effective: bool = False

    @property
    def enabled(self) -> bool:
        return self.stage != "Alpha"


_NONE = "Has no effect in otelingest; accepted so that command lines stay valid."

GATES: dict[str, Gate] = {
    gate.id: gate
    for gate in (
        Gate(
            MERGE_APPEND,
            "Alpha",
            "Add to the lists service::extensions and service::**::receivers|exporters of earlier configurations, "
            "instead of replacing them.",
            "v0.120.0",
            effective=True,
        ),
        Gate("exporter.file.nativeCompression", "Alpha", _NONE),
        Gate("exporter.prometheus.DisableResourceToTelemetryConversion", "Alpha", _NONE),
        Gate("exporter.prometheusexporter.DisableAddMetricSuffixes", "Beta", _NONE),
        Gate("extension.healthcheck.useComponentStatus", "Alpha", _NONE),
        Gate("filter.filterlog.useOTTLBridge", "Alpha", _NONE),
        Gate("filter.filtermetric.useOTTLBridge", "Alpha", _NONE),
        Gate("filter.filterspan.useOTTLBridge", "Alpha", _NONE),
        Gate("ottl.PanicDuplicateName", "Alpha", _NONE),
        Gate("ottl.contexts.enableOTelColContext", "Alpha", _NONE),
        Gate("ottl.functions.enableLambda", "Alpha", _NONE),
        Gate("ottl.set.allowNil", "Beta", _NONE),
        Gate("pdata.useProtoPooling", "Alpha", _NONE),
        Gate("pkg.exporterhelper.queueBatchEnabled", "Alpha", _NONE),
        Gate("pkg.translator.prometheus.PermissiveLabelSanitization", "Alpha", _NONE),
        Gate("processor.filter.defaultErrorModeIgnore", "Beta", _NONE),
        Gate("processor.transform.defaultErrorModeIgnore", "Beta", _NONE),
        Gate("receiverhelper.newReceiverMetrics", "Alpha", _NONE),
        Gate(
            ALLOW_NO_PIPELINES,
            "Alpha",
            "Allow a configuration without pipelines: extensions alone are run.",
            "v0.122.0",
            effective=True,
        ),
        Gate("service.partialReload", "Alpha", _NONE),
        Gate("service.partialReloadReceivers", "Alpha", _NONE),
        Gate(
            PROFILES,
            "Alpha",
            "Allow pipelines for profiles. otelingest has none: they are refused either way.",
            "v0.112.0",
        ),
        Gate("telemetry.newPipelineTelemetry", "Alpha", _NONE),
        Gate("transform.flatten.logs", "Alpha", _NONE),
    )
}


class Turned(dict[str, bool]):
    """What the command line turns, by id."""

    def on(self, id: str) -> bool:
        return self.get(id, GATES[id].enabled)


def parse_gates(texts: Iterable[str]) -> Turned:
    """What `--feature-gates` asks for, by id: `a,+b` turns on, `-c` off. Raises ValueError for unknown ids."""
    asked = Turned()
    for word in (word for text in texts for word in text.split(",") if word):
        id = word[1:] if word[0] in "+-" else word
        if id not in GATES:
            raise ValueError(f'no such feature gate "{id}". valid gates: [{" ".join(sorted(GATES))}]')
        asked[id] = not word.startswith("-")
    return asked


def gate_table(turned: Turned) -> str:
    """All gates, one a line."""
    rows = [("ID", "Enabled", "Stage", "Description")]
    for id, gate in sorted(GATES.items()):
        rows.append((id, str(turned.on(id)).lower(), gate.stage, gate.description))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ([*(row[column].ljust(width) for column, width in enumerate(widths)), row[3]] for row in rows)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def describe_gate(id: str, turned: Turned) -> str:
    """All there is to say of one gate."""
    gate = GATES[id]
    lines = {
        "Feature": gate.id,
        "Enabled": str(turned.on(id)).lower(),
        "Stage": gate.stage,
        "Description": gate.description,
        "From Version": gate.from_version,
    }
    return "\n".join(f"{name}: {text}" for name, text in lines.items() if text)
