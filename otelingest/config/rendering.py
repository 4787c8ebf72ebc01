"""Prints a configuration as it is in effect: with every default, sorted, and without secrets unless asked for."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from otelingest.config.configuration import KINDS, Configuration
from otelingest.config.reading import keys
from otelingest.config.secrecy import names_secret, without_passwords
from otelingest.config.telemetry import SCHEMA_URL
from otelingest.config.types import REDACTED, Duration
from otelingest.config.values import Expanded
from otelingest.config.yaml_scalars import resolve


def render(configuration: Configuration, *, format: str = "yaml", redacted: bool = True) -> str:
    """The configuration as YAML (durations as `1m0s`) or JSON (durations in nanoseconds)."""
    show = _Plain(redacted, as_text=format == "yaml")
    tree: dict[str, Any] = {
        kind: {
            str(id): _without_empty(show(settings), (kind, id.type)) for id, settings in configuration.of(kind).items()
        }
        for kind in KINDS
    }
    tree["service"] = _without_empty(show(configuration.service), ("service",))
    tree["service"]["telemetry"]["resource"].setdefault("schema_url", SCHEMA_URL)
    if format == "json":
        tree |= {kind: tree[kind] or None for kind in KINDS}
        return json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return to_yaml(tree)


_NAMES = """
    auth ca_file ca_pem cert_file cert_pem cipher_suites compression_algorithms compression_params cookies
    curve_preferences development dialer disable_caller disable_keep_alives disable_stacktrace disable_zap_resource
    filename headers headers_list http2_ping_timeout http2_read_idle_timeout idle_timeout include_metadata
    include_insecure_cipher_suites include_system_ca_certs_pool initial_fields insecure insecure_skip_verify keepalive
    key_file key_pem max_concurrent_streams max_connection_age max_connection_age_grace max_connection_idle
    max_conns_per_host max_idle_conns_per_host max_recv_msg_size_mib max_request_body_size max_version middlewares
    min_time min_version periodic permit_without_stream proxy_url read_buffer_size read_timeout reload_interval
    response_headers server_name_override time tokens tpm views with_resource_constant_labels write_buffer_size
    grpc.tls telemetry.logs.processors otlp.tls otlp_grpc.tls otlp_http.tls otlphttp.tls server_parameters.timeout
    service.extensions telemetry.traces traces.sampler dialer.timeout compression_params.level cookies.enabled
    keepalive.idle_conn_timeout keepalive.max_idle_conns otlp.authority otlp.wait_for_ready otlp.user_agent
    otlp_grpc.authority otlp_grpc.wait_for_ready otlp_grpc.user_agent bearertokenauth.header bearertokenauth.scheme
    bearertokenauth.token bearertokenauth.retry_on_failure bearertokenauth.retry_on_failure.enabled wait_for_token_file
    retry_on_failure.max_retries retry_on_failure.interval
"""
_HIDDEN = frozenset(_NAMES.split())
"""Keys, some with the section that they stand in, which the collector does not print while they are empty."""
_EMPTY: tuple[Any, ...] = (None, False, 0, "", "0s", [], {})


def _without_empty(value: Any, path: tuple[str, ...]) -> Any:
    """Without the keys that nobody has set and that the collector would not print either."""
    if isinstance(value, list):
        return [_without_empty(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    shown = {}
    for key, item in value.items():
        below = _without_empty(item, (*path, key))
        names = (".".join((*path[len(path) - depth :], key)) for depth in range(3))
        if below not in _EMPTY or _HIDDEN.isdisjoint(names):
            shown[key] = below
    return shown


def plain_value(value: Any) -> Any:
    """A value as plain YAML has it, without secrets."""
    return _Plain(redacted=True, as_text=True)(value)


class _Plain:
    """Turns settings into plain values."""

    def __init__(self, redacted: bool, as_text: bool) -> None:
        self._redacted = redacted
        self._as_text = as_text

    def __call__(self, value: Any) -> Any:
        for kinds, convert in self._kinds():
            if isinstance(value, kinds):
                return convert(value)
        return value if value is None or isinstance(value, bool | int | float | str) else str(value)

    def _kinds(self) -> tuple[tuple[Any, Callable[[Any], Any]], ...]:
        return (
            (BaseModel, self._settings),
            (SecretStr, self._secret),
            (Duration, lambda value: str(value) if self._as_text else int(value)),
            (Expanded, lambda value: self(value.value)),
            (enum.Enum, lambda value: value.value),
            (float, lambda value: int(value) if value.is_integer() else value),
            (dict, self._map),
            ((set, frozenset), lambda value: sorted(map(str, value))),
            (list, lambda value: [self(item) for item in value]),
            (tuple, lambda value: str(value) if hasattr(value, "_fields") else [self(item) for item in value]),
            (str, lambda value: without_passwords(value, REDACTED) if self._redacted else value),
        )

    def _secret(self, value: SecretStr | str) -> str:
        text = value if isinstance(value, str) else value.get_secret_value()
        return REDACTED if text and self._redacted else text

    def _settings(self, value: BaseModel) -> dict[str, Any]:
        names = (name for name in type(value).model_fields)
        return {key: self(getattr(value, name, None)) for key, name in zip(keys(type(value)), names, strict=True)}

    def _map(self, value: dict[Any, Any]) -> Any:
        if value and all(isinstance(item, SecretStr) for item in value.values()):
            return [{"name": str(name), "value": self(item)} for name, item in sorted(value.items())]
        return {str(key): self._hidden(item) if names_secret(str(key)) else self(item) for key, item in value.items()}

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
        elif self.sequence_context and not flow:
            self.indent += 2  # past the "- "
        else:
            self.indent = self.best_indent * (self.indent // self.best_indent + 1)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif not isinstance(resolve(text), str) or text in ("y", "n", "yes", "no", "on", "off"):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)


def to_yaml(tree: Any, *, sort: bool = True) -> str:
    """Plain values as YAML text."""
    return str(
        yaml.dump(
            tree,
            Dumper=_Dumper,
            default_flow_style=False,
            indent=4,
            width=1 << 16,
            allow_unicode=True,
            sort_keys=sort,
        )
    )
