"""Prints a configuration as it is in effect: with every default, sorted, and without secrets unless asked for."""

from __future__ import annotations

import enum
import json
import re
import types
from collections.abc import Callable
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from otelingest.config.catalogue import ALIASES
from otelingest.config.configuration import KINDS, Configuration
from otelingest.config.reading import keys
from otelingest.config.secrecy import names_secret, without_passwords
from otelingest.config.telemetry import SCHEMA_URL
from otelingest.config.telemetry.levels import MetricsLevel
from otelingest.config.types import REDACTED, ComponentId, Duration
from otelingest.config.values import Date, Expanded
from otelingest.config.yaml_scalars import KINDS_OF_SCALARS, TAG, go_text, resolve


def render(configuration: Configuration, *, format: str = "yaml", redacted: bool = True) -> str:
    """The configuration as YAML (durations as `1m0s`) or JSON (durations in nanoseconds)."""
    show = _Plain(redacted, as_text=format == "yaml")
    tree: dict[str, Any] = {
        kind: {
            str(id): show(settings, (kind, ALIASES.get((kind, id.type), id.type)))
            for id, settings in configuration.of(kind).items()
        }
        for kind in KINDS
    }
    tree["service"] = show(configuration.service, ("service",))
    telemetry = tree["service"]["telemetry"]
    telemetry["metrics"]["readers"] = show(configuration.service.telemetry.metrics.all_readers)
    telemetry.setdefault("resource", {}).setdefault("schema_url", SCHEMA_URL)
    if format == "yaml":
        return to_yaml(tree)
    return _to_json(tree | {kind: tree[kind] or None for kind in KINDS})


def _to_json(tree: Any) -> str:
    text = json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=False)
    # As Go writes it, for pages: these letters stand in strings alone.
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


_NAMES = """
    aggregation allowed_headers allowed_origins always_off always_on attribute_count_limit attribute_keys
    attribute_value_length_limit auth authenticator authority base2_exponential_bucket_histogram boundaries
    ca_file ca_pem cert_file cert_pem certificate cipher_suites cleanup_on_start client_ca_file
    client_ca_file_reload client_certificate client_key compaction compression_algorithms console container
    cookies curve_preferences default default_histogram_aggregation description detectors development dialer
    directory disable_caller disable_keep_alives disable_stacktrace disable_zap_resource drop
    event_attribute_count_limit event_count_limit explicit_bucket_histogram export_timeout exposed_headers
    extensions filename force_attempt_http2 fsync header headers headers_list host http2_ping_timeout
    http2_read_idle_timeout include_insecure_cipher_suites include_metadata include_system_ca_certs_pool
    initial_fields initial_sampler insecure insecure_skip_verify instrument_name instrument_type jaeger_remote
    keep_alives_enabled key_file key_pem last_value limits link_attribute_count_limit link_count_limit
    local_parent_not_sampled local_parent_sampled logs_url_path max_age max_concurrent_streams max_connection_age
    max_connection_age_grace max_connection_idle max_conns_per_host max_export_batch_size max_idle_conns_per_host
    max_queue_size max_recv_msg_size_mib max_request_body_size max_retries max_scale max_transaction_size
    max_version meter_name meter_schema_url meter_version metrics_url_path middlewares min_time min_version
    on_rebound on_start otlp owner_auth parent_based periodic permit_without_stream port prometheus proxy_url pull
    ratio read_buffer_size read_timeout readers record_min_max recreate reload_interval remote_parent_not_sampled
    remote_parent_sampled request_params response_headers root sampler schedule_delay scheme selector
    server_name_override service simple stream temporality_preference token tokens tpm trace_id_ratio_based
    traces_url_path transport type unit user_agent verbosity views wait_for_ready wait_for_token_file
    with_resource_constant_labels without_type_suffix without_units write_buffer_size zipkin aggregation.sum
    attribute_keys.excluded attribute_keys.included attributes.excluded attributes.included
    base2_exponential_bucket_histogram.max_size bearertokenauth.retry_on_failure
    bearertokenauth.retry_on_failure.enabled compaction.check_interval compression_params.level
    detection/development.attributes detectors.attributes dialer.timeout exporter.prometheus.without_scope_info
    file_storage.create_directory file_storage.directory_permissions file_storage.max_size file_storage.timeout
    grpc.endpoint grpc.tls health_check.endpoint health_check.idle_timeout health_check.keepalive http.endpoint
    http.idle_timeout http.keepalive jaeger_remote.endpoint jaeger_remote.interval logs.processors
    otlp.compression otlp.timeout otlp_grpc.compression otlp_grpc.endpoint otlp_grpc.keepalive otlp_grpc.tls
    otlp_http.compression otlp_http.compression_params otlp_http.endpoint otlp_http.idle_conn_timeout
    otlp_http.keepalive otlp_http.max_idle_conns otlp_http.timeout otlp_http.tls periodic.interval
    periodic.timeout processors.batch prometheus.endpoint prometheus.idle_timeout prometheus.keepalive
    retry_on_failure.interval server_parameters.time server_parameters.timeout stream.name telemetry.resource
    telemetry.resource.attributes telemetry.traces tpm.enabled tpm.path traces.processors
    with_resource_constant_labels.excluded with_resource_constant_labels.included zipkin.timeout zpages.endpoint
    zpages.idle_timeout zpages.keepalive
"""
_HIDDEN = frozenset(_NAMES.split())
"""Keys, some with the sections that they stand in, which the collector does not print while they are empty."""
_SWITCHES = frozenset(("sending_queue.enabled",))
"""Keys that turn a section off: what is printed is on."""
_COLLECTIONS = (list, tuple, dict, set, frozenset)
_ZEROS: tuple[Any, ...] = (None, False, 0, "", MetricsLevel.BASIC.value)


def _is_hidden(path: tuple[str, ...], empty: bool) -> bool:
    names = {".".join(path[-depth:]) for depth in (1, 2, 3)}
    return (empty and not _HIDDEN.isdisjoint(names)) or not _SWITCHES.isdisjoint(names)


def _is_nothing(settings: BaseModel, name: str) -> bool:
    """Whether a field holds what Go makes of nothing. What may be absent, lists too, is something once it is set."""
    value = getattr(settings, name, None)
    if isinstance(value, BaseModel):
        may_be_absent = types.NoneType in get_args(type(settings).model_fields[name].annotation)
        empty = all(_is_nothing(value, inner) for inner in type(value).model_fields)
        return empty and not (may_be_absent and name in settings.model_fields_set)
    if isinstance(value, SecretStr):
        return not value.get_secret_value()
    if isinstance(value, ComponentId):
        return not any(value)
    if isinstance(value, _COLLECTIONS):
        return not value and name not in settings.model_fields_set
    return value in _ZEROS


def plain_value(value: Any) -> Any:
    """A value as plain YAML has it, without secrets."""
    return _Plain(redacted=True, as_text=True, as_it_is=True)(value)


class _Plain:
    """Turns settings into plain values. Paths are those of keys: of what is in a map or list, the map's or list's.

    as_it_is: show what is empty too, as nothing else than empty.
    """

    def __init__(self, redacted: bool, as_text: bool, as_it_is: bool = False) -> None:
        self._redacted = redacted
        self._as_text = as_text
        self._as_it_is = as_it_is

    def __call__(self, value: Any, path: tuple[str, ...] = ()) -> Any:
        for kinds, convert in self._kinds(path):
            if isinstance(value, kinds):
                return convert(value)
        return value if value is None or isinstance(value, bool | int | float | str) else str(value)

    def _kinds(self, path: tuple[str, ...]) -> tuple[tuple[Any, Callable[[Any], Any]], ...]:
        return (
            (BaseModel, lambda value: self._settings(value, path)),
            (SecretStr, self._secret),
            (Duration, lambda value: str(value) if self._as_text else int(value)),
            (Expanded, lambda value: self(value.value)),
            (Date, lambda value: value.moment.isoformat().replace("+00:00", "Z")),
            (enum.Enum, lambda value: value.value),
            (float, self._number),
            (dict, lambda value: self._map(value, path)),
            ((set, frozenset), lambda value: sorted(map(str, value))),
            (list, lambda value: [self(item, path) for item in value]),
            (tuple, lambda value: str(value) if hasattr(value, "_fields") else [self(item, path) for item in value]),
            (str, lambda value: without_passwords(value, REDACTED) if self._redacted else value),
        )

    def _number(self, value: float) -> float:
        """A whole one without a fraction, as long as Go's JSON writes it out; for YAML, the dumper sees to that."""
        written = (self._as_it_is or not self._as_text) and abs(value) < 1e21
        return int(value) if written and value.is_integer() else value

    def _secret(self, value: SecretStr | str) -> str:
        text = value if isinstance(value, str) else value.get_secret_value()
        # As upstream prints it, nobody sees whether there is a secret.
        return REDACTED if self._redacted and (text or not self._as_it_is) else text

    def _settings(self, value: BaseModel, path: tuple[str, ...]) -> dict[str, Any]:
        cls = type(value)
        shown = {}
        for key, (name, info) in zip(keys(cls), cls.model_fields.items(), strict=True):
            item = getattr(value, name, None)
            if not self._as_it_is and _is_hidden((*path, key), _is_nothing(value, name)):
                continue
            # Lists and maps that nobody has set are shown as empty in YAML, and in JSON as never made.
            made = self._as_text or item or not isinstance(item, _COLLECTIONS) or name in value.model_fields_set
            shown[key] = self._absent(info) if item is None or not made else self(item, (*path, key))
        return shown

    def _absent(self, info: FieldInfo) -> Any:
        """What stands for a value that is not there: for a list, in YAML, one without anything in it."""
        kinds = {get_origin(option) or option for option in get_args(info.annotation)}
        return [] if list in kinds and self._as_text and not self._as_it_is else None

    def _map(self, value: dict[Any, Any], path: tuple[str, ...]) -> Any:
        if value and all(isinstance(item, SecretStr) for item in value.values()):
            return [{"name": str(name), "value": self(item)} for name, item in sorted(value.items())]
        return {
            str(key): self._hidden(item) if names_secret(str(key)) else self(item, path) for key, item in value.items()
        }

    def _hidden(self, value: Any) -> Any:
        """What stands under a name that sounds like a secret's: every text in it is one."""
        if isinstance(value, str | SecretStr):
            return self._secret(value)
        if isinstance(value, dict):
            return {str(key): self._hidden(item) for key, item in value.items()}
        return [self._hidden(item) for item in value] if isinstance(value, list) else self(value)


class _Dumper(yaml.SafeDumper):
    """Writes YAML as Go does: four spaces, lists indented, double quotes round what would not be a string."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        self.indents.append(self.indent)
        if self.indent is None:
            self.indent = 0
        elif self.sequence_context:
            self.indent += 2  # past the "- "
        else:
            self.indent = self.best_indent * (self.indent // self.best_indent + 1)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """What a reader takes a scalar for: Go's, and not that of older YAML."""
        if kind is yaml.ScalarNode and implicit[0]:
            return _tag(value)
        return super().resolve(kind, value, (False, True))  # type: ignore[no-untyped-call]


def _tag(text: str) -> str:
    meaning = resolve(text)
    return TAG + next(name for kind, name in KINDS_OF_SCALARS if isinstance(meaning, kind))


def _represent_float(dumper: _Dumper, value: float) -> yaml.ScalarNode:
    text = go_text(value)
    return dumper.represent_scalar(_tag(text), text)


_OLD = re.compile(r"[Yy](?:es)?|[Nn]o?|[Oo](?:n|ff)|YES|NO|ON|OFF|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
"""What was a boolean or a number in older YAML, and still is to other readers."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif not isinstance(resolve(text), str) or _OLD.fullmatch(text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(float, _represent_float)


_MOST_DIGITS = 1000
"""Of a number in a key, that count for its place. (Python reads some thousands at most.)"""


def _natural(key: str) -> list[tuple[int, int]]:
    """Orders keys as Go's YAML does: numbers by their size, and before letters."""
    parts: list[str] = re.findall(r"\d+|\D", key)
    return [_number_of(part) if part.isdecimal() else (2 * part.isalpha(), ord(part)) for part in parts]


def _number_of(digits: str) -> tuple[int, int]:
    return 1, int(digits[:_MOST_DIGITS])


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value, key=_natural)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def to_yaml(tree: Any, *, sort: bool = True) -> str:
    """Plain values as YAML text."""
    return str(
        yaml.dump(
            _sorted(tree) if sort else tree,
            Dumper=_Dumper,
            default_flow_style=False,
            indent=4,
            width=1 << 16,
            allow_unicode=True,
            sort_keys=False,
        )
    )
