"""Sessions over HTTP: requests with the same `session_id` share what they SET and their temporary tables."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from otelingest.clickhouse.embedded.engine import Session
from otelingest.clickhouse.embedded.errors import BAD_ARGUMENTS, SESSION_IS_LOCKED, SESSION_NOT_FOUND, EngineError

MAX_SESSIONS = 1000
MAX_ID_LENGTH = 256
_DEFAULT_TIMEOUT = 60
_MAX_TIMEOUT = 3600


class Sessions:
    """Every session, by id, in the order of their last use."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._expiries: dict[str, asyncio.TimerHandle] = {}

    @contextlib.asynccontextmanager
    async def use(self, parameters: Mapping[str, str]) -> AsyncIterator[Session | None]:
        """The session that a request's URL parameters name, for this request alone; None when they name none."""
        name = parameters.get("session_id", "")
        if not name:
            yield None
            return
        if len(name) > MAX_ID_LENGTH:
            raise EngineError(BAD_ARGUMENTS, f"session_id is longer than {MAX_ID_LENGTH} characters.")
        timeout = _timeout(parameters.get("session_timeout", ""))
        session = self._sessions.pop(name, None)
        if session is None:
            if parameters.get("session_check") == "1":
                raise EngineError(SESSION_NOT_FOUND, f"Session {name} not found.")
            self._make_room()
            session = Session()
        self._sessions[name] = session
        if session.lock.locked():
            raise EngineError(SESSION_IS_LOCKED, f"Session {name} is locked by a concurrent client.")
        async with session.lock:
            self._stop_clock(name)
            try:
                yield session
            finally:
                loop = asyncio.get_running_loop()
                self._expiries[name] = loop.call_later(timeout, self._drop, name)

    def _make_room(self) -> None:
        if len(self._sessions) < MAX_SESSIONS:
            return
        idle = next((name for name, session in self._sessions.items() if not session.lock.locked()), None)
        if idle is None:
            raise EngineError(BAD_ARGUMENTS, f"Too many sessions at once. Maximum: {MAX_SESSIONS}.")
        self._drop(idle)

    def _stop_clock(self, name: str) -> None:
        expiry = self._expiries.pop(name, None)
        if expiry is not None:
            expiry.cancel()

    def _drop(self, name: str) -> None:
        self._stop_clock(name)
        session = self._sessions.pop(name, None)
        if session is not None:
            session.close()

    def close(self) -> None:
        """End them all."""
        for name in list(self._sessions):
            self._drop(name)


def _timeout(text: str) -> int:
    if not text:
        return _DEFAULT_TIMEOUT
    if not text.isdecimal() or int(text) > _MAX_TIMEOUT:
        raise EngineError(BAD_ARGUMENTS, f"Invalid session_timeout: it is a number of seconds, {_MAX_TIMEOUT} at most.")
    return int(text)
