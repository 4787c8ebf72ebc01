"""What stands around every exporter that sends over a network: the queue, batching, retries, the timeout."""

from otelingest.exporters.sending.batch import Batch
from otelingest.exporters.sending.counters import Counters
from otelingest.exporters.sending.exporter import Divisible, SendingExporter
from otelingest.exporters.sending.settings import BatchSettings, QueueSettings, RetrySettings, SendingSettings

__all__ = [
    "Batch",
    "BatchSettings",
    "Counters",
    "Divisible",
    "QueueSettings",
    "RetrySettings",
    "SendingExporter",
    "SendingSettings",
]
