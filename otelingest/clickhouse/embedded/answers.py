"""One answer over HTTP: its headers, its body in one go or piece by piece, and its end when the query fails."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from aiohttp import web

from otelingest.clickhouse.embedded.bodies import Encoder, encoder
from otelingest.clickhouse.embedded.engine import Engine, Turn, new_query_id
from otelingest.clickhouse.embedded.errors import AUTHENTICATION_FAILED, EngineError
from otelingest.clickhouse.embedded.formats import content_type

HELD_BACK = 64 << 20
"""Bytes of an answer that are held back for `wait_end_of_query`; a longer one is sent as it comes."""
_ID_LIMIT = 256


class Answer:
    """Answers one request. `turn` is set once the statement has one."""

    def __init__(self, request: web.BaseRequest, engine: Engine, common: Mapping[str, str]) -> None:
        asked = request.query.get("query_id") or request.headers.get("X-ClickHouse-Query-Id") or ""
        self.query_id = asked[:_ID_LIMIT] if asked.isprintable() and asked.isascii() and asked else new_query_id()
        self.turn: Turn | None = None
        self._request = request
        self._engine = engine
        self._headers = {**common, "X-ClickHouse-Query-Id": self.query_id}
        self._response: web.StreamResponse | None = None
        self._tag = ""
        self._encoder: Encoder | None = None

    def _encode(self) -> Encoder:
        """Choose the coding of the body; ClickHouse's own frames where the client asks for them."""
        query = self._request.query
        wanted = query.get("enable_http_compression") == "1"
        accepted = self._request.headers.get("Accept-Encoding", "") if wanted else ""
        coding, self._encoder = encoder(accepted, query.get("compress") == "1")
        if coding:
            self._headers["Content-Encoding"] = coding
        return self._encoder

    def _describe(self, output: str) -> None:
        if output:
            self._headers["X-ClickHouse-Format"] = output
            self._headers["Content-Type"] = content_type(output)
        if self.turn is not None:
            counts = self.turn.counts
            summary = {
                "read_rows": counts.read_rows,
                "read_bytes": counts.read_bytes,
                "written_rows": counts.written_rows,
                "written_bytes": counts.written_bytes,
                "total_rows_to_read": counts.read_rows,
                "result_rows": counts.result_rows or counts.written_rows,
                "result_bytes": counts.result_bytes or counts.written_bytes,
                "elapsed_ns": int(counts.elapsed * 1e9),
            }
            text = json.dumps({name: str(value) for name, value in summary.items()}, separators=(",", ":"))
            self._headers["X-ClickHouse-Summary"] = text

    async def whole(self, data: bytes, output: str) -> web.StreamResponse:
        """Everything is known: one body with its length."""
        coding = self._encode()
        body = coding.feed(data) + coding.finish() if data else b""
        if not body:
            self._headers.pop("Content-Encoding", None)
        self._describe(output)
        return web.Response(body=body, headers=self._headers)

    async def stream(self, first: bytes | None, output: str, wait: bool) -> web.StreamResponse:
        """The pieces as the engine gives them. What comes in one piece is sent with its length."""
        turn = self.turn
        assert turn is not None
        held: list[bytes] = []
        size = 0
        piece = first
        while piece is not None:
            held.append(piece)
            size += len(piece)
            piece = await turn.run(turn.next)
            if size >= HELD_BACK or (not wait and piece is not None):
                break
        else:
            return await self.whole(b"".join(held), output)
        coding = self._encode()
        self._tag = secrets.token_hex(8)
        self._headers["X-ClickHouse-Exception-Tag"] = self._tag
        self._describe(output)
        response = web.StreamResponse(headers=self._headers)
        response.enable_chunked_encoding()
        await response.prepare(self._request)
        self._response = response
        for part in held:
            await response.write(coding.feed(part))
        held.clear()
        while piece is not None:
            await response.write(coding.feed(piece))
            piece = await turn.run(turn.next)
        await response.write(coding.finish())
        await response.write_eof()
        return response

    async def fail(self, error: EngineError) -> web.StreamResponse:
        """Answer with an error, or end an answer that has begun in one."""
        text = error.text(self._engine.version)
        if self._response is not None:
            return await self._break_off(self._response, text)
        self._headers["X-ClickHouse-Exception-Code"] = str(error.code)
        status = error.status
        if error.code == AUTHENTICATION_FAILED and "Authorization" in self._request.headers:
            status = 401
            self._headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        coding = self._encode()
        body = coding.feed(text.encode()) + coding.finish()
        self._headers["Content-Type"] = "text/plain; charset=UTF-8"
        return web.Response(status=status, body=body, headers=self._headers)

    async def _break_off(self, response: web.StreamResponse, text: str) -> web.StreamResponse:
        """The status has been sent: clients find the error by its tag at the end of the body."""
        assert self._encoder is not None
        message = text.rstrip("\n").encode()
        tag = self._tag.encode()
        block = b"\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n" % (tag, message, len(message) + 1, tag)
        await response.write(self._encoder.feed(block) + self._encoder.finish())
        response.force_close()
        await response.write_eof()
        return response
