"""`k8s_api`, `kubeadm` and `openshift`: the node and the cluster, by the API server that pods are told of."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from otelingest.processors.resource_detection.detectors.fetching import FetchError, get_json
from otelingest.processors.resource_detection.finding import Circumstances, Failed, Finding, Unavailable, Value, told
from otelingest.processors.resource_detection.settings import (
    KubeadmSettings,
    KubernetesSettings,
    NodeSettings,
    OpenshiftSettings,
)

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its service account's token and the authority that the API server is checked by."""

_NAMESPACE = "/api/v1/namespaces/kube-system"
_FORBIDDEN = (401, 403)


class _Api:
    """The cluster's API server, as it is known inside a pod. Raises Failed where this is no pod."""

    def __init__(self, settings: KubernetesSettings, around: Circumstances) -> None:
        if settings.auth_type in ("kubeConfig", "tls"):
            raise Failed(
                f"auth_type {settings.auth_type} is not supported: inside a cluster, leave it out (serviceAccount)"
            )
        self._around = around
        self._base = _server(around)
        self._headers: dict[str, str] = {}
        if settings.auth_type == "none":
            self._tls = ssl._create_unverified_context()  # noqa: S323 - upstream checks nothing then, either
        else:
            self._headers["Authorization"] = f"Bearer {_token()}"
            self._tls = _authority()

    def get(self, path: str) -> dict[str, Any]:
        """Raises FetchError."""
        answer = get_json(self._base, path, self._around.seconds, headers=self._headers, tls=self._tls)
        if not isinstance(answer, dict):
            raise FetchError(f"Get {self._base}{path}: the answer is no object")
        return answer

    def uid(self, path: str) -> str:
        """The id of an object."""
        return str(_inside(self.get(path), "metadata").get("uid", ""))


def detect_node(settings: NodeSettings, around: Circumstances) -> Finding:
    """`k8s_api`."""
    variable = settings.node_from_env_var or "K8S_NODE_NAME"
    name = around.environ.get(variable)
    if not name:
        raise Failed(
            "node name can't be found. Check the readme on how to set the required env variable "
            f"({variable} is not set)"
        )
    api = _Api(settings, around)
    enabled = settings.resource_attributes.enabled()
    found: dict[str, Value | None] = {}
    if enabled & {"k8s.node.uid", "k8s.node.name"}:
        try:
            node = _inside(api.get(f"/api/v1/nodes/{quote(name, safe='')}"), "metadata")
        except FetchError as error:
            raise Unavailable(f"failed getting k8s node {name}: {error}") from error
        found = {"k8s.node.uid": str(node.get("uid", "")), "k8s.node.name": str(node.get("name", ""))}
    if "k8s.cluster.uid" in enabled:
        try:
            found["k8s.cluster.uid"] = api.uid(_NAMESPACE)
        except FetchError as error:
            if error.status not in _FORBIDDEN:
                raise Failed(f"failed getting k8s cluster UID: {error}") from error
            around.log.warning(
                "no permission to get kube-system namespace, skipping k8s.cluster.uid; disable the attribute or "
                "grant 'get' on namespaces/kube-system",
                error=str(error),
            )
    return told(enabled, found)


def detect_kubeadm(settings: KubeadmSettings, around: Circumstances) -> Finding:
    """`kubeadm`."""
    api = _Api(settings, around)
    enabled = settings.resource_attributes.enabled()
    found: dict[str, Value | None] = {}
    try:
        if "k8s.cluster.name" in enabled:
            found["k8s.cluster.name"] = _cluster_name(api.get(f"{_NAMESPACE}/configmaps/kubeadm-config"))
        if "k8s.cluster.uid" in enabled:
            found["k8s.cluster.uid"] = api.uid(_NAMESPACE)
    except FetchError as error:
        raise Unavailable(f"failed getting k8s cluster name: {error}") from error
    return told(enabled, found)


def _cluster_name(config_map: dict[str, Any]) -> str:
    text = _inside(config_map, "data").get("ClusterConfiguration")
    if not isinstance(text, str):
        raise FetchError("ClusterConfiguration key not found in ConfigMap kubeadm-config")
    try:
        cluster = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FetchError(f"failed to parse ClusterConfiguration YAML: {error}") from error
    return str(cluster.get("clusterName", "")) if isinstance(cluster, dict) else ""


_PLATFORMS = {
    "aws": ("aws", "aws_openshift", "aws", "region"),
    "azure": ("azure", "azure.openshift", "azure", "cloudName"),
    "gcp": ("gcp", "gcp_openshift", "gcp", "region"),
    "ibmcloud": ("ibm_cloud", "ibm_cloud_openshift", "ibmcloud", "location"),
    "openstack": (None, None, "openstack", "cloudName"),
}
"""By the infrastructure's platform: cloud.provider, cloud.platform, and where its region stands."""


def detect_openshift(settings: OpenshiftSettings, around: Circumstances) -> Finding:
    """`openshift`."""
    base = settings.address or _server(around)
    token = settings.token.get_secret_value() or _token()
    secure = base.startswith("https") and not settings.tls.insecure
    own = secure and not (settings.tls.ca_file or settings.tls.ca_pem.get_secret_value())
    tls = (_authority() if own else settings.tls.context()) if secure else None
    path = "/apis/config.openshift.io/v1/infrastructures/cluster/status"
    try:
        answer = get_json(base, path, around.seconds, headers={"Authorization": f"Bearer {token}"}, tls=tls)
    except FetchError as error:
        around.log.error("OpenShift detector metadata retrieval failed", error=str(error))
        raise Unavailable(f"openshift metadata unavailable: {error}") from error
    status = _inside(answer, "status")
    platform = _inside(status, "platformStatus")
    provider, kind, key, region = _PLATFORMS.get(str(platform.get("type", "")).lower(), (None, None, "", ""))
    found: dict[str, Value | None] = {
        "k8s.cluster.name": status.get("infrastructureName") or None,
        "cloud.provider": provider,
        "cloud.platform": kind,
        "cloud.region": str(_inside(platform, key).get(region, "")).lower() if key else None,
    }
    return told(settings.resource_attributes.enabled(), found)


def _server(around: Circumstances) -> str:
    host, port = (around.environ.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
    if not host or not port:
        raise Failed("unable to load k8s config, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _token() -> str:
    try:
        return (ACCOUNT / "token").read_text().strip()
    except (OSError, ValueError) as error:
        raise Failed(f"the service account's token cannot be read: {error}") from error


def _authority() -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    except OSError as error:
        raise Failed(f"the service account's authority {ACCOUNT / 'ca.crt'} cannot be read: {error}") from error


def _inside(answer: Any, key: str) -> dict[str, Any]:
    found = answer.get(key) if isinstance(answer, dict) else None
    return found if isinstance(found, dict) else {}
