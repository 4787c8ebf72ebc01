"""The `redaction` processor: removes attributes that are not on a list, and masks what patterns find in the others.

It works on the attributes of resources, scopes, spans, their events, log records and data points, and on the bodies of
log records.
"""

from otelingest.processors.redaction.processor import RedactionProcessor
from otelingest.processors.redaction.settings import RedactionSettings

__all__ = ["RedactionProcessor", "RedactionSettings"]
