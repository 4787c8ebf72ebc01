"""The OTLP/gRPC exporter: hands telemetry to anyone who speaks OTLP over gRPC, in the bytes it arrived in."""

from otelingest.exporters.otlp_grpc.exporter import OtlpGrpcExporter

__all__ = ["OtlpGrpcExporter"]
