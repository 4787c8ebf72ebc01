"""The OTLP receiver: traces, metrics and logs by gRPC and by HTTP, in protobuf and in JSON."""

from otelingest.receivers.otlp.receiver import OtlpReceiver

__all__ = ["OtlpReceiver"]
