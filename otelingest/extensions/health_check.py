"""`health_check`: tells over HTTP whether all pipelines run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from otelingest.config.settings import Duration, Naming, Problem, Settings
from otelingest.net.auth import resolve
from otelingest.net.http_server import HttpServer
from otelingest.net.http_settings import HttpServerSettings
from otelingest.net.messages import PLAIN, Request, Response
from otelingest.net.plain_app import NOT_FOUND, PlainApp, path_of, redirect
from otelingest.pipeline.component import Env, Extension, Host
from otelingest.pipeline.errors import ConfigError

_V2 = (
    "v2 healthcheck configuration (http/grpc fields) detected but feature gate is disabled. "
    "Either remove the v2 config fields or enable the feature gate with: "
    "--feature-gates=+extension.healthcheck.useComponentStatus"
)


class ResponseBodySettings(Settings):
    """What is answered instead of the JSON."""

    healthy: str = ""
    """While all pipelines run."""
    unhealthy: str = ""
    """Before that and afterwards."""


class PipelineCheckSettings(Settings):
    """A check of exporters' failures, which upstream has never made work: it has no effect."""

    enabled: bool = False
    """Has no effect."""
    interval: str = "5m"
    """Has no effect."""
    exporter_failure_threshold: int = 5
    """Has no effect."""


class ComponentHealthSettings(Settings):
    """Which states of components the second version of the health check counts. Has no effect."""

    include_permanent_errors: bool = False
    """Has no effect."""
    include_recoverable_errors: bool = False
    """Has no effect."""
    recovery_duration: Duration = Duration(0)
    """Has no effect."""


class SecondVersionSettings(Settings):
    """A server of the second version of the health check, whatever its keys are."""

    loose: ClassVar[bool] = True


class HealthCheckSettings(HttpServerSettings):
    """Where it listens, and what it answers."""

    loose: ClassVar[bool] = False
    naming: ClassVar[Naming] = Naming(
        "healthcheck.Config", embedding=True, embedded="config::legacyconfig::serverconfig"
    )

    endpoint: str = "localhost:13133"
    """`host:port` to listen on, or the path of a unix socket."""
    keep_alives_enabled: bool = False
    """Whether a connection stays open for further requests."""
    path: str = "/"
    """The path that is answered; `/` answers all."""
    response_body: ResponseBodySettings | None = None
    """What is answered instead of the JSON. Absent: JSON."""
    check_collector_pipeline: PipelineCheckSettings = Field(default_factory=PipelineCheckSettings)
    """Has no effect; upstream documents it as not working."""
    use_v2: bool = False
    """The second version's checks: not supported yet."""
    http: SecondVersionSettings | None = Field(default=None, exclude=True)
    """The second version's server: not supported yet."""
    grpc: SecondVersionSettings | None = Field(default=None, exclude=True)
    """The second version's gRPC server: not supported yet."""
    component_health: ComponentHealthSettings | None = None
    """Which states of components count in the second version. Has no effect."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if self.model_fields_set & {"http", "grpc"}:  # a key without a value counts too
            yield _V2
        elif self.use_v2:
            yield "config", "must specify at least one protocol"
        elif not self.endpoint:
            yield "config", "http endpoint required"
        elif not self.path.startswith("/"):
            yield "config", "path must start with /"

    def without_effect(self) -> Iterator[str]:
        yield from super().without_effect()
        if self.check_collector_pipeline.enabled:
            yield "check_collector_pipeline: upstream documents it as not working"
        if self.component_health is not None:
            yield "component_health: it belongs to the second version of the health check"


class HealthCheck(Extension[HealthCheckSettings]):
    """Answers 200 while all pipelines run, 503 before and from the beginning of the shutdown.

    address: where it listens, "" while it does not.
    """

    Settings = HealthCheckSettings
    exclusive: bool = True

    def __init__(self, settings: HealthCheckSettings, env: Env) -> None:
        super().__init__(settings, env)
        self.address = ""
        self._ready = False
        self._since = 0
        self._server: HttpServer | None = None
        self._path = settings.path.encode()
        self._queues_path = (settings.path.rstrip("/") + "/queues").encode()
        self._host: Host | None = None

    async def start(self, host: Host) -> None:
        """Listen. Raises ConfigError."""
        settings = self.settings
        if settings.middlewares:
            raise ConfigError(
                f'failed to resolve middleware "{settings.middlewares[0].id}": middlewares are not supported yet'
            )
        self._host = host
        self.log.info("Starting health_check extension", config=_shown(settings))
        app = PlainApp(self._respond)
        self._server = HttpServer(settings, app, self.log, authenticator=resolve(settings.auth, host))
        try:
            await self._server.start()
        except ConfigError as error:
            raise ConfigError(f"failed to bind to address {settings.endpoint}: {error}") from error
        self.address = self._server.address
        for reason in settings.without_effect():
            self.log.warning("A setting is without effect", reason=reason)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(self._host.stop_deadline if self._host is not None else None)
            self._server = None

    def pipelines_changed(self, ready: bool) -> None:
        if ready and self._ready:
            return
        self._ready = ready
        self._since = time.time_ns()
        self.log.info("Health Check state change", status="ready" if ready else "unavailable")

    def _respond(self, request: Request) -> Response:
        if path_of(request) == self._queues_path:
            return Response(200, "application/json", _json(self._queues()))
        if path_of(request) + b"/" == self._path:
            return redirect(request, self._path)
        if not self._is_asked(path_of(request)):
            return NOT_FOUND
        status = 200 if self._ready else 503
        texts = self.settings.response_body
        if texts is not None:
            body = (texts.healthy if self._ready else texts.unhealthy).encode()
            return Response(status, PLAIN if body else "", body)
        return Response(status, "application/json", _json(self._state()))

    def _queues(self) -> dict[str, Any]:
        """What waits on disk, and what was given up: of every storage extension."""
        extensions = self._host.extensions() if self._host is not None else {}
        found = {str(id): getattr(extension, "storage", None) for id, extension in extensions.items()}
        return {
            id: {
                "queues": storage.journal.report(),
                "bytes_on_disk": storage.journal.bytes_on_disk,
                "refusing": storage.journal.full or None,
                "dead_letters": storage.dead_letters.count,
            }
            for id, storage in found.items()
            if storage is not None
        }

    def _is_asked(self, path: bytes) -> bool:
        """As Go's routing has it: what ends in a slash is for everything below, too."""
        return path == self._path or (self._path.endswith(b"/") and path.startswith(self._path))

    def _state(self) -> dict[str, str]:
        if not self._ready:
            return {"status": "Server not available", "upSince": "0001-01-01T00:00:00Z", "uptime": ""}
        uptime = Duration(max(0, time.time_ns() - self._since))
        return {"status": "Server available", "upSince": _rfc3339(self._since), "uptime": str(uptime)}


def _shown(settings: HealthCheckSettings) -> dict[str, Any]:
    """What the start's log line says of the settings, under upstream's names."""
    texts, check = settings.response_body, settings.check_collector_pipeline
    return {
        "Config": {
            "ServerConfig": {"NetAddr": {"Endpoint": settings.endpoint, "Transport": settings.transport}},
            "Path": settings.path,
            "ResponseBody": texts and {"Healthy": texts.healthy, "Unhealthy": texts.unhealthy},
            "CheckCollectorPipeline": {
                "Enabled": check.enabled,
                "Interval": check.interval,
                "ExporterFailureThreshold": check.exporter_failure_threshold,
            },
            "UseV2": settings.use_v2,
        }
    }


def _rfc3339(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}{fraction}Z"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
