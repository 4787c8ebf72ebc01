"""OTLP/gRPC by grpcio, on raw bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import grpc

_SECONDS = 10


class Outcome(NamedTuple):
    """How a call ended."""

    code: grpc.StatusCode
    message: str
    body: bytes = b""
    trailers: tuple[tuple[str, Any], ...] = ()


class GrpcClient:
    """One channel to a server."""

    def __init__(self, address: str) -> None:
        options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(address, options)

    def close(self) -> None:
        self._channel.close()

    def call(self, path: str, body: bytes, **options: Any) -> Outcome:
        """One unary call."""
        return self._run(lambda: self._channel.unary_unary(path).with_call(body, timeout=_SECONDS, **options))

    def stream(self, path: str, messages: Iterable[bytes]) -> Outcome:
        """A call with any number of messages."""
        return self._run(lambda: self._channel.stream_unary(path).with_call(iter(messages), timeout=_SECONDS))

    @staticmethod
    def _run(call: Any) -> Outcome:
        try:
            body, done = call()
            return Outcome(grpc.StatusCode.OK, "", body, tuple(done.trailing_metadata() or ()))
        except grpc.RpcError as error:
            failed: Any = error
            trailers = tuple(failed.trailing_metadata() or ())
            return Outcome(failed.code(), failed.details() or "", b"", trailers)
