"""Which attributes each detector tells, and the settings that turn them on and off."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from otelingest.config.settings import Naming, Settings


class AttributeSettings(Settings):
    """Whether an attribute is told."""

    naming: ClassVar[Naming] = Naming("metadata.ResourceAttributeConfig")

    enabled: bool = True
    """Whether it is told."""


class AttributesSettings(Settings):
    """The attributes of one detector."""

    loose: ClassVar[bool] = True

    def enabled(self) -> frozenset[str]:
        """The names of those that are told."""
        return frozenset(
            info.alias for name, info in type(self).model_fields.items() if info.alias and getattr(self, name).enabled
        )


def _on(name: str) -> AttributeSettings:
    made: AttributeSettings = Field(default_factory=AttributeSettings, alias=name)
    return made


def _off(name: str) -> AttributeSettings:
    made: AttributeSettings = Field(default_factory=lambda: AttributeSettings(enabled=False), alias=name)
    return made


class SystemAttributes(AttributesSettings):
    """What `system` can tell."""

    host_arch: AttributeSettings = _off("host.arch")
    """The processor's architecture: `amd64`, `arm64`…"""
    host_cpu_cache_l2_size: AttributeSettings = _off("host.cpu.cache.l2.size")
    """The cache size that /proc/cpuinfo tells, in KiB."""
    host_cpu_family: AttributeSettings = _off("host.cpu.family")
    """The processor's family."""
    host_cpu_model_id: AttributeSettings = _off("host.cpu.model.id")
    """The processor's model, as a number."""
    host_cpu_model_name: AttributeSettings = _off("host.cpu.model.name")
    """The processor's model, in words."""
    host_cpu_stepping: AttributeSettings = _off("host.cpu.stepping")
    """The processor's stepping."""
    host_cpu_vendor_id: AttributeSettings = _off("host.cpu.vendor.id")
    """Who made the processor."""
    host_id: AttributeSettings = _off("host.id")
    """The machine's id (/etc/machine-id)."""
    host_interface: AttributeSettings = _off("host.interface")
    """The names of all network interfaces."""
    host_ip: AttributeSettings = _off("host.ip")
    """The addresses of the interfaces that are up, but for the loopback's."""
    host_mac: AttributeSettings = _off("host.mac")
    """The hardware addresses of the same: `AC-DE-48-23-45-67`."""
    host_name: AttributeSettings = _on("host.name")
    """The machine's name, from the first of `hostname_sources` that knows one."""
    os_build_id: AttributeSettings = _off("os.build.id")
    """The build of the operating system, else its kernel's release."""
    os_description: AttributeSettings = _off("os.description")
    """The operating system's name and version, and what uname says."""
    os_name: AttributeSettings = _off("os.name")
    """The distribution: `debian`, `ubuntu`…"""
    os_type: AttributeSettings = _on("os.type")
    """`linux`, `darwin`…"""
    os_version: AttributeSettings = _off("os.version")
    """The distribution's version."""


class DockerAttributes(AttributesSettings):
    """What `docker` can tell."""

    container_image_name: AttributeSettings = _off("container.image.name")
    """The image of the container that the collector runs in."""
    container_name: AttributeSettings = _off("container.name")
    """The name of that container, as Docker writes it: `/collector`."""
    host_name: AttributeSettings = _on("host.name")
    """The name of the machine that Docker runs on."""
    os_type: AttributeSettings = _on("os.type")
    """The operating system of that machine."""


class ConsulAttributes(AttributesSettings):
    """What `consul` can tell."""

    cloud_region: AttributeSettings = _on("cloud.region")
    """The agent's datacenter."""
    host_id: AttributeSettings = _on("host.id")
    """The node's id."""
    host_name: AttributeSettings = _on("host.name")
    """The node's name."""


class HerokuAttributes(AttributesSettings):
    """What `heroku` can tell."""

    cloud_provider: AttributeSettings = _on("cloud.provider")
    """`heroku`, where HEROKU_APP_ID is set."""
    heroku_app_id: AttributeSettings = _on("heroku.app.id")
    """HEROKU_APP_ID."""
    heroku_dyno_id: AttributeSettings = _on("heroku.dyno.id")
    """Never told, as upstream: the dyno's id is `service.instance.id`."""
    heroku_release_commit: AttributeSettings = _on("heroku.release.commit")
    """HEROKU_SLUG_COMMIT."""
    heroku_release_creation_timestamp: AttributeSettings = _on("heroku.release.creation_timestamp")
    """HEROKU_RELEASE_CREATED_AT."""
    service_instance_id: AttributeSettings = _on("service.instance.id")
    """HEROKU_DYNO_ID."""
    service_name: AttributeSettings = _on("service.name")
    """HEROKU_APP_NAME."""
    service_version: AttributeSettings = _on("service.version")
    """HEROKU_RELEASE_VERSION."""


class NodeAttributes(AttributesSettings):
    """What `k8s_api` can tell."""

    k8s_cluster_uid: AttributeSettings = _on("k8s.cluster.uid")
    """The cluster's id: that of the namespace kube-system."""
    k8s_node_name: AttributeSettings = _on("k8s.node.name")
    """The node's name."""
    k8s_node_uid: AttributeSettings = _on("k8s.node.uid")
    """The node's id."""


class KubeadmAttributes(AttributesSettings):
    """What `kubeadm` can tell."""

    k8s_cluster_name: AttributeSettings = _on("k8s.cluster.name")
    """The cluster's name, from the ConfigMap kubeadm-config."""
    k8s_cluster_uid: AttributeSettings = _on("k8s.cluster.uid")
    """The cluster's id: that of the namespace kube-system."""


class OpenshiftAttributes(AttributesSettings):
    """What `openshift` can tell."""

    cloud_platform: AttributeSettings = _on("cloud.platform")
    """`aws_openshift`, `azure.openshift`…"""
    cloud_provider: AttributeSettings = _on("cloud.provider")
    """`aws`, `azure`, `gcp` or `ibm_cloud`."""
    cloud_region: AttributeSettings = _on("cloud.region")
    """The region."""
    k8s_cluster_name: AttributeSettings = _on("k8s.cluster.name")
    """The infrastructure's name."""
