"""ClickHouse without its cost: passes questions and DDL on to an engine, and lets inserts run into the sand.

Inserts are stored too until `POST /bench/discard`, and again after `POST /bench/store`; `GET /bench/counts` tells what
has come since the last of these. Ends when its standard input does.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time

import aiohttp
import uvloop
from aiohttp import web
from yarl import URL

_INSERT = re.compile(r"\s*INSERT\s+INTO\b", re.I)
_OWN_HEADERS = {"connection", "content-length", "date", "expect", "host", "keep-alive", "server", "transfer-encoding"}
_READ_SIZE = 1 << 20


class Facade:
    """Everything that is sent to one port."""

    def __init__(self, engine: str, session: aiohttp.ClientSession) -> None:
        self._engine = engine
        self._session = session
        self._storing = True
        self._in_flight = 0
        self._reset()

    def _reset(self) -> None:
        self._inserts = self._bytes = 0
        self._last = 0.0

    async def control(self, request: web.Request) -> web.Response:
        what = request.match_info["what"]
        if request.method == "POST":
            self._storing = what == "store"
            self._reset()
        return web.json_response(
            {"inserts": self._inserts, "bytes": self._bytes, "in_flight": self._in_flight, "last": self._last}
        )

    async def handle(self, request: web.Request) -> web.Response:
        if not _INSERT.match(request.query.get("query", "")):
            return await self._forward(request, await request.read())
        self._in_flight += 1
        try:
            if self._storing:
                body = await request.read()
                self._bytes += len(body)
                return await self._forward(request, body)
            async for part in request.content.iter_any():
                self._bytes += len(part)
            return web.Response(headers={"X-ClickHouse-Summary": "{}"})
        finally:
            self._in_flight -= 1
            self._inserts += 1
            self._last = time.monotonic()

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN_HEADERS}
        url = URL(self._engine + request.raw_path, encoded=True)
        async with self._session.request(request.method, url, data=body or None, headers=headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN_HEADERS}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)


async def serve(port: int, engine: str) -> None:
    """Serve until standard input ends."""
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as session:
        facade = Facade(engine, session)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/bench/{what:counts|discard|store}", facade.control)
        app.router.add_route("*", "/{path:.*}", facade.handle)
        runner = web.AppRunner(app, auto_decompress=False, read_bufsize=_READ_SIZE, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.to_thread(sys.stdin.buffer.read)
        await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.facade", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--engine", required=True, help="URL of a ClickHouse that answers the questions")
    args = parser.parse_args()
    uvloop.run(serve(args.port, args.engine.rstrip("/")))


if __name__ == "__main__":
    main()
