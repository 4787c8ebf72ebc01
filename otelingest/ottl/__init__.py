"""OTTL, the transformation language of the OpenTelemetry Collector: parsed once, compiled to closures over protobuf.

`compile_statements` and `compile_condition` are the way in; both raise StatementError with the collector's text. What
they give is run over decoded requests (`Program.run`) or asked for items (`Question.holds`).
"""

from otelingest.ottl.errors import OttlError, StatementError

__all__ = ["OttlError", "StatementError"]
