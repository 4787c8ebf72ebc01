"""The `resource_detection` processor: says in every resource where the collector runs.

Its attributes come from the environment, the operating system, Docker, Kubernetes and others of its `detectors`. They
are spliced into a request's bytes, so that spans are not decoded.
"""

from otelingest.processors.resource_detection.processor import ResourceDetectionProcessor
from otelingest.processors.resource_detection.settings import ResourceDetectionSettings

__all__ = ["ResourceDetectionProcessor", "ResourceDetectionSettings"]
