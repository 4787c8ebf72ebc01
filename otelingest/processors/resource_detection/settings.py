"""What may be written under `processors.resource_detection`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from otelingest.config.settings import Duration, GoType, Naming, Problem, Secret, Settings
from otelingest.config.types import go_quote
from otelingest.exporters.sending.settings import RetrySettings
from otelingest.net.http_client_settings import HttpClientSettings
from otelingest.net.tls import ClientTlsSettings
from otelingest.processors.resource_detection.attributes import (
    ConsulAttributes,
    DockerAttributes,
    HerokuAttributes,
    KubeadmAttributes,
    NodeAttributes,
    OpenshiftAttributes,
    SystemAttributes,
)

_SECOND = 10**9
HOSTNAME_SOURCES = ("cname", "dns", "lookup", "os")
_AUTH_TYPES = ("none", "serviceAccount", "kubeConfig", "tls")


class DetectionRetrySettings(RetrySettings):
    """How often a detector that fails is asked again."""

    initial_interval: Duration = Duration(_SECOND)
    """The wait before the second try."""
    multiplier: float = 2
    """How much longer each wait is than the one before."""
    max_elapsed_time: Duration | None = None
    """How long detectors are tried in all; unset or 0: as long as `timeout`, which else is for one try."""


class DetectorSettings(Settings):
    """The section of one detector."""

    loose: ClassVar[bool] = True


class SystemSettings(DetectorSettings):
    """`system`: the machine, as its operating system knows it."""

    hostname_sources: list[str] = Field(default_factory=list)
    """Where host.name comes from, in this order: `os`, `dns`, `cname`, `lookup`; empty: `dns`, then `os`."""
    resource_attributes: SystemAttributes = Field(default_factory=SystemAttributes)
    """Which attributes are told."""

    def problems(self) -> Iterator[Problem]:
        for source in self.hostname_sources:
            if source not in HOSTNAME_SOURCES:
                yield f"hostname_sources contains invalid value: {go_quote(source)}"
                return


class DockerSettings(DetectorSettings):
    """`docker`: the machine below the container; needs Docker's socket, or where DOCKER_HOST says."""

    resource_attributes: DockerAttributes = Field(default_factory=DockerAttributes)
    """Which attributes are told."""


class ConsulSettings(DetectorSettings):
    """`consul`: the node, as the Consul agent beside the collector knows it."""

    address: str = ""
    """The agent's address; empty: CONSUL_HTTP_ADDR, else 127.0.0.1:8500."""
    datacenter: str = ""
    """The datacenter to ask for; empty: the agent's own."""
    token: Secret = Secret("")
    """The token to show; empty: CONSUL_HTTP_TOKEN."""
    token_file: str = ""
    """A file that holds the token; it is read at every detection."""
    namespace: str = ""
    """The namespace to ask in; empty: CONSUL_NAMESPACE."""
    meta: dict[str, Any] = Field(default_factory=dict)
    """The keys of the node's metadata that become attributes; values do not count."""
    resource_attributes: ConsulAttributes = Field(default_factory=ConsulAttributes)
    """Which attributes are told."""


class HerokuSettings(DetectorSettings):
    """`heroku`: the dyno, as its environment says."""

    resource_attributes: HerokuAttributes = Field(default_factory=HerokuAttributes)
    """Which attributes are told."""


class KubernetesSettings(DetectorSettings):
    """Access to the API server of the cluster that the collector runs in."""

    auth_type: Annotated[str, GoType("k8sconfig.AuthType")] = "serviceAccount"
    """`serviceAccount` (the pod's own) or `none`; `kubeConfig` and `tls` are not supported."""
    context: str = ""
    """Without effect: there is no `kubeConfig`."""
    kube_api_qps: Annotated[float, GoType("float32")] = 0
    """Without effect: a detection is one or two requests."""
    kube_api_burst: int = 0
    """Without effect: a detection is one or two requests."""

    def problems(self) -> Iterator[Problem]:
        if self.auth_type not in _AUTH_TYPES:
            yield "apiconfig", f"invalid authType for kubernetes: {self.auth_type}"
        for key in ("kube_api_qps", "kube_api_burst"):
            if getattr(self, key) < 0:
                yield "apiconfig", f"{key} must be greater than 0"


class NodeSettings(KubernetesSettings):
    """`k8s_api` (formerly `k8snode`): the node, as the Kubernetes API knows it."""

    node_from_env_var: str = ""
    """The environment variable that holds the node's name; empty: K8S_NODE_NAME."""
    resource_attributes: NodeAttributes = Field(default_factory=NodeAttributes)
    """Which attributes are told."""


class KubeadmSettings(KubernetesSettings):
    """`kubeadm`: the cluster, as kubeadm has set it up."""

    resource_attributes: KubeadmAttributes = Field(default_factory=KubeadmAttributes)
    """Which attributes are told."""


class OpenshiftSettings(DetectorSettings):
    """`openshift`: the cluster, as OpenShift's API knows it."""

    address: str = ""
    """The API server's URL; empty: as KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT say."""
    token: Annotated[Secret, GoType("string")] = Secret("")
    """The token to show; empty: the pod's service account's."""
    tls: ClientTlsSettings = Field(default_factory=ClientTlsSettings)
    """How the server is checked; without `ca_file` by the pod's service account's authority."""
    resource_attributes: OpenshiftAttributes = Field(default_factory=OpenshiftAttributes)
    """Which attributes are told."""


class DetectorsSettings(Settings):
    """A section for each detector that has settings."""

    naming: ClassVar[Naming] = Naming(embedded="detectorconfig")

    system: SystemSettings = Field(default_factory=SystemSettings)
    """The detector `system`."""
    docker: DockerSettings = Field(default_factory=DockerSettings)
    """The detector `docker`."""
    consul: ConsulSettings = Field(default_factory=ConsulSettings)
    """The detector `consul`."""
    heroku: HerokuSettings = Field(default_factory=HerokuSettings)
    """The detector `heroku`."""
    k8s_api: NodeSettings = Field(default_factory=NodeSettings)
    """The detector `k8s_api`."""
    k8snode: NodeSettings = Field(default_factory=NodeSettings)
    """The detector `k8s_api` under its former name."""
    kubeadm: KubeadmSettings = Field(default_factory=KubeadmSettings)
    """The detector `kubeadm`."""
    openshift: OpenshiftSettings = Field(default_factory=OpenshiftSettings)
    """The detector `openshift`."""


class ResourceDetectionSettings(HttpClientSettings, DetectorsSettings):
    """Detectors, and what becomes of what they find. Of the keys of an HTTP client only `timeout` has an effect."""

    naming: ClassVar[Naming] = Naming(embedding=True)

    detectors: list[str] = Field(default_factory=lambda: ["env"])
    """What is asked, in this order: what the first one has told, the others do not change."""
    override: bool = True
    """Whether what is detected takes the place of what a resource says already."""
    timeout: Duration = Duration(5 * _SECOND)
    """How long the detectors may take; 0: as long as `retry.max_elapsed_time` says."""
    refresh_interval: Duration = Duration(0)
    """After which time everything is detected anew; 0: never."""
    fail_on_missing_metadata: bool = False
    """Whether a detector that is asked where it does not belong fails; else it finds nothing."""
    retry: DetectionRetrySettings = Field(default_factory=DetectionRetrySettings)
    """How often a detector that fails is asked again."""

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if self.retry.enabled and not self.timeout and not self.retry.max_elapsed_time:
            yield "retry.enabled requires either timeout > 0 or retry.max_elapsed_time > 0 to bound detection"
