"""The `fluent_forward` receiver: log records from Fluentd, Fluent Bit and their loggers, by the Forward protocol v1."""

from otelingest.receivers.fluent_forward.receiver import FluentForwardReceiver

__all__ = ["FluentForwardReceiver"]
