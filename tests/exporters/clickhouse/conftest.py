from __future__ import annotations

import asyncio
import threading

import pytest
import structlog

from otelingest.clickhouse.embedded.process import EmbeddedServer, ServerSettings


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory):
    """A ClickHouse engine of its own; its `http_url` and `tcp_url` say where."""
    settings = ServerSettings(
        path=str(tmp_path_factory.mktemp("clickhouse")),
        http_endpoint="127.0.0.1:0",
        tcp_endpoint="127.0.0.1:0",
        username="default",
        password="",
        max_memory=1 << 30,
        max_body_size=1 << 28,
    )
    server = EmbeddedServer(settings, structlog.get_logger())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    run(server.start())
    yield server
    run(server.stop(5.0))
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
