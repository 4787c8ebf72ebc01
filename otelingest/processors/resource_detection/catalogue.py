"""The detectors by the name that users write, and the names of those that only upstream has."""

from __future__ import annotations

from collections.abc import Mapping

from otelingest.config.spots import did_you_mean
from otelingest.pipeline.errors import ConfigError
from otelingest.processors.resource_detection.detectors import (
    consul,
    docker,
    dynatrace,
    environment,
    heroku,
    kubernetes,
    system,
)
from otelingest.processors.resource_detection.finding import Detector

DETECTORS: Mapping[str, Detector] = {
    "consul": consul.detect,
    "docker": docker.detect,
    "dynatrace": dynatrace.detect,
    "env": environment.detect,
    "heroku": heroku.detect,
    "k8s_api": kubernetes.detect_node,
    "k8snode": kubernetes.detect_node,
    "kubeadm": kubernetes.detect_kubeadm,
    "openshift": kubernetes.detect_openshift,
    "system": system.detect,
}

_UPSTREAM = """
    akamai aks alibaba_ecs azure azureappservice azurecontainerapps digitalocean ec2 ecs eks elastic_beanstalk gcp
    hetzner ibmcloud_classic ibmcloud_vpc lambda nova oraclecloud scaleway tencent_cvm upcloud vultr
"""
"""They ask a cloud's metadata service."""


def find(name: str) -> Detector:
    """Raises ConfigError for a name that nobody knows, or that only upstream knows."""
    found = DETECTORS.get(name)
    if found is not None:
        return found
    here = ", ".join(DETECTORS)
    if name in _UPSTREAM.split():
        raise ConfigError(
            f"the OpenTelemetry Collector has the detector {name}, otelingest does not: set what it would tell by "
            f"OTEL_RESOURCE_ATTRIBUTES and the detector env, or by the resource processor (detectors here: {here})"
        )
    raise ConfigError(f"invalid detector key: {name} (detectors here: {here}){did_you_mean(name, DETECTORS)}")
